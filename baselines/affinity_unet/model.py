"""Residual symmetric U-Net (Lee et al. 2017), in the variant that the AxonEM paper's authors used.

Pre-activation residual blocks of four 3x3x3 convolutions, max pooling, fixed bilinear upsampling, skip connections
that are summed. Shape suffixes: B batch, C channels, D H W = z y x.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from baselines.affinity_unet.config import ModelConfig
from baselines.common.config_types import Triple

# Grey values are spread around zero before the first convolution, which has no bias of its own.
GREY_CENTRE, GREY_SCALE = 0.5, 4.0


def norm_layer(kind: str, channels: int) -> nn.Module:
    """``batch`` as published, or ``group`` (groups of 16 channels) for batches of one."""
    if kind == "batch":
        return nn.BatchNorm3d(channels)
    return nn.GroupNorm(max(1, channels // 16), channels)


class NormReluConv(nn.Sequential):
    """Normalise, rectify, convolve 3x3x3 without bias."""

    def __init__(self, channels_in: int, channels_out: int, norm: str) -> None:
        super().__init__(
            norm_layer(norm, channels_in),
            nn.ReLU(inplace=True),
            nn.Conv3d(channels_in, channels_out, 3, padding=1, bias=False),
        )


class ResidualBlock(nn.Module):
    """Four convolutions; the two in the middle are bridged by a sum."""

    def __init__(self, channels_in: int, channels_out: int, norm: str) -> None:
        super().__init__()
        self.enter = NormReluConv(channels_in, channels_out, norm)
        self.middle = nn.Sequential(
            NormReluConv(channels_out, channels_out, norm), NormReluConv(channels_out, channels_out, norm)
        )
        self.leave = NormReluConv(channels_out, channels_out, norm)

    def forward(self, feat_BCDHW: Tensor) -> Tensor:
        feat_BCDHW = self.enter(feat_BCDHW)
        feat_BCDHW = feat_BCDHW + self.middle(feat_BCDHW)
        left_BCDHW: Tensor = self.leave(feat_BCDHW)
        return left_BCDHW


class Up(nn.Module):
    """Bilinear upsampling by the pooling factor, 1x1x1 convolution, sum with the skip."""

    def __init__(self, channels_in: int, channels_out: int, factor: Sequence[int]) -> None:
        super().__init__()
        self.factor = tuple(float(f) for f in factor)
        self.project = nn.Conv3d(channels_in, channels_out, 1, bias=False)

    def forward(self, feat_BCDHW: Tensor, skip_BCDHW: Tensor) -> Tensor:
        # A 1x1x1 convolution and a linear interpolation commute; this order interpolates fewer channels.
        feat_BCDHW = self.project(feat_BCDHW)
        feat_BCDHW = nn.functional.interpolate(
            feat_BCDHW, scale_factor=self.factor, mode="trilinear", align_corners=False
        )
        return feat_BCDHW + skip_BCDHW


def spread(feat_BCDHW: Tensor, factor: Sequence[int]) -> Tensor:
    """Channels to space: (B, C * fz * fy * fx, D, H, W) -> (B, C, D * fz, H * fy, W * fx)."""
    if math.prod(factor) == 1:
        return feat_BCDHW
    batch, channels, depth, height, width = feat_BCDHW.shape
    fz, fy, fx = factor
    split = feat_BCDHW.reshape(batch, channels // (fz * fy * fx), fz, fy, fx, depth, height, width)
    return split.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(batch, -1, depth * fz, height * fy, width * fx)


def _each_axis(rule: Callable[[int, int], int], sizes: Triple, strides: Triple) -> Triple:
    z, y, x = (rule(size, stride) for size, stride in zip(sizes, strides, strict=True))
    return z, y, x


class ResidualUNet(nn.Module):
    """Grey values (B,1,D,H,W) in 0..1 -> affinity logits (B,C,D,H,W), one channel an offset of the config.

    D, H, W must be multiples of the product of stem and pooling.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        widths, norm = config.widths, config.norm
        self.pools, self.stem = config.pool, config.stem
        kernel, half = config.io_kernel, _each_axis(lambda k, _: k // 2, config.io_kernel, config.stem)
        enter = _each_axis(lambda k, s: max(k, 2 * s) if s > 1 else k, kernel, config.stem)
        margin = _each_axis(lambda k, s: (k - s + 1) // 2, enter, config.stem)
        self.embed = nn.Conv3d(1, widths[0], enter, stride=config.stem, padding=margin, bias=False)
        self.down = nn.ModuleList(
            ResidualBlock(widths[max(level - 1, 0)], widths[level], norm) for level in range(len(widths))
        )
        self.up = nn.ModuleList(
            Up(widths[level + 1], widths[level], self.pools[level]) for level in range(len(widths) - 1)
        )
        self.fuse = nn.ModuleList(ResidualBlock(width, width, norm) for width in widths[:-1])
        self.final = nn.Sequential(norm_layer(norm, widths[0]), nn.ReLU(inplace=True))
        self.head = nn.Conv3d(widths[0], len(config.offsets) * math.prod(self.stem), kernel, padding=half)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.normal_(self.head.weight, std=0.01)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, grey_BCDHW: Tensor) -> Tensor:
        depth, height, width = (n // s for n, s in zip(grey_BCDHW.shape[2:], self.stem, strict=True))
        feat_BCDHW = self.embed((grey_BCDHW - GREY_CENTRE) * GREY_SCALE)[:, :, :depth, :height, :width]
        skips = []
        for level, block in enumerate(self.down):
            feat_BCDHW = block(feat_BCDHW)
            if level < len(self.pools):
                skips.append(feat_BCDHW)
                feat_BCDHW = nn.functional.max_pool3d(feat_BCDHW, self.pools[level])
        for level in reversed(range(len(self.pools))):
            feat_BCDHW = self.fuse[level](self.up[level](feat_BCDHW, skips[level]))
        return spread(self.head(self.final(feat_BCDHW)), self.stem)


class MeanOfNetworks(nn.Module):
    """Logits of the mean probability of several networks: grey values (B,1,D,H,W) -> (B,C,D,H,W) float32."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, grey_BCDHW: Tensor) -> Tensor:
        linked = torch.stack([torch.sigmoid(network(grey_BCDHW).float()) for network in self.networks])
        return torch.logit(linked.mean(0), eps=1e-7)
