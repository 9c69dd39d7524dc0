"""Whole label files to skeletons: shared out, resumed after a kill, exact ids."""

import signal
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from axonem_eval.errors import InputError
from axonem_eval.skeletonize import SkeletonOptions, giants, skeletonize_labels, tasks
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.synthetic import make_tissue, write_labels
from axonem_eval.volumes import open_labels

VOXEL_NM = (40.0, 16.0, 16.0)
TUBE_NM = (30.0, 30.0, 30.0)


@pytest.fixture(scope="module")
def tissue(tmp_path_factory):
    """A label file that several blocks and batches share, and its skeletons made in one go."""
    path = tmp_path_factory.mktemp("tissue") / "labels.h5"
    write_labels(path, make_tissue((40, 140, 140), VOXEL_NM, seed=2, grey=False).labels, VOXEL_NM)
    return path, skeletonize_labels(path, VOXEL_NM)


@pytest.fixture
def small_tasks(monkeypatch):
    monkeypatch.setattr("axonem_eval.volumes.downsample.BLOCK_VOXELS", 1 << 17)
    monkeypatch.setattr(tasks, "BATCH_VOXELS", 20_000)


def tubes(tmp_path, *ids, length=60):
    """Straight tubes through the volume along z, one for each id (the same id: two pieces of one label)."""
    labels = np.zeros((length, 12, 14 * len(ids)), np.uint64)
    for k, i in enumerate(ids):
        labels[:, 3:10, 14 * k + 3 : 14 * k + 10] = i
    write_labels(tmp_path / "tubes.h5", labels, TUBE_NM)
    return tmp_path / "tubes.h5"


@pytest.mark.slow
def test_blocks_and_batches_do_not_change_the_result(tissue, small_tasks, tmp_path):
    path, whole = tissue
    in_parts = skeletonize_labels(path, VOXEL_NM, work_dir=tmp_path)
    assert len(list((tmp_path / "blocks").glob("*.runs.npy"))) > 4
    assert len(list((tmp_path / "skeletons").iterdir())) > 4
    assert in_parts.checksum() == whole.checksum()


def test_the_progress_moves_on_a_small_volume_too(tmp_path):
    """Each step is a small part of the whole: who waits sees that something happens."""
    told = []
    path = tubes(tmp_path, *range(1, 31))
    skeletonize_labels(path, TUBE_NM, on_progress=lambda *step: told.append(step))
    shares = [done / total for stage, done, total in told if stage == "skeletonize"]
    assert shares[-1] == 1
    assert max(np.diff([0, *shares])) < 0.1


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tissue):
    path, whole = tissue
    assert skeletonize_labels(path, VOXEL_NM, processes=2).checksum() == whole.checksum()


@pytest.mark.slow
def test_any_executor_with_map_will_do(tissue, small_tasks, tmp_path):
    path, whole = tissue
    with ThreadPoolExecutor(3) as executor:
        graph = skeletonize_labels(path, VOXEL_NM, executor=executor, work_dir=tmp_path)
    assert graph.checksum() == whole.checksum()


