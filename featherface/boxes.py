"""Anchors, the encoding of boxes and landmarks relative to them, and non-maximum suppression."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
import torchvision.ops
from torch import Tensor

from featherface.config import STRIDES

MEAN_BGR = (104.0, 117.0, 123.0)
"""Subtracted from the image's blue, green and red (0–255) before the network."""

VARIANCES = (0.1, 0.2)
"""Scale of the encoded centre (and landmarks), and of the encoded logarithm of the size."""

_BASE_SIZES = (16, 64, 256)  # pixels: the smallest anchor of each level


def anchor_sizes(anchors: int) -> tuple[tuple[float, ...], ...]:
    """Return the side lengths in pixels of the anchors of a cell, by level.

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
    """Return the anchors of an image, in the order of `featherface.blocks.heads.Outputs`.

    Args:
        height, width: of the network's input, in pixels.
        anchors: anchors a cell.

    Returns:
        (N, 4) float32: centre x, centre y, width, height as fractions of the image, where N
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


@lru_cache(maxsize=8)  # at most eight times 11 MB, at images.MAX_NETWORK_PIXELS
def cached_anchors(height: int, width: int, anchors: int) -> Tensor:
    """Return the same on the CPU; not to be written to."""
    return make_anchors(height, width, anchors, device="cpu")


def decode_boxes(encoded: Tensor, anchors: Tensor) -> Tensor:
    """Return the boxes that the network's `boxes` (…, N, 4) stand for.

    Returns:
        (…, N, 4): x1, y1, x2, y2 as fractions of the image; they may leave it.
    """
    centre = anchors[:, :2] + encoded[..., :2] * VARIANCES[0] * anchors[:, 2:]
    size = anchors[:, 2:] * torch.exp(encoded[..., 2:] * VARIANCES[1])
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return the inverse of `decode_boxes`, for boxes of positive size."""
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
    """Return the points that the network's `landmarks` (…, N, 10) stand for.

    Returns:
        (…, N, 5, 2): x, y as fractions of the image: left eye, right eye, nose, left and
        right corner of the mouth, left and right as seen in the image.
    """
    points = encoded.reshape(*encoded.shape[:-1], 5, 2)
    return anchors[:, None, :2] + points * VARIANCES[0] * anchors[:, None, 2:]


def encode_landmarks(points: Tensor, anchors: Tensor) -> Tensor:
    """Return the inverse of `decode_landmarks`: (…, N, 5, 2) → (…, N, 10)."""
    encoded = (points - anchors[:, None, :2]) / (VARIANCES[0] * anchors[:, None, 2:])
    return encoded.flatten(-2)


Indices = npt.NDArray[np.int64]

_FEW = 1500
"""Up to so many boxes, torchvision takes a millisecond or two, and `nms` would take as long."""

_DENSE = 150
"""Pairs to compare a box, on average, above which `nms` leaves boxes to torchvision, which removes
most of such at once. In WIDER FACE's crowds there are up to 100, on blank images thousands."""

_SLACK = 1e-3  # of what is reckoned below, for the rounding of float32


def nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Return the boxes that stay, by falling score: of two with IoU > `threshold` the better one.

    Exactly `torchvision.ops.nms`, equal scores and rounding included, which compares every box
    that stays with every one after it; here only boxes near enough to overlap are compared. On
    WIDER FACE's largest crowds, 2,900 to 16,600 boxes, that takes two fifths of the time or less.

    Args:
        boxes: (n, 4) float32 on the CPU: x1, y1, x2, y2.
        scores: (n,).
    """
    array = boxes.numpy()
    usable = len(array) > _FEW and 0.1 <= threshold <= 0.9 and bool(np.isfinite(array).all())
    if not usable or not (array[:, 2:] > array[:, :2]).all():
        return torchvision.ops.nms(boxes, scores, threshold)  # type: ignore[no-any-return]
    order = scores.argsort(descending=True, stable=True)
    ranked = array[order.numpy()]
    pairs = _overlapping(ranked, threshold)
    if pairs is None:
        return torchvision.ops.nms(boxes, scores, threshold)  # type: ignore[no-any-return]
    return order[torch.from_numpy(_greedy(len(ranked), *pairs))]


def _overlapping(
    boxes: npt.NDArray[np.float32], threshold: float
) -> tuple[Indices, Indices] | None:
    """Return all pairs with IoU > threshold, the lower index first; None where boxes are `_DENSE`.

    The intersection is at most as wide as either box and no higher than the lower one, so that
    IoU > t needs widths whose ratio exceeds t and centres less than (1 - t) of the larger width
    apart; heights likewise. Boxes are sorted by width into levels of that ratio, of which only
    equal and adjacent ones can hold a pair, and by centre into columns of that distance.
    """
    width, height = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64).T
    x, y = ((boxes[:, 2:].astype(np.float64) + boxes[:, :2]) / 2).T
    level = np.floor(np.log(width) / -np.log(threshold * (1 - _SLACK))).astype(np.int64)
    firsts, seconds = [], []
    left = _DENSE * len(boxes)
    for lower in np.unique(level):
        ours = np.flatnonzero(level == lower)
        group = np.flatnonzero((level == lower) | (level == lower + 1))
        reach = (1 - threshold) * (1 + _SLACK)
        column = np.floor((x - x[group].min()) / (reach * width[group].max())).astype(np.int64)
        up = reach * height[group].max()
        top = y[group].min() - 2 * up
        stride = y[group].max() + 2 * up - top  # a column's places do not reach the next's
        place = column * stride + (y - top)
        group = group[np.argsort(place[group])]
        places = place[group]
        for beside in (-1, 0, 1):
            middle = place[ours] + beside * stride
            # Of the boxes that can be partners, none is higher than its height over t.
            here = np.minimum(up, reach * (1 + _SLACK) / threshold * height[ours])
            start = np.searchsorted(places, middle - here)
            count = np.searchsorted(places, middle + here, side="right") - start
            left -= count.sum()
            if left < 0:
                return None
            first = np.repeat(ours, count)
            within = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
            second = group[np.repeat(start, count) + within]
            for centre, side in ((x, width), (y, height)):  # the second filter has less to do
                apart = np.abs(centre[second] - centre[first])
                near = np.flatnonzero(apart < reach * np.maximum(side[first], side[second]))
                first, second = first[near], second[near]
            # Once: a pair of the same level is met from both sides.
            once = np.flatnonzero((level[second] != lower) | (first < second))
            first, second = first[once], second[once]
            enough = _iou(boxes[first], boxes[second]) > threshold
            firsts.append(first[enough])
            seconds.append(second[enough])
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    return np.minimum(first, second), np.maximum(first, second)


def _iou(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    # Rounded as torchvision rounds it: in float32, compared in float64.
    sides = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0)
    shared = sides[:, 0] * sides[:, 1]
    area_a, area_b = ((c[:, 2] - c[:, 0]) * (c[:, 3] - c[:, 1]) for c in (a, b))
    iou: npt.NDArray[np.float64] = (shared / (area_a + area_b - shared)).astype(np.float64)
    return iou


def _greedy(count: int, better: Indices, worse: Indices) -> Indices:
    """Return the indices that stay, where each that stays removes the worse ones it overlaps.

    In rounds: what no undecided better box overlaps stays, and removes.
    """
    removed = np.zeros(count, dtype=bool)
    while len(better):
        open_ = np.zeros(count, dtype=bool)
        open_[worse] = True  # still overlapped by a better one that is not removed
        removed[worse[~open_[better]]] = True
        pending = open_[better] & ~removed[worse] & ~removed[better]
        better, worse = better[pending], worse[pending]
    return np.flatnonzero(~removed)
