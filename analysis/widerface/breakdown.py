"""Average precision by face height and by event: the same protocol, on a part of the faces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import zip_longest
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from analysis.widerface.average_precision import Evaluation
from analysis.widerface.curves import curve, null
from analysis.widerface.ground_truth import SUBSETS
from analysis.widerface.matching import Matches
from featherface.errors import InputError
from featherface.files import read_bytes, write_json

FILE = "widerface-breakdown.json"
"""Beside the history: what curves and AP by height and by event are drawn from."""

HEIGHTS = (0, 10, 20, 30, 50, 100, 200, 400)
"""Upper ends of the buckets of face heights, in pixels; the last has none."""


def by_height(matches: Matches) -> list[dict[str, Any]]:
    """Return AP on Hard by height of the annotated face; others are ignored, as a subset is.

    Detections on no face at all are false in every bucket, so these values are lower than the AP
    of the whole and comparable between detectors rather than with it. In the last record `to` is
    null, in those without faces `ap`.
    """
    truth = matches.ground_truth
    kept = truth.kept[SUBSETS.index("hard")]
    bucket = np.searchsorted(HEIGHTS, truth.boxes[:, 3], side="right") - 1
    records = []
    for i, (low, high) in enumerate(zip_longest(HEIGHTS, HEIGHTS[1:])):
        part = curve(matches, kept & (bucket == i))
        records.append(
            {
                "from": low,
                "to": high,
                "faces": part.faces,
                "found": int(part.found[-1]),
                "ap": null(part.average_precision),
            }
        )
    return records


def by_event(matches: Matches) -> list[dict[str, Any]]:
    """Return AP by event, in the ground truth's order: its images alone, scores scaled over all.

    AP is null in a subset where the event has no faces.
    """
    truth = matches.ground_truth
    image_of_row = matches.predictions.image_of_row
    # Unknown images are -1 and so find the entry that is added.
    event_of_row = np.append(truth.event, -1)[image_of_row]
    event_of_face = truth.event[truth.image_of_face]
    records = []
    for index, event in enumerate(truth.events):
        rows, faces = event_of_row == index, event_of_face == index
        parts = {
            name: curve(matches, kept & faces, rows)
            for name, kept in zip(SUBSETS, truth.kept, strict=True)
        }
        records.append(
            {
                "event": event,
                "pictures": int((truth.event == index).sum()),
                "boxes": int(rows.sum()),
                "faces": {name: part.faces for name, part in parts.items()},
                **{name: null(part.average_precision) for name, part in parts.items()},
            }
        )
    return records


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """Return what figures of a detector are drawn from, rounded to five places but for `ap`.

    Returns:
        `ap` by subset; `curves`: by subset `recall` and `precision` where they change; `heights`
        and `events`, as `by_height` and `by_event` return them.
    """
    return {
        "ap": {name: null(part.average_precision) for name, part in evaluation.curves.items()},
        "curves": {
            name: _corners(part.recall, part.precision) for name, part in evaluation.curves.items()
        },
        "heights": [_rounded(record, ("ap",)) for record in by_height(evaluation.matches)],
        "events": [_rounded(record, SUBSETS) for record in by_event(evaluation.matches)],
    }


def read(path: str | Path) -> list[dict[str, Any]]:
    """Return the records of a file that `add` wrote; none where there is no file.

    They differ in `protocol`, `runtime`, `images` or `images_sha256` (null for the whole
    validation set); `detectors` holds by name what `summary` returns.

    Raises:
        InputError: where the file cannot be read or holds something else.
    """
    path = Path(path)
    if not path.exists():
        return []
    content = read_bytes(path)
    try:
        records = json.loads(content)
        for record in records:
            _comparable(record)
            if not isinstance(record["detectors"], dict):
                raise TypeError("detectors must be an object")
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not what `widerface track --docs` writes: {error!r}") from None
    return list(records)


def add(path: str | Path, record: dict[str, Any]) -> None:
    """Add the detectors of a record to a file; those of the same name and images are replaced."""
    records = read(path)
    for known in records:
        if _comparable(known) == _comparable(record):
            known["detectors"] |= record["detectors"]
            break
    else:
        records.append(record)
    write_json(path, records)


_comparable = itemgetter("protocol", "runtime", "images", "images_sha256")


def _corners(recall: np.ndarray, precision: np.ndarray) -> dict[str, list[float]]:
    """Return a curve without points that repeat the one before or have no precision."""
    points = np.stack([recall, precision]).round(5)
    points = points[:, np.isfinite(points).all(axis=0)]
    moved = np.ones(points.shape[1], dtype=bool)
    moved[1:] = (points[:, 1:] != points[:, :-1]).any(axis=0)
    return {"recall": points[0, moved].tolist(), "precision": points[1, moved].tolist()}


def _rounded(record: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return record | {key: None if record[key] is None else round(record[key], 5) for key in keys}
