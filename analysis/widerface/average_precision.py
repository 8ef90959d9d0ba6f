"""Average precision on WIDER FACE, as the benchmark's evaluation computes it.

The protocol is that of the benchmark's MATLAB code as ported to Python (WiderFace-Evaluation), by
which figures are published. Its peculiarities move results and are kept:

1. **Scores** are scaled to 0–1 by the least and greatest score of all images; that of unknown
   images, lying in an event's folder, too. The search for them starts from 1 and 0. Where all
   scores are the same (and in 0–1) this divides by zero: no row ever counts and the AP is 0.
2. **Order.** Rows are taken in the order of the file; nothing sorts them. At a threshold, a
   image counts *all rows up to the last one* that reaches it, also those between that do not.
3. **Thresholds** are the 1,000 values 0.999, 0.998, ..., 0. What differs only in between ties.
4. **Overlap** counts the last pixel: a box x, y, w, h covers x to x + w inclusive, so is w + 1
   wide. A row belongs to the face that it overlaps most (the first of several), at IoU >= 0.5.
5. **Ignored faces.** A row on a face outside the subset counts neither for nor against, though it
   might overlap a face inside it by 0.5 as well.
6. **Once.** The first row on a face finds it; every further one is false.
7. **Skipped images.** One without any annotated face is left out: detections on it are not
   false. An image without detections only adds its faces to those to be found.
8. **Area** under the precision envelope as PASCAL VOC has it since 2010, from recall 0 to 1.
   Precision where nothing is counted yet is undefined (NaN); recall is 0 there.

The port fails where an image has no file. Here that is an image without detections, and said.
The AP of a subset without faces is undefined: NaN in Python, null in records.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.widerface import suspicious
from analysis.widerface.curves import Curve, null, subset_curves
from analysis.widerface.ground_truth import SUBSETS, GroundTruth, read_ground_truth
from analysis.widerface.matching import IOU, THRESHOLD_SCORES, THRESHOLDS, Matches, match
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
class Evaluation:
    """The curves by subset, and what is odd about the predictions."""

    matches: Matches
    curves: dict[str, Curve]
    remarks: tuple[suspicious.Remark, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the record: AP as fractions (null where undefined), counts, protocol, remarks."""
        truth, predictions = self.matches.ground_truth, self.matches.predictions
        known = predictions.image >= 0
        missing = [truth.name(p) for p in predictions.missing(truth)]
        boxes = np.diff(predictions.offsets)
        values = {name: self.curves[name].average_precision for name in SUBSETS}
        return {
            **{name: null(value) for name, value in values.items()},
            "mean": null(sum(values.values()) / len(values)),
            "images": len(truth.images),
            "boxes": int(boxes[known].sum()),
            "faces": truth.faces,
            "missing": len(missing),
            "missing_pictures": missing,
            "without_boxes": int((boxes[known] == 0).sum()),
            "extra": len(predictions.extra),
            "subset": truth.subset and asdict(truth.subset),
            "protocol": dict(PROTOCOL),
            "remarks": [remark.as_dict() for remark in self.remarks],
        }

    def curves_as_dict(self) -> dict[str, Any]:
        """Return the three curves, with the thresholds they share."""
        curves = {name: curve.as_dict() for name, curve in self.curves.items()}
        return {"thresholds": THRESHOLD_SCORES.tolist()} | curves


def evaluate(predictions: Predictions, ground_truth: GroundTruth) -> Evaluation:
    """Return average precision, curves and remarks for predictions that were read."""
    matches = match(predictions, ground_truth)
    curves = subset_curves(matches)
    return Evaluation(matches, curves, tuple(suspicious.remarks(matches, curves)))


def evaluate_files(
    predictions: str | Path, ground_truth: str | Path, subset: str | Path | None = None
) -> Evaluation:
    """Evaluate predictions on disk; see `read_predictions` and `read_ground_truth`."""
    truth = read_ground_truth(ground_truth, subset)
    return evaluate(read_predictions(predictions, truth), truth)
