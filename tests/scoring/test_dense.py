"""ARAND and VOI: examples by hand, scikit-image and scikit-learn on the same volumes, FIB-25's recorded figures."""

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonem_eval import InputError, open_labels, sample_nodes
from axonem_eval.scoring import OverlapCounter, OverlapTable, dense_scores
from tests.chains import table

VOLUMES = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed))


def table_of(truth: np.ndarray, segment: np.ndarray) -> OverlapTable:
    pairs, voxels = np.unique(np.stack([truth.ravel(), segment.ravel()]), axis=1, return_counts=True)
    return OverlapTable(pairs[0].astype(np.uint64), pairs[1].astype(np.uint64), voxels)


def blobs(random: np.random.Generator, labels: int, background: float) -> np.ndarray:
    """(6, 7, 8) labels 1..labels in slabs, with scattered background."""
    volume = 1 + (np.arange(6 * 7 * 8).reshape(6, 7, 8) * labels) // (6 * 7 * 8)
    volume = np.roll(volume, random.integers(0, 300))
    volume[random.uniform(size=volume.shape) < 0.1] = random.integers(1, labels + 1)
    volume[random.uniform(size=volume.shape) < background] = 0
    return volume.astype(np.uint32)


def test_the_same_labels_have_no_error_whatever_their_names():
    scores = dense_scores(table((1, 7, 30), (2, 5, 12), (0, 9, 4)))
    assert (scores.arand, scores.arand_one_background, scores.voi_split, scores.voi_merge) == (0, 0, 0, 0)
    assert (scores.voxels, scores.truth_labels, scores.segments, scores.background_share) == (42, 2, 2, 0)


def test_one_label_cut_into_halves():
    # pairs: truth 4^2 = 16, segments 2^2 + 2^2 = 8, both 8
    scores = dense_scores(table((1, 5, 2), (1, 6, 2)))
    assert scores.arand == 1 - 2 * 8 / (16 + 8)
    assert (scores.arand_precision, scores.arand_recall) == (1, 0.5)
    assert (scores.voi_split, scores.voi_merge) == (1, 0)


def test_two_labels_of_one_size_merged():
    scores = dense_scores(table((1, 5, 2), (2, 5, 2)))
    assert scores.arand == 1 - 2 * 8 / (8 + 16)
    assert (scores.arand_precision, scores.arand_recall) == (0.5, 1)
    assert (scores.voi_split, scores.voi_merge) == (0, 1)


def test_background_of_the_ground_truth_is_left_out():
    clean = dense_scores(table((1, 5, 2), (2, 5, 2)))
    scores = dense_scores(table((1, 5, 2), (2, 5, 2), (0, 5, 100), (0, 6, 100)))
    assert (scores.arand, scores.voi_split, scores.voi_merge) == (clean.arand, clean.voi_split, clean.voi_merge)
    assert scores.voxels == 4


def test_a_background_voxel_is_a_segment_of_its_own_as_in_the_snemi3d_script():
    # 2 of 4 voxels have no segment; the volume has 8 voxels: the script adds 2 / 8 to both and to segments
    scores = dense_scores(table((1, 5, 2), (1, 0, 2), (0, 0, 4)))
    assert scores.arand == pytest.approx(1 - 2 * (4 + 0.25) / (16 + 4 + 0.25), rel=1e-15)
    assert scores.background_share == 0.5


def test_background_of_the_segmentation_can_count_as_one_segment():
    scores = dense_scores(table((1, 5, 2), (1, 0, 2)))
    assert scores.arand_one_background == 1 - 2 * (4 + 4) / (16 + 4 + 4)


def test_a_segmentation_that_is_all_background_has_the_full_error():
    scores = dense_scores(table((1, 0, 1000)))
    assert scores.arand == pytest.approx(1, abs=1e-5)
    assert scores.segments == 0


def test_an_empty_ground_truth_is_an_error():
    with pytest.raises(InputError, match="background throughout"):
        dense_scores(table((0, 3, 10)))


def test_counts_of_a_whole_axonem_volume_do_not_overflow():
    # 1.4e10 voxels: their square is past int64
    scores = dense_scores(table((1, 5, 7 * 10**9), (1, 6, 7 * 10**9)))
    assert scores.arand == pytest.approx(1 / 3, rel=1e-12)


@given(VOLUMES)
def test_scikit_image_gives_the_same_up_to_pairs_of_a_voxel_with_itself(random):
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    truth, segment = blobs(random, 4, 0.1), blobs(random, 5, 0.2)
    scores = dense_scores(table_of(truth, segment))
    keep = truth > 0
    voi_truth_given_segment, voi_segment_given_truth = metrics.variation_of_information(segment[keep], truth[keep])
    assert scores.voi_split == pytest.approx(voi_segment_given_truth, abs=1e-12)
    assert scores.voi_merge == pytest.approx(voi_truth_given_segment, abs=1e-12)
    # scikit-image counts pairs of different voxels, SNEMI3D's script also each voxel with itself
    arand, precision, recall = metrics.adapted_rand_error(truth, segment)
    table_ = table_of(truth, segment)
    n_ij = table_.voxels[table_.truth > 0].astype(float)
    n, both = n_ij.sum(), (n_ij**2).sum()
    with_self = 2 * both / ((both - n) / precision + n + (both - n) / recall + n)
    assert scores.arand_one_background == pytest.approx(1 - with_self, abs=1e-12)
    assert abs(scores.arand_one_background - arand) < 0.02


