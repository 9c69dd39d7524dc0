"""Trained networks: load them for inference, write them to ship."""

from pathlib import Path

import torch
from torch import nn

from baselines.affinity_unet.config import UnetConfig
from baselines.affinity_unet.model import MeanOfNetworks, ResidualUNet
from baselines.common.checkpoint import load_checkpoint, load_weights, save_checkpoint
from baselines.common.device import move_to, pick_device


def load_model(config: UnetConfig, checkpoint: Path) -> nn.Module:
    """The configuration's network with a checkpoint's weights, ready for inference on the configured device.

    A checkpoint of several cycles or folds gives the mean of its networks.
    """
    found = load_checkpoint(checkpoint)
    networks = []
    for state in (*({"model": weights} for weights in found.get("earlier", [])), found):
        networks.append(ResidualUNet(config.model))
        load_weights(networks[-1], state, checkpoint)
    model: nn.Module = networks[0] if len(networks) == 1 else MeanOfNetworks(networks)
    return move_to(pick_device(config.compute.device), model).eval()


def export_weights(source: Path, target: Path) -> int:
    """Write a small checkpoint to ship: weights in half precision and the configuration; returns its bytes."""
    checkpoint = load_checkpoint(source)
    kept = {
        "step": checkpoint["step"],
        "model": _halved(checkpoint["model"]),
        "earlier": [_halved(weights) for weights in checkpoint.get("earlier", [])],
        "config": checkpoint["config"],
    }
    save_checkpoint(target, kept)
    return target.stat().st_size


def _halved(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
