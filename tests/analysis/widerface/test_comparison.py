"""Changes between two detectors, on images small enough to do by hand."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.widerface.average_precision import Evaluation, evaluate
from analysis.widerface.comparison import compare
from analysis.widerface.ground_truth import GroundTruth, Subset
from analysis.widerface.predictions import Predictions
from featherface.errors import InputError

FACES = np.array([[0, 0, 9, 9], [50, 0, 29, 29], [100, 0, 59, 59], [0, 100, 9, 9]], dtype=float)


def truth(subset: Subset | None = None) -> GroundTruth:
    """Two events of an image each: three faces on the first, one on the second; Easy has one."""
    return GroundTruth(
        events=("0--Parade", "1--Handshaking"),
        event=np.array([0, 1], dtype=np.int32),
        images=("a", "b"),
        boxes=FACES,
        offsets=np.array([0, 3, 4]),
        kept=np.array([[0, 0, 1, 0], [0, 1, 1, 0], [1, 1, 1, 1]], dtype=bool),
        subset=subset,
    )


def detector(*rows: tuple[int, list[float], float], subset: Subset | None = None) -> Evaluation:
    """An evaluation of rows (image, x y w h, score), in the order of the images."""
    boxes = np.array([[*box, score] for _, box, score in rows], dtype=float).reshape(-1, 5)
    counts = [sum(image == p for image, _, _ in rows) for p in (0, 1)]
    predictions = Predictions(
        rows=boxes,
        offsets=np.array([0, counts[0], sum(counts)]),
        image=np.array([0, 1], dtype=np.int32),
    )
    return evaluate(predictions, truth(subset))


NOWHERE = [300.0, 300.0, 9.0, 9.0]


def face(index: int) -> list[float]:
    return FACES[index].tolist()


def test_faces_are_sorted_by_who_found_them() -> None:
    a = detector((0, face(2), 0.9), (0, face(1), 0.8), (0, NOWHERE, 0.7), (1, NOWHERE, 0.1))
    b = detector((0, face(2), 0.9), (0, face(0), 0.6), (0, face(1), 0.4), (1, face(3), 0.8))
    record = compare(a, b)
    hard = record["subsets"]["hard"]
    counts = [hard[key] for key in ("both", "only_a", "only_b", "neither")]
    assert counts == [1, 1, 2, 0]
    assert hard["false_alarms"] == {"a": 1, "b": 0}
    easy = record["subsets"]["easy"]
    assert [easy[key] for key in ("both", "only_a", "only_b", "neither")] == [1, 0, 0, 0]
    assert [one["picture"] for one in record["gained"]] == ["0--Parade/a", "1--Handshaking/b"]
    assert record["lost"] == [
        {"picture": "0--Parade/a", "box": face(1), "subsets": ["medium", "hard"]}
    ]
    assert record["pictures"] == [{"picture": "1--Handshaking/b", "faces": 1, "a": 0, "b": 1}]


def test_counts_add_up_and_swapping_the_two_turns_them_round() -> None:
    a = detector((0, face(2), 0.9), (1, NOWHERE, 0.6))
    b = detector((0, face(1), 0.9), (0, NOWHERE, 0.5), (1, face(3), 0.7))
    forth, back = compare(a, b), compare(b, a)
    for name, faces in truth().faces.items():
        one, other = forth["subsets"][name], back["subsets"][name]
        assert sum(one[key] for key in ("both", "only_a", "only_b", "neither")) == faces
        assert (one["only_a"], one["only_b"]) == (other["only_b"], other["only_a"])
        assert one["difference"] == pytest.approx(-other["difference"], abs=1e-12)
    assert (forth["gained"], forth["lost"]) == (back["lost"], back["gained"])
    assert sum(one["faces"] for one in forth["heights"]) == truth().faces["hard"]
    assert sum(one["faces"] for one in forth["events"]) == truth().faces["hard"]


def test_a_detector_changed_nothing_against_itself() -> None:
    a = detector((0, face(2), 0.9), (0, NOWHERE, 0.6))
    record = compare(a, a, equal_false_alarms=True)
    assert record["gained"] == record["lost"] == record["pictures"] == []
    assert {one["difference"] for one in record["subsets"].values()} == {0}


def test_b_can_be_read_where_it_raises_as_many_false_alarms() -> None:
    a = detector((0, face(2), 0.9), (0, NOWHERE, 0.7))
    shy = detector((0, face(2), 0.09), (0, face(1), 0.08), (0, NOWHERE, 0.07), (1, NOWHERE, 0.06))
    assert compare(a, shy)["subsets"]["hard"]["only_b"] == 0
    record = compare(a, shy, equal_false_alarms=True)
    assert 0.06 < record["scores"]["b"] <= 0.07
    assert record["subsets"]["hard"]["only_b"] == 1
    assert record["subsets"]["hard"]["false_alarms"] == {"a": 1, "b": 1}


def test_alarms_that_tie_beyond_what_is_allowed_are_all_left_out() -> None:
    a = detector((0, face(2), 0.9), (0, NOWHERE, 0.7))
    tied = detector((0, face(2), 0.5), (0, NOWHERE, 0.4), (1, NOWHERE, 0.4))
    record = compare(a, tied, equal_false_alarms=True)
    assert record["subsets"]["hard"]["false_alarms"]["b"] == 0


def test_faces_are_listed_tallest_first() -> None:
    a = detector((1, NOWHERE, 0.6))
    b = detector((0, face(0), 0.9), (0, face(2), 0.9), (0, face(1), 0.9))
    gained = compare(a, b)["gained"]
    assert [one["box"] for one in gained] == [face(2), face(1), face(0)]


def test_other_images_and_no_score_are_refused() -> None:
    a = detector((0, face(2), 0.9))
    other = detector((0, face(2), 0.9), subset=Subset(2, "0" * 64))
    with pytest.raises(InputError, match="of different images"):
        compare(a, other)
    with pytest.raises(InputError, match="score"):
        compare(a, a, score=float("nan"))
