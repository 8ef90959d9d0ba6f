"""Context modules: a wider look around every position, one module a level."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherface.blocks.deformable import DeformConv2d
from featherface.config import LEVELS, FeatherFaceConfig


class ContextConv(nn.Module):
    """3×3 convolution, plain or deformable, then normalisation and LeakyReLU.

    Args:
        version: 0 for a plain convolution, 1 or 2 for the deformable ones of that version.
        slope: negative slope of the activation; `None` leaves it out.

    Shape: (batch, inputs, H, W) → (batch, outputs, H, W), and what the convolution names.
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

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        y, named = self.conv(x) if isinstance(self.conv, DeformConv2d) else (self.conv(x), {})
        return self.act(self.norm(y)), named


class SSH(nn.Module):
    """Three branches with receptive fields of 3, 5 and 7 (Najibi et al. 2017, "SSH").

    a: C → C/2.  b: C → C/4 → C/4.  c: continues b's first convolution with two more.

    Shape: (batch, C, H, W) → the same, and the offsets and masks as `a.offset`, `b1.mask`, ….
    """

    def __init__(self, channels: int, version: Literal[0, 1, 2], slope: float) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.a = ContextConv(channels, half, version, None)
        self.b1 = ContextConv(channels, quarter, version, slope)
        self.b2 = ContextConv(quarter, quarter, version, None)
        self.c1 = ContextConv(quarter, quarter, version, slope)
        self.c2 = ContextConv(quarter, quarter, version, None)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        named: dict[str, Tensor] = {}

        def run(branch: str, inputs: Tensor) -> Tensor:
            y, seen = getattr(self, branch)(inputs)
            named.update({f"{branch}.{key}": value for key, value in seen.items()})
            return y  # type: ignore[no-any-return]

        a, b1 = run("a", x), run("b1", x)
        b2, c2 = run("b2", b1), run("c2", run("c1", b1))
        return F.relu(torch.cat([a, b2, c2], dim=1)), named


class ContextModules(nn.Module):
    """The context module of every level, or, for context "none", the levels as they are."""

    def __init__(self, config: FeatherFaceConfig) -> None:
        super().__init__()
        version = _VERSIONS[config.context.removeprefix("ssh").removeprefix("-")]
        channels = config.channels
        self.levels = nn.ModuleList()
        for _ in LEVELS:
            if config.context.startswith("ssh"):
                self.levels.append(SSH(channels, version, config.leaky_slope))
            elif config.context != "none":
                self.levels.append(ContextConv(channels, channels, version, 0.0))

    def forward(self, levels: list[Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
        if not self.levels:
            return levels, {}
        outputs: list[Tensor] = []
        named: dict[str, Tensor] = {}
        for level, module, x in zip(LEVELS, self.levels, levels, strict=True):
            y, seen = module(x)
            outputs.append(y)
            named |= {f"{level}.{key}": value for key, value in seen.items()}
        return outputs, named


_VERSIONS: dict[str, Literal[0, 1, 2]] = {
    "": 0,
    "none": 0,
    "plain": 0,
    "dcnv1": 1,
    "dcnv2": 2,
}
