"""Assignment of every detection to the face it lies on, for all subsets at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from analysis.widerface.ground_truth import GroundTruth
from analysis.widerface.predictions import Predictions
from featherface.errors import InputError

IOU = 0.5
THRESHOLDS = 1000
THRESHOLD_SCORES = 1 - (np.arange(THRESHOLDS) + 1) / THRESHOLDS
"""0.999, 0.998, ..., 0."""
BLOCK = 1 << 15
"""Pairs of row and face are tested so many at a time: what fits a core's cache."""
PAIRS = 1 << 20
"""Overlaps are computed when about so many pairs wait for it."""
AHEAD = 1 << 16
"""The columns of so many rows are computed at once."""
SHARE = 0.3
"""Of both areas together, that an intersection must be for its overlap to be computed."""
THIN = 0.1
"""Boxes of fewer pixels, in either direction, are lost in single precision."""


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
    face = np.full(len(predictions.rows), -1, dtype=np.int32)
    for row, near in _near(predictions, ground_truth):
        overlap = overlaps(predictions.rows[row], ground_truth.boxes[near])
        enough = np.flatnonzero(overlap >= IOU)
        # By overlap, of equal ones the first face last: what is assigned last stays.
        order = enough[np.lexsort((-near[enough], overlap[enough]))]
        face[row[order]] = near[order]
    on = np.flatnonzero(face >= 0)[::-1]
    earliest = np.empty(len(ground_truth.boxes), dtype=np.int64)
    earliest[face[on]] = on  # the last one assigned stays: the earliest row
    first = np.zeros(len(face), dtype=bool)
    first[earliest[face[on]]] = True
    level = _levels(predictions)
    # As the benchmark: an image without faces has no false detections.
    level[~ground_truth.has_faces(predictions.image_of_row)] = THRESHOLDS
    return Matches(ground_truth, predictions, face, first, level)


class _Corners:
    """Of N boxes, (N,) each: left, top, right, bottom, and area with the last pixel counted."""

    def __init__(self, boxes: NDArray[np.float64]) -> None:
        self.left, self.top, width, height = boxes[:, :4].T.copy()
        with np.errstate(over="ignore", invalid="ignore"):  # an absurd size overlaps nothing
            self.right, self.bottom = self.left + width, self.top + height
            wide, high = self.right - self.left + 1, self.bottom - self.top + 1
            self.area = wide * high
        self.shorter = np.minimum(wide, high)
        # A box turned inside out overlaps nothing; its area shall not cancel another's.
        self.area[self.shorter <= 0] = 1


Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
"""(K,) rows and (K,) faces."""


def _near(predictions: Predictions, truth: GroundTruth) -> Iterator[Pairs]:
    """Yield the few pairs of a row and a face that may overlap by half, and some more.

    An overlap of 0.5 is an intersection of a third of both areas together. This asks for 0.3 of
    them, without a division and in single precision where that is exact to a hundredth: for
    faces at less than 32,768 pixels, as a box that overlaps them by half is not far from there.
    Of THIN boxes all pairs are taken. All pairs of a row come together.
    """
    rows = predictions.rows
    large = len(truth.boxes) and np.abs(truth.boxes).max() >= 1 << 15
    dtype = np.float64 if large else np.float32
    face_lows, face_highs, face_share = _columns(truth.boxes, dtype)
    first = last = waiting = 0
    found, blocks = [], []
    for begin, end, start, stop in _blocks(predictions, truth):
        if end > last:  # the columns of many rows at once, as most images have few
            first, last = begin, max(end, begin + AHEAD)
            row_lows, row_highs, row_share = _columns(rows[first:last], dtype)
        part = slice(begin - first, end - first)
        sides = np.minimum(face_highs[:, start:stop, None], row_highs[:, None, part])
        sides -= np.maximum(face_lows[:, start:stop, None], row_lows[:, None, part])
        wide, tall = np.maximum(sides, 0, out=sides)
        wide *= tall
        with np.errstate(invalid="ignore"):  # a thin face and a box of infinite area
            share = face_share[start:stop, None] + row_share[part]
        pairs = np.flatnonzero(wide > share)
        if len(pairs):
            found.append(pairs)
            blocks.append((end - begin, begin, start))
            waiting += len(pairs)
        if waiting > PAIRS:
            yield _unfolded(found, blocks)
            found, blocks, waiting = [], [], 0
    if found:
        yield _unfolded(found, blocks)


def _blocks(predictions: Predictions, truth: GroundTruth) -> Iterator[tuple[int, int, int, int]]:
    """Yield begin and end of rows, start and stop of faces of one image, at most BLOCK pairs."""
    offsets, face_offsets = predictions.offsets.tolist(), truth.offsets.tolist()
    for m, image in enumerate(predictions.image.tolist()):
        start, stop = face_offsets[image], face_offsets[image + 1]
        if image >= 0 and start < stop:
            step = max(1, BLOCK // (stop - start))
            low, high = offsets[m : m + 2]
            for begin in range(low, high, step):
                yield begin, min(begin + step, high), start, stop


def _columns(boxes: NDArray[np.float64], dtype: DTypeLike) -> tuple[NDArray[Any], ...]:
    """(2, N) left - 1 and top - 1; (2, N) right and bottom; (N,) the share of the area."""
    box = _Corners(boxes)
    lows, highs = np.stack([box.left - 1, box.top - 1]), np.stack([box.right, box.bottom])
    with np.errstate(over="ignore"):
        share = box.area * SHARE
        share[(box.shorter > 0) & (box.shorter < THIN)] = -np.inf
        return tuple(each.astype(dtype) for each in (lows, highs, share))


def _unfolded(found: list[NDArray[np.int64]], blocks: list[tuple[int, int, int]]) -> Pairs:
    """Return rows and faces of positions in blocks, each (rows, first row, first face)."""
    spread = np.repeat(blocks, [len(each) for each in found], axis=0)
    face, row = np.divmod(np.concatenate(found), spread[:, 0])
    return row + spread[:, 1], face + spread[:, 2]


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


def _levels(predictions: Predictions) -> NDArray[np.int16]:
    """(B,): the first of the thresholds that a row counts at.

    The benchmark takes, of each image, all rows up to the last that reaches the threshold. So a
    row counts as soon as any later one does: it has the best score from itself on.
    """
    scores = normalised(predictions.rows[:, 4])
    offsets = predictions.offsets
    rising = np.flatnonzero(~(np.diff(scores) <= 0))
    for m in np.unique(np.searchsorted(offsets, rising, side="right") - 1):
        part = scores[offsets[m] : offsets[m + 1]][::-1]
        np.fmax.accumulate(part, out=part)
    # NaN is sorted last, so never counts: as no comparison with it holds.
    return np.searchsorted(-THRESHOLD_SCORES, -scores).astype(np.int16)


def normalised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores scaled to 0–1 by the least and greatest of all; NaN where these are equal.

    As the benchmark's Python evaluation starts its search from 1 and 0, the least is never above 1
    and the greatest never below 0. Where both are the same, it divides by zero.
    """
    low, high = scores.min(initial=1), scores.max(initial=0)
    with np.errstate(all="ignore"):
        scaled: NDArray[np.float64] = (scores - low) / (high - low)
    return scaled
