"""The rows and curves on record, evaluated again from the complete predictions."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.widerface import breakdown, history
from analysis.widerface.average_precision import evaluate_files
from analysis.widerface.ground_truth import SUBSETS


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["official", "official-2025-06", "no-attention", "retinaface"])
def test_a_recorded_row_is_what_its_predictions_give(shared: Path, detector: str) -> None:
    folder = shared / "wider"
    if not (folder / "full").is_dir():
        pytest.skip(f"complete predictions are not here: {folder / 'full'}")
    (row,) = [
        row
        for row in history.latest(history.read())
        if (row.source, row.detector, row.comparable) == ("measured", detector, ("original", None))
    ]
    (curves,) = [
        record["detectors"][detector]
        for record in breakdown.read(history.HISTORY.with_name(breakdown.FILE))
        if record["images_sha256"] is None
    ]
    evaluation = evaluate_files(folder / f"full/{detector}.tar.xz", folder / "ground_truth")
    record = evaluation.as_dict()
    fields = (*SUBSETS, "mean", "images", "boxes")
    assert {field: record[field] for field in fields} == row.model_dump(include=set(fields))
    assert record["missing"] == 0
    assert breakdown.summary(evaluation) == curves
