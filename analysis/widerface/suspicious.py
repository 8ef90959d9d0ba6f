"""What is odd about predictions that can be read, and so would go unnoticed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.widerface.ground_truth import GroundTruth
from analysis.widerface.matching import Matches, match
from analysis.widerface.predictions import Predictions

EXAMPLES = 5
NEAR_ZERO = 0.01
NORMALISED = 2.0
"""Boxes none of whose numbers is larger, in a picture of a thousand pixels, are not in pixels."""


@dataclass(frozen=True)
class Remark:
    """Something odd: `kind` for machines, `message` for people, `count` of what, a few examples."""

    kind: str
    message: str
    count: int
    examples: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """A JSON document."""
        return {**asdict(self), "examples": list(self.examples)}

    def __str__(self) -> str:
        if not self.examples:
            return self.message
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{self.message}: {', '.join(self.examples)}{more}"


def remarks(matches: Matches, average_precision: Mapping[str, float]) -> Iterator[Remark]:
    """All that is odd, what explains most first."""
    truth, predictions = matches.ground_truth, matches.predictions
    yield from _pictures(truth, predictions)
    yield from _files(predictions)
    if len(predictions.rows):
        yield from _rows(predictions)
        yield from _reading(matches)
        yield from _scores(predictions)
    near_zero = [
        f"{name} {value:.4f}" for name, value in average_precision.items() if value < NEAR_ZERO
    ]
    if near_zero:
        yield _remark("near-zero", "average precision is next to nothing", near_zero)
    undefined = [name for name, value in average_precision.items() if math.isnan(value)]
    if undefined:
        yield _remark("no-faces", "subsets without any face, so without AP", undefined)


def _remark(kind: str, message: str, all_examples: Sequence[str]) -> Remark:
    return Remark(kind, message, len(all_examples), tuple(all_examples[:EXAMPLES]))


def _pictures(truth: GroundTruth, predictions: Predictions) -> Iterator[Remark]:
    total = len(truth.pictures)
    missing = ["/".join(truth.key(int(p))) for p in predictions.missing(truth)]
    if missing:
        hint = "" if truth.subset else "; if that is meant, list the others as a subset"
        what = f"{len(missing):,} of {total:,} pictures have no predictions, their faces are missed"
        yield _remark("missing", what + hint, missing)
    faceless = ["/".join(truth.key(p)) for p in np.flatnonzero(np.diff(truth.offsets) == 0)]
    if faceless:
        what = f"{len(faceless):,} pictures have no face in the ground truth and are left out"
        yield _remark("faceless", what, faceless)


def _files(predictions: Predictions) -> Iterator[Remark]:
    for kind, what, names in (
        ("extra", "files or records are of no picture in the ground truth", predictions.extra),
        ("unreadable", "pictures could not be read by predict", predictions.unreadable),
        ("retitled", "files are not titled as they are named", predictions.retitled),
        ("miscounted", "files have another number of boxes than they say", predictions.miscounted),
    ):
        if names:
            yield _remark(kind, f"{len(names):,} {what}", names)


def _rows(predictions: Predictions) -> Iterator[Remark]:
    rows, offsets = predictions.rows, predictions.offsets
    empty = int(((rows[:, 2] <= 0) | (rows[:, 3] <= 0)).sum())
    if empty:
        what = f"{empty:,} of {len(rows):,} boxes have no area (a width or height of 0 or less)"
        yield Remark("no-area", what, empty)
    rising = np.flatnonzero(np.diff(rows[:, 4]) > 0)
    # A rise from one picture's last row to the next one's first is none.
    rising = rising[~np.isin(rising + 1, offsets)]
    unsorted = len(np.unique(np.searchsorted(offsets, rising, side="right")))
    if unsorted:
        what = (
            f"{unsorted:,} pictures' boxes do not stand in falling order of score, "
            "which changes AP: the protocol does not sort"
        )
        yield Remark("unsorted", what, unsorted)


def _reading(matches: Matches) -> Iterator[Remark]:
    """Whether the numbers make more sense read another way than x y width height in pixels."""
    truth, predictions = matches.ground_truth, matches.predictions
    boxes = predictions.rows[:, :4]
    largest = float(max(boxes.max(), -boxes.min()))
    if largest <= NORMALISED:
        what = f"boxes are not in pixels: no number in them exceeds {largest:g}"
        yield Remark("not-pixels", what, len(boxes))
        return
    best = _best_rows(predictions)
    best = best[predictions.picture_of_row[best] >= 0]
    as_given = int((matches.face[best] >= 0).sum())
    if 2 * as_given > len(best):  # they make sense as they are
        return
    for kind, name, change in (
        ("corners", "x1 y1 x2 y2", _from_corners),
        ("centres", "centre x, centre y, width, height", _from_centres),
    ):
        count = _on_faces(predictions, truth, best, change)
        if count >= min(3, len(best)) and count > 2 * as_given:
            what = (
                f"rows look like {name}, not x y width height: of {len(best):,} pictures' best "
                f"boxes {count:,} would lie on a face, as they are {as_given:,} do"
            )
            yield Remark(kind, what, count)


def _best_rows(predictions: Predictions) -> NDArray[np.int64]:
    """The row with the best score of each picture that has any."""
    offsets = predictions.offsets
    scores = predictions.rows[:, 4]
    spans = zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    return np.array([a + int(scores[a:b].argmax()) for a, b in spans if b > a], dtype=np.int64)


def _from_corners(rows: NDArray[np.float64]) -> None:
    rows[:, 2:4] -= rows[:, :2]


def _from_centres(rows: NDArray[np.float64]) -> None:
    rows[:, :2] -= rows[:, 2:4] / 2


def _on_faces(
    predictions: Predictions, truth: GroundTruth, chosen: NDArray[np.int64], change: Any
) -> int:
    """How many of the chosen rows, one a picture at most, lie on a face when read otherwise."""
    rows = predictions.rows[chosen]
    change(rows)
    changed = Predictions(
        source=predictions.source,
        rows=rows,
        offsets=np.arange(len(chosen) + 1),
        picture=predictions.picture_of_row[chosen],
    )
    return int((match(changed, truth).face >= 0).sum())


def _scores(predictions: Predictions) -> Iterator[Remark]:
    scores = predictions.rows[:, 4]
    low, high = float(scores.min()), float(scores.max())
    if low == high:
        what = f"all scores are {low:g}; the protocol scales them by their range, which is nothing"
        yield Remark("equal-scores", what, len(scores))
    elif low < 0 or high > 1:
        what = f"scores run from {low:g} to {high:g}, not within 0 to 1; AP goes by their order"
        yield Remark("scores", what, int(((scores < 0) | (scores > 1)).sum()))
