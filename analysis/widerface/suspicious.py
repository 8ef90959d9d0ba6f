"""Remarks on what is odd about predictions that can be read, and so would go unnoticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.widerface.curves import Curve, subset_curves
from analysis.widerface.ground_truth import SUBSETS, GroundTruth
from analysis.widerface.matching import Matches, match
from analysis.widerface.predictions import Predictions

EXAMPLES = 5
NEAR_ZERO = 0.01
FRACTIONS = 2.0
"""Boxes whose numbers are hardly larger, in images of a thousand pixels, are not in pixels."""

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Remark:
    """Something odd: `kind` for machines, `message` for people, `count` of what, a few examples."""

    kind: str
    message: str
    count: int
    examples: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON document."""
        return {**asdict(self), "examples": list(self.examples)}

    def __str__(self) -> str:
        if not self.examples:
            return self.message
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{self.message}: {', '.join(self.examples)}{more}"


def remarks(matches: Matches, curves: Mapping[str, Curve]) -> Iterator[Remark]:
    """Yield all that is odd, what explains most first."""
    truth, predictions = matches.ground_truth, matches.predictions
    yield from _images(truth, predictions)
    if len(predictions.rows):
        yield from _rows(predictions)
        yield from _format(matches)
        yield from _scores(predictions)
    precisions = {name: each.average_precision for name, each in curves.items()}
    near_zero = [f"{name} {value:.4f}" for name, value in precisions.items() if value < NEAR_ZERO]
    yield from _named("near-zero", "average precision is next to nothing", near_zero)
    undefined = [name for name, value in precisions.items() if np.isnan(value)]
    yield from _named("no-faces", "subsets without any face, so without AP", undefined)


def _named(kind: str, message: str, names: Sequence[str]) -> Iterator[Remark]:
    if names:
        count = len(names)
        yield Remark(kind, message.format(f"{count:,}"), count, tuple(names[:EXAMPLES]))


_ODD_FILES = {
    "extra": "{} files or records are of no image in the ground truth",
    "unreadable": "{} images could not be read by predict",
    "blank": "{} files are empty, taken for images without faces",
    "retitled": "{} files are not titled as they are named",
    "miscounted": "{} files have another number of boxes than they say",
}
"""The fields of `Predictions` that name files."""


def _images(truth: GroundTruth, predictions: Predictions) -> Iterator[Remark]:
    absent = f"{{}} of {len(truth.images):,} images have no predictions, their faces are missed"
    hint = "" if truth.subset else "; if that is meant, list the others as a subset"
    missing = [truth.name(p) for p in predictions.missing(truth)]
    yield from _named("missing", absent + hint, missing)
    faceless = [truth.name(int(p)) for p in np.flatnonzero(np.diff(truth.offsets) == 0)]
    message = "{} images have no face in the ground truth and are left out"
    yield from _named("faceless", message, faceless)
    for kind, message in _ODD_FILES.items():
        yield from _named(kind, message, getattr(predictions, kind))


def _rows(predictions: Predictions) -> Iterator[Remark]:
    rows, offsets = predictions.rows, predictions.offsets
    empty = int(((rows[:, 2] <= 0) | (rows[:, 3] <= 0)).sum())
    if empty:
        message = f"{empty:,} of {len(rows):,} boxes have no area (a width or height of 0 or less)"
        yield Remark("no-area", message, empty)
    rising = np.flatnonzero(rows[1:, 4] > rows[:-1, 4])
    # A rise from one image's last row to the next one's first is none.
    rising = rising[~np.isin(rising + 1, offsets)]
    unsorted = len(np.unique(np.searchsorted(offsets, rising, side="right")))
    if unsorted:
        message = (
            f"{unsorted:,} images' boxes do not stand in falling order of score, "
            "which changes AP: the protocol does not sort"
        )
        yield Remark("unsorted", message, unsorted)


