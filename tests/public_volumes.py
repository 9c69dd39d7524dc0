"""Fixtures of public EM volumes, and how long hypothesis may take."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The first example of a kind may compile a kernel, and machines that run tests are busy: no deadline.
settings.register_profile("scorer", deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
# Of `make check`: --hypothesis-profile quick.
settings.register_profile("quick", settings.get_profile("scorer"), max_examples=20)
settings.load_profile("scorer")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of public EM volumes beside the checkout, one folder each: fib25, cortex. Skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no public EM volumes at {SHARED_DATA}; they are not part of the repository")
    return SHARED_DATA


@pytest.fixture(scope="session")
def fib25(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with FIB-25 training sample 2: gt.h5, ffn.h5, overseg.h5, centre lines lines.npz and lines_mask.h5."""
    from tests.fib25_files import write_fib25_lines

    if not (shared_data / "fib25").is_dir():
        pytest.skip(f"no FIB-25 volume at {shared_data / 'fib25'}; it is not part of the repository")
    return write_fib25_lines(shared_data / "fib25", tmp_path_factory.mktemp("fib25"))
