"""README's first command: the demo, from nothing, and a second time."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run_demo(var: Path) -> str:
    environment = {**os.environ, "VAR_DIR": str(var), "DATABASE_URL": "", "REDIS_URL": ""}
    command = [sys.executable, "manage.py", "up", "--demo", "--until-ready", "--port", "8900"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_demo_scores_its_entries_and_keeps_them(tmp_path_factory):
    var = tmp_path_factory.mktemp("demo")
    first = run_demo(var)
    entry = re.compile(r"^(.+?)\s+(scored|rejected)\s+(?:([\d.]+) um\s+([\d.]+)%|(.*))$", re.M)
    found = {m[1]: (m[2], m[4] and float(m[4]), m[5]) for m in entry.finditer(first)}
    assert found["Copy of the labels"] == ("scored", 100.0, None)
    assert 100 > found["Few errors"][1] > found["Many errors"][1] > 0
    assert found["Axes swapped"][0] == "rejected"
    assert "swapped_axes" in found["Axes swapped"][2]
    assert "http://127.0.0.1:" in first
    tables = [line for line in first.splitlines() if entry.match(line)]
    assert [line for line in run_demo(var).splitlines() if entry.match(line)] == tables
