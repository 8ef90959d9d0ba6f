"""What changed from one detector to another: by subset, face height and event, and face by face."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.widerface.average_precision import Evaluation
from analysis.widerface.breakdown import by_event, by_height
from analysis.widerface.ground_truth import SUBSETS
from analysis.widerface.matching import Matches
from featherface.errors import InputError

SCORE = 0.5
"""A face counts as found where a detection on it scores at least this much."""


def compare(
    a: Evaluation,
    b: Evaluation,
    *,
    score: float = SCORE,
    equal_false_alarms: bool = False,
    limit: int | None = None,
) -> dict[str, Any]:
    """Compare the predictions of two detectors on the same pictures.

    AP says how much was gained or lost; to say where, faces are called found or missed at one
    score. Two detectors' scores need not mean the same, so that B can be read at the score that
    gives it as many false alarms as A has.

    Args:
        score: where A is read, and B too unless `equal_false_alarms`.
        equal_false_alarms: read B where it has at most as many false alarms as A, on Hard.
        limit: list only so many faces that one found and the other did not, the tallest.

    Returns:
        `scores` (where each is read), `subsets` (per subset: AP of each and the difference, faces
        found by `both`, `only_a`, `only_b`, `neither`, and each one's `false_alarms`), `heights`
        and `events` (AP of each on Hard), `pictures` (where the number of found faces differs),
        `gained` and `lost` (faces that B alone, or A alone, found, all of the ground truth's:
        picture, box as x, y, width, height in pixels, the subsets it is in), `remarks` (what is
        odd about the predictions of each).

    Raises:
        InputError: where the two are of different pictures, or for a score that is no number.
    """
    if not np.isfinite(score):
        raise InputError(f"score (={score}) must be a number")
    truth = a.matches.ground_truth
    if truth.subset != b.matches.ground_truth.subset:
        raise InputError("the two evaluations are of different pictures")
    hard = SUBSETS.index("hard")
    score_b = score
    if equal_false_alarms:
        score_b = _score_of(b.matches, hard, int(a.matches.false(hard, score).sum()))
    found_a, found_b = a.matches.found(score), b.matches.found(score_b)
    return {
        "scores": {"a": score, "b": score_b},
        "subsets": {
            name: _subset(a, b, index, found_a, found_b, score, score_b)
            for index, name in enumerate(SUBSETS)
        },
        "heights": _side_by_side(by_height(a.matches), by_height(b.matches), ("from", "to"), "ap"),
        "events": _side_by_side(by_event(a.matches), by_event(b.matches), ("event",), "hard"),
        "pictures": _pictures(a.matches, found_a, found_b),
        "gained": _faces(a.matches, found_b & ~found_a, limit),
        "lost": _faces(a.matches, found_a & ~found_b, limit),
        "remarks": {
            name: [remark.as_dict() for remark in each.remarks]
            for name, each in (("a", a), ("b", b))
        },
    }


def _subset(
    a: Evaluation,
    b: Evaluation,
    index: int,
    found_a: NDArray[np.bool_],
    found_b: NDArray[np.bool_],
    score_a: float,
    score_b: float,
) -> dict[str, Any]:
    kept = a.matches.ground_truth.kept[index]
    record_a, record_b = (each.as_dict()[SUBSETS[index]] for each in (a, b))
    known = record_a is not None and record_b is not None
    return {
        "a": record_a,
        "b": record_b,
        "difference": record_b - record_a if known else None,
        "both": int((kept & found_a & found_b).sum()),
        "only_a": int((kept & found_a & ~found_b).sum()),
        "only_b": int((kept & found_b & ~found_a).sum()),
        "neither": int((kept & ~found_a & ~found_b).sum()),
        "false_alarms": {
            "a": int(a.matches.false(index, score_a).sum()),
            "b": int(b.matches.false(index, score_b).sum()),
        },
    }


def _score_of(matches: Matches, subset: int, most: int) -> float:
    """The lowest score at which there are at most so many false alarms."""
    alarms = np.sort(matches.predictions.rows[matches.false(subset, -np.inf), 4])[::-1]
    if len(alarms) <= most:
        lowest = matches.predictions.rows[:, 4].min(initial=np.inf)
        return float(lowest) if np.isfinite(lowest) else 0.0
    # Just above the first alarm that would be one too many, and so above all that tie with it.
    return float(np.nextafter(alarms[most], np.inf))


def _side_by_side(
    of_a: list[dict[str, Any]], of_b: list[dict[str, Any]], keys: tuple[str, ...], value: str
) -> list[dict[str, Any]]:
    records = []
    for in_a, in_b in zip(of_a, of_b, strict=True):
        known = in_a[value] is not None and in_b[value] is not None
        faces = in_a["faces"]
        records.append(
            {
                **{key: in_a[key] for key in keys},
                "faces": faces["hard"] if isinstance(faces, dict) else faces,
                "a": in_a[value],
                "b": in_b[value],
                "difference": in_b[value] - in_a[value] if known else None,
            }
        )
    return records


def _pictures(
    matches: Matches, found_a: NDArray[np.bool_], found_b: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Pictures by how many more, or fewer, faces B found; those without a difference left out."""
    truth = matches.ground_truth
    counts = [
        np.bincount(truth.picture_of_face[found], minlength=len(truth.pictures))
        for found in (found_a, found_b)
    ]
    change = counts[1].astype(int) - counts[0].astype(int)
    order = np.argsort(-np.abs(change), kind="stable")
    return [
        {
            "picture": "/".join(truth.key(int(p))),
            "faces": int(truth.offsets[p + 1] - truth.offsets[p]),
            "a": int(counts[0][p]),
            "b": int(counts[1][p]),
        }
        for p in order
        if change[p]
    ]


def _faces(matches: Matches, chosen: NDArray[np.bool_], limit: int | None) -> list[dict[str, Any]]:
    truth = matches.ground_truth
    faces = np.flatnonzero(chosen)
    faces = faces[np.argsort(-truth.boxes[faces, 3], kind="stable")][:limit]
    return [
        {
            "picture": "/".join(truth.key(int(truth.picture_of_face[face]))),
            "box": truth.boxes[face].tolist(),
            "subsets": [
                name for name, kept in zip(SUBSETS, truth.kept[:, face], strict=True) if kept
            ],
        }
        for face in faces
    ]
