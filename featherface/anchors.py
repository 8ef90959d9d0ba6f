"""Anchors, and the encoding of boxes and landmarks relative to them (RetinaFace, as SSD)."""

from __future__ import annotations

import torch
from torch import Tensor

from featherface.config import STRIDES

MEAN_BGR = (104.0, 117.0, 123.0)
"""Subtracted from the picture's blue, green and red (0–255) before the network."""

VARIANCES = (0.1, 0.2)
"""Scale of the encoded centre (and landmarks), and of the encoded logarithm of the size."""

_BASE_SIZES = (16, 64, 256)  # pixels: the smallest anchor of each level


def anchor_sizes(anchors: int) -> tuple[tuple[float, ...], ...]:
    """Side lengths in pixels of the anchors of a cell, by level.

    Each level's sizes divide the factor of four to the next level evenly on a logarithmic
    scale; for the published two anchors that is (16, 32), (64, 128), (256, 512).
    """
    return tuple(tuple(base * 4 ** (i / anchors) for i in range(anchors)) for base in _BASE_SIZES)


def make_anchors(
    height: int,
    width: int,
    anchors: int = 2,
    *,
    device: torch.device | str | None = None,
) -> Tensor:
    """Anchors of a picture, in the order of `featherface.heads.Outputs`.

    Args:
        height, width: of the network's input, in pixels.
        anchors: anchors a cell.

    Returns:
        (N, 4) float32: centre x, centre y, width, height as fractions of the picture, where N
        is the sum over the strides s = 8, 16, 32 of ⌈height / s⌉ · ⌈width / s⌉ · anchors.
    """
    levels = []
    for stride, sizes in zip(STRIDES, anchor_sizes(anchors), strict=True):
        # In float64, so that the result does not depend on how the expression is grouped.
        rows = torch.arange(-(-height // stride), dtype=torch.float64, device=device)
        columns = torch.arange(-(-width // stride), dtype=torch.float64, device=device)
        size = torch.tensor(sizes, dtype=torch.float64, device=device)
        y, x, s = torch.meshgrid(
            (rows + 0.5) * stride / height, (columns + 0.5) * stride / width, size, indexing="ij"
        )
        levels.append(torch.stack([x, y, s / width, s / height], dim=-1).reshape(-1, 4))
    return torch.cat(levels).float()


def decode_boxes(encoded: Tensor, anchors: Tensor) -> Tensor:
    """Corners of the boxes that the network's `boxes` stand for.

    Args:
        encoded: (…, N, 4).
        anchors: (N, 4), see `make_anchors`.

    Returns:
        (…, N, 4): x1, y1, x2, y2 as fractions of the picture; they may leave it.
    """
    centre = anchors[:, :2] + encoded[..., :2] * VARIANCES[0] * anchors[:, 2:]
    size = anchors[:, 2:] * torch.exp(encoded[..., 2:] * VARIANCES[1])
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """The inverse of `decode_boxes`.

    Args:
        boxes: (…, N, 4) x1, y1, x2, y2 as fractions of the picture, of positive size.
        anchors: (N, 4), see `make_anchors`.
    """
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    size = boxes[..., 2:] - boxes[..., :2]
    return torch.cat(
        [
            (centre - anchors[:, :2]) / (VARIANCES[0] * anchors[:, 2:]),
            torch.log(size / anchors[:, 2:]) / VARIANCES[1],
        ],
        dim=-1,
    )


def decode_landmarks(encoded: Tensor, anchors: Tensor) -> Tensor:
    """Points that the network's `landmarks` stand for.

    Args:
        encoded: (…, N, 10).
        anchors: (N, 4), see `make_anchors`.

    Returns:
        (…, N, 5, 2): x, y as fractions of the picture: left eye, right eye, nose, left and
        right corner of the mouth, left and right as seen in the picture.
    """
    points = encoded.reshape(*encoded.shape[:-1], 5, 2)
    return anchors[:, None, :2] + points * VARIANCES[0] * anchors[:, None, 2:]


def encode_landmarks(points: Tensor, anchors: Tensor) -> Tensor:
    """The inverse of `decode_landmarks`: (…, N, 5, 2) → (…, N, 10)."""
    encoded = (points - anchors[:, None, :2]) / (VARIANCES[0] * anchors[:, None, 2:])
    return encoded.flatten(-2)
