"""Every hostile file gets a true answer, at a cost that goes with its size.

`python -m tests.hostile.run_files` reads all of them as the server does, and prints what each cost.
"""

import pytest

from tests.hostile.case import Case
from tests.hostile.make_files import CASES
from tests.hostile.measure import Measurer


@pytest.fixture(scope="module")
def read_here():
    """Reads in a fork under the child's limits."""
    with Measurer(confined=False) as read:
        yield read


@pytest.fixture(scope="module")
def read_confined():
    """Reads in the child that the server uses."""
    with Measurer(confined=True) as read:
        yield read


def named(cases: list[Case]) -> dict:
    return {"argvalues": cases, "ids": [case.name for case in cases]}


def faults(read: Measurer, case: Case, path) -> list[str]:
    case.make(path)
    assert path.stat().st_size < 1_000_000
    return read(case, path).faults(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", **named([case for case in CASES if not (case.confined or case.slow)]))
def test_a_hostile_file_costs_as_little_as_it_weighs(tmp_path, read_here, case):
    assert faults(read_here, case, tmp_path / case.name) == []


@pytest.mark.parametrize("case", **named([case for case in CASES if case.confined and not case.slow]))
@pytest.mark.slow  # hundreds of files, each read in a child
def test_so_it_does_in_the_child_that_the_server_uses(tmp_path, read_confined, case):
    assert faults(read_confined, case, tmp_path / case.name) == []


@pytest.mark.slow
@pytest.mark.parametrize("case", **named([case for case in CASES if case.slow]))
def test_one_that_holds_a_worker_is_stopped_within_a_minute(tmp_path, read_confined, case):
    assert faults(read_confined, case, tmp_path / case.name) == []
