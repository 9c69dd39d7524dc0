"""`axonem-eval score --variant NAME`: the rule that is named scores, and is stated beside the number."""

import json

import h5py
import numpy as np
import pytest

from axonem_eval.cli import main
from axonem_eval.scoring import VARIANTS
from tests.label_files import SHAPE, straight_graph, two_axons, write_h5

VOXEL_SIZE = (30.0, 8.0, 8.0)


@pytest.fixture
def files(tmp_path):
    """Two axons in one segment; their ground truth as skeletons and as labels."""
    labels = two_axons()
    straight_graph().save(tmp_path / "gt.npz")
    merged = np.where(labels > 0, np.uint64(7), np.uint64(0))
    return {
        "seg": str(write_h5(tmp_path / "seg.h5", merged)),
        "gt": str(tmp_path / "gt.npz"),
        "dense": str(write_h5(tmp_path / "dense.h5", labels, resolution=VOXEL_SIZE)),
    }


def result(capsys, *arguments) -> dict:
    assert main(["score", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", [name for name, variant in VARIANTS.items() if variant.needs_skeletons])
def test_a_rule_of_skeletons_is_stated_beside_its_number(files, capsys, name):
    data = result(capsys, files["seg"], "--ground-truth", files["gt"], "--variant", name)
    assert data["variant"]["name"] == data["headline"]["variant"] == name
    assert data["tolerance_nodes"] == VARIANTS[name].tolerance_nodes
    # the segment holds 20 nodes of each axon: at 50 nodes no merger, by the strict rules one
    assert data["mergers"] == (1 if VARIANTS[name].tolerance_nodes == 0 else 0)


def test_people_read_the_rule_beside_the_headline(files, capsys):
    assert main(["score", files["seg"], "--ground-truth", files["gt"], "--variant", "nisb"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "normalised ERL   0.0000 by the rule nisb; higher is better"


def test_an_erl_that_ranks_is_told_once_with_its_rule(files, capsys):
    assert main(["score", files["seg"], "--ground-truth", files["gt"], "--variant", "axonem2021"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines].count("ERL") == 1
    assert "of the ground truth's" in lines[0]
    assert any(line.endswith("variant axonem2021") for line in lines)


def test_a_rule_of_voxels_needs_no_skeletons(files, capsys):
    data = result(capsys, files["seg"], "--dense-ground-truth", files["dense"], "--variant", "cremi")
    assert data["headline"]["name"] == "CREMI score"
    assert data["headline"]["lower_is_better"]
    assert data["headline"]["value"] == pytest.approx(data["dense"]["cremi_score"])
    assert "erl_nm" not in data


def test_the_option_tolerance_overrides_the_rule_of_the_variant(files, capsys):
    data = result(capsys, files["seg"], "--ground-truth", files["gt"], "--variant", "axonem2021", "--tolerance", "19")
    assert (data["mergers"], data["variant"]["tolerance_nodes"]) == (1, 19)
    data = result(capsys, files["seg"], "--ground-truth", files["gt"], "--variant", "axonem2021", "--tolerance", "20")
    assert data["mergers"] == 0


def test_a_region_cuts_the_skeletons_of_a_variant_that_cuts(files, capsys):
    z, y, _ = SHAPE
    data = result(
        capsys, files["seg"], "--ground-truth", files["gt"], "--variant", "lsd-j0126", "--region", f"0:{z},0:{y},0:10"
    )
    assert data["nodes"] == 20
    assert data["variant"]["region_zyx"] == [[0, 0, 0], [z, y, 10]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ground-truth", "gt", "--variant", "axonem2022"], "choose one of axonem, axonem2021"),
        (["--ground-truth", "gt", "--variant", "cremi"], "give the labels of the ground truth with --dense"),
        (["--dense-ground-truth", "dense"], "ranks by skeletons; give them with --ground-truth"),
        (["--ground-truth", "gt", "--region", "0:1,0:1,0:1"], "states a region but does not cut skeletons"),
        (["--ground-truth", "gt", "--variant", "xpress", "--region", "0:1,0:1,0:1"], "none of 40 ground-truth nodes"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(files, capsys, arguments, words):
    assert main(["score", files["seg"], *(files.get(a, a) for a in arguments)]) == 1
    assert words in capsys.readouterr().err


def test_a_file_of_cremi_is_scored_as_it_comes(tmp_path, capsys):
    # raw data and clefts lie beside the labels; two neurons of 20 pixels, 40 nm sections, 4 nm pixels
    labels = np.ones((2, 40, 40), np.uint64)
    labels[:, :, 20:] = 0  # a label like any other
    with h5py.File(tmp_path / "sample_A.hdf", "w") as file:
        file["volumes/raw"] = np.zeros(labels.shape, np.uint8)
        for name, values in (("neuron_ids", labels), ("clefts", np.full(labels.shape, 2**64 - 1, np.uint64))):
            dataset = file.create_dataset(f"volumes/labels/{name}", data=values)
            dataset.attrs["resolution"] = (40.0, 4.0, 4.0)
    sample = str(tmp_path / "sample_A.hdf")
    data = result(capsys, sample, "--dense-ground-truth", sample, "--variant", "cremi")
    # background voxels of the segmentation are segments of their own: label 0 costs recall
    assert data["dense"]["truth_labels"] == 2
    # pixels 0 to 12 and 27 to 39 lie more than 25 nm, 6.25 pixels, from the border pixels 19 and 20
    assert data["dense"]["voxels"] == 2 * 40 * 26


@pytest.mark.parametrize("wrong", ["1:2", "5:1,0:2,0:2", "a:b,c:d,e:f"])
def test_a_region_that_is_none_is_wrong_usage(files, wrong):
    with pytest.raises(SystemExit) as stopped:
        main(["score", files["seg"], "--ground-truth", files["gt"], "--region", wrong])
    assert stopped.value.code == 2


def test_score_without_any_ground_truth_is_wrong_usage(files):
    with pytest.raises(SystemExit) as stopped:
        main(["score", files["seg"]])
    assert stopped.value.code == 2
