"""Filling volumes: from the command line, in pieces, several at a time, and after a kill."""

import json
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest

torch = pytest.importorskip("torch")
zarr = pytest.importorskip("zarr")

from axonem_eval.volumes import open_labels  # noqa: E402
from baselines.cli import main  # noqa: E402
from baselines.common.cluster import Cluster  # noqa: E402
from baselines.common.config_file import load_config  # noqa: E402
from baselines.ffn.evaluator import Evaluator  # noqa: E402
from baselines.ffn.pieces import neighbours, pieces_of, shared  # noqa: E402
from baselines.ffn.reconcile import matched, whole_numbers  # noqa: E402
from baselines.ffn.refine import predict_volume  # noqa: E402
from baselines.ffn.run import open_run  # noqa: E402
from tests.training.tubes import FOV, bright_network, tubes, write_tubes  # noqa: E402

IN_PIECES = "subvolume = [26, 39, 30]\noverlap = [0, 0, 12]"


def run(toml, out, *more, command="predict") -> int:
    return main([command, str(toml), "-o", str(out), "--quiet", *more])


def objects(out) -> np.ndarray:
    return np.asarray(zarr.open_array(out / "tubes-objects" / "objects.zarr", mode="r")[:])


def test_reproduce_leaves_labels_scores_and_provenance(tmp_path, capsys):
    toml, out = write_tubes(tmp_path), tmp_path / "run"
    assert run(toml, out, "--json", command="reproduce") == 0
    scores = json.loads(capsys.readouterr().out)["tubes"]
    assert scores["arand_error"] < 0.1
    assert scores["segments"] == 6
    with h5py.File(out / "tubes.h5") as file:
        np.testing.assert_array_equal(file["main"][()], objects(out))
        assert file["main"].attrs["voxel_size_nm"].tolist() == [100, 100, 100]
    notes = json.loads((out / "provenance.json").read_text())
    assert {"predict tubes", "segment tubes", "evaluate tubes"} <= set(notes["seconds"])
    assert notes["results"]["tubes filling"]["kept"] == 6
    assert run(toml, out, "--section", "6", command="picture") == 0


def test_labels_are_exported_for_neuroglancer(tmp_path, capsys):
    pytest.importorskip("tensorstore")
    toml, out = write_tubes(tmp_path), tmp_path / "run"
    assert run(toml, out, command="neuroglancer") == 1
    assert "run baselines segment first" in capsys.readouterr().err
    for command in ("predict", "segment", "neuroglancer", "neuroglancer"):
        assert run(toml, out, command=command) == 0
    with open_labels(out / "tubes-precomputed") as volume:
        np.testing.assert_array_equal(volume.read(tuple(slice(0, n) for n in volume.shape_zyx)), objects(out))
        assert volume.info.voxel_size_nm_zyx == (100, 100, 100)


@pytest.mark.slow
def test_pieces_give_the_objects_of_the_whole(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "pieces").mkdir()
    assert run(write_tubes(tmp_path / "whole"), tmp_path / "a") == 0
    assert run(write_tubes(tmp_path / "pieces", IN_PIECES), tmp_path / "b") == 0
    whole, pieces = objects(tmp_path / "a"), objects(tmp_path / "b")
    assert json.loads((tmp_path / "b" / "provenance.json").read_text())["results"]["tubes filling"]["pieces"] == 4
    assert len(np.unique(pieces)) == len(np.unique(whole)) == 7
    name = np.zeros(7, int)
    for ours, theirs in matched(pieces, whole, 0.5):
        name[ours] = theirs
    # A piece sees no farther than its own border, so a few voxels at faces may differ.
    assert np.count_nonzero(name[pieces] != whole) < 0.02 * np.count_nonzero(whole)


