"""What figures are drawn from: the curve's corners, and nothing that JSON has no word for."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.widerface.average_precision import evaluate
from analysis.widerface.breakdown import summary
from analysis.widerface.ground_truth import GroundTruth
from analysis.widerface.predictions import Predictions

TRUTH = GroundTruth(
    events=("0--Parade",),
    event=np.array([0], dtype=np.int32),
    pictures=("a",),
    boxes=np.array([[0, 0, 9, 9], [50, 0, 29, 29]], dtype=float),
    offsets=np.array([0, 2]),
    kept=np.array([[0, 0], [0, 1], [1, 1]], dtype=bool),
)


def test_a_summary_holds_the_curves_corners_and_is_json() -> None:
    predictions = Predictions(
        source="test",
        rows=np.array([[0, 0, 9, 9, 0.9], [300, 0, 9, 9, 0.5], [50, 0, 29, 29, 0.1]], dtype=float),
        offsets=np.array([0, 3]),
        picture=np.array([0], dtype=np.int32),
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
