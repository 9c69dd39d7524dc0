"""The API against its own description: no 5xx, no answer that the description does not have."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.live, pytest.mark.slow]


def test_schemathesis_finds_no_breach(live, tmp_path):
    """A short run; `benchmarks/server/run_schemathesis.sh` with more examples is the long one."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    command = ["bash", "benchmarks/server/run_schemathesis.sh", live.url, live.token, "3"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stdout[-4000:]
    # Each operation of the description was called, and the description is not empty.
    selected, total = re.search(r"(\d+) selected / (\d+) total", result.stdout).groups()
    assert selected == total
    assert int(total) >= 16
