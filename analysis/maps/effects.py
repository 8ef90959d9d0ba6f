"""Scores and boxes before and after each intervention, faces matched by their boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torchvision.ops import box_iou

from analysis.maps.interventions import Intervention, intervene
from analysis.maps.observation import FaceRecord, Prepared, face_records
from analysis.maps.summaries import rounded
from featherface.model import FeatherFace

Record = dict[str, Any]

SAME_FACE = 0.5
"""Boxes that overlap at least so much (intersection over union) are of the same face."""


def effect_record(
    model: FeatherFace,
    prepared: Prepared,
    intervention: Intervention,
    before: Sequence[FaceRecord],
    score_threshold: float,
) -> Record:
    """What one intervention does to the faces of a picture.

    Args:
        before: the faces found without it, above the threshold.
        score_threshold: what scores more is a face.

    Returns:
        `id`, `part`, `title`, `where` of the intervention; `faces`: for each face of before, in
        that order, its `score` after and the `iou` of its boxes, both none where no box is left
        that overlaps it by `SAME_FACE` and scores more than 0.02; `after`: all faces that are found
        now, with `box` and `score`; `found`: how many of those of before still
        score above the threshold, `new`: how many faces are found that were not; and over the
        faces, `mean_score_before`, `mean_score` (0 for a face without a box) and `mean_iou` (of
        those that have one). `best_score` is that of the best anchor.
    """
    with torch.inference_mode(), intervene(model, intervention):
        outputs = model(prepared.pixels)
    after = face_records(prepared.detections(outputs))
    pairs = match([face["box"] for face in before], [face["box"] for face in after])
    faces = [
        {
            "score": None if match_ is None else rounded(after[match_[0]]["score"]),
            "iou": None if match_ is None else rounded(match_[1]),
        }
        for match_ in pairs
    ]
    taken = {pair[0] for pair in pairs if pair is not None}
    overlaps = [pair[1] for pair in pairs if pair is not None]
    return {
        "id": intervention.id,
        "part": intervention.part,
        "title": intervention.title,
        "where": intervention.where,
        "found": sum((face["score"] or 0) > score_threshold for face in faces),
        "new": sum(
            face["score"] > score_threshold
            for index, face in enumerate(after)
            if index not in taken
        ),
        "best_score": rounded(outputs.logits.softmax(-1)[0, :, 1].max()),
        "mean_score_before": _mean([face["score"] for face in before]),
        "mean_score": _mean([face["score"] or 0.0 for face in faces]),
        "mean_iou": _mean(overlaps),
        "faces": faces,
        "after": [
            {"box": [round(v, 2) for v in face["box"]], "score": rounded(face["score"])}
            for face in after
            if face["score"] > score_threshold
        ],
    }


def effect_records(
    model: FeatherFace,
    prepared: Prepared,
    interventions: Sequence[Intervention],
    before: Sequence[FaceRecord],
    score_threshold: float,
    track: Callable[[Iterable[Intervention]], Iterable[Intervention]] = lambda items: items,
) -> list[Record]:
    """`effect_record` for each; `track` wraps them, to show progress."""
    return [
        effect_record(model, prepared, intervention, before, score_threshold)
        for intervention in track(interventions)
    ]


def match(
    before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]
) -> list[tuple[int, float] | None]:
    """For each box of before, which box of after is the same face's, and their IoU.

    The pairs that overlap most are joined first; no box is joined twice.
    """
    found: list[tuple[int, float] | None] = [None] * len(before)
    if not before or not after:
        return found
    overlap = box_iou(torch.tensor(before), torch.tensor(after)).numpy()
    while overlap.max() >= SAME_FACE:
        i, j = np.unravel_index(int(overlap.argmax()), overlap.shape)
        found[int(i)] = (int(j), float(overlap[i, j]))
        overlap[i, :], overlap[:, j] = -1, -1
    return found


def _mean(values: Sequence[float]) -> float | None:
    return rounded(np.mean(values)) if values else None
