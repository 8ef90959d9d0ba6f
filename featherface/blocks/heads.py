"""Detection heads: what each anchor says about the face it may hold."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from featherface.config import LEVELS

CLASSES = 2
BOX = 4
LANDMARKS = 10


class Outputs(NamedTuple):
    """Outputs per anchor; anchors run by level, row, column, anchor of the cell."""

    boxes: Tensor
    """(batch, anchors, 4): encoded box, see `featherface.boxes.decode_boxes`."""
    logits: Tensor
    """(batch, anchors, 2): background and face, before the softmax."""
    landmarks: Tensor
    """(batch, anchors, 10): five encoded (x, y), see `featherface.boxes.decode_landmarks`."""


class Heads(nn.Module):
    """1×1 convolutions with bias, per level and kind.

    Shape: three levels (batch, channels, Hₗ, Wₗ) → `Outputs` of Σ Hₗ·Wₗ·anchors anchors.
    """

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.boxes = _convs(channels, anchors * BOX)
        self.classes = _convs(channels, anchors * CLASSES)
        self.landmarks = _convs(channels, anchors * LANDMARKS)

    def forward(self, levels: list[Tensor]) -> Outputs:
        return Outputs(
            boxes=_per_anchor(self.boxes, levels, BOX),
            logits=_per_anchor(self.classes, levels, CLASSES),
            landmarks=_per_anchor(self.landmarks, levels, LANDMARKS),
        )


def _convs(channels: int, outputs: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Conv2d(channels, outputs, 1) for _ in LEVELS)


def _per_anchor(convs: nn.ModuleList, levels: list[Tensor], size: int) -> Tensor:
    rows = [conv(x).permute(0, 2, 3, 1) for conv, x in zip(convs, levels, strict=True)]
    return torch.cat([row.reshape(row.shape[0], -1, size) for row in rows], dim=1)
