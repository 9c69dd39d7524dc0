"""One object of a network that is stored as a TensorFlow checkpoint, move by move, beside what NumPy computed of it."""

import numpy as np
import pytest

pytest.importorskip("torch")

from baselines.common.config_file import config_from
from baselines.ffn.evaluator import Evaluator
from baselines.ffn.networks import load_network
from tests.training.ffn_trace import CHECKPOINT, DELTAS, DEPTH, FEATURES, FOLDER, FOV, grow


@pytest.fixture(scope="module")
def trace() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "trace.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_stored_object_comes_out_move_by_move(trace, channels_last, batch):
    """The rule on disconnected seeds included: without it the logits of this object are others."""
    config = config_from(
        {
            "name": "trace",
            "method": "ffn",
            "voxel_size_nm": [10, 10, 10],
            "model": {"depth": DEPTH, "features": FEATURES, "fov": FOV, "deltas": DELTAS},
            "compute": {"device": "cpu", "channels_last": channels_last},
        }
    )
    evaluator = Evaluator(load_network(config, CHECKPOINT), batch=batch)
    visited, logits = grow(trace["image"], evaluator.step)
    np.testing.assert_array_equal(visited, trace["visited"])
    np.testing.assert_allclose(logits, trace["logits"], rtol=0, atol=1e-4)
