"""The configurations for data that nobody may share start on files of the same names, shapes and types.

Volumes are smaller than the real ones; padding, names, data sets and types are those of the distributors.
"""

import shutil

import h5py
import numpy as np
import pytest

torch = pytest.importorskip("torch")
tifffile = pytest.importorskip("tifffile")

from baselines.affinity_unet.model import ResidualUNet  # noqa: E402
from baselines.cli import SHIPPED  # noqa: E402
from baselines.common.config_file import load_config  # noqa: E402
from baselines.common.crops import CropStream  # noqa: E402
from baselines.common.data import load_volumes, open_raw  # noqa: E402
from baselines.ffn.evaluator import Evaluator  # noqa: E402
from baselines.ffn.fill import normalised  # noqa: E402
from baselines.ffn.flood import logit  # noqa: E402
from baselines.ffn.networks import new_network  # noqa: E402

CORNERS = {
    "h": [(z, y, x) for z in (0, 950) for y in (0, 3584) for x in (0, 3584)] + [(475, 1792, 1792)],
    "m": [(z, y, x) for z in (0, 700) for y in (0, 3584) for x in (0, 3584)] + [(350, 1792, 1792)],
}
# The real ones have 50 x 512 x 512 labelled voxels (z,y,x) and 20, 512, 512 voxels of padding on each side.
LABELLED, PADDING = (32, 300, 300), (4, 8, 8)


def blocks(shape: tuple[int, int, int], dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """(raw uint8, labels): blocks of 16 x 50 x 50 voxels, each with an id of its own."""
    z, y, x = np.indices(shape, np.uint16)
    labels = 1 + (z // 16) * 1000 + (y // 50) * 20 + x // 50
    return ((y * 7 + x * 3 + z) % 251).astype(np.uint8), labels.astype(dtype)


def write_axonem(folder, which: str) -> None:
    raw, labels = blocks(LABELLED, "uint16")
    padded, around = (np.pad(a, [(p, p) for p in PADDING]) for a in (raw, labels))
    (folder / "train").mkdir(parents=True)
    for corner in CORNERS[which]:
        name = "-".join(map(str, corner))
        for part, values in (("im", padded), ("seg", around)):
            with h5py.File(folder / "train" / f"{part}_{name}_pad.h5", "w") as file:
                file["main"] = values
    if which == "m":
        shutil.copy(folder / "train" / "im_0-0-0_pad.h5", folder / "train" / "im_675-800-800_pad.h5")
        with h5py.File(folder / "train" / "valid_mask.h5", "w") as file:
            file["main"] = np.ones(8, np.uint8)
    with h5py.File(folder / "im.h5", "w") as file:
        file["main"] = raw


def write_snemi3d(folder) -> None:
    raw, labels = blocks((100, 300, 300), "uint16")
    folder.mkdir(parents=True)
    for name, values in (("train-input", raw), ("train-labels", labels), ("test-input", raw)):
        tifffile.imwrite(folder / f"{name}.tif", values)


def start(tmp_path, name: str):
    """The configuration beside its stand-in files, its training volumes, and the grey values of its test volume."""
    (tmp_path / "checkout" / "baselines" / "configs").mkdir(parents=True)
    data = tmp_path / "shared" / "data" / name.split("-", 1)[1]
    if "axonem" in name:
        write_axonem(data, name[-1])
    else:
        write_snemi3d(data)
    copy = shutil.copy(SHIPPED / f"{name}.toml", tmp_path / "checkout" / "baselines" / "configs")
    config = load_config(copy)
    raw, _ = open_raw(config, config.data.test[0])
    return config, load_volumes(config, config.data.train), raw


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet-axonem-h", "unet-axonem-m", "unet-snemi3d"])
def test_an_affinity_unet_starts(tmp_path, name):
    config, volumes, raw = start(tmp_path, name)
    if "axonem" in name:
        assert [volume.raw.shape for volume in volumes] == [LABELLED] * 9
    crops = CropStream(volumes, config.train.patch, config.augment, config.seed, isotropic=config.isotropic)
    assert crops[0].grey.shape == config.train.patch
    assert np.asarray(raw[0:20, 0:256, 0:256]).shape == config.predict.patch
    assert sum(p.numel() for p in ResidualUNet(config.model).parameters()) == pytest.approx(2.66e6, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ffn-axonem-h", "ffn-axonem-m", "ffn-snemi3d"])
def test_a_flood_filling_network_starts(tmp_path, name):
    config, volumes, raw = start(tmp_path, name)
    assert all((volume.labels > 0).all() for volume in volumes)
    network = new_network(config.model)
    assert network.n_parameters == 472_353
    image = normalised(np.asarray(raw[0:17, 0:33, 0:33]), config)
    logits = np.full(config.model.fov, logit(0.05), np.float32)
    assert np.isfinite(Evaluator(network).step(image, logits)).all()