@pytest.mark.slow
def test_pieces_that_share_a_forward_pass_come_out_as_alone(tmp_path):
    for name, more in (("alone", ""), ("together", "batch = 3")):
        (tmp_path / name).mkdir()
        assert run(write_tubes(tmp_path / name, f"{IN_PIECES}\n{more}"), tmp_path / name / "run") == 0
    np.testing.assert_array_equal(objects(tmp_path / "alone" / "run"), objects(tmp_path / "together" / "run"))


SCRIPT = """
import os, signal, sys
from pathlib import Path
from axonem_eval.volumes import open_labels  # noqa: E402
from baselines.cli import main
from baselines.ffn import fill, inference

left = int(sys.argv[3])
fill.SAVE_EVERY_S = 0.0

def passed(self, steps):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

inference.SeedBar.passed = passed
sys.exit(main(["predict", sys.argv[1], "-o", sys.argv[2], "--quiet"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("inference", ["save_probabilities = true", f"{IN_PIECES}\nfill_blank = 20"])
def test_a_killed_run_goes_on_to_the_undisturbed_result(tmp_path, inference):
    toml = write_tubes(tmp_path, inference)
    command = [sys.executable, "-c", SCRIPT, str(toml), str(tmp_path / "killed")]
    for after in ("130", "60"):
        assert subprocess.run([*command, after], timeout=300).returncode == -signal.SIGKILL
    states = list((tmp_path / "killed" / "tubes-objects").glob("*-state.npz"))
    assert len(states) == 1  # it stopped within a piece, after its first object
    assert run(toml, tmp_path / "killed") == 0
    assert run(toml, tmp_path / "whole") == 0
    for store in ("objects.zarr", *(["probability.zarr"] if "save" in inference else [])):
        one, other = (zarr.open_array(tmp_path / p / "tubes-objects" / store, mode="r") for p in ("killed", "whole"))
        np.testing.assert_array_equal(one[:], other[:])
    counts = [json.loads((tmp_path / p / "provenance.json").read_text())["results"] for p in ("killed", "whole")]
    assert counts[0] == counts[1]
    assert not list((tmp_path / "killed" / "tubes-objects").glob("*-state.npz"))


def test_a_folder_with_objects_of_other_settings_is_not_mixed(tmp_path, capsys):
    toml = write_tubes(tmp_path)
    assert run(toml, tmp_path / "run") == 0
    toml.write_text(toml.read_text().replace("min_voxels = 300", "min_voxels = 301"))
    assert run(toml, tmp_path / "run") == 1
    assert "min_voxels is 300 there, 301 here" in capsys.readouterr().err


def test_a_checkpoint_that_is_missing_is_told(tmp_path, capsys):
    toml = write_tubes(tmp_path)
    (tmp_path / "bright.pt").unlink()
    assert run(toml, tmp_path / "run") == 1
    assert "bright.pt: no such checkpoint" in capsys.readouterr().err


def test_probabilities_are_those_of_the_voxels_of_objects(tmp_path):
    assert run(write_tubes(tmp_path, "save_probabilities = true"), tmp_path / "run") == 0
    found, of = objects(tmp_path / "run"), tmp_path / "run" / "tubes-objects" / "probability.zarr"
    probability = np.asarray(zarr.open_array(of, mode="r")[:])
    assert (probability[found == 0] == 0).all()
    assert (probability[found > 0] >= round(255 * 0.6)).all()


@pytest.mark.slow
def test_what_is_left_blank_is_filled_by_smaller_objects(tmp_path):
    """A tube has about 3,400 voxels: too few for a minimum of 5,000, and enough for 300."""
    for name, more in (("left", ""), ("filled", "fill_blank = 300")):
        (tmp_path / name).mkdir()
        toml = write_tubes(tmp_path / name, more)
        toml.write_text(toml.read_text().replace("min_voxels = 300", "min_voxels = 5000"))
        assert run(toml, tmp_path / name / "run") == 0
    assert not objects(tmp_path / "left" / "run").any()
    found, (_, truth) = objects(tmp_path / "filled" / "run"), tubes()
    assert len(np.unique(found)) == 7
    assert np.count_nonzero(found[truth > 0]) > 0.95 * np.count_nonzero(truth)


# ---- the network -----------------------------------------------------------------------------------------------------


def fields(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(1)
    return [tuple(rng.normal(0, 1, (2, *FOV)).astype(np.float32)) for _ in range(count)]


def test_a_step_does_not_depend_on_who_shares_the_pass():
    evaluator = Evaluator(bright_network(), batch=3)
    given = fields(3)
    together = evaluator.submit(given)()
    for place, (image, logits) in enumerate(given):
        np.testing.assert_allclose(evaluator.step(image, logits), together[place], rtol=0, atol=1e-5)


def test_old_logits_are_not_rounded_in_bfloat16():
    """The network's update is rounded; a network whose update is nothing leaves every bit."""
    ((image, logits),) = fields(1)
    network = bright_network()
    torch.nn.init.zeros_(network.last.weight)
    evaluator = Evaluator(network, precision="bfloat16")
    np.testing.assert_array_equal(evaluator.step(image, logits), logits)


