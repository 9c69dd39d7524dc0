"""Bright tubes in dark tissue, and a network that takes what is bright: enough to fill objects without training."""

from pathlib import Path

import h5py
import numpy as np
import torch

from baselines.ffn.model import ConvStack

FOV, DELTAS = (9, 9, 9), (3, 3, 3)
SHAPE = (26, 39, 70)
# After the data: thresholds are those of the defaults.
TABLES = """
[model]
depth = 2
features = 4
fov = [9, 9, 9]
deltas = [3, 3, 3]

[inference]
min_voxels = 300
{inference}

[compute]
threads = 1
device = "cpu"

[evaluate]
tolerance_nodes = 5
"""


def tubes(shape: tuple[int, int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """(raw uint8, labels uint32): tubes of radius 4 along x, brightest on their axes.

    They are 13 voxels apart, farther than a field of view reaches.
    """
    z, y, _ = np.indices(shape)
    radius = np.hypot(z % 13 - 6, y % 13 - 6)
    labels = np.where(radius <= 4, 1 + (z // 13) * 10 + y // 13, 0).astype(np.uint32)
    raw = np.where(labels > 0, 185 - 5 * radius, 95) + np.random.default_rng(0).integers(-3, 4, shape)
    return raw.astype(np.uint8), labels


def bright_network(strength: float = 4.0) -> ConvStack:
    """New logits are ``strength`` times the normalised grey value of each voxel, whatever the old ones are."""
    network = ConvStack(2, FOV, DELTAS, features=4)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        # ReLU leaves the positive part of a value: each value goes through two features, once with either sign.
        for feature, (given, sign, weight) in enumerate(((0, 1, strength), (0, -1, strength), (1, 1, -1), (1, -1, -1))):
            network.conv_a[0].weight[feature, given, 1, 1, 1] = sign
            network.conv_b[0].weight[feature, feature, 1, 1, 1] = 1.0
            network.last.weight[0, feature] = weight * sign
    return network


def write_tubes(folder: Path, inference: str = "") -> Path:
    """tubes.h5, the network's checkpoint and the configuration tubes.toml; returns the configuration."""
    raw, labels = tubes()
    with h5py.File(folder / "tubes.h5", "w") as file:
        file["raw"], file["labels"] = raw, labels
    torch.save({"step": 0, "model": bright_network().state_dict(), "config": "{}"}, folder / "bright.pt")
    volume = 'raw = "tubes.h5:raw"\nlabels = "tubes.h5:labels"\n'
    path = folder / "tubes.toml"
    path.write_text(
        'name = "tubes"\nmethod = "ffn"\nvoxel_size_nm = [100, 100, 100]\ncheckpoint = "bright.pt"\n\n'
        f'[[data.test]]\nname = "tubes"\n{volume}' + TABLES.format(inference=inference)
    )
    return path
