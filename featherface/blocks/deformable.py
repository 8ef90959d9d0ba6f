"""Deformable convolution: the taps of a 3×3 kernel move to where the input says."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from featherface.blocks.deform_kernel import KERNEL, TAPS, deform_conv2d
from featherface.blocks.levels import Named


class DeformConv2d(nn.Module):
    """A bias-free 3×3 deformable convolution that predicts its own offsets, stride 1.

    Version 1 (Dai et al. 2017) samples tap k at its place on the grid plus an offset (dy, dx);
    version 2 (Zhu et al. 2019) also multiplies it by a mask 2·sigmoid(·) in (0, 2). Offsets and
    masks come from 3×3 convolutions with bias over the same input, both starting at zero, so
    that a fresh network begins as a plain convolution. One offset group.

    Shape: (batch, inputs, H, W) → (batch, outputs, H, W); into `named` go the `offset`
    (batch, 18, H, W), in cells of this level, (dy, dx) interleaved per tap as torchvision has
    them, and for version 2 the `mask` (batch, 9, H, W).
    """

    def __init__(self, inputs: int, outputs: int, version: Literal[1, 2] = 2) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, KERNEL, KERNEL))
        self.offset = nn.Conv2d(inputs, 2 * TAPS, KERNEL, padding=KERNEL // 2)
        self.mask = nn.Conv2d(inputs, TAPS, KERNEL, padding=KERNEL // 2) if version == 2 else None
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)  # as `nn.Conv2d` does
        for conv in (self.offset, self.mask):
            if conv is not None:
                nn.init.zeros_(conv.weight)
                nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, named: Named | None = None) -> Tensor:
        offset = self.offset(x)
        mask = None if self.mask is None else 2 * torch.sigmoid(self.mask(x))
        if named is not None:
            named["offset"] = offset
            if mask is not None:
                named["mask"] = mask
        return deform_conv2d(x, offset, self.weight, mask)
