"""Without an optional package each command says in one line what to install, and never how Python stumbled."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

ROOT = Path(__file__).parents[1]
GROUND_TRUTH = ("kimimaro", "scipy", "osteoid", "cc3d", "edt", "dijkstra3d", "xs3d", "fastremap")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Labels of one bar as HDF5, Zarr and TIFF, and a skeleton."""
    folder = tmp_path_factory.mktemp("labels")
    labels = np.zeros((16, 16, 64), np.uint32)
    labels[4:12, 4:12] = 1
    with h5py.File(folder / "a.h5", "w") as file:
        file["main"] = labels
    tifffile.imwrite(folder / "a.tif", labels)
    zarr.save(str(folder / "a.zarr"), labels)
    (folder / "a.swc").write_text("1 2 10 10 10 1 -1\n2 2 400 10 10 1 1\n")
    return folder


def run(module: str, *arguments: str, without: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    """A command where some packages are not installed: to import them fails as it does then."""
    program = (
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        f"sys.modules.update(dict.fromkeys({without!r}))\n"
        f"from {module} import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, capture_output=True, text=True, timeout=120
    )


EVAL = "axonem_eval.cli"
IMPORT = ("import", "a.swc", "--voxel-size", "30,30,30", "--shape", "16,16,64", "-o", "gt.npz")
SKELETONIZE = ("skeletonize", "a.h5", "--voxel-size", "30,30,30", "-o", "gt.npz", "--min-length-um", "0")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "arguments", "without", "extra"),
    [
        ("axonem_eval.client.cli", ("--help",), ("httpx", "yaml"), "client"),
        ("axonem_eval.client.cli", ("status",), ("httpx",), "client"),
        ("axonem_eval.client.cli", ("status",), ("yaml",), "client"),
        ("baselines.cli", ("train", "synthetic"), ("torch",), "baselines"),
        ("baselines.cli", ("evaluate", "synthetic"), ("torch",), "baselines"),
        ("baselines.cli", ("submit", "synthetic"), ("httpx", "yaml"), "baselines"),
        (EVAL, ("view", "a.h5", "--voxel-size", "30,30,30"), ("neuroglancer",), "view"),
        (EVAL, ("info", "a.zarr"), ("tensorstore",), "formats"),
        (EVAL, ("info", "a.tif"), ("tifffile",), "formats"),
        (EVAL, SKELETONIZE, GROUND_TRUTH, "groundtruth"),
        *[(EVAL, SKELETONIZE, (name,), "groundtruth") for name in ("kimimaro", "scipy", "cc3d", "edt")],
        (EVAL, ("diagnose", "a.h5", "--voxel-size", "30,30,30", "-o", "d"), GROUND_TRUTH, "groundtruth"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value[:1]),
)
def test_a_missing_package_is_named_in_one_line_with_the_extra_that_brings_it(files, module, arguments, without, extra):
    done = run(module, *arguments, without=without, folder=files)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert f"[{extra}]" in done.stderr


def test_an_import_needs_no_extra(files):
    done = run(EVAL, *IMPORT, without=(*GROUND_TRUTH, "tensorstore", "tifffile"), folder=files)
    assert done.returncode == 0, done.stderr


def test_the_client_says_exactly_what_to_type(files):
    done = run("axonem_eval.client.cli", "--help", without=("httpx", "yaml"), folder=files)
    assert done.stderr == "axonem needs httpx: pip install 'axonem[client]'\n"
