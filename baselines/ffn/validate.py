"""Segment the validation volume with a network under training: the loss says little of what objects come out."""

import numpy as np
from numpy.typing import NDArray

from baselines.common import evaluate
from baselines.common.run import VALIDATE
from baselines.ffn.evaluator import Evaluator
from baselines.ffn.fill import fill_array
from baselines.ffn.model import ConvStack
from baselines.ffn.run import FfnRun


def validate_network(run: FfnRun, network: ConvStack) -> dict[str, float]:
    """Scores of a network on the validation volume, and the steps and objects that it took."""
    evaluator, steps = Evaluator(network.eval(), precision=run.config.compute.precision), 0

    def step(image: NDArray[np.float32], logits: NDArray[np.float32]) -> NDArray[np.float32]:
        nonlocal steps
        steps += 1
        return evaluator.step(image, logits)

    labels = fill_array(run.config, run.volume(VALIDATE).raw, step)
    row = evaluate.score_labels(run.truth(VALIDATE), labels, run.config.evaluate)
    found = {f"validate/{k}": float(row[k]) for k in ("arand_error", "voi_split", "voi_merge", "background_share")}
    if "erl" in row:
        found["validate/erl_nm"] = float(row["erl"]["erl_nm"])
    return found | {"validate/objects": int(labels.max(initial=0)), "validate/fov_steps": steps}
