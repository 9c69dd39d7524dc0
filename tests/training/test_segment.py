"""Blockwise segmentation: equal to the whole volume's, whatever the blocks; resumable; from labels to a file."""

import h5py
import numpy as np
import pytest
from scipy import ndimage

zarr = pytest.importorskip("zarr")

from baselines.affinity_unet.block_tasks import same_fragments  # noqa: E402
from baselines.affinity_unet.config import SegmentConfig  # noqa: E402
from baselines.affinity_unet.hierarchy import segment_array  # noqa: E402
from baselines.affinity_unet.segment import build_hierarchy, write_segmentation  # noqa: E402
from baselines.affinity_unet.work_folder import WorkFolder  # noqa: E402
from baselines.common.cluster import Cluster  # noqa: E402
from baselines.common.evaluate import overlaps  # noqa: E402

SHAPE = (20, 48, 52)
CONFIG = SegmentConfig(block=(10, 20, 24), halo=(6, 10, 10), min_fragment_voxels=20, dust=10, low=0.05, high=0.98)
WHOLE = tuple(slice(0, n) for n in SHAPE)


@pytest.fixture(scope="module")
def affinity() -> np.ndarray:
    """Links of a soap-bubble tissue with noise: strong inside cells, weak across walls."""
    rng = np.random.default_rng(3)
    seeds = np.zeros(SHAPE, int)
    for i in range(40):
        seeds[tuple(rng.integers(0, n) for n in SHAPE)] = i + 1
    nearest = ndimage.distance_transform_edt(seeds == 0, return_indices=True)[1]
    labels = seeds[tuple(nearest)]
    found = np.zeros((3, *SHAPE), np.float32)
    for axis in range(3):
        same = labels == np.roll(labels, 1, axis)
        found[axis] = np.where(same, 0.93, 0.1)
    smooth = np.stack([ndimage.gaussian_filter(rng.normal(0, 1, SHAPE), 1) for _ in range(3)])
    return np.rint(np.clip(found + 0.25 * smooth, 0, 1) * 255).astype(np.uint8)


@pytest.fixture
def store(affinity, tmp_path):
    array = zarr.create_array(tmp_path / "aff.zarr", shape=affinity.shape, chunks=(3, 8, 16, 16), dtype="uint8")
    array[:] = affinity
    return tmp_path / "aff.zarr"


def labels_of(hierarchy, work, threshold=0.5, dust=10):
    return hierarchy.lookup(threshold, dust)[WorkFolder(work).read(WHOLE)]


def voi(a: np.ndarray, b: np.ndarray) -> float:
    """Variation of information in bits."""
    table = overlaps([(a + 1, b + 1)])
    p = table.voxels / table.voxels.sum()
    pa = np.bincount(table.truth.astype(int), weights=p)[table.truth.astype(int)]
    pb = np.bincount(table.segment.astype(int), weights=p)[table.segment.astype(int)]
    return float(-(p * (2 * np.log2(p) - np.log2(pa) - np.log2(pb))).sum())


@pytest.mark.slow
def test_blocks_give_the_whole_volumes_segmentation(affinity, store, tmp_path):
    fragments, whole = segment_array(affinity, CONFIG)
    expected = whole.lookup(0.5, CONFIG.dust)[fragments]
    found = labels_of(build_hierarchy(store, tmp_path / "work", CONFIG, quiet=True), tmp_path / "work")
    assert len(np.unique(expected)) > 20
    assert voi(expected, found) < 0.01


@pytest.mark.slow
def test_no_object_is_cut_at_a_block_face(affinity, store, tmp_path):
    """Every pair of voxels across a face that the whole volume joins is joined by blocks too, but for a few in 1000."""
    fragments, whole = segment_array(affinity, CONFIG)
    expected = whole.lookup(0.5, 0)[fragments]
    found = labels_of(build_hierarchy(store, tmp_path / "work", CONFIG, quiet=True), tmp_path / "work", dust=0)
    for axis, size in enumerate(CONFIG.block):
        for face in range(size, SHAPE[axis], size):
            a, b = (np.take(expected, i, axis) for i in (face - 1, face))
            c, d = (np.take(found, i, axis) for i in (face - 1, face))
            joined = (a == b) & (a > 0)
            assert (c == d)[joined].mean() > 0.995


