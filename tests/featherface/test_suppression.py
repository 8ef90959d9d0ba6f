"""Suppression among neighbours alone gives torchvision's answer."""

from __future__ import annotations

import tracemalloc

import pytest
import torch
import torchvision.ops
from torch import Tensor

from featherface import boxes as suppression
from featherface.boxes import nms


def crowd(count: int, seed: int, spread: float) -> tuple[Tensor, Tensor]:
    """Boxes of sizes over two orders of magnitude in clusters; scores with ties."""
    random = torch.Generator().manual_seed(seed)
    people = torch.rand(count // 4, 2, generator=random) * 1000
    centres = people[torch.randint(len(people), (count,), generator=random)]
    sizes = 8 * torch.exp(torch.rand(count, 1, generator=random) * 4.5)
    sizes = sizes * torch.exp(0.3 * torch.randn(count, 2, generator=random))
    centres = centres + spread * sizes * torch.randn(count, 2, generator=random)
    scores = (torch.rand(count, generator=random) * 500).round() / 500
    return torch.cat([centres - sizes / 2, centres + sizes / 2], dim=1), scores


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.4, 0.5, 0.9])
@pytest.mark.parametrize("spread", [0.02, 0.2, 1.0])
def test_exactly_torchvisions_answer(
    threshold: float, spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes, scores = crowd(2000, int(threshold * 100), spread)
    expected = torchvision.ops.nms(boxes, scores, threshold)
    assert 10 < len(expected) <= 2000
    # Where it did not come from torchvision itself:
    monkeypatch.setattr(suppression, "_DENSE", len(boxes))
    monkeypatch.setattr(suppression.torchvision.ops, "nms", None)
    assert torch.equal(nms(boxes, scores, threshold), expected)


def test_boxes_on_a_grid_whose_overlap_is_the_threshold() -> None:
    """Two boxes of width 14 that are 6 apart share 8 of 20: an IoU of 0.4 to the last bit."""
    x, y = torch.meshgrid(torch.arange(60) * 6.0, torch.arange(30) * 6.0, indexing="ij")
    corner = torch.stack([x.flatten(), y.flatten()], dim=1)
    boxes = torch.cat([corner, corner + 14], dim=1)
    scores = torch.linspace(1, 0.1, len(boxes))[torch.randperm(len(boxes))]
    for threshold in (0.4, 0.39999, 0.40001):
        expected = torchvision.ops.nms(boxes, scores, threshold)
        assert torch.equal(nms(boxes, scores, threshold), expected)


@pytest.mark.parametrize("threshold", [0.0, 0.4, 1.0])
def test_boxes_without_a_size_are_left_to_torchvision(threshold: float) -> None:
    boxes, scores = crowd(2000, 1, 0.2)
    boxes[3, 2:] = boxes[3, :2]
    boxes[4] = torch.inf
    expected = torchvision.ops.nms(boxes, scores, threshold)
    assert torch.equal(nms(boxes, scores, threshold), expected)


def test_none_and_one() -> None:
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.4).tolist() == []
    assert nms(torch.tensor([[0.0, 0, 1, 1]]), torch.ones(1), 0.4).tolist() == [0]


def test_boxes_that_all_overlap_take_little_memory() -> None:
    torch.manual_seed(0)
    corners = torch.rand(4000, 2)
    boxes, scores = torch.cat([corners, corners + 100], dim=1), torch.rand(4000)
    tracemalloc.start()
    try:
        kept = nms(boxes, scores, 0.4)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert torch.equal(kept, torchvision.ops.nms(boxes, scores, 0.4))
    assert peak < 50e6  # eight million pairs take ten times that