@pytest.mark.slow
@given(VOLUMES)
def test_scikit_learn_gives_the_same_entropies(random):
    cluster = pytest.importorskip("sklearn.metrics.cluster", reason="scikit-learn is not installed")
    truth, segment = blobs(random, 3, 0.0).ravel(), blobs(random, 4, 0.0).ravel()
    scores = dense_scores(table_of(truth, segment))
    # The mutual information of labels with themselves is their entropy; scikit-learn gives nats.
    shared, own, of_truth = (
        cluster.mutual_info_score(a, b) / np.log(2) for a, b in ((truth, segment), (segment, segment), (truth, truth))
    )
    assert scores.voi_split == pytest.approx(own - shared, abs=1e-9)
    assert scores.voi_merge == pytest.approx(of_truth - shared, abs=1e-9)


@given(VOLUMES)
def test_splitting_a_segment_never_lowers_the_split_part_nor_raises_the_merge_part(random):
    truth, segment = blobs(random, 4, 0.1), blobs(random, 5, 0.1)
    cut = segment + np.where((segment == 2) & (random.uniform(size=segment.shape) < 0.5), 100, 0)
    before, after = dense_scores(table_of(truth, segment)), dense_scores(table_of(truth, cut))
    assert after.voi_split >= before.voi_split - 1e-12
    assert after.voi_merge <= before.voi_merge + 1e-12
    assert after.arand_recall <= before.arand_recall + 1e-12


@given(VOLUMES)
def test_errors_stay_in_their_range(random):
    scores = dense_scores(table_of(blobs(random, 4, 0.3), blobs(random, 6, 0.3)))
    assert 0 <= scores.arand <= 1
    assert min(scores.voi_split, scores.voi_merge) >= 0


def counted(seg, gt, **options):
    """Scores of two open volumes, counted chunk by chunk."""
    counter = OverlapCounter(seg, gt)
    sample_nodes(seg, np.zeros((1, 3), np.int32), also=counter.add, **options)
    return dense_scores(counter.table())


def write(path, labels, chunks):
    with h5py.File(path, "w") as file:
        file.create_dataset("main", data=labels, chunks=chunks, compression="gzip")
    return path


@pytest.mark.parametrize("truth_chunks", [(4, 4, 4), (3, 5, 8), (6, 7, 1)])
@pytest.mark.parametrize("threads", [1, 3])
def test_streaming_counts_every_voxel_once_whatever_the_chunks(tmp_path, truth_chunks, threads):
    random = np.random.default_rng(3)
    truth, segment = blobs(random, 4, 0.1).astype(np.uint16), blobs(random, 5, 0.2).astype(np.uint64)
    whole = dense_scores(table_of(truth, segment))
    with (
        open_labels(write(tmp_path / "t.h5", truth, truth_chunks)) as gt,
        open_labels(write(tmp_path / "s.h5", segment, (4, 4, 4))) as seg,
    ):
        assert counted(seg, gt, threads=threads) == whole


@pytest.mark.parametrize("dtype", [np.uint16, np.int64])
def test_sampling_and_counting_share_one_pass(tmp_path, dtype):
    random = np.random.default_rng(3)
    truth, segment = blobs(random, 4, 0.1), blobs(random, 5, 0.2).astype(dtype)
    nodes = random.integers(0, (6, 7, 8), (20, 3)).astype(np.int32)
    with (
        open_labels(write(tmp_path / "t.h5", truth, (4, 3, 8))) as gt,
        open_labels(write(tmp_path / "s.h5", segment, (4, 4, 4))) as seg,
    ):
        counter = OverlapCounter(seg, gt)
        sample = sample_nodes(seg, nodes, also=counter.add)
    assert dense_scores(counter.table()) == dense_scores(table_of(truth, segment))
    assert sample.node_segment.tolist() == segment[tuple(nodes.T)].tolist()


def test_a_pass_that_learns_more_than_labels_has_no_checkpoint(tmp_path):
    path = write(tmp_path / "s.h5", np.ones((4, 4, 4), np.uint8), (2, 2, 2))
    nodes = np.zeros((1, 3), np.int32)
    with open_labels(path) as seg, pytest.raises(ValueError, match="checkpoint"):
        sample_nodes(seg, nodes, also=lambda chunk, labels: None, checkpoint=tmp_path / "c.npz")


def test_labels_beyond_32_bits_are_told_apart(tmp_path):
    truth = np.ones((2, 2, 2), np.uint8)
    segment = np.full((2, 2, 2), 2**63, np.uint64)
    segment[0] += 1
    with (
        open_labels(write(tmp_path / "t.h5", truth, (2, 2, 2))) as gt,
        open_labels(write(tmp_path / "s.h5", segment, (2, 2, 2))) as seg,
    ):
        assert counted(seg, gt).voi_split == 1


def test_another_shape_is_an_error(tmp_path):
    small, large = np.ones((2, 2, 2), np.uint8), np.ones((2, 2, 3), np.uint8)
    with (
        open_labels(write(tmp_path / "t.h5", small, (2, 2, 2))) as gt,
        open_labels(write(tmp_path / "s.h5", large, (2, 2, 2))) as seg,
        pytest.raises(InputError, match="2 x 2 x 2, the segmentation 2 x 2 x 3"),
    ):
        counted(seg, gt)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arand", "arand_one_background", "voi"),
    [("ffn", 0.0973, 0.1574, (0.899, 0.918)), ("overseg", 0.2712, 0.2712, (2.408, 0.330))],
)
def test_fib25_has_its_published_errors(fib25, name, arand, arand_one_background, voi):
    with open_labels(fib25 / f"{name}.h5") as seg, open_labels(fib25 / "gt.h5") as gt:
        scores = counted(seg, gt)
    assert (round(scores.arand, 4), round(scores.arand_one_background, 4)) == (arand, arand_one_background)
    assert (scores.voi_split, scores.voi_merge) == pytest.approx(voi, abs=1e-3)