def _format(matches: Matches) -> Iterator[Remark]:
    """Find out whether the rows make more sense in another format, and which AP it would give.

    Each format is tried on the best box of every image. The ground truth has no image sizes, so
    that a scale is estimated from it, one for all images.
    """
    truth, predictions = matches.ground_truth, matches.predictions
    best = _best_boxes(predictions)
    as_given = int((matches.face[best] >= 0).sum())
    known = int((predictions.image_of_row[best] >= 0).sum())
    if 2 * as_given > known:
        return
    tried = []
    with np.errstate(all="ignore"):  # boxes of absurd size overlap nothing
        for kind, name, change in _FORMATS:
            changed = replace(predictions, rows=change(predictions.rows))
            if kind == "scale":
                factors = _scale(changed, truth)
                name = name.format(*factors)
                changed.rows[:, :4] *= np.tile(factors, 2)
            found = int((match(_only(changed, _best_boxes(changed)), truth).face >= 0).sum())
            tried.append((found, kind, name, changed))
    found, kind, name, changed = max(tried, key=lambda each: each[0])
    typical = float(np.quantile(np.abs(predictions.rows[:, :4]), 0.99))
    if typical <= FRACTIONS:
        message = (
            f"boxes are not in pixels: hardly a number in them exceeds {typical:.3g}; they look "
            "like fractions of the image's width and height"
        )
        yield Remark("not-pixels", message, len(predictions.rows))
    if kind == "scale" and 2 * found <= known:  # a few overlap under any scale
        return
    if found >= min(3, known) and found > 2 * as_given:
        curves = subset_curves(match(changed, truth))
        values = ", ".join(f"{key} {curves[key].average_precision:.4f}" for key in SUBSETS)
        yield Remark(
            kind,
            f"rows look like {name}, not x y width height score in pixels: of {known:,} images' "
            f"best boxes {found:,} would lie on a face, as they are {as_given:,} do; AP would be "
            f"{values}",
            found,
        )


def _from_corners(rows: Rows) -> Rows:
    return np.column_stack([rows[:, :2], rows[:, 2:4] - rows[:, :2], rows[:, 4]])


def _from_centres(rows: Rows) -> Rows:
    return np.column_stack([rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:]])


_FORMATS: tuple[tuple[str, str, Callable[[Rows], Rows]], ...] = (
    ("corners", "x1 y1 x2 y2 score", _from_corners),
    ("centres", "centre x, centre y, width, height, score", _from_centres),
    ("swapped", "y x height width score", lambda rows: rows[:, [1, 0, 3, 2, 4]]),
    ("swapped-corners", "y1 x1 y2 x2 score", lambda rows: _from_corners(rows[:, [1, 0, 3, 2, 4]])),
    ("score-first", "score x y width height", lambda rows: rows[:, [1, 2, 3, 4, 0]]),
    ("score-corners", "score x1 y1 x2 y2", lambda rows: _from_corners(rows[:, [1, 2, 3, 4, 0]])),
    ("scale", "boxes at another scale, to be multiplied by {:.4g} and {:.4g}", np.copy),
)


def _scale(predictions: Predictions, truth: GroundTruth) -> NDArray[np.float64]:
    """Return (2,) factors of x and y that bring most best boxes to the face where there is one."""
    best = _only(predictions, _best_boxes(predictions))
    rows, image = best.rows, best.image
    single = np.append(np.diff(truth.offsets) == 1, False)[image]
    if not single.any():
        return np.ones(2)
    faces = truth.boxes[truth.offsets[:-1][image[single]]]
    ratios = (faces[:, :2] + faces[:, 2:] / 2) / (rows[single, :2] + rows[single, 2:4] / 2)
    usable = ratios[(np.isfinite(ratios) & (ratios > 0)).all(axis=1)]
    return np.median(usable, axis=0) if len(usable) else np.ones(2)


def _best_boxes(predictions: Predictions) -> NDArray[np.int64]:
    """Return (K,): the row with the best score of each image that has any."""
    offsets, scores = predictions.offsets, predictions.rows[:, 4]
    spans = zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    return np.array([a + int(scores[a:b].argmax()) for a, b in spans if b > a], dtype=np.int64)


def _only(predictions: Predictions, chosen: NDArray[np.int64]) -> Predictions:
    return replace(
        predictions,
        rows=predictions.rows[chosen],
        offsets=np.arange(len(chosen) + 1),
        image=predictions.image_of_row[chosen],
    )


def _scores(predictions: Predictions) -> Iterator[Remark]:
    scores = predictions.rows[:, 4]
    low, high = float(scores.min()), float(scores.max())
    if low == high:
        message = f"all scores are {low:g}; the protocol divides by their range, which is nothing"
        yield Remark("equal-scores", message, len(scores))
    elif low < 0 or high > 1:
        message = f"scores run from {low:g} to {high:g}, not within 0 to 1; AP goes by their order"
        yield Remark("scores", message, int(((scores < 0) | (scores > 1)).sum()))
