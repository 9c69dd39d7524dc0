from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, label
from scipy.spatial import cKDTree

from axonem_eval.scoring import score_nodes
from axonem_eval.skeletonize import skeletonize_labels
from axonem_eval.synthetic import (
    Errors,
    Imaging,
    Merge,
    SmallMerge,
    Split,
    erode_boundaries,
    make_tissue,
    merge_below_tolerance,
    merge_labels,
    punch_holes,
    randomize_ids,
    shift_section,
    split_label,
    touching,
    with_errors,
    write_labels,
)

VOXEL_NM = (40.0, 16.0, 16.0)
SHAPE = (60, 150, 150)
STEADY = Imaging(missing_rate=0, partly_missing_rate=0, slip_rate=0, translation_rate=0, blurred_rate=0)


@pytest.fixture(scope="module")
def tissue():
    return make_tissue(SHAPE, VOXEL_NM, seed=3, imaging=STEADY)


@pytest.fixture(scope="module")
def axon_labels(tissue):
    return np.where(tissue.no_merge_mask() == 1, 0, tissue.labels)


@pytest.fixture(scope="module")
def graph(axon_labels, tmp_path_factory):
    path = tmp_path_factory.mktemp("tissue") / "axons.h5"
    write_labels(path, axon_labels, VOXEL_NM)
    return skeletonize_labels(path, VOXEL_NM)


def at_nodes(labels, graph):
    return labels[tuple(graph.node_voxel_zyx.T)]


def erl(labels, graph, tolerance=50):
    return score_nodes(graph, at_nodes(labels, graph), tolerance_nodes=tolerance).erl_nm


def changed_labels(before, after):
    """Labels of `before` that lost voxels."""
    return set(np.unique(before[before != after]).tolist())


# -- tissue ------------------------------------------------------------------------------------------------------


def test_one_seed_gives_one_tissue_and_another_gives_another():
    a, b, c = (make_tissue((10, 48, 48), (30, 10, 10), seed=s) for s in (5, 5, 6))
    assert a.labels.tobytes() == b.labels.tobytes()
    assert a.raw.tobytes() == b.raw.tobytes()
    assert a.labels.tobytes() != c.labels.tobytes()


@pytest.mark.slow
def test_every_voxel_belongs_to_a_cell_of_known_kind(tissue):
    assert set(np.unique(tissue.labels).tolist()) == set(tissue.kind)
    assert set(tissue.kind.values()) == {"axon", "dendrite", "glia"}


@pytest.mark.slow
def test_every_label_is_one_26_connected_piece(tissue):
    pieces = {i: label(tissue.labels == i, np.ones((3, 3, 3)))[1] for i in tissue.kind}
    assert set(pieces.values()) == {1}


@pytest.mark.slow
def test_the_mask_is_all_that_is_no_axon(tissue):
    assert np.array_equal(tissue.no_merge_mask() == 0, np.isin(tissue.labels, tissue.axon_ids))


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "voxel"), [((96, 96, 96), (10, 10, 10)), ((24, 96, 96), (40, 10, 10))])
def test_axons_are_as_wide_in_nm_as_drawn(shape, voxel):
    t = make_tissue(shape, voxel, seed=7, imaging=STEADY, grey=False)
    axon = np.isin(t.centre_label, t.axon_ids)
    place = np.floor(t.centre_nm[axon] / voxel).astype(int)
    far = np.all(
        (place >= np.array([200, 200, 200]) / voxel) & (place < shape - np.array([200, 200, 200]) / voxel), axis=1
    )
    clearance = []
    for i in np.unique(t.centre_label[axon][far]):
        depth = distance_transform_edt(t.labels == i, sampling=voxel)
        clearance.append(depth[tuple(place[far & (t.centre_label[axon] == i)].T)])
    order = np.argsort(t.centre_label[axon][far], kind="stable")
    drawn = t.centre_radius_nm[axon][far][order]
    ratio = np.concatenate(clearance) / drawn
    assert 0.75 < np.median(ratio) < 1.3  # neighbours that press, and voxels, take some; gaps that close give some
    assert drawn.min() >= 50


@pytest.mark.slow
def test_skeletons_follow_the_drawn_centre_lines(tissue, graph):
    node_nm = (graph.node_voxel_zyx + 0.5) * VOXEL_NM
    node_label = graph.skeleton_id[graph.node_skeleton]
    miss = []
    for i in graph.skeleton_id:
        drawn = tissue.centre_nm[tissue.centre_label == i]
        if len(drawn) > 25:  # a micrometre
            miss.append(cKDTree(node_nm[node_label == i]).query(drawn)[0])
    miss = np.concatenate(miss)
    assert len(miss) > 1000
    assert np.median(miss) < 50
    assert np.quantile(miss, 0.95) < 120


# -- grey values -------------------------------------------------------------------------------------------------


