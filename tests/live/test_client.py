"""The command line client against a running server, from log-in to result."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.factories import labels_file, tiny_labels

pytestmark = [pytest.mark.live, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


class Participant:
    """Runs `axonem` with a configuration of its own."""

    def __init__(self, folder: Path, live, line) -> None:
        self.folder, self.live, self.line = folder, live, line
        self.environment = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config")}
        for name in ("AXONEM_SERVER", "AXONEM_TOKEN"):
            self.environment.pop(name, None)

    def start(self, *arguments: str, **options) -> subprocess.Popen:
        command = [sys.executable, "-m", "axonem_eval.client", *map(str, arguments)]
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, **options,
        )  # fmt: skip

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess:
        process = self.start(*arguments)
        out, error = process.communicate(stdin, timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, error)

    def login(self, url: str | None = None) -> subprocess.CompletedProcess:
        return self.run("login", url or self.live.url, "--token-stdin", stdin=self.live.token + "\n")

    def method(self, name: str, **more: str) -> Path:
        path = self.folder / "method.yaml"
        lines = {"benchmark": self.live.benchmark, "method": name, **more}
        path.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
        return path


@pytest.fixture
def participant(tmp_path, live, line) -> Participant:
    return Participant(tmp_path, live, line)


@pytest.fixture
def perfect(tmp_path) -> list[Path]:
    return [labels_file(tmp_path / f"seg_{name}.h5", tiny_labels()) for name in "ab"]


def test_login_keeps_the_token_from_other_users(participant):
    result = participant.login()
    assert result.returncode == 0, result.stderr
    path = participant.folder / "config" / "axonem" / "login.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert participant.live.token in path.read_text()
    assert participant.live.token not in result.stdout + result.stderr


def test_a_wrong_token_is_not_stored(participant):
    result = participant.run("login", participant.live.url, "--token-stdin", stdin="axonem_" + "x" * 43)
    assert result.returncode == 1
    assert "unknown, revoked or expired" in result.stderr
    assert not (participant.folder / "config").exists()


def test_submit_follows_the_evaluation_and_prints_the_result(participant, perfect):
    participant.login()
    result = participant.run("submit", participant.method("Copy", publish="true"), *perfect, "--watch")
    assert result.returncode == 0, result.stderr
    head, a, b, mean, *_ = result.stdout.splitlines()[1:]
    assert head.split()[:3] == ["volume", "ERL", "(um)"]
    assert a.split()[:3] == ["a", "3.00", "100.0%"]
    assert b.split()[:3] == ["b", "3.00", "100.0%"]
    assert mean.split() == ["mean", "3.00", "100.0%"]
    board = participant.run("leaderboard", participant.live.benchmark)
    assert "Copy" in board.stdout
    listed = json.loads(participant.run("status", "--json").stdout)
    assert listed["items"][0]["method"] == "Copy"
    none = participant.run("leaderboard", participant.live.benchmark, "--find", "nothing of this name")
    assert "Copy" not in none.stdout
    one = participant.run("status", listed["items"][0]["code"])
    assert (one.returncode, "3.00" in one.stdout) == (0, True)


def test_two_entries_are_compared(participant, tmp_path, perfect):
    participant.login()
    cut = tiny_labels()
    cut[:, :, 50:][cut[:, :, 50:] == 1] = 9
    files = [labels_file(tmp_path / f"cut_{name}.h5", cut) for name in "ab"]
    codes = []
    for name, segmentations in (("Whole", perfect), ("Cut", files)):
        answer = participant.run("submit", participant.method(name), *segmentations, "--watch", "--json")
        codes.append(json.loads(answer.stdout)["submission"]["code"])
    result = participant.run("compare", *codes)
    assert result.returncode == 0, result.stderr
    assert "ERL lost to splits (um)" in result.stdout
    assert "paired bootstrap over 6 axons" in result.stdout
    same = participant.run("compare", codes[0], codes[0])
    assert (same.returncode, "These are the same entry" in same.stderr) == (1, True)


def test_a_killed_client_goes_on_where_it_was(participant, tmp_path):
    """kill -9 in the middle of the first file, over a slow line; the same command again sends only the rest."""
    participant.login(participant.line.url)
    files = [labels_file(tmp_path / f"big_{name}.h5", tiny_labels(), padding=12_000_000) for name in "ab"]
    arguments = ("submit", participant.method("Killed"), *files, "--watch", "--json")
    first = participant.start(*arguments)
    headers = participant.live.headers
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        rows = httpx.get(f"{participant.live.url}/api/v1/me/uploads", headers=headers).json()["items"]
        mine = [row for row in rows if row["file_name"] == "big_a.h5"]
        if mine and mine[0]["offset"] > 2_000_000:
            break
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert mine[0]["state"] == "receiving"
    second = participant.run(*arguments)
    assert second.returncode == 0, second.stderr
    begun = next(line for line in second.stderr.splitlines() if line.startswith("uploading a from byte"))
    assert int(begun.split()[4].replace(",", "")) >= 2_000_000
    answer = json.loads(second.stdout)
    assert answer["submission"]["status"] == "scored"
    assert [row["normalized_erl"] for row in answer["evaluations"]] == [1.0, 1.0]
    again = participant.run(*arguments)
    assert "already submitted" in again.stderr
    assert json.loads(again.stdout)["submission"]["code"] == answer["submission"]["code"]


def test_a_cut_line_is_waited_for(participant, tmp_path):
    participant.login(participant.line.url)
    files = [labels_file(tmp_path / f"cut_{name}.h5", tiny_labels(), padding=8_000_000) for name in "ab"]
    process = participant.start("submit", participant.method("Cut"), *files)
    time.sleep(1.5)
    participant.line.down = True
    participant.line.cut()
    time.sleep(1.0)
    participant.line.down = False
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error


def test_a_bad_file_is_found_before_anything_is_sent(participant, tmp_path, perfect):
    participant.login()
    swapped = labels_file(tmp_path / "swapped.h5", tiny_labels().transpose(2, 1, 0))
    result = participant.run("submit", participant.method("Swapped"), perfect[0], swapped)
    assert result.returncode == 1
    assert "the axes are swapped" in result.stderr
    assert "Nothing was sent." in result.stderr


def test_what_may_be_wrong_with_an_accepted_file_is_shown_with_the_result(participant, perfect):
    reserved = 2**64 - 1
    labels = tiny_labels().astype(np.uint64)
    labels[labels == labels.max()] = reserved
    participant.login()
    odd = labels_file(participant.folder / "odd.h5", labels)
    result = participant.run("submit", participant.method("odd ids"), odd, perfect[1], "--watch")
    assert result.returncode == 0, result.stderr
    warnings = [line for line in result.stderr.splitlines() if line.startswith("axonem: warning: ")]
    assert len(warnings) == 1
    assert str(reserved) in warnings[0]


def test_a_rejection_prints_its_reasons(participant, tmp_path, perfect):
    participant.login()
    swapped = labels_file(tmp_path / "swapped.h5", tiny_labels().transpose(2, 1, 0))
    result = participant.run("submit", participant.method("Bad"), perfect[0], swapped, "--no-check", "--watch")
    assert result.returncode == 1
    assert "rejected" in result.stdout
    assert "Volume B: swapped.h5: the axes are swapped" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("submit",), ("nothing",), ("leaderboard",)])
def test_wrong_usage_is_exit_2(participant, arguments):
    assert participant.run(*arguments).returncode == 2


def test_every_mistake_in_the_method_file_is_named(participant, perfect):
    participant.login()
    path = participant.folder / "method.yaml"
    path.write_text("benchmark: 7\nmetod: x\n")
    result = participant.run("submit", path, *perfect)
    assert result.returncode == 1
    assert [
        part in result.stderr for part in ("unknown name 'metod'", "'method' is missing", "'benchmark' must be text")
    ] == [True] * 3


def test_a_server_that_is_not_there_is_said(participant):
    result = participant.run("login", "http://127.0.0.1:9", "--token-stdin", stdin="axonem_x\n")
    assert result.returncode == 1
    assert "does not answer" in result.stderr
