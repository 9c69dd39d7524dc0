"""From data to scored labels by one command, on a volume small enough for seconds."""

import json

import h5py
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("zarr")

from baselines.affinity_unet.inference import hierarchy_of  # noqa: E402
from baselines.affinity_unet.networks import export_weights  # noqa: E402
from baselines.affinity_unet.run import open_run  # noqa: E402
from baselines.affinity_unet.threshold import choose_threshold, sweep  # noqa: E402
from baselines.cli import find_config, main  # noqa: E402
from baselines.common import evaluate  # noqa: E402
from baselines.common.checkpoint import load_checkpoint  # noqa: E402
from baselines.common.config_file import load_config, with_test_files  # noqa: E402
from baselines.common.provenance import file_checksum  # noqa: E402
from tests.training.cells import SMALL, write_experiment  # noqa: E402

DATA = """
[[data.train]]
raw = "cells.h5:raw"
labels = "cells.h5:labels"

[data.validate]
raw = "cells.h5:raw"
labels = "cells.h5:labels"
z = [0, 6]

[[data.test]]
name = "cells"
raw = "cells.h5:raw"
labels = "cells.h5:labels"
"""


@pytest.fixture
def toml(tmp_path):
    return write_experiment(tmp_path, DATA, steps=80)


@pytest.mark.slow
def test_reproduce_leaves_labels_scores_and_provenance(toml, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["reproduce", str(toml), "-o", str(out), "--quiet", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["cells"]
    assert scores["arand_error"] < 0.2
    notes = json.loads((out / "provenance.json").read_text())
    assert notes["command"] == f"baselines reproduce {toml}"
    assert notes["config"]["seed"] == 5
    assert "train start" not in notes["seconds"]  # it began with nothing
    assert {"train", "predict cells", "segment cells", "evaluate cells"} <= set(notes["seconds"])
    assert notes["data"]["cells"]["raw_sha256"] == notes["data"]["train-0"]["raw_sha256"]
    with h5py.File(out / "cells.h5") as file:
        assert file["main"].shape == (12, 48, 48)
        assert file["main"].attrs["voxel_size_nm"].tolist() == [300, 80, 80]
        first = file["main"][()]
    # again, with nothing left to train or predict: the same labels
    assert main(["reproduce", str(toml), "-o", str(out), "--quiet", "--json"]) == 0
    with h5py.File(out / "cells.h5") as file:
        assert np.array_equal(file["main"][()], first)

    run = open_run(load_config(toml), out, quiet=True)
    rows = sweep(run, "cells", hierarchy_of(run, "cells"))
    chosen = next(row for row in rows if row["threshold"] == choose_threshold(run))
    assert chosen["voi_sum"] == pytest.approx(scores["voi_sum"], abs=1e-12)

    size = export_weights(out / "last.pt", tmp_path / "small.pt")
    assert size < (out / "last.pt").stat().st_size / 3
    shipped = toml.read_text().replace("dust = 5", "dust = 5\nthreshold = 0.5")
    (tmp_path / "shipped.toml").write_text(f'checkpoint = "small.pt"\n{shipped}')
    assert main(["reproduce", str(tmp_path / "shipped.toml"), "-o", str(tmp_path / "again"), "--quiet"]) == 0


@pytest.fixture
def going_on(toml):
    """A configuration that trains cells.toml first, and then at a rate of nearly nothing."""
    text = (
        toml.read_text().replace("steps = 80", 'steps = 2\nstart = "cells.toml"').replace("rate = 0.01", "rate = 1e-30")
    )
    toml.with_name("second.toml").write_text(text)
    return toml.with_name("second.toml")


@pytest.mark.slow
def test_a_training_begins_with_the_weights_of_another_that_it_makes_first(going_on, tmp_path):
    out = tmp_path / "run"
    assert main(["train", str(going_on), "-o", str(out), "--quiet"]) == 0
    first, second = load_checkpoint(out / "start" / "last.pt"), load_checkpoint(out / "last.pt")
    assert (first["step"], second["step"]) == (80, 2)
    assert all(torch.equal(first["model"][name], weight) for name, weight in second["model"].items())
    notes = json.loads((out / "provenance.json").read_text())
    assert notes["results"]["start_sha256"] == file_checksum(out / "start" / "last.pt")
    assert notes["seconds"]["train start"] > 0


@pytest.mark.slow
def test_a_training_goes_on_without_the_checkpoint_that_it_began_with(toml, going_on, tmp_path):
    out = tmp_path / "run"
    assert main(["train", str(toml), "-o", str(tmp_path / "first"), "--quiet"]) == 0
    going_on.write_text(going_on.read_text().replace("cells.toml", "first/last.pt"))
    assert main(["train", str(going_on), "-o", str(out), "--quiet"]) == 0
    (tmp_path / "first" / "last.pt").unlink()
    going_on.write_text(going_on.read_text().replace("steps = 2", "steps = 4"))
    assert main(["train", str(going_on), "-o", str(out), "--quiet"]) == 0
    assert load_checkpoint(out / "last.pt")["step"] == 4


def test_a_start_that_is_missing_is_told_before_training(going_on, tmp_path, capsys):
    going_on.write_text(going_on.read_text().replace("cells.toml", "none.pt"))
    assert main(["train", str(going_on), "-o", str(tmp_path / "run"), "--quiet"]) == 1
    assert "none.pt: no such checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "run" / "last.pt").exists()


def test_mistakes_are_told_in_one_line_each_and_exit_with_one(tmp_path, capsys):
    (tmp_path / "bad.toml").write_text('name = "x"\nvoxel_size_nm = [1, 1, 1]\nsteps = 5\n')
    assert main(["train", str(tmp_path / "bad.toml")]) == 1
    assert "unknown key 'steps'" in capsys.readouterr().err


def test_files_named_with_em_are_the_only_test_volumes(tmp_path):
    (tmp_path / "b-em.h5").touch()
    config = with_test_files(load_config(find_config("synthetic-shipped")), {"b": tmp_path / "b-em.h5"})
    (spec,) = config.data.test
    assert (spec.kind, spec.name, spec.raw) == ("pair", "b", str(tmp_path / "b-em.h5"))
    assert config.voxel_size_of(spec) == (30, 12, 12)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("c=a-em.h5", "synthetic-shipped: no test volume 'c'; it has a, b"),
        ("a=none.h5", "none.h5: no such file (the EM of test volume 'a')"),
    ],
)
def test_a_file_named_with_em_that_cannot_be_used_is_told(given, told, capsys):
    assert main(["predict", "synthetic-shipped", "--em", given]) == 1
    assert told in capsys.readouterr().err