def test_membranes_are_darker_than_cytoplasm_by_half_the_set_contrast(tissue):
    labels, raw = tissue.labels, tissue.raw.astype(float)
    edge = np.zeros(labels.shape, bool)
    for axis in (1, 2):
        differs = np.diff(labels, axis=axis) != 0
        edge |= np.insert(differs, 0, False, axis=axis) | np.insert(differs, differs.shape[axis], False, axis=axis)
    inside = distance_transform_edt(~edge, sampling=(1e6, 1, 1)) > 3
    assert raw[inside].mean() - raw[edge].mean() > 0.5 * Imaging().membrane_contrast


def test_a_missing_section_is_blank_and_keeps_its_labels():
    t = make_tissue((12, 48, 48), (30, 10, 10), seed=1, imaging=Imaging(missing_rate=0.4))
    missing = {d.section for d in t.defects if d.kind == "missing"}
    assert missing
    assert {z for z in range(12) if not t.raw[z].any()} == missing
    assert all((t.labels[z] > 0).all() for z in missing)


def test_a_partly_missing_section_is_blank_on_one_side():
    t = make_tissue((12, 48, 48), (30, 10, 10), seed=1, imaging=Imaging(missing_rate=0, partly_missing_rate=0.9))
    blank = [(t.raw[d.section] == 0).mean() for d in t.defects if d.kind == "partly_missing"]
    assert len(blank) > 3
    assert all(0.05 < share < 0.95 for share in blank)


def test_a_translation_moves_all_later_sections():
    still = make_tissue((12, 64, 64), (30, 10, 10), seed=4, grey=False, imaging=STEADY)
    moving = Imaging(missing_rate=0, partly_missing_rate=0, blurred_rate=0, slip_rate=0, translation_rate=0.2)
    moved = make_tissue((12, 64, 64), (30, 10, 10), seed=4, grey=False, imaging=moving)
    first = min(d.section for d in moved.defects)
    same = [np.array_equal(np.diff(a) == 0, np.diff(b) == 0) for a, b in zip(still.labels, moved.labels, strict=True)]
    assert all(same[: first - 1])
    assert not any(same[first:])


# -- errors ------------------------------------------------------------------------------------------------------


def test_a_split_changes_one_label_on_one_side_of_its_plane(tissue):
    ids = tissue.axon_ids
    longest = int(ids[np.argmax(np.bincount(tissue.labels.ravel())[ids])])
    after, [record] = split_label(tissue.labels, longest, VOXEL_NM)
    moved = np.argwhere(tissue.labels != after)
    assert changed_labels(tissue.labels, after) == {longest}
    assert set(after[tissue.labels != after].tolist()) == {record.new_label}
    assert ((moved - record.position_zyx) @ np.array(record.normal_zyx) > 0).all()
    assert 0 < record.voxels < (tissue.labels == longest).sum()


def test_a_merge_joins_two_that_touch(tissue):
    a = int(tissue.axon_ids[0])
    b = next(iter(touching(tissue.labels, a)))
    after, [record] = merge_labels(tissue.labels, a, b)
    assert np.array_equal(after == a, (tissue.labels == a) | (tissue.labels == b))
    assert record.voxels == (tissue.labels == b).sum()


def test_a_merge_of_two_that_do_not_touch_is_refused(tissue):
    a = int(tissue.axon_ids[0])
    apart = next(i for i in tissue.kind if i != a and i not in touching(tissue.labels, a))
    with pytest.raises(ValueError, match="do not touch"):
        merge_labels(tissue.labels, a, apart)


def test_holes_stay_in_their_labels_and_balls(tissue):
    target = [int(i) for i in tissue.axon_ids[:3]]
    after, records = punch_holes(tissue.labels, target, 120, VOXEL_NM)
    hole = np.argwhere(after == 0)
    centres = np.array([r.position_zyx for r in records]) * VOXEL_NM
    assert changed_labels(tissue.labels, after) == set(target)
    assert cKDTree(centres).query(hole * VOXEL_NM)[0].max() <= 120
    assert len(hole) == sum(r.voxels for r in records)


def test_erosion_opens_a_gap_between_labels(tissue):
    after, _ = erode_boundaries(tissue.labels, 1)
    for axis in (1, 2):
        a, b = np.moveaxis(after, axis, 0)[:-1], np.moveaxis(after, axis, 0)[1:]
        assert not ((a != b) & (a > 0) & (b > 0)).any()


def test_a_shifted_section_is_the_same_section_moved(tissue):
    after, _ = shift_section(tissue.labels, 7, (3, -5))
    assert np.array_equal(after[7, 3:, :-5], tissue.labels[7, :-3, 5:])
    assert (after[7, :3] == 0).all()
    assert np.array_equal(np.delete(after, 7, 0), np.delete(tissue.labels, 7, 0))


def test_random_ids_are_a_bijection_onto_big_numbers(tissue):
    after, [record] = randomize_ids(tissue.labels, seed=1)
    assert after.dtype == np.uint64
    assert (record.new > 2**32).all()
    back = dict(zip(record.new.tolist(), record.old.tolist(), strict=True))
    ids, inverse = np.unique(after, return_inverse=True)
    assert np.array_equal(np.array([back[i] for i in ids.tolist()])[inverse].reshape(SHAPE), tissue.labels)


