"""`axonem-eval workshop` from a segmentation to a benchmark volume, as an organiser runs it."""

import json

import h5py
import numpy as np
import pytest

from axonem_eval import SkeletonGraph
from axonem_eval.cli import main
from axonem_eval.synthetic import write_labels
from tests.columns import CUT_COLUMN, OTHER_HALF, VOXEL_NM, columns


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A workshop of columns of which one is cut."""
    folder = tmp_path_factory.mktemp("shop")
    write_labels(folder / "labels.h5", columns(), VOXEL_NM)
    command = ["workshop", "new", str(folder / "shop"), str(folder / "labels.h5"), "--voxel-size", "30,30,30"]
    assert main([*command, "--processes", "1"]) == 0
    return folder


def told(capsys, *words):
    capsys.readouterr()
    assert main(["workshop", *map(str, words)]) == 0
    return capsys.readouterr().out


def refused(capsys, *words):
    capsys.readouterr()
    assert main(["workshop", *map(str, words)]) == 1
    return capsys.readouterr().err


@pytest.mark.slow
def test_a_segmentation_becomes_a_benchmark_volume(shop, capsys):
    folder = shop
    room = folder / "shop"
    refused(capsys, "finalise", room, "-o", folder / "refused")
    assert not (folder / "refused").exists()
    batches = json.loads(told(capsys, "batches", room, "--json"))["batches"]
    ids = [i for batch in batches for i in batch["segments"]]
    assert "have no label" in refused(capsys, "finalise", room, "-o", folder / "volume")

    for batch in batches:
        told(capsys, "label", room, "axon", "--batch", batch["batch"], "--by", "ada")
    told(capsys, "label", room, "glia", "--segments", ids[0], "--by", "ben")
    assert "ada: axon, ben: glia" in told(capsys, "disagreements", room)
    assert "disagree on 1 segments" in refused(capsys, "finalise", room, "-o", folder / "volume")
    told(capsys, "label", room, "glia", "--segments", ids[0], "--by", "ben", "--settle")
    assert told(capsys, "disagreements", room).strip() == "0 disagreements"

    first = json.loads(told(capsys, "candidates", room, "--kind", "split", "--json"))["splits"][0]
    assert first["correction"]["segments"] == [str(CUT_COLUMN), str(OTHER_HALF)]
    told(capsys, "decide", room, first["name"], "accept", "--by", "ada")
    assert "undo that first" in refused(capsys, "decide", room, first["name"], "reject", "--by", "ben")
    told(capsys, "decide", room, first["name"], "undo", "--by", "ben")
    assert "0 splits joined" in told(capsys, "apply", room, "-o", folder / "none.h5")
    told(capsys, "decide", room, first["name"], "accept", "--by", "ben")

    told(capsys, "finalise", room, "-o", folder / "volume", "--processes", "1")
    sheet = json.loads((folder / "volume" / "data_sheet.json").read_text())
    assert sheet["decisions"] == {"split accepted": 1}
    assert sheet["annotators"] == {"ada": len(ids), "ben": 2}
    bundle = SkeletonGraph.load(folder / "volume" / "skeletons.npz")
    assert sheet["axons"] == bundle.n_skeletons
    assert CUT_COLUMN in bundle.skeleton_id
    assert OTHER_HALF not in bundle.skeleton_id
    with h5py.File(folder / "volume" / "no_merge_mask.h5") as mask, h5py.File(folder / "labels.h5") as labels:
        assert (mask["main"][:] == (labels["main"][:] == int(ids[0]))).all()

    volume = folder / "volume"
    figures = ["--labels", volume / "axons.h5", "--against", room / "skeletons.npz", "-o", folder / "figures"]
    told(capsys, "analyse", volume / "skeletons.npz", *figures)
    assert (folder / "figures" / "longest.webp").read_bytes()[8:12] == b"WEBP"
    lengths = (folder / "figures" / "lengths.svg").read_text()
    assert f"volume/skeletons: {bundle.n_skeletons} axons" in lengths
    assert lengths.count("<polyline") == 2


def test_a_table_imported_twice_changes_nothing(shop, capsys, tmp_path):
    room = shop / "shop"
    name = json.loads(told(capsys, "candidates", room, "--kind", "split", "--json"))["splits"][-1]["name"]
    told(capsys, "decide", room, name, "postpone", "--by", "ada")
    table = tmp_path / "decisions.csv"
    table.write_bytes((room / "decisions.csv").read_bytes())
    assert "0 decisions added" in told(capsys, "import", room, "--decisions", table)


def test_a_cut_by_points_is_applied_until_it_is_undone(shop, capsys):
    """A column is straight and alone: two points in it cut it between them."""
    room = shop / "shop"
    with h5py.File(shop / "labels.h5") as file:
        z, y, x = (int(v) for v in np.argwhere(file["main"][:] == CUT_COLUMN)[0])
    points = ["--this", f"{z},{y},{x}", "--other", f"{z + 10},{y},{x}", "--by", "ada"]
    assert "um3" in told(capsys, "cut", room, CUT_COLUMN, *points, "--preview")
    assert "0 mergers cut" in told(capsys, "apply", room, "-o", shop / "points.h5")
    name = told(capsys, "cut", room, CUT_COLUMN, *points).splitlines()[-1].partition(":")[0]
    assert "undo that first" in refused(capsys, "cut", room, CUT_COLUMN, *points)
    assert "1 mergers cut" in told(capsys, "apply", room, "-o", shop / "points.h5")
    told(capsys, "decide", room, name, "undo", "--by", "ben")
    assert "0 mergers cut" in told(capsys, "apply", room, "-o", shop / "points.h5")
    points[1] = "0,0,0"
    assert f"does not lie in segment {CUT_COLUMN}" in refused(capsys, "cut", room, CUT_COLUMN, *points)


def test_the_segmentation_is_not_overwritten_by_its_correction(shop, capsys):
    before = (shop / "labels.h5").read_bytes()
    assert main(["workshop", "apply", str(shop / "shop"), "-o", str(shop / "labels.h5")]) == 1
    assert "this file is read" in capsys.readouterr().err
    assert (shop / "labels.h5").read_bytes() == before
    assert main(["workshop", "apply", str(shop / "shop"), "-o", str(shop / "out.tif")]) == 1
    assert "written as .h5 or .hdf5 or .hdf" in capsys.readouterr().err


def test_a_file_in_place_of_the_folder_is_told(shop, capsys):
    assert main(["workshop", "new", str(shop / "labels.h5"), str(shop / "shop"), "--voxel-size", "30,30,30"]) == 1
    assert "this is a file; name a new folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "  ", "ada\nbob"])
def test_a_name_that_could_not_be_read_again_is_wrong_usage(shop, name):
    with pytest.raises(SystemExit) as ended:
        main(["workshop", "label", str(shop / "shop"), "axon", "--batch", "0", "--by", name])
    assert ended.value.code == 2


@pytest.mark.parametrize(("row", "words"), [("999,4 4 4", "segment 999"), ("5,4 4 99999", "voxel 4 4 99999")])
def test_a_table_of_another_segmentation_is_not_imported(shop, capsys, tmp_path, row, words):
    (tmp_path / "other.csv").write_text(
        f"segment,voxel,label,annotator,at,settles\n{row},axon,ada,2026-11-28T16:30:00+00:00,\n"
    )
    assert main(["workshop", "import", str(shop / "shop"), "--labels", str(tmp_path / "other.csv")]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert "Nothing was added" in said


def test_a_folder_with_other_files_becomes_no_workshop(shop, capsys, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    assert "is not empty" in refused(capsys, "new", tmp_path, shop / "labels.h5", "--voxel-size", "30,30,30")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_that_is_no_workshop_is_told(capsys, tmp_path):
    assert "no workshop of this version" in refused(capsys, "batches", tmp_path)