# ---- pieces ----------------------------------------------------------------------------------------------------------


def test_cores_tile_the_volume_and_neighbours_share_the_overlap():
    shape = (20, 50, 33)
    found = pieces_of(shape, (20, 20, 20), (4, 8, 6))
    covered = np.zeros(shape, int)
    for piece in found:
        covered[piece.core] += 1
        assert all(b.start <= c.start and c.stop <= b.stop for b, c in zip(piece.box, piece.core, strict=True))
    assert (covered == 1).all()
    by_y = [shared(a.box, b.box)[1] for a, b in neighbours(found) if a.box[2] == b.box[2] and b.index - a.index == 2]
    assert min(part.stop - part.start for part in by_y) >= 8


def test_a_volume_smaller_than_a_subvolume_is_one_piece():
    (piece,) = pieces_of((10, 64, 512), (256, 512, 512), (32, 64, 64))  # also as long as an overlap, or as a subvolume
    assert piece.box == piece.core == (slice(0, 10), slice(0, 64), slice(0, 512))


@pytest.mark.parametrize(
    ("ours", "theirs", "pairs"),
    [
        ([1, 1, 1, 0], [4, 4, 4, 4], [[1, 4]]),
        ([1, 1, 2, 2], [4, 4, 4, 4], [[1, 4]]),  # the best partner of both, the smaller id of equals
        ([1, 1, 1, 2, 2, 0], [4, 4, 5, 5, 5, 5], [[1, 4], [2, 5]]),
        ([1, 1, 1, 0, 0, 0], [0, 0, 4, 4, 4, 4], []),  # a third of the smaller one
        ([0, 0, 0], [4, 4, 4], []),
    ],
)
def test_objects_are_one_where_each_is_the_other_s_best_partner(ours, theirs, pairs):
    assert matched(np.array(ours, np.uint32), np.array(theirs, np.uint32), 0.5).tolist() == pairs


def test_objects_are_one_along_a_chain_of_pieces():
    same = {(0, 1): np.array([[2, 1]]), (1, 2): np.array([[1, 3]])}
    numbers = whole_numbers([2, 1, 3], same)
    assert [number.tolist() for number in numbers] == [[0, 1, 2], [0, 2], [0, 3, 4, 2]]


@pytest.mark.slow
def test_pieces_filled_by_workers_come_out_as_in_one_process(tmp_path):
    pytest.importorskip("distributed")
    toml = write_tubes(tmp_path, IN_PIECES)
    config = load_config(toml)
    for name, workers in (("here", 0), ("workers", 2)):
        run = open_run(config, tmp_path / name, quiet=True)
        with Cluster(workers) as cluster:
            run.compute_on(cluster)
            predict_volume(run, "tubes")
    np.testing.assert_array_equal(objects(tmp_path / "here"), objects(tmp_path / "workers"))
