"""CBAM: a gate per channel, then a gate per position (Woo et al. 2018, "CBAM")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherface.blocks.levels import Named, PerLevel
from featherface.config import MeanPooling


class ChannelGate(nn.Module):
    """One number in (0, 1) per channel, from the channel's mean and maximum.

    sigmoid(MLP(mean) + MLP(max)); the MLP is C → C // reduction → C with biases and a ReLU.

    Args:
        pooling: which operator takes the mean: adaptive pooling, or a window as large as the
            input. They sum in different orders, and so round differently; each reference is
            matched to the last bit with its own.

    Shape: (batch, C, H, W) → (batch, C, 1, 1).
    """

    def __init__(self, channels: int, reduction: int, pooling: MeanPooling = "adaptive") -> None:
        super().__init__()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.pooling = pooling
        self.reduce = nn.Linear(channels, channels // reduction)
        self.expand = nn.Linear(channels // reduction, channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.pooling == "window" and not torch.compiler.is_exporting():
            mean = F.avg_pool2d(x, x.shape[-2:])
        else:  # torch.export cannot size a window whose edges are symbols
            mean = self.mean(x)
        gate = torch.sigmoid(self._mlp(mean.flatten(1)) + self._mlp(x.amax((2, 3))))
        return gate[:, :, None, None]

    def _mlp(self, pooled: Tensor) -> Tensor:
        y: Tensor = self.expand(F.relu(self.reduce(pooled)))
        return y


class SpatialGate(nn.Module):
    """One number in (0, 1) per position, from a 7×7 neighbourhood of channel maxima and means.

    Shape: (batch, C, H, W) → (batch, 1, H, W).
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], dim=1)
        return torch.sigmoid(self.norm(self.conv(pooled)))


class CBAM(nn.Module):
    """Channel gate, then spatial gate, then ReLU(gated + input).

    The residual and the ReLU around the module are FeatherFace's, not the CBAM paper's.

    Shape: (batch, C, H, W) → the same; into `named` go `channel_gate` (batch, C, 1, 1),
    `spatial_gate` (batch, 1, H, W) and `gated`, the input times both.
    """

    def __init__(
        self, channels: int, reduction: int = 16, pooling: MeanPooling = "adaptive"
    ) -> None:
        super().__init__()
        self.channel = ChannelGate(channels, reduction, pooling)
        self.spatial = SpatialGate()

    def forward(self, x: Tensor, named: Named | None = None) -> Tensor:
        channel_gate = self.channel(x)
        by_channel = x * channel_gate
        spatial_gate = self.spatial(by_channel)
        gated = by_channel * spatial_gate
        if named is not None:
            named |= {"channel_gate": channel_gate, "spatial_gate": spatial_gate, "gated": gated}
        return F.relu(gated + x)


class Attention(PerLevel):
    """A CBAM on every level, or, without channels to attend to, the levels as they are."""

    def __init__(self, channels: Sequence[int], reduction: int, pooling: MeanPooling) -> None:
        super().__init__(CBAM(c, reduction, pooling) for c in channels)
