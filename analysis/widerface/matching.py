"""Which face each detection lies on, for all subsets at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.widerface.ground_truth import GroundTruth
from analysis.widerface.predictions import Predictions

IOU = 0.5
THRESHOLDS = 1000
BLOCK = 1 << 15
"""Overlaps are computed for so many pairs at a time: what fits a core's cache."""


@dataclass(frozen=True, eq=False)
class Matches:
    """The B rows of the predictions, against the F faces of the ground truth.

    `face` is (B,): the face a row overlaps most, -1 where by less than IoU 0.5 (or where its
    picture is unknown or has no faces).
    `first` is (B,): whether no earlier row of its picture lies on the same face.
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
        return self.best_score >= score

    def false(self, subset: int, score: float) -> NDArray[np.bool_]:
        """(B,): rows of that score that lie on no face, or on a face of the subset once more.

        Args:
            subset: 0 easy, 1 medium, 2 hard; rows on faces that it ignores are not false.
        """
        counted = self.predictions.picture_of_row >= 0
        counted &= self.predictions.rows[:, 4] >= score
        kept = self.kept_rows(self.ground_truth.kept[subset])
        return counted & ((self.face < 0) | (kept & ~self.first))

    def kept_rows(self, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(B,): whether a row lies on a face of (F,) `kept`."""
        # The added entry is what face -1 finds.
        return np.append(kept, False)[self.face]


def match(predictions: Predictions, ground_truth: GroundTruth) -> Matches:
    """Assign every row to the face it overlaps most, and to the threshold it counts from.

    Which face that is, and which row is the first on it, does not depend on the subset: one pass
    serves all three. Overlaps are float64, operation by operation as the benchmark's Python
    evaluation has them; of equal overlaps the first face's counts.
    """
    faces = _Corners.of(ground_truth.boxes)
    face = np.full(len(predictions.rows), -1, dtype=np.int32)
    usable = np.zeros(len(predictions.rows), dtype=bool)
    work = _Work()
    offsets = predictions.offsets.tolist()
    face_offsets = ground_truth.offsets.tolist()
    for m, picture in enumerate(predictions.picture.tolist()):
        if picture < 0:
            continue
        start, stop = face_offsets[picture], face_offsets[picture + 1]
        if start == stop:  # as the benchmark: a picture without faces has no false detections
            continue
        usable[offsets[m] : offsets[m + 1]] = True
        step = max(1, BLOCK // (stop - start))
        for low in range(offsets[m], offsets[m + 1], step):
            high = min(low + step, offsets[m + 1])
            _assign(predictions.rows[low:high], faces, start, stop, face[low:high], work)
    on = np.flatnonzero(face >= 0)[::-1]
    earliest = np.empty(len(ground_truth.boxes), dtype=np.int64)
    earliest[face[on]] = on  # the last one assigned stays: the earliest row
    first = np.zeros(len(face), dtype=bool)
    first[earliest[face[on]]] = True
    level = _levels(predictions)
    level[~usable] = THRESHOLDS
    return Matches(ground_truth, predictions, face, first, level)


@dataclass(frozen=True)
class _Corners:
    """Columns (N, 1): left, top, right, bottom and area, with the last pixel counted."""

    left: NDArray[np.float64]
    top: NDArray[np.float64]
    right: NDArray[np.float64]
    bottom: NDArray[np.float64]
    area: NDArray[np.float64]

    @staticmethod
    def of(boxes: NDArray[np.float64]) -> _Corners:
        left, top, width, height = boxes[:, :4].T.copy()[:, :, None]
        with np.errstate(over="ignore"):  # a box of absurd size overlaps nothing
            right, bottom = left + width, top + height
            wide, high = right - left + 1, bottom - top + 1
            area = wide * high
        # A box turned inside out never overlaps anything; keep its area from cancelling another's.
        area[(wide <= 0) | (high <= 0)] = 1
        return _Corners(left, top, right, bottom, area)


class _Work:
    """Memory for the overlaps of one block, used again for every block."""

    def __init__(self) -> None:
        self.size = 0

    def arrays(self, *shape: int) -> tuple[NDArray[np.float64], ...]:
        needed = shape[0] * shape[1]
        if needed > self.size:
            self.size = needed
            self.memory = np.empty((3, needed))
        return tuple(each[:needed].reshape(shape) for each in self.memory)


def _assign(
    rows: NDArray[np.float64],
    faces: _Corners,
    start: int,
    stop: int,
    face: NDArray[np.int32],
    work: _Work,
) -> None:
    """Write into `face` (N,) which of the faces start:stop each of N rows lies on, if any."""
    box = _Corners.of(rows)
    wide, high, other = work.arrays(stop - start, len(rows))
    np.minimum(faces.right[start:stop], box.right.T, out=wide)
    np.maximum(faces.left[start:stop], box.left.T, out=other)
    wide -= other
    wide += 1
    np.minimum(faces.bottom[start:stop], box.bottom.T, out=high)
    np.maximum(faces.top[start:stop], box.top.T, out=other)
    high -= other
    high += 1
    np.maximum(wide, 0, out=wide)
    np.maximum(high, 0, out=high)
    wide *= high
    np.add(faces.area[start:stop], box.area.T, out=other)
    other -= wide
    wide /= other
    hits = np.flatnonzero(wide.max(axis=0) >= IOU)
    if len(hits):
        face[hits] = wide[:, hits].argmax(axis=0) + start


def _levels(predictions: Predictions) -> NDArray[np.int16]:
    """(B,): the first of the thresholds 0.999, 0.998, ..., 0 that a row counts at.

    The benchmark takes, of each picture, all rows up to the last that reaches the threshold. So a
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
    """Scores scaled to 0–1 by the least and the greatest of all; NaN where they do not differ.

    As the benchmark's Python evaluation starts its search from 1 and 0, the least is never above 1
    and the greatest never below 0. Where both are the same, it divides by zero.
    """
    low, high = min(1.0, *_ends(scores)), max(0.0, *_ends(scores))
    with np.errstate(all="ignore"):
        return (scores - low) / np.float64(high - low)


def _ends(scores: NDArray[np.float64]) -> tuple[float, float]:
    return (float(scores.min()), float(scores.max())) if len(scores) else (0.0, 1.0)
