"""Two round axons that touch and have one label: the place is named, and the cut gives both back."""

import h5py
import numpy as np
import pytest

from axonem_eval.skeletonize import skeletonize_labels
from axonem_eval.synthetic import write_labels
from axonem_eval.workshop import MERGER, apply_corrections, find_candidates, find_contacts, of_kind

VOXEL_NM = (30.0, 30.0, 30.0)
EDGE = 110


def two_axons() -> np.ndarray:
    """1 along y below, 2 along x above, each 500 nm thick and 3.3 um long; they touch where they cross."""
    z, y, x = np.ogrid[:60, :EDGE, :EDGE]
    one = (z - 21.5) ** 2 + (x - 55) ** 2 + 0 * y < 8.5**2
    other = (z - 37.5) ** 2 + (y - 55) ** 2 + 0 * x < 8.5**2
    return np.where(one, 1, np.where(other, 2, 0)).astype(np.uint8)


@pytest.fixture(scope="module")
def merged(tmp_path_factory):
    """The label file of both as one segment, and its first likely merger."""
    path = tmp_path_factory.mktemp("merged") / "labels.h5"
    write_labels(path, (two_axons() > 0).astype(np.uint8), VOXEL_NM)
    graph = skeletonize_labels(path, VOXEL_NM)
    return path, of_kind(find_candidates(path, graph, find_contacts(path, VOXEL_NM)), MERGER)


def test_the_sides_of_the_first_likely_merger_are_the_two_axons(merged):
    _, found = merged
    axons = two_axons()
    sides = [
        {int(axons[voxel]) for voxel in side}
        for side in (found[0].correction.this_side, found[0].correction.other_side)
    ]
    assert sorted(map(sorted, sides)) == [[1], [2]]


def test_the_cut_of_a_merger_gives_both_axons_back(merged, tmp_path):
    path, found = merged
    applied = apply_corrections(path, [found[0].correction], tmp_path / "cut.h5", VOXEL_NM)
    assert applied.cut == 1
    with h5py.File(tmp_path / "cut.h5") as file:
        after = file["main"][:]
    axons = two_axons()
    for axon in (1, 2):
        ids, voxels = np.unique(after[axons == axon], return_counts=True)
        best = after == ids[voxels.argmax()]
        assert (best & (axons == axon)).sum() / (best | (axons == axon)).sum() > 0.98


def test_likely_mergers_do_not_depend_on_the_blocks(merged, monkeypatch):
    path, found = merged
    monkeypatch.setattr("axonem_eval.volumes.downsample.BLOCK_VOXELS", 100_000)
    graph = skeletonize_labels(path, VOXEL_NM)
    parts = of_kind(find_candidates(path, graph, find_contacts(path, VOXEL_NM)), MERGER)
    assert [c.correction.cut for c in parts[:1]] == [c.correction.cut for c in found[:1]]
    assert parts[0].score == pytest.approx(found[0].score, rel=1e-3)
