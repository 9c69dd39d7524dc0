"""The child that opens uploads gives the same labels, and can do nothing else."""

import os
import subprocess
import sys
import textwrap
import time

import h5py
import numpy as np
import pytest

from axonem_eval import InputError, open_labels, sample_nodes
from axonem_eval.sandbox import Limits, OtherCode, diagnose_confined, sample_confined
from axonem_eval.sandbox.landlock import landlock_abi
from axonem_eval.spec import VolumeSpec
from tests.hostile.hdf5_contents import tree_of_itself
from tests.label_files import SHAPE, straight_graph, two_axons, write_h5

GRAPH = straight_graph()


def sample(path, **options):
    return sample_confined(path, GRAPH.spec, GRAPH.node_voxel_zyx, **options)


def test_labels_come_back_exact(tmp_path):
    labels = two_axons()
    labels[labels == 2] = 2**64 - 1
    path = write_h5(tmp_path / "a.h5", labels)
    with open_labels(path) as volume:
        expected = sample_nodes(volume, GRAPH.node_voxel_zyx)
    assert sample(path).node_segment.tolist() == expected.node_segment.tolist()
    assert expected.node_segment.max() == np.uint64(2**64 - 1)


def test_shuffled_labels_come_back_exact(tmp_path):
    """Their kernel is imported behind the walls."""
    labels = two_axons().astype(np.uint64)
    labels[labels == 2] = 2**64 - 2
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("main", data=labels, chunks=(4, 16, 16), compression="gzip", shuffle=True)
    with open_labels(tmp_path / "a.h5") as volume:
        expected = sample_nodes(volume, GRAPH.node_voxel_zyx)
    assert sample(tmp_path / "a.h5").node_segment.tolist() == expected.node_segment.tolist()
    assert expected.node_segment.max() == np.uint64(2**64 - 2)


@pytest.mark.parametrize("dtype", [np.uint8, bool])
def test_a_no_merge_mask_is_counted(tmp_path, dtype):
    path = write_h5(tmp_path / "a.h5", two_axons())
    mask = np.zeros(SHAPE, dtype)
    mask[0, 0, :5] = 1
    result = sample(path, no_merge_mask=write_h5(tmp_path / "m.h5", mask))
    assert (result.mask_segment.tolist(), result.mask_voxels.tolist()) == ([1], [5])


def test_a_mask_that_crashes_its_reader_ends_the_child_alone(tmp_path):
    mask = np.zeros(SHAPE, np.uint8)
    mask[0, 0, :5] = 1
    torn = bytearray(write_h5(tmp_path / "m.h5", mask).read_bytes())
    tree_of_itself(torn)
    (tmp_path / "m.h5").write_bytes(torn)
    with pytest.raises(InputError) as caught:
        sample(write_h5(tmp_path / "a.h5", two_axons()), no_merge_mask=tmp_path / "m.h5")
    assert caught.value.complaints[0].code == "reader_crashed"


def test_progress_names_its_stages(tmp_path):
    seen = []
    sample(write_h5(tmp_path / "a.h5", two_axons()), on_progress=lambda *step: seen.append(step))
    stage, done, total = seen[-1]
    assert stage == "sample"
    assert done == total > 0


def test_complaints_cross_the_process_border(tmp_path):
    with pytest.raises(InputError) as caught:
        sample(write_h5(tmp_path / "a.h5", np.zeros(SHAPE, np.uint8), voxel_size_nm=(1, 2, 3)))
    assert {c.code for c in caught.value.complaints} == {"wrong_voxel_size", "all_background"}


