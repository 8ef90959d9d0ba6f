"""Context modules: a wider look around every position, one module a level."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherface.blocks.deformable import DeformConv2d
from featherface.blocks.levels import Named, PerLevel, run_named
from featherface.config import LEVELS, FeatherFaceConfig


class ContextConv(nn.Module):
    """3×3 convolution, plain or deformable, then normalisation and LeakyReLU.

    Args:
        version: 0 for a plain convolution, 1 or 2 for the deformable ones of that version.
        slope: negative slope of the activation; `None` leaves it out.

    Shape: (batch, inputs, H, W) → (batch, outputs, H, W); see `DeformConv2d` for `named`.
    """

    def __init__(
        self, inputs: int, outputs: int, version: Literal[0, 1, 2], slope: float | None
    ) -> None:
        super().__init__()
        self.conv = (
            DeformConv2d(inputs, outputs, version)
            if version
            else nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        )
        self.norm = nn.BatchNorm2d(outputs)
        self.act = nn.Identity() if slope is None else nn.LeakyReLU(slope)

    def forward(self, x: Tensor, named: Named | None = None) -> Tensor:
        y = self.conv(x, named) if isinstance(self.conv, DeformConv2d) else self.conv(x)
        return self.act(self.norm(y))  # type: ignore[no-any-return]


class SSH(nn.Module):
    """Three branches with receptive fields of 3, 5 and 7 (Najibi et al. 2017, "SSH").

    a: C → C/2.  b: C → C/4 → C/4.  c: continues b's first convolution with two more.

    Args:
        version: of the convolutions: 0 for plain ones, 1 or 2 for deformable ones.
        slope: negative slope of the activations inside of a branch.

    Shape: (batch, C, H, W) → the same; into `named` go offsets and masks: `a.offset`, `b1.mask`, ….
    """

    def __init__(self, channels: int, version: Literal[0, 1, 2] = 0, slope: float = 0.0) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.a = ContextConv(channels, half, version, None)
        self.b1 = ContextConv(channels, quarter, version, slope)
        self.b2 = ContextConv(quarter, quarter, version, None)
        self.c1 = ContextConv(quarter, quarter, version, slope)
        self.c2 = ContextConv(quarter, quarter, version, None)

    def forward(self, x: Tensor, named: Named | None = None) -> Tensor:
        a = run_named(self.a, x, named, "a")
        b1 = run_named(self.b1, x, named, "b1")
        b2 = run_named(self.b2, b1, named, "b2")
        c1 = run_named(self.c1, b1, named, "c1")
        c2 = run_named(self.c2, c1, named, "c2")
        return F.relu(torch.cat([a, b2, c2], dim=1))


class ContextModules(PerLevel):
    """The context module of every level, or, for context "none", the levels as they are."""

    def __init__(self, config: FeatherFaceConfig) -> None:
        version: Literal[0, 1, 2] = 0
        if config.context.endswith(("dcnv1", "dcnv2")):
            version = 1 if config.context.endswith("1") else 2
        channels = config.channels
        levels: list[nn.Module] = []
        for _ in LEVELS:
            if config.context.startswith("ssh"):
                levels.append(SSH(channels, version, config.leaky_slope))
            elif config.context != "none":
                levels.append(ContextConv(channels, channels, version, 0.0))
        super().__init__(levels)
