"""Networks for inference: ours, or those that TensorFlow wrote for google/ffn."""

from pathlib import Path

import torch

from axonem_eval.errors import InputError
from baselines.common.checkpoint import load_checkpoint, load_weights
from baselines.common.device import pick_device
from baselines.ffn.config import FfnComputeConfig, FfnConfig, FfnModelConfig
from baselines.ffn.model import ConvStack, load_tensorflow_weights
from baselines.ffn.tensorflow_checkpoint import NotACheckpoint, read_checkpoint


def new_network(config: FfnModelConfig) -> ConvStack:
    """The configuration's network with random weights."""
    return ConvStack(config.depth, config.fov, config.deltas, config.features)


def load_network(config: FfnConfig, checkpoint: Path) -> ConvStack:
    """The configuration's network with a checkpoint's weights, ready for inference on the configured device.

    checkpoint : a file of ours (.pt), or else the prefix of TensorFlow's files. Raises InputError where it is none,
    or where its weights are of another network.
    """
    network = new_network(config.model)
    if checkpoint.suffix == ".pt":
        load_weights(network, load_checkpoint(checkpoint), checkpoint)
    else:
        try:
            load_tensorflow_weights(network, read_checkpoint(checkpoint))
        except NotACheckpoint as error:
            raise InputError.of("bad_checkpoint", f"{checkpoint}: {error}") from None
        except ValueError as error:
            raise InputError.of("other_model", f"{checkpoint}: {error}") from None
    return placed(network, config.compute)


def placed(network: ConvStack, compute: FfnComputeConfig) -> ConvStack:
    """The network on the configured device, in the configured order of memory, compiled where asked for."""
    order = torch.channels_last_3d if compute.channels_last else torch.contiguous_format
    # PyTorch's types do not know that ``to`` takes a memory format.
    network = network.to(pick_device(compute.device), memory_format=order).eval()  # type: ignore[call-overload]
    if compute.compile_network:
        network.compile()
    return network
