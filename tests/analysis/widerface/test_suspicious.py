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

IMAGES = 12


@pytest.fixture
def truth(tmp_path: Path, write_ground_truth: Callable[[Path, Any], Path]) -> GroundTruth:
    """Twelve images with a face each, all of them in every subset."""
    kept = {"easy": [1], "medium": [1], "hard": [1]}
    images = {f"p{i}": ([[100 + 9 * i, 80 + 5 * i, 60, 70]], kept) for i in range(IMAGES)}
    return read_ground_truth(write_ground_truth(tmp_path / "truth", {"e": images}))


def right(truth: GroundTruth) -> list[list[list[float]]]:
    """Each image's face, and a box elsewhere that scores less."""
    return [
        [[*box, 0.5 + i / 100], [300.0, 300.0, 20.0, 20.0, 0.1]]
        for i, box in enumerate(truth.boxes.tolist())
    ]


def kinds(
    truth: GroundTruth, rows: Sequence[Sequence[Sequence[float]]], **more: Any
) -> dict[str, Any]:
    predictions = Predictions(
        rows=np.array([row for each in rows for row in each], dtype=float).reshape(-1, 5),
        offsets=np.cumsum([0, *map(len, rows)]),
        image=more.pop("image", np.arange(len(rows), dtype=np.int32)),
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
    assert str(remark).startswith("8 of 12 images have no predictions")
    assert str(remark).endswith("e/p8, ...")
    listed = truth.only([("e", f"p{i}") for i in range(4)])
    assert kinds(listed, right(truth)[:4]) == {}


def to_corners(rows: np.ndarray) -> None:
    rows[..., 2:4] += rows[..., :2]


def to_centres(rows: np.ndarray) -> None:
    rows[..., :2] += rows[..., 2:4] / 2


def swap(rows: np.ndarray) -> None:
    rows[...] = rows[..., [1, 0, 3, 2, 4]]


def swap_corners(rows: np.ndarray) -> None:
    to_corners(rows)
    swap(rows)


def put_score_first(rows: np.ndarray) -> None:
    rows[...] = rows[..., [4, 0, 1, 2, 3]]


def put_score_first_of_corners(rows: np.ndarray) -> None:
    to_corners(rows)
    put_score_first(rows)


def shrink(rows: np.ndarray) -> None:
    rows[..., :4] *= [0.625, 0.9, 0.625, 0.9]


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        (to_corners, "corners", "x1 y1 x2 y2 score"),
        (to_centres, "centres", "centre x, centre y"),
        (swap, "swapped", "y x height width"),
        (swap_corners, "swapped-corners", "y1 x1 y2 x2"),
        (put_score_first, "score-first", "score x y width height"),
        (put_score_first_of_corners, "score-corners", "score x1 y1 x2 y2"),
        (shrink, "scale", "to be multiplied by 1.6 and 1.111"),
    ],
)
def test_another_format_is_recognised_and_its_ap_given(
    truth: GroundTruth, how: Callable[[np.ndarray], None], kind: str, words: str
) -> None:
    found = kinds(truth, change(truth, how))
    assert words in str(found[kind])
    assert "easy 1.0000, medium 1.0000, hard 1.0000" in str(found[kind])
    if kind != "corners":  # from corners on a box overlaps what is far from it
        assert "near-zero" in found
    assert not found.keys() & {each for each in KINDS if each != kind}


KINDS = ("corners", "centres", "swapped", "swapped-corners", "score-first", "scale")


def test_one_image_in_another_format(truth: GroundTruth) -> None:
    assert "corners" in kinds(truth.only([("e", "p0")]), change(truth, to_corners)[:1])


def test_boxes_that_are_fractions_of_the_image(truth: GroundTruth) -> None:
    def normalise(rows: np.ndarray) -> None:
        rows[..., :4] /= [1024, 683, 1024, 683]

    found = kinds(truth, change(truth, normalise))
    assert {"not-pixels", "near-zero"} <= found.keys()
    assert "multiplied by 1024 and 683" in str(found["scale"])


def test_no_scale_is_estimated_that_few_boxes_agree_with(truth: GroundTruth) -> None:
    def normalise(rows: np.ndarray) -> None:
        rows[..., 1:4:2] /= np.linspace(400, 1600, IMAGES)[:, None, None]  # heights differ
        rows[..., 0:4:2] /= 1024

    assert kinds(truth, change(truth, normalise)).keys() == {"not-pixels", "near-zero"}


def test_boxes_without_area(truth: GroundTruth) -> None:
    def flatten(rows: np.ndarray) -> None:
        rows[:3, 1, 2] = [0, -1, -20]

    assert kinds(truth, change(truth, flatten))["no-area"].count == 3


def test_rows_out_of_order_and_scores_out_of_range(truth: GroundTruth) -> None:
    def swap(rows: np.ndarray) -> None:
        rows[:2] = rows[:2, ::-1].copy()

    assert kinds(truth, change(truth, swap))["unsorted"].count == 2

    def absurd(rows: np.ndarray) -> None:
        rows[0, :, 4] = [-1e308, 1e308]

    assert kinds(truth, change(truth, absurd))["unsorted"].count == 1

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
        image=np.array([*range(IMAGES), -1], dtype=np.int32),
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


def test_images_and_subsets_without_faces(truth_folder: Path) -> None:
    truth = read_ground_truth(truth_folder)
    rows = [[[10, 10, 40, 40, 0.9]], [[50, 60, 30, 30, 0.8]], [[0, 0, 5, 5, 0.1]]]
    assert kinds(truth, rows)["faceless"].examples == ("1--Handshaking/1_Handshaking_1",)
    empty = truth.only([("1--Handshaking", "1_Handshaking_1")])
    assert kinds(empty, rows[2:])["no-faces"].examples == ("easy", "medium", "hard")


def test_no_boxes_at_all(truth: GroundTruth) -> None:
    assert kinds(truth, [[]] * IMAGES).keys() == {"near-zero"}
