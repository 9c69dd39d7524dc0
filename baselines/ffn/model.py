"""The network of a flood-filling network: a residual stack of 3D convolutions.

Axes of tensors: B batch, C channels, D H W = z y x.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Triple = tuple[int, int, int]


class ConvStack(nn.Module):
    """Image and object so far in, object after this step out, both as logits over one field of view (FOV).

    depth : number of modules of two convolutions each; the first has no shortcut.   features : channels between.
    fov_zyx : voxels of a field of view, odd.   deltas_zyx : voxels of a move along each axis.
    Source: Januszewski et al. 2018, Methods; depth 9 has 472,353 parameters, depth 12 has 638,433.
    """

    def __init__(self, depth: int, fov_zyx: Triple, deltas_zyx: Triple, features: int = 32) -> None:
        super().__init__()
        if depth < 2:
            raise ValueError(f"depth {depth}, expected at least 2")
        if any(n % 2 == 0 for n in fov_zyx):
            raise ValueError(f"a field of view of {fov_zyx} voxels has no centre; expected odd numbers (z,y,x)")
        if any(2 * d + 1 > n for d, n in zip(deltas_zyx, fov_zyx, strict=True)):
            raise ValueError(f"moves of {deltas_zyx} voxels lead out of the field of view of {fov_zyx} (z,y,x)")
        self.depth, self.fov_zyx, self.deltas_zyx = depth, fov_zyx, deltas_zyx
        self.conv_a = nn.ModuleList(nn.Conv3d(2 if i == 0 else features, features, 3, padding=1) for i in range(depth))
        self.conv_b = nn.ModuleList(nn.Conv3d(features, features, 3, padding=1) for _ in range(depth))
        self.last = nn.Conv3d(features, 1, 1)
        for layer in [*self.conv_a, *self.conv_b, self.last]:
            # As google/ffn begins. PyTorch's own first weights are smaller by the root of 3.
            nn.init.xavier_uniform_(layer.get_parameter("weight"))
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, image_BCDHW: Tensor, logit_BCDHW: Tensor) -> Tensor:
        """New logits (B, 1, D, H, W): the old ones plus the network's update.

        image_BCDHW : normalised grey values, one channel.   logit_BCDHW : logits of the object so far, one channel.
        """
        x = torch.cat([image_BCDHW, logit_BCDHW], dim=1)
        x = self.conv_b[0](torch.relu(self.conv_a[0](x)))
        for conv_a, conv_b in zip(self.conv_a[1:], self.conv_b[1:], strict=True):
            x = x + conv_b(torch.relu(conv_a(torch.relu(x))))
        update: Tensor = self.last(torch.relu(x))
        return logit_BCDHW + update

    @property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())


def load_tensorflow_weights(network: ConvStack, variables: Mapping[str, NDArray[Any]]) -> None:
    """Fill a network with the variables of a TensorFlow checkpoint of google/ffn's ``ConvStack3DFFNModel``.

    variables : by name, kernels (z, y, x, in, out).
    Raises ValueError where a variable is missing, of another shape, or one of a deeper network is left over.
    """
    parameters = dict(_by_tensorflow_name(network))
    left = {name for name in variables if name.startswith("seed_update/")} - parameters.keys()
    if left:
        raise ValueError(f"the checkpoint has variables that a network of depth {network.depth} lacks: {sorted(left)}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            value = variables.get(name)
            if value is None:
                raise ValueError(f"the checkpoint has no variable {name}; expected those of depth {network.depth}")
            if value.ndim == 5:
                value = np.transpose(value, (4, 3, 0, 1, 2))
            if value.shape != tuple(parameter.shape):
                raise ValueError(f"{name} has shape {value.shape}, expected {tuple(parameter.shape)}")
            parameter.copy_(torch.tensor(value))


def _by_tensorflow_name(network: ConvStack) -> Iterator[tuple[str, Tensor]]:
    layers: list[tuple[str, nn.Module]] = [("conv_lom", network.last)]
    for i, (conv_a, conv_b) in enumerate(zip(network.conv_a, network.conv_b, strict=True)):
        layers += [(f"conv{i}_a", conv_a), (f"conv{i}_b", conv_b)]
    for name, layer in layers:
        yield f"seed_update/{name}/weights", layer.get_parameter("weight")
        yield f"seed_update/{name}/biases", layer.get_parameter("bias")