def test_the_method_page_is_one_that_the_client_reads(tmp_path):
    from baselines.common.config_file import config_from
    from baselines.common.provenance import Provenance
    from baselines.common.submit import method_page

    method = pytest.importorskip("axonem_eval.client.method")
    provenance = Provenance(tmp_path / "p.json", config_from(SMALL), 'baselines reproduce "small"')
    provenance.note("data", "train-0", {"volume": "tissue", "shape": [8, 64, 64]})
    provenance.note("seconds", "train", 12.5)
    path = tmp_path / "method.toml"
    path.write_text(method_page("demo", "Affinity U-Net", provenance.values, publish=True))
    found = method.read_method(path)
    assert (found.benchmark, found.method, found.publish) == ("demo", "Affinity U-Net", True)
    assert 'Made by `baselines reproduce "small"`' in found.description
    assert found.training_data == "tissue, 8 x 64 x 64 voxels (z,y,x)"
    assert "train 12 s" in found.compute


def test_renaming_a_table_equals_renaming_the_labels():
    rng = np.random.default_rng(0)
    truth, fragments = rng.integers(0, 4, (2, 500))
    lookup = np.array([0, 2, 2, 1, 0, 3])
    fragments = fragments + 1
    found = evaluate.renamed(evaluate.overlaps([(truth, fragments)]), lookup)
    direct = evaluate.overlaps([(truth, lookup[fragments])])
    assert np.array_equal(found.truth, direct.truth)
    assert np.array_equal(found.segment, direct.segment)
    assert np.array_equal(found.voxels, direct.voxels)


def test_the_best_row_is_chosen_by_what_is_asked_for():
    rows = [
        {"threshold": 0.2, "voi_sum": 1.0, "arand_error": 0.4, "erl": {"erl_nm": 5.0}},
        {"threshold": 0.4, "voi_sum": 1.2, "arand_error": 0.2, "erl": {"erl_nm": 9.0}},
    ]
    assert evaluate.best(rows, "voi_sum")["threshold"] == 0.2
    assert evaluate.best(rows, "arand_error")["threshold"] == 0.4
    assert evaluate.best(rows, "erl")["threshold"] == 0.4


def test_a_threshold_amid_good_ones_is_preferred_to_a_better_one_at_the_edge():
    rows = [{"threshold": t, "voi_sum": voi} for t, voi in ((0.1, 3.0), (0.2, 1.0), (0.3, 1.1), (0.4, 1.2), (0.5, 3.0))]
    assert evaluate.best(rows, "voi_sum")["threshold"] == 0.2
    assert evaluate.best(rows, "voi_sum", within=0.1)["threshold"] == 0.3
