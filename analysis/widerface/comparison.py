"""Comparison of two detectors: by subset, face height and event, and face by face."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.widerface.average_precision import Evaluation
from analysis.widerface.breakdown import by_event, by_height
from analysis.widerface.curves import null
from analysis.widerface.ground_truth import SUBSETS, GroundTruth
from analysis.widerface.matching import Matches, require_number
from featherface.errors import InputError

SCORE = 0.5
"""A face counts as found where a detection on it scores at least this much."""


def compare(
    a: Evaluation, b: Evaluation, *, score: float = SCORE, equal_false_alarms: bool = False
) -> dict[str, Any]:
    """Compare the predictions of two detectors on the same images.

    AP says how much was gained or lost; to say where, faces are called found or missed at one
    score. As two detectors' scores need not mean the same, with `equal_false_alarms` B is read at
    the score where it has at most as many false alarms as A, on Hard.

    Returns:
        `scores` (of each), `subsets` (per subset: AP of each and the difference, faces found by
        `both`, `only_a`, `only_b`, `neither`, and each one's `false_alarms`), `heights` and
        `events` (AP of each on Hard), `pictures` (where the number of found faces differs),
        `gained` and `lost` (faces that B alone, or A alone, found, the tallest first: picture, box
        as x, y, width, height in pixels, the subsets it is in), `remarks` (on each).

    Raises:
        InputError: where the two are of different images, or for a score that is no number.
    """
    require_number(score)
    truth = a.matches.ground_truth
    if truth.subset != b.matches.ground_truth.subset:
        raise InputError("the two evaluations are of different images")
    score_b = score
    if equal_false_alarms:
        hard = SUBSETS.index("hard")
        score_b = _score_of(b.matches, hard, int(a.matches.false(hard, score).sum()))
    scores = {"a": score, "b": score_b}
    found_a, found_b = a.matches.found(score), b.matches.found(score_b)
    both = {"a": a, "b": b}
    subsets = {}
    for index, name in enumerate(SUBSETS):
        kept = truth.kept[index]
        subsets[name] = {
            **_values(*(null(each.curves[name].average_precision) for each in both.values())),
            "both": int((kept & found_a & found_b).sum()),
            "only_a": int((kept & found_a & ~found_b).sum()),
            "only_b": int((kept & found_b & ~found_a).sum()),
            "neither": int((kept & ~found_a & ~found_b).sum()),
            "false_alarms": {
                key: int(each.matches.false(index, scores[key]).sum()) for key, each in both.items()
            },
        }
    heights = zip(by_height(a.matches), by_height(b.matches), strict=True)
    events = zip(by_event(a.matches), by_event(b.matches), strict=True)
    return {
        "scores": scores,
        "subsets": subsets,
        "heights": [
            {**{key: i[key] for key in ("from", "to", "faces")}, **_values(i["ap"], j["ap"])}
            for i, j in heights
        ],
        "events": [
            {"event": i["event"], "faces": i["faces"]["hard"], **_values(i["hard"], j["hard"])}
            for i, j in events
        ],
        "pictures": _images(truth, found_a, found_b),
        "gained": _faces(truth, found_b & ~found_a),
        "lost": _faces(truth, found_a & ~found_b),
        "remarks": {
            key: [remark.as_dict() for remark in each.remarks] for key, each in both.items()
        },
    }


def _values(a: float | None, b: float | None) -> dict[str, float | None]:
    return {"a": a, "b": b, "difference": None if a is None or b is None else b - a}


def _score_of(matches: Matches, subset: int, most: int) -> float:
    """Return the lowest score at which there are at most so many false alarms."""
    scores = matches.predictions.rows[:, 4]
    alarms = np.sort(scores[matches.false(subset, -np.inf)])[::-1]
    if len(alarms) <= most:
        return float(scores.min()) if len(scores) else 0.0
    # Just above the first alarm that would be one too many, and so above all that tie with it.
    return float(np.nextafter(alarms[most], np.inf))


def _images(
    truth: GroundTruth, found_a: NDArray[np.bool_], found_b: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Return images by how many more, or fewer, faces B found, those with a difference."""
    count_a, count_b = (
        np.bincount(truth.image_of_face[found], minlength=len(truth.images))
        for found in (found_a, found_b)
    )
    change = np.abs(count_b - count_a)
    return [
        {
            "picture": truth.name(int(p)),
            "faces": int(truth.offsets[p + 1] - truth.offsets[p]),
            "a": int(count_a[p]),
            "b": int(count_b[p]),
        }
        for p in np.argsort(-change, kind="stable")
        if change[p]
    ]


def _faces(truth: GroundTruth, chosen: NDArray[np.bool_]) -> list[dict[str, Any]]:
    return [
        {
            "picture": truth.name(int(truth.image_of_face[face])),
            "box": truth.boxes[face].tolist(),
            "subsets": [SUBSETS[i] for i in np.flatnonzero(truth.kept[:, face])],
        }
        for face in truth.tallest_first(chosen)
    ]
