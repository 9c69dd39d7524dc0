"""A short run of tests/chaos on the embedded server; `make chaos` is the long one."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.live, pytest.mark.slow]


def test_a_server_that_is_broken_at_random_loses_nothing():
    command = [sys.executable, "-m", "tests.chaos", "--faults", "3", "--lease", "4", "--people", "1", "--seed", "3"]
    run = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=500, check=False
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1500:]