def test_a_leak_beyond_a_blocks_sight_cuts_nothing_at_its_face(tmp_path):
    """Two columns, one sure link between them far from the second block: the volume's watershed makes them one."""
    affinity = np.full((3, 20, 20, 10), 250, np.uint8)
    affinity[1, :, 14] = 50  # the wall between the columns; the smaller has less than half of each face
    affinity[1, 2, 14, 5] = 255
    config = SegmentConfig(block=(10, 20, 10), halo=(3, 3, 3), min_fragment_voxels=0, dust=0, low=0.01, high=0.98)
    array = zarr.create_array(tmp_path / "leak.zarr", shape=affinity.shape, dtype="uint8")
    array[:] = affinity
    hierarchy = build_hierarchy(tmp_path / "leak.zarr", tmp_path / "work", config, quiet=True)
    labels = hierarchy.lookup(0.9, 0)[
        WorkFolder(tmp_path / "work").read(tuple(slice(0, n) for n in affinity.shape[1:]))
    ]
    assert set(np.unique(labels)) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 5, 14])
def test_a_broken_run_goes_on_to_the_same_result(store, tmp_path, after):
    class Stop(Exception):
        pass

    left = [after]

    def step() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Stop

    whole = build_hierarchy(store, tmp_path / "whole", CONFIG, quiet=True)
    with pytest.raises(Stop):
        build_hierarchy(store, tmp_path / "cut", CONFIG, quiet=True, after_block=step)
    found = build_hierarchy(store, tmp_path / "cut", CONFIG, quiet=True)
    assert np.array_equal(found.united, whole.united)
    assert np.array_equal(found.tree.score, whole.tree.score)
    assert np.array_equal(labels_of(found, tmp_path / "cut"), labels_of(whole, tmp_path / "whole"))


@pytest.mark.slow
def test_two_workers_give_the_same_result(store, tmp_path):
    one = build_hierarchy(store, tmp_path / "one", CONFIG, quiet=True)
    with Cluster(workers=2) as cluster:
        two = build_hierarchy(store, tmp_path / "two", CONFIG, cluster=cluster, quiet=True)
    assert np.array_equal(one.united, two.united)
    assert np.array_equal(one.tree.score, two.tree.score)


def test_fragments_at_voxels_are_those_of_the_whole_volume(store, tmp_path):
    build_hierarchy(store, tmp_path / "work", CONFIG, quiet=True)
    voxels = np.random.default_rng(0).integers(0, SHAPE, (200, 3))
    folder = WorkFolder(tmp_path / "work")
    assert folder.at(voxels).tolist() == folder.read(WHOLE)[tuple(voxels.T)].tolist()
    assert folder.at(voxels[:0]).tolist() == []


def test_a_threshold_is_a_prefix_of_the_hierarchy(affinity):
    fragments, hierarchy = segment_array(affinity, CONFIG)
    counts = [int(hierarchy.lookup(t, 0).max()) for t in (0.9, 0.6, 0.3, 0.0)]
    assert counts == sorted(counts, reverse=True)
    fine, coarse = (hierarchy.lookup(t, 0)[fragments] for t in (0.6, 0.3))
    pairs = np.unique(np.stack([fine.ravel(), coarse.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == pairs.shape[1]  # each fine segment lies in one coarse segment


def test_dust_becomes_background_and_ids_stay_dense(affinity):
    fragments, hierarchy = segment_array(affinity, CONFIG)
    sizes = np.bincount(hierarchy.lookup(0.5, 0)[fragments].ravel())
    dust = int(np.median(sizes[1:]))
    labels = hierarchy.lookup(0.5, dust)[fragments]
    kept = np.bincount(labels.ravel())
    assert sorted(kept[1:]) == sorted(n for n in sizes[1:] if n >= dust)
    assert kept[0] == sizes[0] + sum(n for n in sizes[1:] if n < dust)


def test_pieces_are_one_where_half_of_both_is_shared():
    theirs = np.array([1, 1, 1, 1, 2, 2, 0, 3])
    ours = np.array([7, 7, 7, 8, 8, 8, 8, 0])
    assert same_fragments(theirs, ours).tolist() == [[1, 7], [2, 8]]
    assert len(same_fragments(np.zeros(3, int), np.ones(3, int))) == 0


@pytest.mark.slow
def test_the_written_file_is_what_the_server_takes(store, tmp_path):
    from axonem_eval.spec import VolumeSpec
    from axonem_eval.volumes import check_labels

    work = tmp_path / "work"
    hierarchy = build_hierarchy(store, work, CONFIG, quiet=True)
    out = tmp_path / "seg.h5"
    count = write_segmentation(work, hierarchy, out, threshold=0.5, dust=10, voxel_size_nm_zyx=(30, 8, 8))
    check_labels(out, VolumeSpec(SHAPE, (30.0, 8.0, 8.0)))
    with h5py.File(out) as file:
        labels = file["main"][()]
    assert np.array_equal(labels, labels_of(hierarchy, work))
    assert labels.max() == count
