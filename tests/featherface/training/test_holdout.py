"""The plain average precision by which a run is followed, on cases worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from featherface.training.holdout import average_precision

A, B, ELSEWHERE = [0.0, 0, 10, 10], [20.0, 20, 40, 60], [70.0, 70, 80, 80]


def boxes(*rows: list[float]) -> Tensor:
    return torch.tensor(rows).view(-1, 4)


def test_all_found_first_is_one() -> None:
    found = [(boxes(A, B, ELSEWHERE), torch.tensor([0.9, 0.8, 0.1]))]
    assert average_precision(found, [boxes(A, B)]) == pytest.approx(1)


def test_a_false_box_between_costs_its_share() -> None:
    found = [(boxes(A, ELSEWHERE, B), torch.tensor([0.9, 0.8, 0.1]))]
    assert average_precision(found, [boxes(A, B)]) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)


def test_a_face_is_found_once() -> None:
    found = [(boxes(A, A), torch.tensor([0.9, 0.8]))]
    assert average_precision(found, [boxes(A, B)]) == pytest.approx(1 / 2)


def test_scores_are_compared_over_all_images() -> None:
    found = [(boxes(ELSEWHERE), torch.tensor([0.95])), (boxes(A), torch.tensor([0.9]))]
    assert average_precision(found, [boxes(), boxes(A)]) == pytest.approx(1 / 2)


def test_small_faces_count_neither_way() -> None:
    found = [(boxes(A, B), torch.tensor([0.9, 0.8]))]
    assert average_precision(found, [boxes(A, B)], least=20) == pytest.approx(1)


def test_nothing_to_find_is_undefined_and_nothing_found_is_zero() -> None:
    assert math.isnan(average_precision([(boxes(), torch.zeros(0))], [boxes()]))
    assert average_precision([(boxes(), torch.zeros(0))], [boxes(A)]) == 0
