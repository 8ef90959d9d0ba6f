"""Assignment of every detection to the face it lies on, for all subsets at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.widerface.ground_truth import GroundTruth
from analysis.widerface.predictions import Predictions
from featherface.errors import InputError

IOU = 0.5
THRESHOLDS = 1000
BLOCK = 1 << 15
"""Pairs of row and face are tested so many at a time: what fits a core's cache."""
PAIRS = 1 << 20
"""Overlaps are computed when about so many pairs wait for it."""


@dataclass(frozen=True, eq=False)
class Matches:
    """The B rows of the predictions, against the F faces of the ground truth.

    `face` is (B,): the face a row overlaps most, -1 where by less than IoU 0.5 (or where its
    image is unknown or has no faces).
    `first` is (B,): whether no earlier row of its image lies on the same face.
    `level` is (B,): from which of the 1,000 thresholds on a row counts; 1000 for never.
    """

    ground_truth: GroundTruth
    predictions: Predictions
    face: NDArray[np.int32]
    first: NDArray[np.bool_]
    level: NDArray[np.int16]

    @cached_property
    def best_score(self) -> NDArray[np.float64]:
        """(F,): the highest score, as it was given, on each face; -inf where there is none."""
        best = np.full(len(self.ground_truth.boxes), -np.inf)
        on = np.flatnonzero(self.face >= 0)
        np.maximum.at(best, self.face[on], self.predictions.rows[on, 4])
        return best

    def found(self, score: float) -> NDArray[np.bool_]:
        """(F,): whether some row that scores at least this much lies on the face."""
        require_number(score)
        return self.best_score >= score

    def false(self, subset: int, score: float) -> NDArray[np.bool_]:
        """(B,): rows of that score that lie on no face, or on a face of the subset once more.

        Args:
            subset: 0 easy, 1 medium, 2 hard; rows on faces that it ignores are not false.
        """
        counted = self.predictions.image_of_row >= 0
        counted &= self.predictions.rows[:, 4] >= score
        kept = self.kept_rows(self.ground_truth.kept[subset])
        return counted & ((self.face < 0) | (kept & ~self.first))

    def kept_rows(self, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(B,): whether a row lies on a face of (F,) `kept`."""
        # The added entry is what face -1 finds.
        return np.append(kept, False)[self.face]


def require_number(score: float) -> None:
    """Raise an `InputError` for a score that is no number, to which all compare as false."""
    if not np.isfinite(score):
        raise InputError(f"score (={score}) must be a number")


def match(predictions: Predictions, ground_truth: GroundTruth) -> Matches:
    """Assign every row to the face it overlaps most, and to the threshold it counts from.

    Neither depends on the subset. Of equal overlaps the first face's counts.
    """
    rows, truth = predictions.rows, ground_truth.boxes
    face = np.full(len(rows), -1, dtype=np.int32)
    usable = np.zeros(len(rows), dtype=bool)
    near = _Near(truth)
    offsets, face_offsets = predictions.offsets.tolist(), ground_truth.offsets.tolist()
    for m, image in enumerate(predictions.image.tolist()):
        start, stop = face_offsets[image], face_offsets[image + 1]
        low, high = offsets[m], offsets[m + 1]
        # As the benchmark: an image without faces has no false detections.
        if image < 0 or start == stop or low == high:
            continue
        usable[low:high] = True
        near.add(rows, low, high, start, stop)
        if near.waiting > PAIRS:
            _decide(rows, truth, *near.take(), face)
    _decide(rows, truth, *near.take(), face)
    on = np.flatnonzero(face >= 0)[::-1]
    earliest = np.empty(len(ground_truth.boxes), dtype=np.int64)
    earliest[face[on]] = on  # the last one assigned stays: the earliest row
    first = np.zeros(len(face), dtype=bool)
    first[earliest[face[on]]] = True
    level = _levels(predictions)
    level[~usable] = THRESHOLDS
    return Matches(ground_truth, predictions, face, first, level)


class _Corners:
    """Of N boxes, (N,) each: left, top, right, bottom, and area with the last pixel counted."""

    def __init__(self, boxes: NDArray[np.float64]) -> None:
        self.left, self.top, width, height = boxes[:, :4].T.copy()
        with np.errstate(over="ignore"):  # a box of absurd size overlaps nothing
            self.right, self.bottom = self.left + width, self.top + height
            wide, high = self.right - self.left + 1, self.bottom - self.top + 1
            self.area = wide * high
        # A box turned inside out overlaps nothing; its area shall not cancel another's.
        self.area[(wide <= 0) | (high <= 0)] = 1


class _Near:
    """Finds the few pairs of a row and a face that may overlap by half, and some more.

    An overlap of 0.5 is an intersection of a third of both areas together. This asks for 0.3 of
    them, without a division and in single precision where that is exact to a hundredth: for
    faces at less than 32,768 pixels, as a box that overlaps them by half is not far from there.
    """

    SHARE = 0.3
    AHEAD = 1 << 16
    """The columns of so many rows are computed at once, as most images have few."""

    def __init__(self, faces: NDArray[np.float64]) -> None:
        exact = len(faces) and np.abs(faces).max() >= 1 << 15
        self.dtype = np.float64 if exact else np.float32
        lows, highs, share = self._columns(faces)
        self.faces = lows[:, :, None], highs[:, :, None], share[:, None]
        self.rows = self._columns(np.empty((0, 4)))
        self.first = self.last = 0
        self._found: list[NDArray[np.int64]] = []
        self._blocks: list[tuple[int, int, int]] = []
        self.waiting = 0

    def _columns(self, boxes: NDArray[np.float64]) -> tuple[NDArray[Any], ...]:
        """(2, N) left - 1 and top - 1; (2, N) right and bottom; (N,) the share of the area."""
        box = _Corners(boxes)
        lows = np.stack([box.left - 1, box.top - 1])
        highs = np.stack([box.right, box.bottom])
        with np.errstate(over="ignore"):
            return tuple(each.astype(self.dtype) for each in (lows, highs, box.area * self.SHARE))

    def add(self, rows: NDArray[np.float64], low: int, high: int, start: int, stop: int) -> None:
        """Note the pairs of the rows low:high and the faces start:stop that may overlap."""
        if low < self.first or high > self.last:
            self.first, self.last = low, max(high, min(low + self.AHEAD, len(rows)))
            self.rows = self._columns(rows[self.first : self.last])
        step = max(1, BLOCK // (stop - start))
        lows, highs, share = (each[..., start:stop, :] for each in self.faces)
        for begin in range(low, high, step):
            end = min(begin + step, high)
            part = slice(begin - self.first, end - self.first)
            sides = np.minimum(highs, self.rows[1][:, None, part])
            sides -= np.maximum(lows, self.rows[0][:, None, part])
            wide, tall = np.maximum(sides, 0, out=sides)
            wide *= tall
            found = np.flatnonzero(wide > share + self.rows[2][part])
            if len(found):
                self._found.append(found)
                self._blocks.append((end - begin, begin, start))
                self.waiting += len(found)

    def take(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(K,) rows and (K,) faces: the pairs noted since they were last taken."""
        if not self._found:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        found = np.concatenate(self._found)
        blocks = np.repeat(self._blocks, [len(each) for each in self._found], axis=0)
        self._found, self._blocks, self.waiting = [], [], 0
        face, row = np.divmod(found, blocks[:, 0])
        return row + blocks[:, 1], face + blocks[:, 2]


def overlaps(boxes: NDArray[np.float64], faces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (K,) IoU of the pairs of (K, 4+) boxes and (K, 4) faces, the last pixel counted.

    Operation by operation in the order of the benchmark's Python evaluation.
    """
    box, other = _Corners(boxes), _Corners(faces)
    with np.errstate(over="ignore", invalid="ignore"):  # a box of absurd size overlaps nothing
        wide = np.minimum(box.right, other.right) - np.maximum(box.left, other.left) + 1
        high = np.minimum(box.bottom, other.bottom) - np.maximum(box.top, other.top) + 1
        shared = np.maximum(wide, 0) * np.maximum(high, 0)
        overlap: NDArray[np.float64] = shared / (box.area + other.area - shared)
    return np.nan_to_num(overlap)


def _decide(
    rows: NDArray[np.float64],
    faces: NDArray[np.float64],
    b: NDArray[np.int64],
    f: NDArray[np.int64],
    face: NDArray[np.int32],
) -> None:
    """Write into `face` (B,) which face each row overlaps most, at 0.5 or more.

    Args:
        b: (K,) rows; `f`, (K,) as well, the faces. All pairs of a row are there together.
    """
    overlap = overlaps(rows[b], faces[f])
    enough = np.flatnonzero(overlap >= IOU)
    # By overlap, of equal ones the first face last: what is assigned last stays.
    order = enough[np.lexsort((-f[enough], overlap[enough]))]
    face[b[order]] = f[order]


def _levels(predictions: Predictions) -> NDArray[np.int16]:
    """(B,): the first of the thresholds 0.999, 0.998, ..., 0 that a row counts at.

    The benchmark takes, of each image, all rows up to the last that reaches the threshold. So a
    row counts as soon as any later one does: it has the best score from itself on.
    """
    scores = normalised(predictions.rows[:, 4])
    offsets = predictions.offsets
    rising = np.flatnonzero(~(np.diff(scores) <= 0))
    for m in np.unique(np.searchsorted(offsets, rising, side="right") - 1):
        part = scores[offsets[m] : offsets[m + 1]][::-1]
        np.fmax.accumulate(part, out=part)
    thresholds = 1 - (np.arange(THRESHOLDS) + 1) / THRESHOLDS
    # NaN is sorted last, so never counts: as no comparison with it holds.
    return np.searchsorted(-thresholds, -scores).astype(np.int16)


def normalised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores scaled to 0–1 by the least and greatest of all; NaN where these are equal.

    As the benchmark's Python evaluation starts its search from 1 and 0, the least is never above 1
    and the greatest never below 0. Where both are the same, it divides by zero.
    """
    low, high = scores.min(initial=1), scores.max(initial=0)
    with np.errstate(all="ignore"):
        scaled: NDArray[np.float64] = (scores - low) / (high - low)
    return scaled
