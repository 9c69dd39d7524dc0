"""The steps of a submission: check, upload, create, follow. A script can call them as the command line does."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from axonem_eval.client import tus
from axonem_eval.client.errors import ClientError, ServerRefused
from axonem_eval.client.method import ABOUT, Method
from axonem_eval.client.server import Server
from axonem_eval.errors import Complaint, InputError
from axonem_eval.progress import Progress, StageProgress
from axonem_eval.spec import VolumeSpec
from axonem_eval.submission_rule import ANY_FILE, NODE_TABLE, FileRule

NOT_FOUND = 404
END_STATES = frozenset({"scored", "rejected", "failed"})


def phase_of(benchmark: dict[str, Any], name: str = "") -> dict[str, Any]:
    """A phase by its slug, or the benchmark's current one. Raises ClientError."""
    wanted = name or benchmark["default_phase"]
    for phase in benchmark["phases"]:
        if phase["slug"] == wanted:
            return dict(phase)
    known = ", ".join(phase["slug"] for phase in benchmark["phases"]) or "none"
    raise ClientError(f"{benchmark['slug']} has no phase {wanted!r}; it has: {known}.")


def team_id(server: Server, wanted: str) -> int | None:
    """Id of the team of that name or id; None when none is asked for. Raises ClientError."""
    if not wanted:
        return None
    teams = server.get("/me")["teams"]
    for team in teams:
        if wanted in (str(team["id"]), team["name"]):
            return int(team["id"])
    raise ClientError(f"You belong to no team {wanted!r}; yours are: {', '.join(t['name'] for t in teams)}.")


def check_files(files: dict[str, Path], benchmark: dict[str, Any], progress: StageProgress) -> list[Complaint]:
    """What the server would reject, found here by the same code. Empty if the files are right."""
    from axonem_eval.volumes import exchanged_complaint, exchanged_files

    volumes = {volume["slug"]: volume for volume in benchmark["volumes"]}
    refused: dict[str, list[Complaint]] = {}

    def fits(slug: str, other: str) -> bool:
        try:
            _check_file(files[slug], volumes[other], partial(progress, f"checking {slug}"))
        except InputError:
            return False
        return True

    for slug, path in files.items():
        try:
            _check_file(path, volumes[slug], partial(progress, f"checking {slug}"))
        except InputError as error:
            refused[slug] = list(error.complaints)
    for slug, other in exchanged_files(refused, fits).items():
        refused[slug] = [exchanged_complaint(files[slug].name, volumes[slug]["name"], volumes[other]["name"])]
    return [
        Complaint(c.code, f"{volumes[slug]['name']}: {c.message}") for slug, found in refused.items() for c in found
    ]


def _check_file(path: Path, volume: dict[str, Any], on_progress: Progress) -> None:
    """Raises InputError where the server would reject the file for this volume."""
    from axonem_eval.sampling import NodeTable
    from axonem_eval.volumes import check_labels

    # A server of an earlier version says nothing of files: they lie on the image's grid.
    stated = volume.get("submission") or {**volume, **ANY_FILE.to_json(), "node_tables": False}
    rule = FileRule.of_json({name: stated[name] for name in ANY_FILE.to_json()})
    if path.suffix.lower() != NODE_TABLE:
        check_labels(
            path,
            VolumeSpec(tuple(stated["shape_zyx"]), tuple(stated["voxel_size_nm_zyx"])),
            rule=rule,
            on_progress=on_progress,
        )
        return
    if not stated["node_tables"]:
        raise InputError.of("no_node_tables", f"{path.name}: this volume is taken as a whole. Give the label file")
    NodeTable.load(path)


