"""An experiment's TOML: what it accepts, and that it tells everything that is wrong at once."""

from dataclasses import replace

import numpy as np
import pytest

from axonem_eval.errors import InputError
from baselines.cli import SHIPPED
from baselines.common.config_file import config_from, load_config
from baselines.ffn.config import FfnConfig

MINIMAL = {"name": "x", "voxel_size_nm": [30, 8, 8]}


def complaints(values: dict) -> list[str]:
    with pytest.raises(InputError) as caught:
        config_from(values)
    return [c.message for c in caught.value.complaints]


def test_defaults_are_the_published_recipe():
    config = config_from(MINIMAL)
    assert config.model.widths == (16, 32, 64, 128)
    assert config.model.offsets[:3] == ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert len(config.model.offsets) == 12
    assert config.train.patch == (20, 256, 256)


def test_the_published_configuration_writes_the_defaults_out():
    published, defaults = load_config(SHIPPED / "published.toml"), config_from(MINIMAL)
    for table in ("model", "train", "augment", "predict", "segment", "evaluate"):
        assert getattr(published, table) == getattr(defaults, table), table


def test_contradictions_of_several_tables_come_at_once_each_with_its_place():
    found = complaints(
        MINIMAL
        | {
            "train": {"schedule": {"kind": "trapezoid"}},
            "segment": {"low": 0.9, "high": 0.2},
            "data": {"test": [{"kind": "pear"}]},
        }
    )
    assert len(found) == 3
    for text in ("config: train.schedule: cooldown_steps 0", "config: segment: low 0.9", "config: data.test[0].kind: "):
        assert any(complaint.startswith(text) for complaint in found), text


def test_a_table_s_length_is_told():
    (found,) = complaints(MINIMAL | {"predict": {"patch": [16, 96]}})
    assert found == "config: predict.patch: found 2 values, expected 3"


def test_every_complaint_comes_at_once():
    found = complaints({"name": 3, "voxel": [1, 1, 1], "model": {"width": [1], "norm": 5}})
    text = "\n".join(found)
    assert len(found) == 5
    for part in ("unknown key 'voxel'", "'voxel_size_nm' is missing", "name: found 3", "unknown key 'width'", "norm"):
        assert part in text


def test_a_patch_must_fit_the_pooling():
    (found,) = complaints(MINIMAL | {"train": {"patch": [16, 100, 96]}})
    assert "train.patch (16, 100, 96) must be a multiple of 8 along axis y" in found


def test_test_volumes_need_names_of_their_own():
    volume = {"kind": "synthetic", "shape": [8, 8, 8], "name": "a"}
    (found,) = complaints(MINIMAL | {"data": {"test": [volume, volume]}})
    assert "each needs its own" in found


def test_a_flood_filling_network_has_tables_of_its_own():
    config = config_from(MINIMAL | {"method": "ffn", "model": {"depth": 12}})
    assert isinstance(config, FfnConfig)
    assert (config.model.depth, config.model.fov, config.model.deltas) == (12, (17, 33, 33), (4, 8, 8))
    (found,) = complaints(MINIMAL | {"method": "ffn", "predict": {}})
    assert "unknown key 'predict'" in found
    assert "inference" in found


def test_a_field_of_view_and_pieces_that_do_not_fit_are_told_at_once():
    found = complaints(
        MINIMAL
        | {
            "method": "ffn",
            "voxel_size_nm": [0, 8, 8],
            "model": {"fov": [32, 33, 33], "deltas": [20, 8, 8]},
            "inference": {"subvolume": [16, 64, 64], "overlap": [16, 64, 8]},
        }
    )
    for text in ("voxel_size_nm", "model.fov", "model.deltas", "inference.overlap", "inference.subvolume"):
        assert sum(text in line for complaint in found for line in complaint.splitlines()) >= 1, text


def test_a_method_that_is_not_known_is_told():
    (found,) = complaints(MINIMAL | {"method": "lsd"})
    assert found == "config: method: found 'lsd', expected 'affinity_unet' or 'ffn'"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda p: p.stem)
def test_shipped_configurations_are_valid(path):
    assert load_config(path).name


def test_paths_are_relative_to_the_file(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text('name = "x"\nvoxel_size_nm = [1, 1, 1]\n')
    assert load_config(file).resolve("data/raw.h5") == tmp_path / "data/raw.h5"


def test_shipped_weights_are_small_and_fit_their_configuration():
    pytest.importorskip("torch")
    from baselines.affinity_unet.networks import load_model

    shipped, trained = (load_config(SHIPPED / f"{name}.toml") for name in ("synthetic-shipped", "synthetic"))
    assert shipped.model == trained.model
    assert shipped.data.test == trained.data.test
    assert shipped.resolve(shipped.checkpoint).stat().st_size < 2_000_000
    assert sum(p.numel() for p in load_model(shipped, shipped.resolve(shipped.checkpoint)).parameters()) > 1e5


@pytest.mark.slow
def test_one_step_of_the_shipped_flood_filling_network_finds_the_object_of_its_seed():
    pytest.importorskip("torch")
    from baselines.common.data import load_one
    from baselines.ffn.evaluator import Evaluator
    from baselines.ffn.examples import fill_classes
    from baselines.ffn.fill import normalised
    from baselines.ffn.flood import logit
    from baselines.ffn.networks import load_network

    config = load_config(SHIPPED / "ffn-synthetic-shipped.toml")
    volume = load_one(config, replace(config.data.test[0], shape=(24, 96, 96), seed=9, axons_only=False))
    image, fov = normalised(volume.raw, config), config.model.fov
    step = Evaluator(load_network(config, config.resolve(config.checkpoint)), precision="float32").step
    classes = fill_classes(volume.labels, tuple(n // 2 for n in fov), 1000)
    found = right = wanted = 0
    for place in np.random.default_rng(0).permutation(np.argwhere((classes > 5) & (classes < 11)))[:30]:
        box = tuple(slice(p - n // 2, p + n // 2 + 1) for p, n in zip(place, fov, strict=True))
        start = np.full(fov, logit(config.inference.pad_probability), np.float32)
        start[tuple(n // 2 for n in fov)] = logit(config.inference.seed_probability)
        filled = step(image[box], start) >= logit(config.inference.move_probability)
        inside = volume.labels[box] == volume.labels[tuple(place)]
        found, right, wanted = found + filled.sum(), right + (filled & inside).sum(), wanted + inside.sum()
    assert right > 0.9 * found
    assert right > 0.4 * wanted
