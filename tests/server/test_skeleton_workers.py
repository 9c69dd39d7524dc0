"""One ground-truth volume skeletonized by several workers."""

from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from django.conf import settings as installation

from axonem_eval.skeletonize import has_read_block, read_block, skeletonize_labels
from axonem_eval.skeletonize.tasks import prepare
from evalserver.benchmarks.models import GroundTruth
from evalserver.benchmarks.services import register_ground_truth
from evalserver.benchmarks.skeleton_workers import WorkerMapper
from evalserver.jobs import redis_client
from evalserver.jobs.broker import JOB_QUEUE
from evalserver.submissions.evaluation import scoring
from tests.factories import VOXEL_NM, h5_bytes, make_benchmark, tiny_labels, upload

pytestmark = pytest.mark.slow


@pytest.fixture
def spread(workers, monkeypatch):
    """A worker that registers, and two that take the parts."""
    pytest.importorskip("kimimaro", reason="the extra [groundtruth] is not installed")
    monkeypatch.setitem(workers.environment, "SKELETONIZE_QUEUE", "skeletons")
    workers.start(queue=JOB_QUEUE)
    return [workers.start(queue="skeletons") for _ in range(2)]


def register(content, volume=None):
    volume = volume or make_benchmark(ready=False).volumes.get()
    return register_ground_truth(volume=volume, source_kind=GroundTruth.Source.LABELS, source_file=upload(content))


def test_workers_make_the_skeletons_that_one_process_makes_and_reject_a_damaged_file(spread, ended, tmp_path):
    ground_truth = ended(register(tiny_labels()), 120)
    assert ground_truth.status == "ready", ground_truth.complaints
    (tmp_path / "labels.h5").write_bytes(h5_bytes(tiny_labels()))
    expected = skeletonize_labels(tmp_path / "labels.h5", VOXEL_NM)
    assert scoring.load_graph(ground_truth).checksum() == expected.checksum()
    assert not list(Path(installation.SCRATCH_DIR).glob("skeletons-*"))

    random = np.random.default_rng(0).integers(1, 9, tiny_labels().shape).astype(np.uint64)
    path = tmp_path / "random.h5"
    path.write_bytes(h5_bytes(random))
    with h5py.File(path) as file:
        chunk = file["main"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + 20 : chunk.byte_offset + 60] = bytes(40)
    ground_truth = ended(register(bytes(content), ground_truth.volume), 120)
    assert ground_truth.status == "rejected"
    assert "chunk" in ground_truth.complaints[0]["message"]
    assert not list(Path(installation.SCRATCH_DIR).glob("skeletons-*"))


def test_parts_that_were_lost_are_sent_again(workers, settings, tmp_path):
    pytest.importorskip("kimimaro", reason="the extra [groundtruth] is not installed")
    settings.SKELETONIZE_QUEUE = "skeletons"
    (tmp_path / "labels.h5").write_bytes(h5_bytes(tiny_labels()))
    plan = prepare(tmp_path / "labels.h5", VOXEL_NM, tmp_path / "work")
    waits = 0

    def lose_the_first_tasks():
        nonlocal waits
        waits += 1
        if waits == 1:
            assert redis_client().delete("skeletons") == 1
            workers.start(queue="skeletons")

    mapper = WorkerMapper(lose_the_first_tasks, send_again_s=1.0)
    numbers = range(len(plan.boxes))
    assert len(list(mapper.map(partial(read_block, str(tmp_path / "work")), numbers))) == len(numbers)
    assert all(has_read_block(tmp_path / "work", number) for number in numbers)
