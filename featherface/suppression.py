"""Greedy non-maximum suppression of thousands of boxes: torchvision's answer, neighbours alone.

`torchvision.ops.nms` compares every box that survives with every one after it. In a crowd most
survive and few are near each other; here only those are compared that can overlap enough.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torchvision.ops
from torch import Tensor

Indices = npt.NDArray[np.int64]

_FEW = 500
"""Up to so many boxes, torchvision takes less than a millisecond."""

_SLACK = 1e-3  # of what is reckoned below, for the rounding of float32


def nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Which boxes stay, by falling score: of two with IoU > `threshold` the better one does.

    Exactly `torchvision.ops.nms`, equal scores and rounding included.

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
    better, worse = _overlapping(ranked, threshold)
    return order[torch.from_numpy(_greedy(len(ranked), better, worse))]


def _overlapping(boxes: npt.NDArray[np.float32], threshold: float) -> tuple[Indices, Indices]:
    """All pairs with IoU > threshold, the lower index first.

    The intersection is at most as wide as either box and no higher than the lower one, so that
    IoU > t needs widths whose ratio exceeds t and centres less than (1 - t) of the larger width
    apart; heights likewise. Boxes are sorted by width into levels of that ratio, of which only
    equal and adjacent ones can hold a pair, and by centre into columns of that distance.
    """
    width, height = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64).T
    x, y = ((boxes[:, 2:].astype(np.float64) + boxes[:, :2]) / 2).T
    level = np.floor(np.log(width) / -np.log(threshold * (1 - _SLACK))).astype(np.int64)
    firsts, seconds = [], []
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
    """Rounded as torchvision rounds it: in float32, compared in float64."""
    sides = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0)
    shared = sides[:, 0] * sides[:, 1]
    area_a, area_b = ((c[:, 2] - c[:, 0]) * (c[:, 3] - c[:, 1]) for c in (a, b))
    iou: npt.NDArray[np.float64] = (shared / (area_a + area_b - shared)).astype(np.float64)
    return iou


def _greedy(count: int, better: Indices, worse: Indices) -> Indices:
    """Indices that stay, where each that stays removes the worse ones it overlaps.

    In rounds, each as a whole: what no undecided better box overlaps stays, and removes.
    """
    removed = np.zeros(count, dtype=bool)
    while len(better):
        open_ = np.zeros(count, dtype=bool)
        open_[worse] = True  # still overlapped by a better one that is not removed
        removed[worse[~open_[better]]] = True
        pending = open_[better] & ~removed[worse] & ~removed[better]
        better, worse = better[pending], worse[pending]
    return np.flatnonzero(~removed)
