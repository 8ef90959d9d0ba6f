"""Channel shuffle: let the two halves of the channels exchange places (ShuffleNet, 2018)."""

from __future__ import annotations

from torch import Tensor, nn

from featherface.blocks.convolution import ConvNorm
from featherface.blocks.levels import PerLevel
from featherface.config import LEVELS, FeatherFaceConfig, ShuffleOrder

GROUPS = 2


class ChannelShuffle(nn.Module):
    """A fixed permutation of the channels, in two groups; no parameters.

    "interleave" is ShuffleNet's: 0, C/2, 1, C/2 + 1, …. "deinterleave" is its inverse, which the
    authors' released code computes: 0, 2, 4, …, 1, 3, 5, ….

    Shape: (batch, C, H, W) → the same.
    """

    def __init__(self, order: ShuffleOrder) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        half = channels // GROUPS
        groups = (GROUPS, half) if self.order == "interleave" else (half, GROUPS)
        grouped = x.reshape(batch, *groups, height, width)
        return grouped.transpose(1, 2).reshape(batch, channels, height, width)


class BottleneckShuffle(nn.Module):
    """A channel shuffle, then 1×1 C → C/2, 3×3 depthwise, 1×1 C/2 → C, ReLU at the end only.

    Shape: (batch, C, H, W) → the same.
    """

    def __init__(self, channels: int, order: ShuffleOrder) -> None:
        super().__init__()
        half = channels // 2
        self.permute = ChannelShuffle(order)
        self.reduce = ConvNorm(channels, half, 1)
        self.depthwise = ConvNorm(half, half, 3, groups=half)
        self.expand = ConvNorm(half, channels, 1, slope=0.0)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.expand(self.depthwise(self.reduce(self.permute(x))))
        return y


class Shuffle(PerLevel):
    """The shuffle of every level, or, for shuffle "none", the levels as they are."""

    def __init__(self, config: FeatherFaceConfig) -> None:
        levels: list[nn.Module] = []
        for _ in LEVELS:
            if config.shuffle == "free":
                levels.append(ChannelShuffle(config.shuffle_order))
            elif config.shuffle == "bottleneck":
                levels.append(BottleneckShuffle(config.channels, config.shuffle_order))
        super().__init__(levels)