def test_with_errors_touches_candidates_only_and_counts_what_it_did(tissue):
    chosen = tissue.axon_ids[::2]
    errors = Errors(splits=3, merges=2, small_merges=2, holes=2)
    after, records = with_errors(tissue.labels, VOXEL_NM, errors, candidates=chosen, seed=4)
    again, _ = with_errors(tissue.labels, VOXEL_NM, errors, candidates=chosen, seed=4)
    assert [sum(isinstance(r, kind) for r in records) for kind in (Split, Merge, SmallMerge)] == [3, 2, 2]
    stated = {r.label for r in records if not isinstance(r, Merge | SmallMerge)}
    stated |= {r.absorbed for r in records if isinstance(r, Merge)}
    stated |= {r.neighbour for r in records if isinstance(r, SmallMerge)}
    assert changed_labels(tissue.labels, after) <= stated <= set(chosen.tolist())
    assert np.array_equal(after, again)


def test_dropped_sections_are_background(tissue):
    after, _ = with_errors(tissue.labels, VOXEL_NM, Errors(drop_sections=[3, 9]))
    assert [z for z in range(SHAPE[0]) if not after[z].any()] == [3, 9]


# -- what the errors cost ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_pair(axon_labels, graph):
    """Two axons that touch, each with 50 nodes or more: (label, label)."""
    nodes = dict(zip(graph.skeleton_id.tolist(), np.bincount(graph.node_skeleton).tolist(), strict=True))
    long = {i for i, n in nodes.items() if n >= 60}
    return next((a, b) for a in sorted(long) for b in touching(axon_labels, a) if b in long)


def length_of(graph, axon):
    return graph.skeleton_length_nm[graph.skeleton_id == axon][0]


def test_a_perfect_copy_scores_everything(axon_labels, graph):
    copy, _ = randomize_ids(axon_labels, seed=9)
    assert erl(copy, graph) == pytest.approx(graph.gt_erl_nm, rel=1e-12)


def test_a_split_costs_its_axon_and_no_other(axon_labels, graph, long_pair):
    axon, _ = long_pair
    after, _ = split_label(axon_labels, axon, VOXEL_NM)
    lost = graph.gt_erl_nm - erl(after, graph)
    assert 0.2 * length_of(graph, axon) ** 2 < lost * graph.skeleton_length_nm.sum() < length_of(graph, axon) ** 2


def test_a_large_merge_costs_both_runs(axon_labels, graph, long_pair):
    after, _ = merge_labels(axon_labels, *long_pair)
    lost = (graph.gt_erl_nm - erl(after, graph)) * graph.skeleton_length_nm.sum()
    assert lost == pytest.approx(sum(length_of(graph, axon) ** 2 for axon in long_pair), rel=1e-9)


def test_a_small_merge_costs_a_split_at_the_tolerance_and_a_run_below_it(axon_labels, graph, long_pair):
    a, b = long_pair
    radius = 300.0
    node = graph.node_voxel_zyx[graph.node_skeleton == np.flatnonzero(graph.skeleton_id == b)[0]]
    contact = np.argwhere((axon_labels == b) & _beside(axon_labels == a))
    at = tuple(int(v) for v in contact[np.argmin(cKDTree(node * VOXEL_NM).query(contact * VOXEL_NM)[0])])
    merged, [record] = merge_below_tolerance(axon_labels, a, b, radius, VOXEL_NM, at=at)
    apart = np.where(merged != axon_labels, axon_labels.max() + 1, merged)  # the same part, as a segment of its own
    assert 0 < (at_nodes(merged, graph) != at_nodes(axon_labels, graph)).sum() < 50
    assert record.voxels == (merged != axon_labels).sum()
    assert erl(merged, graph, 50) == pytest.approx(erl(apart, graph, 50), rel=1e-12)
    lost = (erl(merged, graph, 50) - erl(merged, graph, 1)) * graph.skeleton_length_nm.sum()
    assert lost >= length_of(graph, a) ** 2


def _beside(mask):
    """Voxels that share a face with the mask."""
    out = np.zeros_like(mask)
    for axis in range(3):
        m, o = np.moveaxis(mask, axis, 0), np.moveaxis(out, axis, 0)
        o[1:] |= m[:-1]
        o[:-1] |= m[1:]
    return out


# -- files -------------------------------------------------------------------------------------------------------


def test_a_written_file_holds_labels_chunks_and_voxel_size(tmp_path: Path, tissue):
    big, _ = randomize_ids(tissue.labels, seed=2)
    write_labels(tmp_path / "a.h5", big, VOXEL_NM, dataset="volumes/labels", chunks=(8, 64, 64))
    with h5py.File(tmp_path / "a.h5") as file:
        stored = file["volumes/labels"]
        assert np.array_equal(stored[:], big)
        assert stored.chunks == (8, 64, 64)
        assert stored.compression == "gzip"
        assert stored.attrs["voxel_size_nm"].tolist() == list(VOXEL_NM)
