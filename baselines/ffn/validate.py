"""Segment the validation volume with a network under training: the loss says little of what objects come out."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.common import evaluate
from baselines.common.precision import autocast
from baselines.common.run import VALIDATE
from baselines.ffn.config import FfnConfig
from baselines.ffn.flood import Canvas, FloodOptions
from baselines.ffn.model import ConvStack
from baselines.ffn.run import FfnRun
from baselines.ffn.seeds import peak_seeds


def validate_network(run: FfnRun, network: ConvStack) -> dict[str, float]:
    """Scores of a network on the validation volume, and the steps and objects that it took."""
    filled = canvas_of(run.config, network, run.volume(VALIDATE).raw)
    z, y, x = (n // 2 for n in run.config.model.fov)
    filled.segment_all(peak_seeds(filled.image, (z, y, x)))
    row = evaluate.score_labels(run.truth(VALIDATE), filled.segmentation.clip(0), run.config.evaluate)
    found = {f"validate/{k}": float(row[k]) for k in ("arand_error", "voi_split", "voi_merge", "background_share")}
    if "erl" in row:
        found["validate/erl_nm"] = float(row["erl"]["erl_nm"])
    return found | {"validate/objects": filled.counts.kept, "validate/fov_steps": filled.counts.steps}


def canvas_of(config: FfnConfig, network: ConvStack, raw: NDArray[np.uint8]) -> Canvas:
    """An empty canvas on a volume (z,y,x) in memory."""
    model, options = config.model, config.inference
    image = (raw.astype(np.float32) - np.float32(model.grey_mean)) / np.float32(model.grey_std)
    flood = FloodOptions(
        options.seed_probability, options.pad_probability, options.move_probability, options.segment_probability,
        options.disconnected, options.min_boundary_distance, options.min_voxels,
    )  # fmt: skip
    return Canvas(image, step_of(network, config.compute.precision), model.fov, model.deltas, flood)


def step_of(
    network: ConvStack, precision: str
) -> Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]:
    """A network as the step of a canvas: arrays (z,y,x) in and out."""
    device = next(network.parameters()).device
    network.eval()

    @torch.inference_mode()
    def step(image: NDArray[np.float32], logits: NDArray[np.float32]) -> NDArray[np.float32]:
        inputs = [torch.from_numpy(np.ascontiguousarray(part))[None, None].to(device) for part in (image, logits)]
        with autocast(device, precision):
            new = network(*inputs)
        return np.asarray(new.float().cpu()[0, 0].numpy())

    return step
