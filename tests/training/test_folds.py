"""Two networks, each judged by what it did not learn from, and their mean."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("zarr")

from axonem_eval.errors import InputError  # noqa: E402
from baselines.affinity_unet.folds import mean_of_sweeps  # noqa: E402
from baselines.affinity_unet.inference import hierarchy_of  # noqa: E402
from baselines.affinity_unet.run import open_run  # noqa: E402
from baselines.affinity_unet.stages import train_run  # noqa: E402
from baselines.affinity_unet.threshold import sweep  # noqa: E402
from baselines.cli import main  # noqa: E402
from baselines.common.checkpoint import load_checkpoint  # noqa: E402
from baselines.common.config_file import config_from, load_config  # noqa: E402
from baselines.common.submit import method_page  # noqa: E402
from tests.training.cells import SMALL, write_experiment  # noqa: E402

VOLUME = 'raw = "cells.h5:raw"\nlabels = "cells.h5:labels"\n'
DATA = f"""
[[folds]]
[[folds.train]]
{VOLUME}z = [0, 6]
[folds.validate]
{VOLUME}z = [6, 12]

[[folds]]
[[folds.train]]
{VOLUME}z = [6, 12]
[folds.validate]
{VOLUME}z = [0, 6]

[[data.test]]
name = "cells"
{VOLUME}
"""


@pytest.fixture
def toml(tmp_path):
    return write_experiment(tmp_path, DATA, steps=60)


@pytest.mark.slow
def test_folds_are_trained_joined_and_judged_by_what_was_kept_from_them(toml, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["reproduce", str(toml), "-o", str(out), "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cells"]["arand_error"] < 0.2
    first, second, joined = (load_checkpoint(out / place / "last.pt") for place in ("fold-0", "fold-1", "."))
    assert all(torch.equal(weight, joined["earlier"][0][name]) for name, weight in first["model"].items())
    assert all(torch.equal(weight, joined["model"][name]) for name, weight in second["model"].items())
    assert not torch.equal(first["model"]["embed.weight"], second["model"]["embed.weight"])

    run = open_run(load_config(toml), out, quiet=True)
    rows = json.loads((out / "threshold.json").read_text())["sweep"]
    for place, row in enumerate(rows):
        alone = [sweep(fold, "validate", hierarchy_of(fold, "validate"))[place] for fold in run.folds]
        assert {each["threshold"] for each in alone} == {row["threshold"]}
        assert row["voi_sum"] == pytest.approx(sum(each["voi_sum"] for each in alone) / 2)
    # again, with nothing left to do: the same file, which prediction asks for
    before = (out / "last.pt").stat().st_mtime_ns
    assert main(["reproduce", str(toml), "-o", str(out), "--quiet", "--json"]) == 0
    assert (out / "last.pt").stat().st_mtime_ns == before


@pytest.mark.slow
def test_provenance_and_method_page_name_what_every_fold_learnt_from(toml, tmp_path):
    train_run(open_run(load_config(toml), tmp_path / "run", quiet=True))
    notes = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert notes["seconds"]["fold-0 train"] > 0
    assert notes["seconds"]["fold-1 train"] > 0
    page = method_page("demo", "U-Net", notes, publish=True)
    assert "cells, 6,48,48 voxels (z,y,x); cells, 6,48,48 voxels (z,y,x)" in page.replace(" x ", ",")


@pytest.mark.slow
def test_folds_can_be_trained_one_by_one(toml, tmp_path):
    out = tmp_path / "run"
    assert main(["train", str(toml), "--fold", "1", "-o", str(out), "--quiet"]) == 0
    assert not (out / "fold-0" / "last.pt").exists()
    weights = load_checkpoint(out / "fold-1" / "last.pt")["model"]
    assert main(["train", str(toml), "-o", str(out), "--quiet"]) == 0
    assert all(torch.equal(weight, weights[name]) for name, weight in load_checkpoint(out / "last.pt")["model"].items())


def going_on(toml, text: str):
    """A configuration that trains cells.toml first, and then at a rate of nearly nothing."""
    text = text.replace("steps = 60", 'steps = 2\nstart = "cells.toml"').replace("rate = 0.01", "rate = 1e-30")
    toml.with_name("second.toml").write_text(text)
    return toml.with_name("second.toml")


@pytest.mark.slow
def test_each_fold_goes_on_from_the_same_fold_of_another_training(toml, tmp_path):
    out = tmp_path / "run"
    assert main(["train", str(going_on(toml, toml.read_text())), "-o", str(out), "--quiet"]) == 0
    for fold in ("fold-0", "fold-1"):
        first = load_checkpoint(out / fold / "start" / fold / "last.pt")
        second = load_checkpoint(out / fold / "last.pt")
        assert (first["step"], second["step"]) == (60, 2)
        assert all(torch.equal(first["model"][name], weight) for name, weight in second["model"].items())


def test_a_fold_does_not_begin_with_weights_that_learnt_from_what_is_kept_from_it(toml, tmp_path, capsys):
    turned = toml.read_text().replace("[0, 6]", "[?]").replace("[6, 12]", "[0, 6]").replace("[?]", "[6, 12]")
    assert main(["train", str(going_on(toml, turned)), "-o", str(tmp_path / "run"), "--quiet"]) == 1
    assert "train.start cells.toml: its fold 0 has other volumes than this one's" in capsys.readouterr().err


def test_a_fold_that_is_not_there_is_told(toml, tmp_path, capsys):
    assert main(["train", str(toml), "--fold", "2", "-o", str(tmp_path / "run")]) == 1
    assert "cells: no fold 2; the configuration has 0 to 1" in capsys.readouterr().err


def test_folds_and_a_training_volume_of_their_own_exclude_each_other():
    volume = {"raw": "a.h5", "labels": "b.h5"}
    fold = {"train": [volume], "validate": volume}
    with pytest.raises(InputError, match=r"data\.train, data\.validate and checkpoint must go"):
        config_from(SMALL | {"folds": [fold], "data": {"train": [volume]}})
    with pytest.raises(InputError, match=r"each needs \[\[folds.train\]\] and \[folds.validate\]"):
        config_from(SMALL | {"folds": [{"train": [volume]}]})


def test_the_mean_of_sweeps_is_taken_threshold_by_threshold():
    one = [{"threshold": 0.2, "voi_sum": 1.0, "erl": {"erl_nm": 4.0}}, {"threshold": 0.4, "voi_sum": 2.0}]
    two = [{"threshold": 0.2, "voi_sum": 3.0, "erl": {"erl_nm": 8.0}}, {"threshold": 0.4, "voi_sum": 2.0, "erl": {}}]
    assert mean_of_sweeps([one, two]) == [
        {"threshold": pytest.approx(0.2), "voi_sum": 2.0, "erl": {"erl_nm": 6.0}},
        {"threshold": pytest.approx(0.4), "voi_sum": 2.0},
    ]
