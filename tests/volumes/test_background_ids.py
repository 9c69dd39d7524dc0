"""Ids that stand for no object: warned of, and read as background where asked for."""

import json
import re

import numpy as np
import pytest

from axonem_eval import VolumeSpec
from axonem_eval.cli import main
from axonem_eval.volumes import check_labels, open_labels
from tests.label_files import SHAPE, VOXEL_NM, straight_graph, two_axons, write_h5
from tests.volumes.written_labels import tiff, zarr_array

SPEC = VolumeSpec(SHAPE, VOXEL_NM)
WHOLE = tuple(slice(0, n) for n in SHAPE)


def with_background(label: int, dtype=np.uint64) -> np.ndarray:
    labels = two_axons().astype(dtype)
    labels[labels == 0] = label
    return labels


@pytest.mark.parametrize(
    ("label", "dtype", "meaning"),
    [
        (2**64 - 1, np.uint64, "TRANSPARENT"),
        (2**64 - 2, np.uint64, "INVALID"),
        (2**64 - 3, np.uint64, "OUTSIDE"),
        (2**32 - 1, np.uint32, "-1 cast to uint32"),
    ],
)
def test_a_reserved_id_is_warned_of_with_its_share(tmp_path, label, dtype, meaning):
    warnings = check_labels(write_h5(tmp_path / "a.h5", with_background(label, dtype)), SPEC).warnings
    assert len(warnings) == 1
    for part in (str(label), meaning, "%", "--background-ids"):
        assert part in warnings[0]


def test_a_reserved_id_outside_the_tissue_is_met_though_the_middle_has_none(tmp_path):
    labels = np.ones((40, 24, 24), np.uint64)
    labels[:, 12:] = 2
    labels[:8] = 2**64 - 3
    path = write_h5(tmp_path / "a.h5", labels)
    assert "OUTSIDE" in check_labels(path, VolumeSpec(labels.shape, VOXEL_NM)).warnings[0]


@pytest.mark.parametrize("label", [2**64 - 4, 65535, 2**31])
def test_other_ids_are_no_matter(tmp_path, label):
    assert not check_labels(write_h5(tmp_path / "a.h5", with_background(label)), SPEC).warnings


@pytest.mark.parametrize(
    "write",
    [
        lambda p, labels: write_h5(p / "a.h5", labels),
        lambda p, labels: zarr_array(p / "a.zarr", labels, chunks=(4, 8, 8)),
        lambda p, labels: tiff(p / "a.tif", labels),
    ],
)
def test_background_ids_are_read_as_0_from_every_format(tmp_path, write):
    path = write(tmp_path, with_background(2**64 - 1))
    with open_labels(path, background_ids=(2**64 - 1, 2)) as volume:
        expected = np.where(two_axons() == 1, 1, 0)
        np.testing.assert_array_equal(volume.read(WHOLE), expected)
        box = volume.chunk_box(0)
        clipped = volume.read_chunk(0)[tuple(slice(0, s.stop - s.start) for s in box)]
        np.testing.assert_array_equal(clipped, expected[box])


def test_minus_one_means_what_it_becomes_when_cast(tmp_path):
    for dtype, label in ((np.uint64, 2**64 - 1), (np.uint32, 2**32 - 1), (np.int64, -1)):
        path = write_h5(tmp_path / "a.h5", with_background(label, dtype))
        with open_labels(path, background_ids=(-1,)) as volume:
            np.testing.assert_array_equal(volume.read(WHOLE), two_axons())


def test_each_command_that_the_warning_names_takes_the_option(tmp_path, capsys):
    warning = check_labels(write_h5(tmp_path / "a.h5", with_background(2**64 - 1)), SPEC).warnings[0]
    commands = re.findall(r"`(?:axonem-eval )?(\w+)`", warning)
    assert commands
    for command in commands:
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert "--background-ids" in capsys.readouterr().out


def test_score_warns_of_reserved_ids_at_nodes_and_leaves_them_out_where_asked(tmp_path, capsys):
    labels = two_axons()
    labels[labels == 2] = 2**64 - 1
    seg, gt = str(write_h5(tmp_path / "a.h5", labels)), str(tmp_path / "gt.npz")
    straight_graph().save(gt)
    assert main(["score", seg, "--ground-truth", gt, "--json"]) == 0
    told = capsys.readouterr()
    assert "at 20 of 40 ground-truth nodes" in told.err
    assert json.loads(told.out)["normalized_erl"] == 1.0
    assert main(["score", seg, "--ground-truth", gt, "--json", "--background-ids", str(2**64 - 1)]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert json.loads(told.out)["normalized_erl"] == 0.5


def test_skeletonize_warns_and_leaves_them_out_where_asked(tmp_path, capsys):
    pytest.importorskip("kimimaro", reason="the extra [groundtruth] is not installed")
    labels = two_axons((16, 40, 120))
    labels[:, 14:26] = 2**64 - 3
    path, out = str(write_h5(tmp_path / "a.h5", labels)), str(tmp_path / "out.npz")
    command = ["skeletonize", path, "--voxel-size", "30,8,8", "-o", out, "--processes", "1", "--json"]
    assert main(command) == 0
    told = capsys.readouterr()
    assert "OUTSIDE" in told.err
    assert json.loads(told.out)["skeletons"] == 3
    assert main([*command, "--background-ids", str(2**64 - 3)]) == 0
    assert json.loads(capsys.readouterr().out)["skeletons"] == 2


def test_a_checkpoint_of_other_background_ids_is_not_gone_on_with(tmp_path):
    from axonem_eval.sampling.checkpoint import Checkpoint

    path, nodes = write_h5(tmp_path / "a.h5", two_axons()), straight_graph().node_voxel_zyx
    with open_labels(path) as plain, open_labels(path, background_ids=(1,)) as without:
        keys = {Checkpoint(tmp_path / "c", [volume], nodes, 1)._key for volume in (plain, without)}
    assert len(keys) == 2


def test_ids_that_are_no_numbers_are_wrong_usage(tmp_path):
    with pytest.raises(SystemExit) as stopped:
        main(["score", "a.h5", "--ground-truth", "gt.npz", "--background-ids", "many"])
    assert stopped.value.code == 2
