"""Sampling at nodes: exact labels, the mask in the same pass, and going on after a kill."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from axonem_eval import InputError, NodeSample
from axonem_eval.sampling import sample_nodes
from axonem_eval.sampling.checkpoint import Checkpoint
from axonem_eval.volumes import open_labels

SHAPE = (40, 50, 60)
RNG = np.random.default_rng(11)
LABELS = RNG.integers(0, 50, SHAPE, dtype=np.uint32)
NODES = np.stack([RNG.integers(0, n, 3000) for n in SHAPE], axis=1).astype(np.int32)
WANTED = LABELS[tuple(NODES.T)]
MASK = (RNG.random(SHAPE) < 0.3).astype(np.uint8)


def write(path: Path, labels: np.ndarray, chunks: tuple[int, int, int] | None = (8, 8, 8), **options) -> Path:
    options = {"compression": "gzip", **options} if chunks else options
    with h5py.File(path, "w") as file:
        file.create_dataset("main", data=labels, chunks=chunks, **options)
    return path


def sample(labels: Path, mask: Path | None = None, **options) -> NodeSample:
    with open_labels(labels) as volume:
        if mask is None:
            return sample_nodes(volume, NODES, **options)
        with open_labels(mask) as mask_volume:
            return sample_nodes(volume, NODES, no_merge_mask=mask_volume, **options)


def assert_right_under_mask(found: NodeSample) -> None:
    ids, voxels = np.unique(LABELS[MASK != 0], return_counts=True)
    np.testing.assert_array_equal(found.node_segment, WANTED)
    np.testing.assert_array_equal(found.mask_segment, ids)
    np.testing.assert_array_equal(found.mask_voxels, voxels)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("mask_chunks", [(8, 8, 8), (16, 16, 16), (5, 50, 7), None])
@pytest.mark.parametrize("chunks", [(8, 8, 8), (40, 50, 60)])
def test_the_mask_is_counted_in_the_same_pass_whatever_its_chunks(tmp_path, chunks, mask_chunks, threads):
    labels = write(tmp_path / "labels.h5", LABELS, chunks)
    mask = write(tmp_path / "mask.h5", MASK, mask_chunks)
    assert_right_under_mask(sample(labels, mask, threads=threads))


def test_a_mask_of_another_shape_is_refused(tmp_path):
    with pytest.raises(InputError, match="no-merge mask has shape"):
        sample(write(tmp_path / "labels.h5", LABELS), write(tmp_path / "mask.h5", MASK[:-1]))


def test_a_large_mask_in_one_compressed_chunk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("axonem_eval.volumes.hdf5.open.WHOLE_CHUNK_BYTES", 1000)
    labels, mask = write(tmp_path / "labels.h5", LABELS), write(tmp_path / "mask.h5", MASK, SHAPE)
    assert_right_under_mask(sample(labels, mask, threads=3))
    monkeypatch.setattr("axonem_eval.sampling.sample.MASK_KEPT_BYTES", 1000)
    with pytest.raises(InputError, match="h5repack"):
        sample(labels, mask)


def test_only_chunks_with_nodes_are_read(tmp_path, monkeypatch):
    path = write(tmp_path / "a.h5", LABELS, (8, 10, 10))
    with open_labels(path) as volume:
        seen = []
        read = type(volume).read_chunks
        monkeypatch.setattr(type(volume), "read_chunks", lambda *a: (seen.extend(a[1].tolist()), read(*a))[1])
        nodes = np.array([(0, 0, 0), (1, 2, 3), (39, 49, 59), (0, 49, 0)], np.int32)
        sample_nodes(volume, nodes)
        assert sorted(seen) == [0, 24, volume.n_chunks - 1]


def test_labels_near_2_to_the_64_are_exact(tmp_path):
    labels = np.full(SHAPE, 2**64 - 1, np.uint64)
    labels[:20] = 2**64 - 2
    found = sample(write(tmp_path / "a.h5", labels)).node_segment
    np.testing.assert_array_equal(found, labels[tuple(NODES.T)])


def test_nodes_outside_are_refused(tmp_path):
    with open_labels(write(tmp_path / "a.h5", LABELS)) as volume, pytest.raises(InputError, match="outside"):
        sample_nodes(volume, np.array([(0, 0, 60)], np.int32))


def test_an_error_in_one_thread_stops_all_and_is_raised(tmp_path):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(write(tmp_path / "a.h5", LABELS), threads=4, on_progress=stop)


class Stopped(Exception):
    """Raised by a progress report, as Ctrl-C would be."""


def interrupted(labels: Path, mask: Path | None, checkpoint: Path, monkeypatch) -> None:
    """Sample with a checkpoint after each few batches, and stop half-way."""
    asked = itertools.count(1)
    monkeypatch.setattr(Checkpoint, "due", lambda self: next(asked) % 20 == 0)
    monkeypatch.setattr("axonem_eval.volumes.label_volume.LabelVolume.batch_bytes", 1)

    def stop(done: int, total: int) -> None:
        if batches_done(checkpoint) >= 40:
            raise Stopped

    with pytest.raises(Stopped):
        sample(labels, mask, checkpoint=checkpoint, threads=2, on_progress=stop)


def batches_done(file: Path) -> int:
    """How many batches of chunks a checkpoint holds."""
    return int(np.load(file)["batches_done"]) if file.exists() else 0


def chunks_read(labels: Path, mask: Path | None, checkpoint: Path) -> tuple[NodeSample, int]:
    """Sample again; also how many chunks that took."""
    seen: list[int] = []
    with open_labels(labels) as volume:
        read = type(volume).read_chunks

        def counted(self, chunks, scratch):
            if self.path == labels:
                seen.extend(chunks)
            return read(self, chunks, scratch)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(volume), "read_chunks", counted)
            return sample(labels, mask, checkpoint=checkpoint), len(seen)


def test_a_stopped_pass_goes_on_where_it_was(tmp_path, monkeypatch):
    labels, mask, file = write(tmp_path / "l.h5", LABELS), write(tmp_path / "m.h5", MASK), tmp_path / "resume"
    interrupted(labels, mask, file, monkeypatch)
    found, chunks = chunks_read(labels, mask, file)
    assert_right_under_mask(found)
    assert 0 < chunks <= 240  # of 280
    assert not file.exists()


@pytest.mark.parametrize("change", ["labels", "nodes", "damaged"])
def test_a_checkpoint_of_other_input_is_not_used(tmp_path, monkeypatch, change):
    labels, file = write(tmp_path / "l.h5", LABELS), tmp_path / "resume"
    interrupted(labels, None, file, monkeypatch)
    nodes = NODES
    if change == "labels":
        write(labels, LABELS + np.uint32(1))
    elif change == "nodes":
        nodes = NODES[::-1].copy()
    else:
        file.write_bytes(file.read_bytes()[:1000])
    with open_labels(labels) as volume:
        found = sample_nodes(volume, nodes, checkpoint=file).node_segment
    np.testing.assert_array_equal(found, LABELS[tuple(nodes.T)] + (change == "labels"))


SLOW = """
import sys, time
import numpy as np
from axonem_eval.sampling import checkpoint
from axonem_eval.sampling.sample import sample_nodes
from axonem_eval.volumes.hdf5.chunks import Hdf5Chunks
from axonem_eval.volumes import open_labels
import axonem_eval.volumes.label_volume
checkpoint.EVERY_S, checkpoint.MOST_OF_TIME = 0.02, 1.0
axonem_eval.volumes.label_volume.LabelVolume.batch_bytes = 1
read = Hdf5Chunks.read_chunks
def slow(self, chunks, scratch):
    time.sleep(0.03)
    return read(self, chunks, scratch)
Hdf5Chunks.read_chunks = slow
labels, nodes, resume = sys.argv[1:]
with open_labels(labels) as volume:
    sample_nodes(volume, np.load(nodes), checkpoint=resume, threads=2)
"""


def test_after_kill_9_the_same_call_goes_on_and_finds_the_same(tmp_path):
    labels, file = write(tmp_path / "l.h5", LABELS), tmp_path / "resume"
    np.save(tmp_path / "nodes.npy", NODES)
    program = [sys.executable, "-c", SLOW, str(labels), str(tmp_path / "nodes.npy"), str(file)]
    child = subprocess.Popen(program, cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 60
    while batches_done(file) < 40 and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "it was killed while it worked"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("axonem_eval.volumes.label_volume.LabelVolume.batch_bytes", 1)
        found, chunks = chunks_read(labels, None, file)
    np.testing.assert_array_equal(found.node_segment, sample(labels).node_segment)
    np.testing.assert_array_equal(found.node_segment, WANTED)
    assert 0 < chunks <= 240
