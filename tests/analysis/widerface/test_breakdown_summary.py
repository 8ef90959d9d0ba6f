"""Data of the figures: the curve's corners, and nothing that JSON has no word for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.widerface import breakdown
from analysis.widerface.average_precision import evaluate
from analysis.widerface.breakdown import summary
from analysis.widerface.ground_truth import GroundTruth
from analysis.widerface.predictions import Predictions
from featherface.errors import InputError

TRUTH = GroundTruth(
    events=("0--Parade",),
    event=np.array([0], dtype=np.int32),
    images=("a",),
    boxes=np.array([[0, 0, 9, 9], [50, 0, 29, 29]], dtype=float),
    offsets=np.array([0, 2]),
    kept=np.array([[0, 0], [0, 1], [1, 1]], dtype=bool),
)


def test_a_summary_holds_the_curves_corners_and_is_json() -> None:
    predictions = Predictions(
        rows=np.array([[0, 0, 9, 9, 0.9], [300, 0, 9, 9, 0.5], [50, 0, 29, 29, 0.1]], dtype=float),
        offsets=np.array([0, 3]),
        image=np.array([0], dtype=np.int32),
    )
    evaluation = evaluate(predictions, TRUTH)
    record = summary(evaluation)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["curves"]["hard"] == {
        "recall": [0.5, 0.5, 1.0],
        "precision": [1.0, 0.5, pytest.approx(2 / 3, abs=1e-5)],
    }
    assert record["ap"]["easy"] is None
    assert record["curves"]["easy"] == {"recall": [], "precision": []}
    assert record["ap"]["hard"] == evaluation.curves["hard"].average_precision
    assert record["events"][0]["hard"] == round(record["ap"]["hard"], 5)


def test_a_detector_is_added_to_those_on_record(tmp_path: Path) -> None:
    path = tmp_path / breakdown.FILE
    assert breakdown.read(path) == []
    of_all = {"protocol": "original", "runtime": "onnx", "images": 3226, "images_sha256": None}
    of_some = {**of_all, "images": 1, "images_sha256": "0" * 64}
    for record, detectors in (
        (of_all, {"a": {"ap": 1}, "b": {"ap": 2}}),
        (of_some, {"a": {"ap": 3}}),
        (of_all, {"b": {"ap": 4}, "c": {"ap": 5}}),
    ):
        breakdown.add(path, {**record, "detectors": detectors})
    assert breakdown.read(path) == [
        {**of_all, "detectors": {"a": {"ap": 1}, "b": {"ap": 4}, "c": {"ap": 5}}},
        {**of_some, "detectors": {"a": {"ap": 3}}},
    ]


@pytest.mark.parametrize("content", ["", "7", "[7]", '[{"protocol": "original"}]', "[" * 100_000])
def test_a_damaged_file_of_curves_is_not_written_over(tmp_path: Path, content: str) -> None:
    path = tmp_path / breakdown.FILE
    path.write_text(content)
    with pytest.raises(InputError, match=r"breakdown\.json: not what"):
        breakdown.add(path, {})
    assert path.read_text() == content
