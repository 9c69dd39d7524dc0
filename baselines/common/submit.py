"""Submit a segmentation as any team does: with the participant's client, through the server's public API.

The client reads the token that `axonem login` stored, or AXONEM_TOKEN. A second call goes on where the first stopped.
"""

import contextlib
import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from axonem_eval.errors import Complaint, raise_all
from axonem_eval.spec import format_triple


def submit(
    benchmark: str,
    files: Mapping[str, Path],
    *,
    method: str,
    provenance: Path,
    server: str = "",
    publish: bool = True,
    reference: bool = False,
) -> int:
    """Check, upload, follow, print the result; the exit status. files : path by the volume's slug.

    reference : also mark the entry as one that anybody can reproduce; the server allows this to organisers only.
    Raises InputError where files are missing or no benchmark is named.
    """
    missing = [path for path in files.values() if not path.exists()]
    complaints = [Complaint("no_file", f"{path}: no such file; run baselines segment first") for path in missing]
    if not benchmark:
        complaints.append(
            Complaint("no_benchmark", "no benchmark is named; set it in the TOML file or with --benchmark")
        )
    raise_all(complaints)
    from axonem_eval.client import main

    notes = json.loads(provenance.read_text())
    page = provenance.with_name("method.toml")
    page.write_text(method_page(benchmark, method, notes, publish=publish))
    named = [f"{volume}={path}" for volume, path in files.items()]
    answer = io.StringIO()
    with contextlib.redirect_stdout(answer):
        status = main(["submit", str(page), *named, "--watch", "--json", *(["--server", server] if server else [])])
    if status:
        return int(status)
    return _report(json.loads(answer.getvalue()), notes if reference else None, server)


def _report(result: dict[str, Any], notes: Mapping[str, Any] | None, server: str) -> int:
    """Print the result; mark the entry as a reference where there are notes for it. 1 where the server refuses."""
    from axonem_eval.client import ClientError, Server, load_login, result_table

    submission = result["submission"]
    print(result_table(result["evaluations"], submission["headline"]))
    if notes is not None:
        try:
            submission = Server(load_login(server or None)).post(
                f"/submissions/{submission['code']}/reference", {"command": notes["command"], "provenance": dict(notes)}
            )
        except ClientError as error:
            print(f"not marked as a reference: {error}", file=sys.stderr)
            return 1
    kind = "reference entry" if submission["is_reference"] else "entry"
    print(f"{kind} {submission['code']}: {load_login(server or None).url}{submission['page']}")
    return 0


def _training_data(data: Mapping[str, Any]) -> str:
    """The volumes that were trained on here, empty for shipped weights."""
    used = [value for name, value in data.items() if name.split()[-1].startswith("train-")]
    return "; ".join(f"{v['volume']}, {format_triple(v['shape'])} voxels (z,y,x)" for v in used)


def method_page(benchmark: str, method: str, notes: Mapping[str, Any], *, publish: bool) -> str:
    """The client's method file (TOML); its description says how to make the entry again."""
    config, hardware = notes["config"], notes["hardware"]
    weights = f"shipped weights {config['checkpoint']}" if config["checkpoint"] else "trained from nothing"
    description = (
        f"Made by `{notes['command']}` at commit {notes['code']['commit'] or 'unknown'}; "
        f"seed {config['seed']}, {weights}."
    )
    seconds = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in notes["seconds"].items())
    values = {
        "benchmark": benchmark,
        "method": method,
        "description": description,
        "training_data": _training_data(notes["data"])[:500],
        "compute": f"{hardware.get('processor') or hardware['machine']}, {hardware['cores']} cores, "
        f"GPUs: {', '.join(hardware.get('gpus', [])) or 'none'}; {seconds}"[:500],
    }
    # A JSON string is a TOML basic string.
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    return "\n".join([*lines, f"publish = {json.dumps(publish)}", ""])
