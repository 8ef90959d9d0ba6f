"""Feature pyramids: three levels in, three levels of one width out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherface.blocks.convolution import ConvNorm
from featherface.config import BACKBONE_CHANNELS, FeatherFaceConfig


# EfficientDet's normalisation (TensorFlow's momentum 0.99 is 0.01 here), kept by FeatherFace.
def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def make_pyramid(config: FeatherFaceConfig) -> BiFPN | FPN:
    """Return the pyramid that `config` asks for."""
    if config.pyramid == "fpn":
        return FPN(config.channels, config.leaky_slope)
    return BiFPN(config.channels, config.cells)


def upsample_to(x: Tensor, target: Tensor) -> Tensor:
    """Return the nearest-neighbour upsampling to the height and width of `target`."""
    return F.interpolate(x, size=target.shape[-2:], mode="nearest")


def downsample_to(x: Tensor, target: Tensor) -> Tensor:
    """Return the 3×3 max-pooling with stride 2, padded as TensorFlow's "same", with zeros.

    That is one row (column) at the end, and where the size is odd, one at the start too. The
    zeros take part in the maximum.
    """
    height, width = x.shape[-2:]
    if not torch.compiler.is_exporting():
        return F.max_pool2d(F.pad(x, (width % 2, 1, height % 2, 1)), kernel_size=3, stride=2)
    # torch.export cannot prove that the line above yields the target's ⌈size / 2⌉ rows and columns.
    y = F.max_pool2d(F.pad(x, (1, 1, 1, 1)), kernel_size=3, stride=1)
    for axis, size in ((-2, height), (-1, width)):
        centres = 2 * torch.arange(target.shape[axis], device=x.device) + (1 - size % 2)
        y = y.index_select(axis, centres)
    return y


class Lateral(nn.Module):
    """1×1 convolution with bias, then normalisation: a backbone level at the pyramid's width."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, channels, 1)
        self.norm = _norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x))
        return y


class Fusion(nn.Module):
    """Fast normalised fusion (EfficientDet, section 3.3): Σ wᵢ xᵢ, w = relu(p) / (Σ relu(p) + ε).

    Args:
        size: how many weights there are. It may exceed the number of inputs: a weight without
            an input still takes part in the sum, as it does in the published networks.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, *inputs: Tensor) -> Tensor:
        weight = F.relu(self.weight)
        weight = weight / (weight.sum() + 1e-4)
        y = weight[0] * inputs[0]
        for w, x in zip(weight[1:], inputs[1:], strict=False):
            y = y + w * x
        return y


class SeparableConv(nn.Module):
    """Swish, 3×3 depthwise, 1×1 pointwise with bias, normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.norm = _norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        swish = x * torch.sigmoid(x)  # F.silu would round differently from the references
        y: Tensor = self.norm(self.pointwise(self.depthwise(swish)))
        return y


class BiFPNCell(nn.Module):
    """One pass down and one pass up over three levels (EfficientDet, figure 2d).

    Args:
        inputs: channels of the levels for a first cell, which brings them to `channels`: twice
            for P4 and P5, once for the way down, and with other weights for the way up. `None`
            where the levels have that width.
    """

    def __init__(self, channels: int, inputs: Sequence[int] | None = None) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(Lateral(c, channels) for c in inputs or ())
        self.bottom_up_laterals = nn.ModuleList(Lateral(c, channels) for c in (inputs or ())[1:])
        self.fuse_p4_down = Fusion(2)
        self.fuse_p3_out = Fusion(2)
        self.fuse_p4_out = Fusion(3)
        self.fuse_p5_out = Fusion(3)  # two inputs: see Fusion
        self.conv_p4_down = SeparableConv(channels)
        self.conv_p3_out = SeparableConv(channels)
        self.conv_p4_out = SeparableConv(channels)
        self.conv_p5_out = SeparableConv(channels)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        if self.laterals:
            p3, p4, p5 = (f(x) for f, x in zip(self.laterals, levels, strict=True))
            p4_up, p5_up = (f(x) for f, x in zip(self.bottom_up_laterals, levels[1:], strict=True))
        else:
            p3, p4, p5 = levels
            p4_up, p5_up = p4, p5
        p4_down = self.conv_p4_down(self.fuse_p4_down(p4, upsample_to(p5, p4)))
        p3_out = self.conv_p3_out(self.fuse_p3_out(p3, upsample_to(p4_down, p3)))
        p4_out = self.conv_p4_out(self.fuse_p4_out(p4_up, p4_down, downsample_to(p3_out, p4)))
        p5_out = self.conv_p5_out(self.fuse_p5_out(p5_up, downsample_to(p4_out, p5)))
        return [p3_out, p4_out, p5_out]


class BiFPN(nn.Module):
    """BiFPN cells in a row.

    Shape: (batch, 64 | 128 | 256, Hₗ, Wₗ) → (batch, channels, Hₗ, Wₗ) for each of three levels.
    """

    def __init__(self, channels: int, cells: int) -> None:
        super().__init__()
        self.cells = nn.ModuleList(
            BiFPNCell(channels, None if i else BACKBONE_CHANNELS) for i in range(cells)
        )

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        for cell in self.cells:
            levels = cell(levels)
        return levels


class FPN(nn.Module):
    """RetinaFace's top-down pyramid: add the coarser level, merge with a 3×3 convolution.

    Shape: as `BiFPN`.
    """

    def __init__(self, channels: int, slope: float) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(
            ConvNorm(c, channels, 1, slope=slope) for c in BACKBONE_CHANNELS
        )
        self.merge_p3 = ConvNorm(channels, channels, 3, slope=slope)
        self.merge_p4 = ConvNorm(channels, channels, 3, slope=slope)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        p3, p4, p5 = (lateral(x) for lateral, x in zip(self.laterals, levels, strict=True))
        p4 = self.merge_p4(p4 + upsample_to(p5, p4))
        p3 = self.merge_p3(p3 + upsample_to(p4, p3))
        return [p3, p4, p5]
