"""The file that describes a submission: YAML or TOML."""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from axonem_eval.client.errors import ClientError

TEXTS = ("paper_url", "code_url", "model_url", "training_data", "compute", "supersedes", "run_of")
MARKS = ("extra_training_data", "manual_fixup", "made_ground_truth")
ABOUT = (*TEXTS, *MARKS)
EXAMPLE = """benchmark: axonem
method: U-Net, mean affinity
"""


@dataclass(frozen=True)
class Method:
    """What is submitted. phase : empty for the server's current one. team : name or id, if you have several.

    files : path by the volume's slug. Files on the command line override it.
    supersedes : code of an earlier entry of the same team that this one replaces.
    run_of : code of the first run of an entry of the same team, if this is another run of it.
    extra_training_data, manual_fixup, made_ground_truth : marks that the leaderboard shows.
    """

    benchmark: str
    method: str
    description: str = ""
    phase: str = ""
    team: str = ""
    paper_url: str = ""
    code_url: str = ""
    model_url: str = ""
    training_data: str = ""
    compute: str = ""
    supersedes: str = ""
    run_of: str = ""
    extra_training_data: bool = False
    manual_fixup: bool = False
    made_ground_truth: bool = False
    publish: bool = False
    files: dict[str, Path] = field(default_factory=dict)


def read_method(path: Path) -> Method:
    """Read the file. Raises ClientError with every mistake in it."""
    content = _parse(path)
    if not isinstance(content, dict):
        raise ClientError(f"{path}: expected names and values, like\n{EXAMPLE}")
    known = {f.name: f for f in fields(Method)}
    problems = [f"unknown name {name!r}; expected one of {', '.join(known)}" for name in content if name not in known]
    for name in ("benchmark", "method"):
        if not str(content.get(name) or "").strip():
            problems.append(f"{name!r} is missing")
    for name in ("benchmark", "method", "description", "phase", *TEXTS):
        if not isinstance(content.get(name, ""), str):
            problems.append(f"{name!r} must be text")
    if not isinstance(content.get("team", ""), str | int):
        problems.append("'team' must be a name or an id")
    for name in ("publish", *MARKS):
        if not isinstance(content.get(name, False), bool):
            problems.append(f"{name!r} must be true or false")
    files = content.get("files", {})
    if not isinstance(files, dict) or not all(isinstance(v, str) for v in files.values()):
        problems.append("'files' must give a path for each volume's name")
    if problems:
        raise ClientError("\n".join(f"{path}: {problem}" for problem in problems))
    paths = {str(volume): path.parent / name for volume, name in files.items()}
    return Method(**{**content, "team": str(content.get("team", "")), "files": paths})


def _parse(path: Path) -> Any:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"{path} cannot be read: {error}") from None
    if path.suffix == ".toml":
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ClientError(f"{path} is not valid TOML: {error}") from None
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ClientError(f"{path} is not valid YAML: {error}") from None


def assign_files(arguments: list[str], method: Method, volumes: list[str]) -> dict[str, Path]:
    """Path by volume: `volume=path` by name, bare paths in the order of the phase's volumes. Raises ClientError."""
    files = dict(method.files)
    bare: list[Path] = []
    for argument in arguments:
        name, separator, path = argument.partition("=")
        if separator and name in volumes:
            files[name] = Path(path)
        else:
            bare.append(Path(argument))
    free = [volume for volume in volumes if volume not in files] if method.files else list(volumes)
    files.update(zip(free, bare, strict=False))
    if len(bare) > len(free) or set(files) != set(volumes):
        given = ", ".join(f"{volume}={path}" for volume, path in files.items()) or "none"
        raise ClientError(
            f"A submission needs one file for each of {', '.join(volumes)}; given: {given}"
            f"{' and ' + str(len(bare) - len(free)) + ' too many' if len(bare) > len(free) else ''}."
        )
    missing = [str(path) for path in files.values() if not path.is_file()]
    if missing:
        raise ClientError(f"There is no file {', '.join(missing)}.")
    return {volume: files[volume] for volume in volumes}
