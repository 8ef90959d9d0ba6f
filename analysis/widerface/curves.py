"""Precision–recall curves of a choice of faces, and the area under them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.widerface.ground_truth import SUBSETS
from analysis.widerface.matching import THRESHOLDS, Matches


@dataclass(frozen=True, eq=False)
class Curve:
    """Rows that count, and faces found, (1000,) each, at each threshold from the highest."""

    faces: int
    proposed: NDArray[np.int64]
    found: NDArray[np.int64]

    @property
    def precision(self) -> NDArray[np.float64]:
        """(1000,); NaN where nothing is proposed."""
        with np.errstate(invalid="ignore"):
            return self.found / self.proposed

    @property
    def recall(self) -> NDArray[np.float64]:
        """(1000,); NaN where there are no faces."""
        with np.errstate(invalid="ignore"):
            return self.found / np.float64(self.faces)

    @property
    def average_precision(self) -> float:
        """The area under the envelope; NaN where there are no faces."""
        if not self.faces:
            return math.nan
        recall = np.concatenate([[0.0], self.recall, [1.0]])
        # Where nothing is proposed nothing is recalled, so these points bound no area.
        precision = np.concatenate([[0.0], np.nan_to_num(self.precision), [0.0]])
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        steps = np.flatnonzero(recall[1:] != recall[:-1])
        return float(np.sum((recall[steps + 1] - recall[steps]) * envelope[steps + 1]))

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON document; null for what is undefined."""
        return {
            "faces": self.faces,
            "precision": [null(value) for value in self.precision.tolist()],
            "recall": [null(value) for value in self.recall.tolist()],
            "proposed": self.proposed.tolist(),
            "found": self.found.tolist(),
        }


def curve(
    matches: Matches, kept: NDArray[np.bool_], rows: NDArray[np.bool_] | None = None
) -> Curve:
    """Return the curve of (F,) `kept` faces; rows on any other face are ignored.

    Of the rows (B,) `rows` take part, all by default.
    """
    on_kept = matches.kept_rows(kept)
    proposes = (matches.face < 0) | on_kept
    finds = on_kept & matches.first
    if rows is not None:
        proposes &= rows
        finds &= rows
    levels = matches.level
    return Curve(int(kept.sum()), _reached(levels[proposes]), _reached(levels[finds]))


def subset_curves(matches: Matches) -> dict[str, Curve]:
    """Return the curves of easy, medium and hard."""
    kept = zip(SUBSETS, matches.ground_truth.kept, strict=True)
    return {name: curve(matches, faces) for name, faces in kept}


def _reached(levels: NDArray[np.int16]) -> NDArray[np.int64]:
    """(1000,): number of rows that count at each threshold."""
    return np.cumsum(np.bincount(levels, minlength=THRESHOLDS + 1)[:THRESHOLDS])


def null(value: float) -> float | None:
    """Return the value; None for NaN, which JSON does not have."""
    return None if math.isnan(value) else value
