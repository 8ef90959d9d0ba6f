"""The worst misses and false alarms, on images small enough to do by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.widerface.average_precision import evaluate_files
from analysis.widerface.ground_truth import GroundTruth
from analysis.widerface.matching import Matches, match
from analysis.widerface.predictions import Predictions
from analysis.widerface.worst import (
    describe_false_alarms,
    describe_missed,
    false_alarms,
    missed,
)

FACES = [[0, 0, 9, 9], [50, 0, 29, 29], [100, 0, 59, 59], [200, 0, 99, 99], [0, 100, 9, 19]]
"""On image a the first four, of which Hard ignores the tallest; on b the last; on c none."""


def matches(*rows: tuple[int, list[float], float]) -> Matches:
    """Rows (image, x y w h, score), in the order of the images; -1 is an unknown image."""
    truth = GroundTruth(
        events=("0--Parade", "1--Handshaking"),
        event=np.array([0, 1, 1], dtype=np.int32),
        images=("a", "b", "c"),
        boxes=np.array(FACES, dtype=float),
        offsets=np.array([0, 4, 5, 5]),
        kept=np.array([[0, 0, 1, 0, 0], [0, 1, 1, 0, 0], [1, 1, 1, 0, 1]], dtype=bool),
    )
    images = sorted({image for image, _, _ in rows})
    counts = [sum(image == p for image, _, _ in rows) for p in images]
    predictions = Predictions(
        rows=np.array([[*box, score] for _, box, score in rows], dtype=float).reshape(-1, 5),
        offsets=np.cumsum([0, *counts]),
        image=np.array(images, dtype=np.int32),
    )
    return match(predictions, truth)


def face(index: int) -> list[float]:
    return [float(value) for value in FACES[index]]


def test_missed_faces_are_those_of_hard_tallest_first() -> None:
    found = matches((0, face(1), 0.9), (0, face(2), 0.4))
    assert missed(found, 0.5).tolist() == [2, 4, 0]
    assert missed(found, 0.4).tolist() == [4, 0]
    assert missed(matches(), 0.5).tolist() == [2, 1, 4, 0]


def test_a_missed_face_is_told_with_what_came_near_it() -> None:
    # 30 of the face's 60 columns, all its rows; then exactly on it, below the score.
    half = [130.0, 0.0, 59.0, 59.0]
    found = matches((0, half, 0.8), (0, face(2), 0.3), (0, face(1), 0.6), (0, face(0), 0.6))
    first, second = describe_missed(found, missed(found, 0.5), 0.5)
    assert first == {
        "rank": 1,
        "event": "0--Parade",
        "picture": "a",
        "box": face(2),
        "height": 59.0,
        "score": 0.3,
        "iou": pytest.approx(30 * 60 / (2 * 3600 - 30 * 60), abs=1e-15),
        "nearest": half,
    }
    # Its image has no predictions at all.
    assert (second["event"], second["picture"], second["rank"]) == ("1--Handshaking", "b", 2)
    assert (second["score"], second["iou"], second["nearest"]) == (None, 0.0, None)


def test_false_alarms_lie_on_no_face_surest_first() -> None:
    nowhere, aside = [300.0, 300.0, 9.0, 9.0], [50.0, 20.0, 29.0, 29.0]
    found = matches(
        (-1, nowhere, 0.99),  # on an unknown image
        (0, nowhere, 0.6),
        (0, face(1), 0.9),
        (0, face(1), 0.9),  # once more, but on a face
        (0, face(3), 0.9),  # on a face that Hard ignores
        (0, aside, 0.7),
        (0, nowhere, 0.4),
        (1, nowhere, 0.7),
        (2, nowhere, 0.95),  # on an image without faces
    )
    rows = false_alarms(found, 0.5)
    assert rows.tolist() == [5, 7, 1]
    first, second, third = describe_false_alarms(found, rows)
    assert first == {
        "rank": 1,
        "event": "0--Parade",
        "picture": "a",
        "box": aside,
        "height": 29.0,
        "score": 0.7,
        "iou": pytest.approx(10 * 30 / (2 * 900 - 10 * 30), abs=1e-15),
        "nearest": face(1),
    }
    assert (second["picture"], second["nearest"]) == ("b", None)
    assert (third["rank"], third["score"], third["iou"]) == (3, 0.6, 0.0)


def test_boxes_without_area_turned_round_or_absurd_still_make_records() -> None:
    odd = [[5.0, 5.0, 0.0, 0.0], [30.0, 30.0, -20.0, -20.0], [0.0, 0.0, 1e308, 1e308]]
    odd += [[1e308, 0.0, 1e308, 5.0], [-1e308, -1e308, 0.0, 1e308]]
    found = matches(*((0, box, 0.9 - i / 10) for i, box in enumerate(odd)))
    records = list(describe_false_alarms(found, false_alarms(found, 0.1)))
    assert [record["box"] for record in records] == odd
    assert records[0]["iou"] == pytest.approx(1 / 100, abs=1e-15)
    assert [record["iou"] for record in records[1:]] == [0.0] * 4
    json.dumps([records, list(describe_missed(found, missed(found, 0.1), 0.1))], allow_nan=False)


def test_on_published_predictions_the_counts_are_those_of_the_evaluation(shared: Path) -> None:
    wider = shared / "wider"
    found = evaluate_files(
        wider / "predictions" / "retinaface-mobile025.tar.xz",
        wider / "ground_truth",
        wider / "subset.txt",
    ).matches
    hard = found.ground_truth.kept[2]
    rows, faces = false_alarms(found, 0.5), missed(found, 0.5)
    assert len(faces) + (hard & found.found(0.5)).sum() == hard.sum()
    false = found.false(2, 0.5)
    again = false & (found.face >= 0)
    assert len(rows) + again.sum() == false.sum()
    assert max(each["iou"] for each in describe_false_alarms(found, rows)) < 0.5
    for each in describe_missed(found, faces, 0.5):
        assert each["score"] is None or each["score"] < 0.5
