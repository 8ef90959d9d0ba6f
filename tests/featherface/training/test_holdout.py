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


EVERYTHING, NOTHING = [boxes(A, B)], [boxes()]


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [
        pytest.param([(boxes(A, B, ELSEWHERE), [0.9, 0.8, 0.1])], EVERYTHING, 1, id="all first"),
        pytest.param(
            [(boxes(A, ELSEWHERE, B), [0.9, 0.8, 0.1])], EVERYTHING, 1 / 2 + 1 / 3, id="one false"
        ),
        pytest.param([(boxes(A, A), [0.9, 0.8])], EVERYTHING, 1 / 2, id="one found twice"),
        pytest.param(
            [(boxes(ELSEWHERE), [0.95]), (boxes(A), [0.9])],
            [boxes(), boxes(A)],
            1 / 2,
            id="scores of all images",
        ),
        pytest.param([(boxes(), [])], [boxes(A)], 0, id="nothing found"),
        pytest.param([(boxes(), [])], NOTHING, math.nan, id="nothing to find"),
    ],
)
def test_average_precision(
    found: list[tuple[Tensor, list[float]]], truth: list[Tensor], expected: float
) -> None:
    scored = [(box, torch.tensor(scores)) for box, scores in found]
    assert average_precision(scored, truth) == pytest.approx(expected, nan_ok=True)


def test_small_faces_count_neither_way() -> None:
    found = [(boxes(A, B), torch.tensor([0.9, 0.8]))]
    assert average_precision(found, EVERYTHING, least=20) == pytest.approx(1)
