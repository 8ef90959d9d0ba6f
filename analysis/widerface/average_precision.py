"""Average precision on WIDER FACE, as the benchmark's evaluation computes it.

The protocol is that of the benchmark's MATLAB code as ported to Python (WiderFace-Evaluation), by
which figures are published. Its peculiarities move results and are kept:

1. **Scores** are scaled to 0–1 by the least and greatest score of all pictures; that of unknown
   pictures, lying in an event's folder, too. The search for them starts from 1 and 0. Where all
   scores are the same (and in 0–1) this divides by zero: no row ever counts and the AP is 0.
2. **Order.** Rows are taken in the order of the file; nothing sorts them. At a threshold, a
   picture counts *all rows up to the last one* that reaches it, also those between that do not.
3. **Thresholds** are the 1,000 values 0.999, 0.998, ..., 0. What differs only in between ties.
4. **Overlap** counts the last pixel: a box x, y, w, h covers x to x + w inclusive, so is w + 1
   wide. A row belongs to the face that it overlaps most (the first of several), at IoU >= 0.5.
5. **Ignored faces.** A row on a face outside the subset counts neither for nor against, though it
   might overlap a face inside it by 0.5 as well.
6. **Once.** The first row on a face finds it; every further one is false.
7. **Skipped pictures.** One without any annotated face is left out: detections on it are not
   false. A picture without detections only adds its faces to those to be found.
8. **Area** under the precision envelope as PASCAL VOC has it since 2010, from recall 0 to 1.
   Precision where nothing is counted yet is undefined (NaN); recall is 0 there.

The port fails where a picture has no file. Here that is a picture without detections, and said.
The AP of a subset without faces is undefined: NaN in Python, null in records.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.widerface import suspicious
from analysis.widerface.ground_truth import SUBSETS, GroundTruth, read_ground_truth, read_subset
from analysis.widerface.matching import IOU, THRESHOLDS, Matches, match
from analysis.widerface.predictions import Predictions, read_predictions

PROTOCOL = {
    "benchmark": "WIDER FACE val",
    "iou": IOU,
    "thresholds": THRESHOLDS,
    "scores": "scaled to 0-1 over all pictures",
    "boxes": "last pixel counted",
    "rows": "in the order of the file, up to the last at or above the threshold",
    "area": "VOC 2010",
}


@dataclass(frozen=True, eq=False)
class Curve:
    """Counts at each of the 1,000 thresholds, from the highest, and what follows from them.

    `proposed` and `found` are (1000,): rows that count, and faces found.
    """

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
        """A JSON document; null for what is undefined."""
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
    """The precision–recall curve of a choice of faces; rows on any other face are ignored.

    Args:
        kept: (F,): the faces to be found.
        rows: (B,): the rows that take part; all by default.
    """
    on_kept = matches.kept_rows(kept)
    proposes = (matches.face < 0) | on_kept
    finds = on_kept & matches.first
    if rows is not None:
        proposes &= rows
        finds &= rows
    return Curve(
        faces=int(kept.sum()),
        proposed=_reached(matches.level[proposes]),
        found=_reached(matches.level[finds]),
    )


def _reached(levels: NDArray[np.int16]) -> NDArray[np.int64]:
    """(1000,): how many rows count at each threshold."""
    return np.cumsum(np.bincount(levels, minlength=THRESHOLDS + 1)[:THRESHOLDS])


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What predictions are worth: the curves by subset, and what was odd about the input."""

    matches: Matches
    curves: dict[str, Curve]
    remarks: tuple[suspicious.Remark, ...]

    def as_dict(self) -> dict[str, Any]:
        """The record: AP as fractions (null where undefined), counts, the protocol, remarks."""
        truth, predictions = self.matches.ground_truth, self.matches.predictions
        known = predictions.picture >= 0
        missing = ["/".join(truth.key(int(p))) for p in predictions.missing(truth)]
        boxes = np.diff(predictions.offsets)
        values = {name: self.curves[name].average_precision for name in SUBSETS}
        subset = truth.subset
        return {
            **{name: null(value) for name, value in values.items()},
            "mean": null(sum(values.values()) / len(values)),
            "images": len(truth.pictures),
            "boxes": int(boxes[known].sum()),
            "faces": truth.faces,
            "missing": len(missing),
            "missing_pictures": missing,
            "without_boxes": int((boxes[known] == 0).sum()),
            "extra": len(predictions.extra),
            "subset": None if subset is None else asdict(subset),
            "protocol": dict(PROTOCOL),
            "remarks": [remark.as_dict() for remark in self.remarks],
        }

    def curves_as_dict(self) -> dict[str, Any]:
        """The three curves, with the thresholds they share."""
        thresholds = (1 - (np.arange(THRESHOLDS) + 1) / THRESHOLDS).tolist()
        curves = {name: curve.as_dict() for name, curve in self.curves.items()}
        return {"thresholds": thresholds, **curves}


def evaluate(predictions: Predictions, ground_truth: GroundTruth) -> Evaluation:
    """Average precision, curves and remarks for predictions that were read."""
    matches = match(predictions, ground_truth)
    curves = {
        name: curve(matches, kept) for name, kept in zip(SUBSETS, ground_truth.kept, strict=True)
    }
    return Evaluation(
        matches=matches,
        curves=curves,
        remarks=tuple(
            suspicious.remarks(
                matches, {name: each.average_precision for name, each in curves.items()}
            )
        ),
    )


def evaluate_files(
    predictions: str | Path, ground_truth: str | Path, subset: str | Path | None = None
) -> Evaluation:
    """Evaluate what is on disk.

    Args:
        predictions: a folder, an archive, .jsonl or .parquet; see `read_predictions`.
        ground_truth: the folder of the four .mat files.
        subset: a file that lists the pictures to evaluate, EVENT/PICTURE.jpg a line.

    Raises:
        InputError: where any of them is missing or malformed.
    """
    truth = read_ground_truth(ground_truth)
    if subset is not None:
        truth = truth.only(read_subset(subset))
    return evaluate(read_predictions(predictions, truth), truth)


def null(value: float) -> float | None:
    """The value; None for NaN, which JSON does not have."""
    return None if math.isnan(value) else value
