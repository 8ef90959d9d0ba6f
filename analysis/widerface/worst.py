"""The worst of a detector at one score: the tallest faces it misses, its surest false alarms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.widerface.ground_truth import SUBSETS, GroundTruth
from analysis.widerface.matching import Matches, overlaps

Boxes = NDArray[np.float64]


def missed(matches: Matches, score: float) -> NDArray[np.int64]:
    """Return (K,) Hard faces that no detection of this score lies on, the tallest first."""
    truth = matches.ground_truth
    return truth.tallest_first(truth.kept[SUBSETS.index("hard")] & ~matches.found(score))


def false_alarms(matches: Matches, score: float) -> NDArray[np.int64]:
    """Return (K,) rows of this score that lie on no annotated face, the surest first.

    A second detection on a face is not among these, though false by the protocol; nor is one on
    an image without annotated faces. Many of the surest lie on faces that nobody annotated.
    """
    predictions = matches.predictions
    counted = matches.ground_truth.has_faces(predictions.image_of_row)
    counted &= (matches.face < 0) & (predictions.rows[:, 4] >= score)
    rows = np.flatnonzero(counted)
    return rows[np.argsort(-predictions.rows[rows, 4], kind="stable")]


def describe_missed(
    matches: Matches, faces: NDArray[np.int64], score: float
) -> Iterator[dict[str, Any]]:
    """Yield a record a face, in the order given.

    `score` is the best of the detections on the face, all below the one given, null where there
    are none; `iou` and `nearest` are overlap and box (x, y, width, height in pixels) of the
    detection of at least the score given that overlaps it most, 0 and null where none does.
    """
    truth, predictions = matches.ground_truth, matches.predictions
    part_of = {int(p): m for m, p in enumerate(predictions.image) if p >= 0}
    for rank, face in enumerate(faces, 1):
        image = int(truth.image_of_face[face])
        part = part_of.get(image)
        span = slice(0, 0) if part is None else slice(*predictions.offsets[part : part + 2])
        rows = predictions.rows[span]
        best = float(matches.best_score[face])
        known = best if np.isfinite(best) else None
        near = rows[rows[:, 4] >= score, :4]
        yield _record(truth, rank, image, truth.boxes[face], known, near)


def describe_false_alarms(matches: Matches, rows: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
    """Yield a record a detection, in the order given.

    `iou` and `nearest` are those of the annotated face, of whatever subset, that it overlaps most.
    """
    truth, predictions = matches.ground_truth, matches.predictions
    for rank, row in enumerate(rows, 1):
        image = int(predictions.image_of_row[row])
        box, score = predictions.rows[row, :4], float(predictions.rows[row, 4])
        faces = truth.boxes[truth.offsets[image] : truth.offsets[image + 1]]
        yield _record(truth, rank, image, box, score, faces)


def _record(
    truth: GroundTruth, rank: int, image: int, box: Boxes, score: float | None, others: Boxes
) -> dict[str, Any]:
    """Return a box with what it is compared with: whichever of (N, 4) boxes overlaps it most."""
    event, name = truth.key(image)
    found = overlaps(np.repeat(box[None], len(others), axis=0), others)
    best = int(found.argmax()) if found.any() else None
    return {
        "rank": rank,
        "event": event,
        "picture": name,
        "box": box.tolist(),
        "height": float(box[3]),
        "score": score,
        "iou": 0.0 if best is None else float(found[best]),
        "nearest": None if best is None else others[best].tolist(),
    }
