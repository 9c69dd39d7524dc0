"""Prediction: blending, flips, tiles, kills."""

import re
import time
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
zarr = pytest.importorskip("zarr")

from torch import nn  # noqa: E402

from baselines.affinity_unet.model import ResidualUNet  # noqa: E402
from baselines.affinity_unet.predict import forward, predict, transforms  # noqa: E402
from baselines.affinity_unet.targets import affinity_targets  # noqa: E402
from baselines.common.blockwise import OtherJob  # noqa: E402

RAW = np.random.default_rng(1).integers(0, 256, (11, 37, 45)).astype(np.uint8)


class Stop(Exception):
    pass


def stop_after(count: int):
    left = [count]

    def step() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Stop

    return step


@pytest.fixture
def model(small):
    torch.manual_seed(0)
    net = ResidualUNet(small.model).eval()
    nn.init.normal_(net.head.weight, std=0.2)
    return net


def run(model, small, store, **options):
    return np.asarray(predict(model, RAW, store, small.predict, quiet=True, **options)[:])


def test_tiles_give_the_same_bytes(model, small, tmp_path):
    whole = run(model, small, tmp_path / "whole.zarr")
    tiled = replace(small, predict=replace(small.predict, tile=(16, 24)))
    assert np.array_equal(run(model, tiled, tmp_path / "tiles.zarr"), whole)
    assert whole.shape == (3, 11, 37, 45)
    assert whole.std() > 5


@pytest.mark.slow
@pytest.mark.parametrize("patches", [1, 13, 40, 81])
def test_a_broken_run_goes_on_to_the_same_bytes(model, small, tmp_path, patches):
    whole = run(model, small, tmp_path / "whole.zarr")
    with pytest.raises(Stop):
        run(model, small, tmp_path / "cut.zarr", after_patch=stop_after(patches))
    assert np.array_equal(run(model, small, tmp_path / "cut.zarr"), whole)


def bars(text: str) -> list[str]:
    """What a progress bar showed, one after the other."""
    return [bar for bar in text.split("\r") if "patch" in bar]


def test_the_time_left_is_shown_from_the_first_patch_on(model, small, tmp_path, capsys):
    with pytest.raises(Stop):
        predict(model, RAW, tmp_path / "a.zarr", small.predict, after_patch=stop_after(0))
    shown = [bar for bar in bars(capsys.readouterr().err) if "| 1/" in bar]
    assert shown
    assert re.search(r"\[\d+:\d\d<\d+:\d\d, ", shown[0])


def test_the_time_left_counts_no_patch_that_an_earlier_run_predicted(model, small, tmp_path, capsys):
    with pytest.raises(Stop):
        run(model, small, tmp_path / "a.zarr", after_patch=stop_after(60))

    class Slow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, grey):
            time.sleep(0.5)
            return self.model(grey)

    with pytest.raises(Stop):
        predict(Slow(), RAW, tmp_path / "a.zarr", small.predict, after_patch=stop_after(0))
    done, total, minutes, seconds = map(
        int, re.search(r"\| (\d+)/(\d+) \[\d+:\d\d<(\d+):(\d\d)", bars(capsys.readouterr().err)[-1]).groups()
    )
    assert done > 30
    assert 60 * minutes + seconds >= 0.5 * (total - done) - 1


def test_a_type_that_changes_on_the_way_is_told_by_name(model, small, tmp_path):
    run(model, small, tmp_path / "a.zarr", precision="float32")
    with pytest.raises(OtherJob, match=r"precision is float32 there, bfloat16 here"):
        run(model, small, tmp_path / "a.zarr", precision="bfloat16")


def test_blending_a_constant_gives_the_constant(small, tmp_path):
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, grey):
            return torch.full((len(grey), 4, *grey.shape[2:]), 1.0) + self.weight

    found = run(Constant(), small, tmp_path / "c.zarr")
    inside = found[:, 1:, 1:, 1:]
    assert np.abs(inside.astype(int) - round(255 / (1 + np.exp(-1)))).max() <= 1  # bfloat16 of the logit


def test_links_out_of_the_volume_are_zero(model, small, tmp_path):
    found = run(model, small, tmp_path / "a.zarr")
    assert not found[0, 0].any()
    assert not found[1, :, 0].any()
    assert not found[2, :, :, 0].any()


def test_a_volume_smaller_than_a_patch_is_predicted(model, small, tmp_path):
    found = predict(model, RAW[:3, :9, :10], tmp_path / "s.zarr", small.predict, quiet=True)
    assert found.shape == (3, 3, 9, 10)
    assert np.asarray(found[:]).any()


class Links(nn.Module):
    """Knows the truth: grey values are labels, and a link joins equal ones."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, grey):
        labels = np.rint(grey[:, 0].numpy() * 255).astype(np.int32)
        offsets = [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
        links = [affinity_targets(one, np.ones(one.shape, bool), offsets)[0] for one in labels]
        return (torch.from_numpy(np.stack(links)).float() - 0.5) * 40 + self.weight


@pytest.mark.parametrize("index", range(16))
def test_every_flip_is_undone_link_by_link(index, monkeypatch):
    """A perfect predictor must say the same whichever way the volume is turned, up to the undefined first planes."""
    from baselines.affinity_unet import predict as module

    labels = np.random.default_rng(0).integers(1, 3, (1, 5, 6, 6)).astype(np.float32) / 255
    straight = forward(Links(), labels, precision="float32")
    chosen = transforms(16)[index]
    monkeypatch.setattr(module, "transforms", lambda count: [chosen])
    turned = forward(Links(), labels, precision="float32")
    assert np.allclose(turned[:, :, 1:, 1:, 1:], straight[:, :, 1:, 1:, 1:])


def test_another_input_in_the_folder_is_refused(model, small, tmp_path):
    run(model, small, tmp_path / "a.zarr", job={"raw": "one"})
    with pytest.raises(OtherJob):
        run(model, small, tmp_path / "a.zarr", job={"raw": "two"})


def test_a_file_is_read_box_by_box(model, small, tmp_path):
    """The same bytes as from memory, for a crop of a stored volume."""
    import h5py

    from baselines.common.config_data import VolumeConfig
    from baselines.common.data import open_raw

    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("main", data=RAW, chunks=(4, 16, 16))
    config = replace(small, folder=str(tmp_path))
    raw, identity = open_raw(config, VolumeConfig(raw="raw.h5", z=(1, 9), x=(5, 45)))
    assert raw.shape == (8, 37, 40)
    assert "raw.h5" in identity
    stored = predict(model, raw, tmp_path / "a.zarr", small.predict, quiet=True)
    held = predict(model, RAW[1:9, :, 5:45], tmp_path / "b.zarr", small.predict, quiet=True)
    assert np.array_equal(stored[:], held[:])