KILLED = """
import os, signal, sys
from axonem_eval.skeletonize import skeletonize_labels, tasks
from axonem_eval.volumes import downsample
downsample.BLOCK_VOXELS, tasks.BATCH_VOXELS = 1 << 17, 20_000
name, last, calls = sys.argv[3], int(sys.argv[4]), []
original = getattr(tasks, name)
def until_killed(*arguments):
    calls.append(arguments)
    if len(calls) == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments)
setattr(tasks, name, until_killed)
skeletonize_labels(sys.argv[1], (40.0, 16.0, 16.0), work_dir=sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.parametrize(("inside", "call"), [("write_block", 3), ("trace", 20)])
def test_the_same_call_after_kill_9_goes_on_to_the_same_result(
    tissue, small_tasks, tmp_path, inside, call, monkeypatch
):
    path, whole = tissue
    command = [sys.executable, "-c", KILLED, str(path), str(tmp_path), inside, str(call)]
    assert subprocess.run(command, timeout=120).returncode == -signal.SIGKILL
    done = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.np?") if p.name[0].isdigit()}
    assert done
    graph = skeletonize_labels(path, VOXEL_NM, work_dir=tmp_path)
    assert graph.checksum() == whole.checksum()
    assert {p: p.stat().st_mtime_ns for p in done} == done


@pytest.mark.slow
def test_a_finished_work_folder_is_not_done_again(tissue, tmp_path, monkeypatch):
    path, whole = tissue
    skeletonize_labels(path, VOXEL_NM, work_dir=tmp_path)
    monkeypatch.setattr(tasks, "trace", None)
    assert skeletonize_labels(path, VOXEL_NM, work_dir=tmp_path).checksum() == whole.checksum()


def test_a_work_folder_of_other_labels_is_refused(tissue, tmp_path):
    skeletonize_labels(tubes(tmp_path, 1), TUBE_NM, work_dir=tmp_path / "work")
    with pytest.raises(InputError, match="source_sha256"):
        skeletonize_labels(tissue[0], VOXEL_NM, work_dir=tmp_path / "work")


def test_ids_beyond_double_precision_stay_apart(tmp_path):
    ids = (2**53, 2**53 + 1, 2**64 - 1)
    graph = skeletonize_labels(tubes(tmp_path, *ids), TUBE_NM)
    assert graph.skeleton_id.tolist() == list(ids)
    assert graph.skeleton_length_nm.tolist() == [59 * 30.0] * 3


def test_pieces_of_a_label_are_one_skeleton(tmp_path):
    graph = skeletonize_labels(tubes(tmp_path, 7, 7), TUBE_NM)
    assert graph.skeleton_id.tolist() == [7]
    assert graph.skeleton_length_nm.tolist() == [2 * 59 * 30.0]


def test_dust_gets_no_skeleton(tmp_path):
    labels = np.zeros((60, 12, 30), np.uint32)
    labels[:, 3:10, 3:10] = 1
    labels[20:24, 3:8, 20:25] = 2
    write_labels(tmp_path / "dust.h5", labels, TUBE_NM)
    assert skeletonize_labels(tmp_path / "dust.h5", TUBE_NM).skeleton_id.tolist() == [1]


def test_radius_and_volume_are_those_of_the_label(tmp_path):
    measured = skeletonize_labels(tubes(tmp_path, 5), TUBE_NM)
    assert measured.volume_um3.tolist() == pytest.approx([60 * 7 * 7 * 0.03**3])
    assert set(measured.node_radius_nm.tolist()) == {120.0}


def test_measures_stay_with_their_skeletons_when_short_ones_go(tmp_path):
    labels = np.zeros((60, 12, 30), np.uint32)
    labels[:20, 3:10, 3:10] = 1
    labels[:, 2:11, 18:27] = 2
    write_labels(tmp_path / "two.h5", labels, TUBE_NM)
    measured = skeletonize_labels(tmp_path / "two.h5", TUBE_NM, SkeletonOptions(min_length_um=1.0))
    assert measured.skeleton_id.tolist() == [2]
    assert measured.volume_um3.tolist() == pytest.approx([60 * 81 * 0.03**3])
    assert set(measured.node_radius_nm.tolist()) == {150.0}


def test_a_measured_bundle_is_a_bundle_too(tissue, tmp_path):
    measured = tissue[1]
    measured.save(tmp_path / "seg.npz")
    assert SkeletonGraph.load(tmp_path / "seg.npz").checksum() == measured.checksum()
    again = SkeletonGraph.load(tmp_path / "seg.npz")
    assert np.array_equal(again.node_radius_nm, measured.node_radius_nm)
    assert np.array_equal(again.volume_um3, measured.volume_um3)


def test_a_bundle_of_an_earlier_version_keeps_its_radii_and_volumes(tissue, tmp_path):
    measured = tissue[1]
    replace(measured, node_radius_nm=None, volume_um3=None).save(tmp_path / "seg.npz")
    with zipfile.ZipFile(tmp_path / "seg.npz", "a") as archive:
        for name, values in (
            ("node_radius_nm", measured.node_radius_nm),
            ("skeleton_volume_um3", measured.volume_um3),
        ):
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, values, allow_pickle=False)
    again = SkeletonGraph.load(tmp_path / "seg.npz")
    assert np.array_equal(again.node_radius_nm, measured.node_radius_nm)
    assert np.array_equal(again.volume_um3, measured.volume_um3)


def test_a_bundle_without_measures_has_none(tissue, tmp_path):
    replace(tissue[1], node_radius_nm=None, volume_um3=None).save(tmp_path / "gt.npz")
    again = SkeletonGraph.load(tmp_path / "gt.npz")
    assert (again.node_radius_nm, again.volume_um3) == (None, None)


@pytest.mark.parametrize("name", ["node_radius_nm", "volume_um3"])
def test_measures_of_another_length_are_refused(tissue, name):
    with pytest.raises(InputError, match=f"{name} has shape"):
        replace(tissue[1], **{name: np.zeros(1)})


def test_every_node_stands_on_its_own_label(tissue):
    path, whole = tissue
    with open_labels(path) as volume:
        labels = volume.read((slice(None),) * 3)
    graph = whole
    at_node = labels[tuple(graph.node_voxel_zyx.T)].astype(np.uint64)
    assert np.array_equal(at_node, graph.skeleton_id[graph.node_skeleton])


def test_a_giant_is_traced_coarsely_and_named_and_thin_axons_beside_it_as_without_it(tmp_path, monkeypatch):
    """A cell body with a process, in several blocks, between two thin axons."""
    labels = np.zeros((80, 60, 60), np.uint32)
    z, y, x = np.ogrid[:80, :60, :60]
    labels[(z - 40) ** 2 + (y - 30) ** 2 + (x - 24) ** 2 < 22**2] = 7
    labels[38:42, 28:32, 24:60] = 7
    labels[:, 2:7, 2:7], labels[:, 52:57, 52:57] = 1, 2
    write_labels(tmp_path / "giant.h5", labels, TUBE_NM)
    exact = skeletonize_labels(tmp_path / "giant.h5", TUBE_NM)
    assert not exact.traced_coarsely
    monkeypatch.setattr("axonem_eval.volumes.downsample.BLOCK_VOXELS", 1 << 16)
    monkeypatch.setattr(giants, "MAX_VOXELS", 10_000)
    coarse = skeletonize_labels(tmp_path / "giant.h5", TUBE_NM)
    assert coarse.skeleton_id.tolist() == exact.skeleton_id.tolist() == [1, 2, 7]
    assert coarse.skeleton_length_nm[:2].tolist() == exact.skeleton_length_nm[:2].tolist()
    assert coarse.skeleton_length_nm[2] == pytest.approx(exact.skeleton_length_nm[2], rel=0.1)
    assert [(row["segment"], row["voxel_nm"]) for row in coarse.traced_coarsely["segments"]] == [("7", [60.0] * 3)]
    assert any(
        "1 segment is larger than 0.27 um3" in note and "7 (at 60 x 60 x 60 nm)" in note for note in coarse.notes
    )
    assert (labels[tuple(coarse.node_voxel_zyx.T)] == coarse.skeleton_id[coarse.node_skeleton]).all()


def test_nothing_long_enough_is_said_with_what_there_is(tmp_path):
    with pytest.raises(InputError, match=r"no skeleton of at least 5 um; the longest of 1 is 1\.77 um"):
        skeletonize_labels(tubes(tmp_path, 1), TUBE_NM, SkeletonOptions(min_length_um=5.0))


@pytest.mark.slow
def test_progress_names_the_stages_and_reaches_the_end(tissue, small_tasks):
    seen = {}
    skeletonize_labels(tissue[0], VOXEL_NM, on_progress=lambda stage, done, total: seen.update({stage: (done, total)}))
    assert list(seen) == ["read", "skeletonize", "place"]
    assert all(done == total for done, total in seen.values())
