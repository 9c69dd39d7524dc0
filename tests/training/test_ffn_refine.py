"""Consensus, agglomeration and growth as stages of a run, from the command line."""

import json

import h5py
import numpy as np
import pytest

torch = pytest.importorskip("torch")
zarr = pytest.importorskip("zarr")

from baselines.cli import main  # noqa: E402
from baselines.ffn import agglomerate  # noqa: E402
from tests.training.tubes import tubes, write_tubes  # noqa: E402

# Pieces that share nothing, so the tubes are cut where pieces meet.
CUT = "subvolume = [26, 39, 35]\noverlap = [0, 0, 0]"
AGGLOMERATE = """
[agglomerate]
enabled = true
limit_nm = 900
radius = [12, 12, 18]
analysis_radius = [8, 8, 14]
exclusion_radius = [2, 2, 2]
attempts = 2
"""


def run(toml, out, *more, command="predict") -> int:
    return main([command, str(toml), "-o", str(out), "--quiet", *more])


def with_tables(folder, tables: str, inference: str = ""):
    toml = write_tubes(folder, inference)
    toml.write_text(toml.read_text() + tables)
    return toml


def labels(out) -> np.ndarray:
    with h5py.File(out / "tubes.h5") as file:
        return file["main"][()]


def stored(out, name: str) -> np.ndarray:
    return np.asarray(zarr.open_array(out / "tubes-objects" / name, mode="r")[:])


def notes(out) -> dict:
    return json.loads((out / "provenance.json").read_text())["results"]


@pytest.mark.slow
def test_tubes_cut_by_pieces_are_joined_by_agglomeration(tmp_path):
    toml, out = with_tables(tmp_path, AGGLOMERATE, CUT), tmp_path / "run"
    assert run(toml, out) == 0
    assert len(np.unique(stored(out, "objects.zarr"))) == 13
    assert run(toml, out, command="segment") == 0
    found, truth = labels(out), tubes()[1]
    assert len(np.unique(found)) == 7
    both = np.unique(np.stack([found, truth])[:, (found > 0) & (truth > 0)], axis=1)
    assert both.shape[1] == 6  # each tube one segment, each segment one tube
    assert notes(out)["tubes agglomeration"]["merges"] == 6


@pytest.mark.slow
def test_other_thresholds_need_no_network(tmp_path, monkeypatch):
    toml, out = with_tables(tmp_path, AGGLOMERATE, CUT), tmp_path / "run"
    assert run(toml, out) == 0
    monkeypatch.setattr(agglomerate, "comparing_at", None)
    toml.write_text(toml.read_text() + "min_iou = 1.0\n")
    assert run(toml, out) == 0
    assert run(toml, out, command="segment") == 0
    assert notes(out)["tubes agglomeration"]["merges"] == 0
    toml.write_text(toml.read_text().replace("radius = [12,", "radius = [13,"))
    assert run(toml, out) == 1  # another canvas needs the network again, into another folder
    assert run(toml, out, command="segment") == 1


def test_segment_says_what_it_misses(tmp_path, capsys):
    toml, out = write_tubes(tmp_path), tmp_path / "run"
    assert run(toml, out) == 0
    plain = toml.read_text()
    for tables, words in (
        (AGGLOMERATE, "no scores of decision points; run baselines predict first"),
        ('\n[consensus]\nsecond = "reversed"\n', "consensus.zarr: no objects; run baselines predict first"),
    ):
        toml.write_text(plain + tables)
        assert run(toml, out, command="segment") == 1
        assert words in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("consensus", ['second = "reversed"', 'second = "coarser"\ncoarser = [1, 1, 2]'])
def test_the_consensus_of_two_good_segmentations_is_the_first(tmp_path, consensus):
    toml, out = with_tables(tmp_path, f"\n[consensus]\n{consensus}\nmin_voxels = 200\n"), tmp_path / "run"
    assert run(toml, out) == 0
    first, both = stored(out, "objects.zarr"), stored(out, "consensus.zarr")
    assert np.unique(both).tolist() == np.unique(first).tolist()
    assert np.count_nonzero(both == first) > 0.97 * first.size
    assert run(toml, out, command="segment") == 0
    np.testing.assert_array_equal(labels(out), both)


@pytest.mark.slow
def test_objects_grow_into_the_blank(tmp_path):
    plain, wide = tmp_path / "plain", tmp_path / "wide"
    for out, tables in ((plain, ""), (wide, "\n[grow]\nlimit_nm = 200\n")):
        out.mkdir()
        toml = with_tables(out, tables)
        assert run(toml, out / "run") == 0
        assert run(toml, out / "run", command="segment") == 0
    before, after = labels(plain / "run"), labels(wide / "run")
    np.testing.assert_array_equal(after[before > 0], before[before > 0])
    assert np.count_nonzero(after) > 1.2 * np.count_nonzero(before)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("radius = [3, 12, 18]", "no field of view"),
        ("analysis_radius = [8, 8, 19]", "expected 0 to the radius"),
        ("min_recovery = 0.5", "stop_early"),
    ],
)
def test_canvases_that_cannot_work_are_refused(tmp_path, capsys, line, words):
    key = line.split(" ")[0]
    kept = [row for row in AGGLOMERATE.splitlines() if not row.startswith(f"{key} ")]
    toml = with_tables(tmp_path, "\n".join([*kept, line, ""]))
    assert run(toml, tmp_path / "run") == 1
    assert words in capsys.readouterr().err
