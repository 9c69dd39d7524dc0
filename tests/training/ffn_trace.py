"""A stored trace of a small network: its checkpoint in TensorFlow's format, an image, and one object grown in it.

    python -m tests.training.ffn_trace

writes the files again. NumPy evaluates the network, from the checkpoint's variables in float64.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from baselines.ffn.flood import Canvas, FloodOptions
from baselines.ffn.model import ConvStack
from tests.training.tensorflow_files import evaluate_by_numpy, variables_of, write_checkpoint

FOLDER = Path(__file__).parent / "ffn_trace"
CHECKPOINT = FOLDER / "model.ckpt-7"
DEPTH, FEATURES, FOV, DELTAS = 3, 4, (9, 11, 11), (2, 3, 3)
SEED = (12, 14, 14)


def grow(image: np.ndarray, step, *, disconnected: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Places that are visited from the seed, (n, 3), and the canvas's logits at the end, NaN where nothing was."""
    visited: list[tuple[int, int, int]] = []
    canvas = Canvas(image, step, FOV, DELTAS, FloodOptions(disconnected=disconnected))
    canvas.watch = lambda position, old, new: visited.append(position)
    canvas.flood(SEED)
    return np.array(visited), canvas.logits


def write(random_seed: int) -> bool:
    """Write the trace of a network with these random weights; False where its object is not worth a trace.

    Worth it: several moves, and the rule on disconnected seeds changes the result.
    """
    torch.manual_seed(random_seed)
    network = ConvStack(DEPTH, FOV, DELTAS, FEATURES)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
        network.last.bias.add_(2)
    image = np.random.default_rng(random_seed).normal(0, 1, (25, 29, 29)).astype(np.float32)
    step = partial(evaluate_by_numpy, variables_of(network))
    visited, logits = grow(image, lambda a, b: step(a, b).astype(np.float32))
    other, without = grow(image, lambda a, b: step(a, b).astype(np.float32), disconnected=-1.0)
    same = other.shape == visited.shape and np.array_equal(without, logits, equal_nan=True)
    if same or not 6 <= len(visited) <= 20 or np.nanmax(np.abs(logits)) > 40:
        return False
    FOLDER.mkdir(exist_ok=True)
    write_checkpoint(CHECKPOINT, {**variables_of(network), "global_step": np.array([7], np.int64)})
    np.savez_compressed(FOLDER / "trace.npz", image=image, visited=visited.astype(np.int16), logits=logits)
    return True


if __name__ == "__main__":
    print(next(seed for seed in range(1000) if write(seed)))