def test_an_error_in_the_callback_ends_the_child(tmp_path):
    def stop(stage, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(write_h5(tmp_path / "a.h5", two_axons()), on_progress=stop)


def test_a_file_that_takes_too_long_is_the_files_fault(tmp_path):
    with pytest.raises(InputError) as caught:
        sample(write_h5(tmp_path / "a.h5", two_axons()), limits=Limits(wall_seconds=0))
    assert caught.value.complaints[0].code == "too_slow"


@pytest.mark.slow
def test_a_chunk_that_needs_more_memory_than_allowed_is_the_files_fault(tmp_path):
    path = tmp_path / "a.h5"
    shape = (32, 2048, 1024)
    with h5py.File(path, "w") as file:
        # With shuffle a chunk cannot be inflated piece by piece.
        data = file.create_dataset("main", shape, "u8", chunks=(32, 1024, 1024), compression="gzip", shuffle=True)
        data[0, 0, :2] = (1, 2)
    spec = type(GRAPH.spec)(shape, (30.0, 8.0, 8.0))
    with pytest.raises(InputError) as caught:
        sample_confined(path, spec, np.zeros((1, 3), np.int32), limits=Limits(memory_bytes=700 << 20))
    assert caught.value.complaints[0].code in ("too_much_memory", "damaged_chunk", "huge_chunk")


@pytest.mark.slow
def test_what_was_never_compiled_before_is_compiled_behind_the_walls(tmp_path, monkeypatch):
    """On a new machine the first file may need a kernel that no rehearsal met, and the cache cannot be written."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    labels = np.zeros((60, 140, 140), np.uint16)  # enough for a coarser scale in the viewer
    labels[5:30, 5:35] = 7
    labels[40:, 20:60] = 9
    path = write_h5(tmp_path / "a.h5", labels, voxel_size_nm=(10.0, 10.0, 10.0))
    spec = VolumeSpec(labels.shape, (10.0, 10.0, 10.0))
    assert diagnose_confined(path, spec, tmp_path / "out", view=True)["segments"]["count"] == 2


@pytest.mark.skipif(landlock_abi() == 0, reason="this kernel has no Landlock")
def test_landlock_hides_every_other_file_and_the_network(tmp_path):
    (tmp_path / "upload").write_text("mine")
    (tmp_path / "ground_truth").write_text("secret")
    (tmp_path / "work").mkdir()
    program = textwrap.dedent(
        f"""
        import os, socket
        from pathlib import Path
        from axonem_eval.sandbox.landlock import confine_to
        here = Path({str(tmp_path)!r})
        assert confine_to([here / "upload"], [here / "work"])
        def attempt(what):
            try:
                what()
                return "allowed"
            except OSError as error:
                return type(error).__name__
        connection = socket.socket()
        print(attempt(lambda: open(here / "upload").read()))
        print(attempt(lambda: open(here / "ground_truth").read()))
        print(attempt(lambda: os.listdir(here)))
        print(attempt(lambda: open(here / "upload", "w")))
        print(attempt(lambda: open(here / "work" / "out", "w")))
        print(attempt(lambda: connection.connect(("127.0.0.1", 9))))
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=os.getcwd())
    answers = done.stdout.split()
    assert answers[:5] == ["allowed", "PermissionError", "PermissionError", "PermissionError", "allowed"]
    if landlock_abi() >= 4:
        assert answers[5] == "PermissionError"


def test_the_reader_dies_with_the_worker(tmp_path):
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-I', '-m', 'axonem_eval.sandbox.child'], stdin=subprocess.PIPE,"
        " start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    worker = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    pid = int(worker.stdout.readline())
    deadline = time.monotonic() + 30
    while "sandbox.child" not in command_of(pid) or not is_waiting_for_its_request(pid):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    worker.kill()
    worker.communicate()
    while command_of(pid):
        assert time.monotonic() < deadline, "the reader outlived its worker"
        time.sleep(0.05)


def command_of(pid: int) -> str:
    """Command line of a process that runs; empty for one that has ended."""
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


def is_waiting_for_its_request(pid: int) -> bool:
    """Whether everything is imported and it sleeps."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/stat") as stat:
        return "h5py" in maps.read() and ") S " in stat.read()


def test_a_child_of_another_release_is_not_the_files_fault(tmp_path, monkeypatch):
    monkeypatch.setattr("axonem_eval.sandbox.process.CODE", "of the release before")
    with pytest.raises(OtherCode, match="Restart the worker"):
        sample(write_h5(tmp_path / "a.h5", two_axons()))
