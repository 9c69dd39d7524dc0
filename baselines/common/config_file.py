"""Read an experiment from a TOML file, with every complaint about it at once."""

import dataclasses
import json
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from axonem_eval.errors import Complaint, InputError, raise_all
from axonem_eval.volumes import split_dataset
from baselines.affinity_unet.config import UnetConfig
from baselines.common.config import ExperimentConfig
from baselines.common.config_data import VolumeConfig
from baselines.ffn.config import FfnConfig

Place = tuple[int | str, ...]
Kind = TypeVar("Kind", bound=ExperimentConfig)
# By what a file names as ``method``; the first one where it names none.
KINDS: dict[str, type[ExperimentConfig]] = {"affinity_unet": UnetConfig, "ffn": FfnConfig}


def load_config(path: str | Path) -> ExperimentConfig:
    """Read a TOML file. Raises InputError with every complaint about it."""
    file = Path(path)
    try:
        values = tomllib.loads(file.read_text())
    except FileNotFoundError:
        raise InputError.of("no_config", f"{file}: no such file; the shipped ones are in baselines/configs") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError.of("bad_toml", f"{file}: not valid TOML: {error}") from None
    return config_from(values, where=str(file), folder=str(file.parent))


def load_config_of(kind: type[Kind], path: str | Path) -> Kind:
    """Read a TOML file of one method. Raises InputError as ``load_config``, and where it is of another method."""
    config = load_config(path)
    if not isinstance(config, kind):
        wanted = next(name for name, found in KINDS.items() if found is kind)
        raise InputError.of("other_method", f"{path}: method is {config.method!r}, expected {wanted!r}")
    return config


def with_test_files(config: Kind, files: Mapping[str, Path]) -> Kind:
    """The configuration with these files of grey values as its only test volumes, by name; they have no labels here.

    Raises InputError where the configuration has no test volume of a name, or a file is not there.
    """
    known = {spec.name: spec for spec in config.data.test}
    complaints = []
    for name, path in files.items():
        if name not in known:
            found = f"{config.name}: no test volume {name!r}; it has {', '.join(known) or 'none'}"
            complaints.append(Complaint("no_volume", found))
        elif not split_dataset(path)[0].exists():
            complaints.append(Complaint("no_file", f"{path}: no such file (the EM of test volume {name!r})"))
    raise_all(complaints)
    test = tuple(
        VolumeConfig(name=name, raw=str(path.absolute()), voxel_size_nm=config.voxel_size_of(known[name]))
        for name, path in files.items()
    )
    return dataclasses.replace(config, data=dataclasses.replace(config.data, test=test))


def config_from(values: dict[str, Any], *, where: str = "config", folder: str = ".") -> ExperimentConfig:
    """Experiment from plain values. Raises InputError with every complaint about them."""
    text = json.dumps({key: value for key, value in values.items() if key != "folder"}, default=str)
    method = values.get("method", next(iter(KINDS)))
    if not isinstance(method, str) or method not in KINDS:
        raise InputError.of("bad_value", f"{where}: method: found {method!r}, expected {' or '.join(map(repr, KINDS))}")
    complaints = [Complaint("unknown_key", f"{where}: unknown key 'folder'")] if "folder" in values else []
    try:
        config = TypeAdapter(KINDS[method]).validate_json(text)
    except ValidationError as error:
        # A list that is too short has one error for each value that is missing; the last one knows the length.
        short = {found["loc"][:-1]: found for found in error.errors() if _is_short(found)}
        kept = [found for found in error.errors() if not _is_short(found)]
        complaints += [
            complaint for found in (*kept, *short.values()) for complaint in _complaints(KINDS[method], found, where)
        ]
        raise InputError(complaints) from None
    raise_all(complaints)
    return dataclasses.replace(config, folder=folder)


def _is_short(found: ErrorDetails) -> bool:
    """Whether an error is about a list that is too short."""
    return found["type"] == "missing" and isinstance(found["loc"][-1], int)


def _complaints(root: type, found: ErrorDetails, where: str) -> list[Complaint]:
    """What pydantic found, in the words of the TOML file."""
    place, kind = found["loc"], found["type"]
    if kind == "unexpected_keyword_argument":
        known = ", ".join(f.name for f in dataclasses.fields(_table_at(root, place[:-1])) if f.name != "folder")
        return [_complaint("unknown_key", where, place[:-1], f"unknown key {place[-1]!r}; it may have {known}")]
    if kind == "missing" and isinstance(place[-1], int):
        text = f"found {len(found['input'])} values, expected {place[-1] + 1}"
        return [_complaint("bad_length", where, place[:-1], text)]
    if kind == "missing":
        return [_complaint("missing_key", where, place[:-1], f"key {place[-1]!r} is missing")]
    if kind == "too_long":
        text = f"found {len(found['input'])} values, expected {found['ctx']['max_length']}"
        return [_complaint("bad_length", where, place, text)]
    if kind == "value_error":
        return [_complaint("bad_value", where, place, text) for text in str(found["ctx"]["error"]).splitlines()]
    expected = found["msg"].removeprefix("Input should be ")
    return [_complaint("bad_type", where, place, f"found {found['input']!r}, expected {expected}")]


def _complaint(code: str, where: str, place: Place, text: str) -> Complaint:
    """A complaint that names the file and the place in it, as in ``a.toml: data.test[0].kind: ...``."""
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
    return Complaint(code, f"{where}: {name}: {text}" if name else f"{where}: {text}")


def _table_at(root: type, place: Place) -> type:
    """The class of the table at a place of a configuration of the class ``root``."""
    kind = root
    for part in place:
        if isinstance(part, str):
            kind = _table_in(typing.get_type_hints(kind)[part])
    return kind


def _table_in(hint: Any) -> type:
    """The configuration class in an annotation such as ``tuple[VolumeConfig, ...]``."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return hint
    return next(_table_in(argument) for argument in typing.get_args(hint) if argument not in (type(None), Ellipsis))