def upload_files(
    server: Server, method: Method, phase: dict[str, Any], files: dict[str, Path], progress: StageProgress
) -> tuple[dict[str, str], str | None]:
    """Upload what the server does not have: (upload code by volume, code of the submission that has them all).

    The second is None unless an earlier run was interrupted after the server had made the submission.
    """
    team = team_id(server, method.team)
    codes: dict[str, str] = {}
    used_by: set[str] = set()
    for slug, path in files.items():
        file = tus.describe_file(path, partial(progress, f"reading {slug}"))
        known = tus.find_uploads(server, file, benchmark=method.benchmark, volume=slug)
        # First what a submission took: a second announcement of the file may have been left behind by then.
        taken = next(
            (row for row in known if row["state"] == "used" and _is_same(server, row["used_by"], method)), None
        )
        if taken:
            used_by.add(taken["used_by"])
            codes[slug] = taken["code"]
            continue
        found = next((row for row in known if row["state"] != "used"), None)
        if found is None:
            metadata = {"benchmark": method.benchmark, "phase": phase["slug"], "volume": slug}
            url = tus.create_upload(server, file, metadata | ({"team": str(team)} if team else {}))
        else:
            url = found["tus_url"]
        code = url.rstrip("/").rpartition("/")[2]
        if found is None or found["state"] == "receiving":
            tus.send(server, file, url, partial(progress, f"uploading {slug}"))
        tus.wait_until_ready(server, code, partial(progress, f"server checks {slug}"))
        codes[slug] = code
    already = used_by.pop() if len(used_by) == 1 and len(codes) == len(files) else None
    return codes, already


def _is_same(server: Server, code: str, method: Method) -> bool:
    """Whether the submission that used a file is the one to be made now."""
    try:
        submission = server.get(f"/submissions/{code}")
    except ServerRefused as error:
        # Not while the server is in trouble: a submission that is there would be made again.
        if error.status != NOT_FOUND:
            raise
        return False
    return bool(
        submission["method"] == method.method.strip()
        and submission["benchmark"] == method.benchmark
        and submission["status"] not in ("rejected", "failed")
    )


def create_submission(server: Server, method: Method, phase: dict[str, Any], codes: dict[str, str]) -> dict[str, Any]:
    """Submit the uploads. If the answer was lost, finds the submission that it had made."""
    body: dict[str, Any] = {
        "benchmark": method.benchmark,
        "phase": phase["slug"],
        "team": team_id(server, method.team),
        "method": method.method,
        "description": method.description,
        "publish": method.publish,
        "files": codes,
        **{name: getattr(method, name) for name in ABOUT},
    }

    def post() -> dict[str, Any]:
        try:
            return dict(server.post("/submissions", body))
        except ServerRefused as error:
            used_by = set((error.details or {}).get("used_by", {}).values()) if error.code == "upload_not_ready" else ()
            if len(used_by) == 1:
                return dict(server.get(f"/submissions/{used_by.pop()}"))
            raise

    return server.patiently(post)


def follow(server: Server, code: str, progress: StageProgress) -> dict[str, Any]:
    """Wait until a submission has ended; its last state."""
    while True:
        submission = server.get(f"/submissions/{code}")
        if submission["status"] in END_STATES:
            return dict(submission)
        progress(_stage(submission), submission["percent"], 100)
        time.sleep(1.0)


def _stage(submission: dict[str, Any]) -> str:
    waiting = submission["waiting_before"]
    if waiting:
        return f"waiting behind {waiting}"
    return str(submission["stage"] or submission["status"])


def evaluations(server: Server, code: str) -> list[dict[str, Any]]:
    """The result per volume; empty until the submission is scored."""
    return list(server.get(f"/submissions/{code}/evaluations")["evaluations"])


def compare(server: Server, a: str, b: str, progress: StageProgress) -> dict[str, Any]:
    """Two entries side by side. Waits until a worker has compared them; `state` says whether it succeeded."""
    pair = dict(server.post(f"/comparisons/{a}/{b}"))
    while pair["state"] == "computing":
        progress(pair["stage"] or "comparing", pair["percent"], 100)
        time.sleep(0.5)
        pair = dict(server.get(f"/comparisons/{a}/{b}"))
    return pair


def reachable(server: Server) -> dict[str, Any]:
    """The owner of the token, asked once and without retries: for logging in. Raises ClientError."""
    try:
        return dict(server.request("GET", "/me"))
    except httpx.HTTPError as error:
        raise ClientError(f"{server.url} does not answer: {error}") from None
