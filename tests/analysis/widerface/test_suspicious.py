"""Odd input is said: what is remarked upon, and that nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.widerface.average_precision import evaluate
from analysis.widerface.ground_truth import GroundTruth, read_ground_truth
from analysis.widerface.predictions import Predictions

PICTURES = 12


@pytest.fixture
def truth(tmp_path: Path, write_ground_truth: Callable[[Path, Any], Path]) -> GroundTruth:
    """Twelve pictures with a face each, all of them in every subset."""
    kept = {"easy": [1], "medium": [1], "hard": [1]}
    pictures = {f"p{i}": ([[100 + 9 * i, 80 + 5 * i, 60, 70]], kept) for i in range(PICTURES)}
    return read_ground_truth(write_ground_truth(tmp_path / "truth", {"e": pictures}))


def right(truth: GroundTruth) -> list[list[list[float]]]:
    """Each picture's face, and a box elsewhere that scores less."""
    return [
        [[*box, 0.5 + i / 100], [300.0, 300.0, 20.0, 20.0, 0.1]]
        for i, box in enumerate(truth.boxes.tolist())
    ]


def kinds(
    truth: GroundTruth, rows: Sequence[Sequence[Sequence[float]]], **more: Any
) -> dict[str, Any]:
    predictions = Predictions(
        source="cases",
        rows=np.array([row for each in rows for row in each], dtype=float).reshape(-1, 5),
        offsets=np.cumsum([0, *map(len, rows)]),
        picture=more.pop("picture", np.arange(len(rows), dtype=np.int32)),
        **more,
    )
    evaluation = evaluate(predictions, truth)
    record = evaluation.as_dict()
    assert [r["kind"] for r in record["remarks"]] == [r.kind for r in evaluation.remarks]
    return {remark.kind: remark for remark in evaluation.remarks}


def change(truth: GroundTruth, how: Callable[[np.ndarray], None]) -> list[list[list[float]]]:
    rows = np.array(right(truth))
    how(rows)
    return rows.tolist()


def test_what_is_right_is_not_remarked_upon(truth: GroundTruth) -> None:
    assert kinds(truth, right(truth)) == {}


def test_missing_pictures_are_named_and_counted(truth: GroundTruth) -> None:
    remark = kinds(truth, right(truth)[:4])["missing"]
    assert (remark.count, remark.examples[:2]) == (8, ("e/p4", "e/p5"))
    assert str(remark).startswith("8 of 12 pictures have no predictions")
    assert str(remark).endswith("e/p8, ...")
    listed = truth.only([f"e/p{i}.jpg" for i in range(4)])
    assert kinds(listed, right(truth)[:4]) == {}


def test_corners_and_centres(truth: GroundTruth) -> None:
    def corners(rows: np.ndarray) -> None:
        rows[..., 2:4] += rows[..., :2]

    def centres(rows: np.ndarray) -> None:
        rows[..., :2] += rows[..., 2:4] / 2

    assert "x1 y1 x2 y2" in str(kinds(truth, change(truth, corners))["corners"])
    alone = truth.only(["e/p0"])
    assert "corners" in kinds(alone, change(truth, corners)[:1])
    found = kinds(truth, change(truth, centres))
    assert "centres" in found
    assert "near-zero" in found


def test_boxes_that_are_not_in_pixels(truth: GroundTruth) -> None:
    def normalise(rows: np.ndarray) -> None:
        rows[..., :4] /= 1024

    assert {"not-pixels", "near-zero"} <= kinds(truth, change(truth, normalise)).keys()


def test_boxes_without_area(truth: GroundTruth) -> None:
    def flatten(rows: np.ndarray) -> None:
        rows[:3, 1, 2] = [0, -1, -20]

    assert kinds(truth, change(truth, flatten))["no-area"].count == 3


def test_rows_out_of_order_and_scores_out_of_range(truth: GroundTruth) -> None:
    def swap(rows: np.ndarray) -> None:
        rows[:2] = rows[:2, ::-1].copy()

    assert kinds(truth, change(truth, swap))["unsorted"].count == 2

    def logits(rows: np.ndarray) -> None:
        rows[..., 4] = rows[..., 4] * 20 - 5

    assert "scores run from -3 to" in str(kinds(truth, change(truth, logits))["scores"])


def test_equal_scores(truth: GroundTruth) -> None:
    def level(rows: np.ndarray) -> None:
        rows[..., 4] = 0.75

    found = kinds(truth, change(truth, level))
    assert "all scores are 0.75" in str(found["equal-scores"])
    assert "near-zero" in found


def test_files_that_are_odd(truth: GroundTruth) -> None:
    found = kinds(
        truth,
        [*right(truth), [[1, 2, 3, 4, 0.2]]],
        picture=np.array([*range(PICTURES), -1], dtype=np.int32),
        extra=("e/x",),
        unreadable=("e/1.jpg",),
        retitled=("a", "b"),
        miscounted=("a: says 3, has 2",),
    )
    assert {kind: remark.count for kind, remark in found.items()} == {
        "extra": 1,
        "unreadable": 1,
        "retitled": 2,
        "miscounted": 1,
    }


def test_pictures_and_subsets_without_faces(truth_folder: Path) -> None:
    truth = read_ground_truth(truth_folder)
    rows = [[[10, 10, 40, 40, 0.9]], [[50, 60, 30, 30, 0.8]], [[0, 0, 5, 5, 0.1]]]
    assert kinds(truth, rows)["faceless"].examples == ("1--Handshaking/1_Handshaking_1",)
    empty = truth.only(["1--Handshaking/1_Handshaking_1"])
    assert kinds(empty, rows[2:])["no-faces"].examples == ("easy", "medium", "hard")


def test_no_boxes_at_all(truth: GroundTruth) -> None:
    assert kinds(truth, [[]] * PICTURES).keys() == {"near-zero"}
