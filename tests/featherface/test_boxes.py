from __future__ import annotations

import math

import pytest
import torch

from featherface.boxes import (
    anchor_sizes,
    decode_boxes,
    decode_landmarks,
    encode_boxes,
    encode_landmarks,
    make_anchors,
)


def test_the_published_sizes() -> None:
    assert anchor_sizes(2) == ((16, 32), (64, 128), (256, 512))
    assert anchor_sizes(1) == ((16,), (64,), (256,))


@pytest.mark.parametrize("size", [(640, 640), (97, 131), (32, 33)])
def test_anchors_run_by_level_row_column_and_size(size: tuple[int, int]) -> None:
    height, width = size
    expected = [
        ((column + 0.5) * stride / width, (row + 0.5) * stride / height, s / width, s / height)
        for stride, sizes in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
        for row in range(math.ceil(height / stride))
        for column in range(math.ceil(width / stride))
        for s in sizes
    ]
    torch.testing.assert_close(make_anchors(height, width), torch.tensor(expected))


def test_a_zero_prediction_is_the_anchor_itself() -> None:
    anchors = make_anchors(64, 64)
    boxes = decode_boxes(torch.zeros(1, len(anchors), 4), anchors)[0]
    centre, size = anchors[:, :2], anchors[:, 2:]
    torch.testing.assert_close(boxes, torch.cat([centre - size / 2, centre + size / 2], 1))
    points = decode_landmarks(torch.zeros(len(anchors), 10), anchors)
    torch.testing.assert_close(points, centre[:, None].expand(-1, 5, 2))


def test_decoding_is_the_written_formula() -> None:
    anchors = torch.tensor([[0.5, 0.25, 0.2, 0.1]])
    box = decode_boxes(torch.tensor([[1.0, -2.0, 3.0, 0.5]]), anchors)[0]
    x, y = 0.5 + 0.1 * 1.0 * 0.2, 0.25 + 0.1 * -2.0 * 0.1
    w, h = 0.2 * math.exp(0.2 * 3.0), 0.1 * math.exp(0.2 * 0.5)
    torch.testing.assert_close(box, torch.tensor([x - w / 2, y - h / 2, x + w / 2, y + h / 2]))
    points = decode_landmarks(torch.arange(10.0)[None], anchors)[0]
    expected = [[0.5 + 0.1 * 2 * i * 0.2, 0.25 + 0.1 * (2 * i + 1) * 0.1] for i in range(5)]
    torch.testing.assert_close(points, torch.tensor(expected))


def test_encoding_is_the_inverse_of_decoding() -> None:
    torch.manual_seed(0)
    anchors = make_anchors(96, 128)
    boxes, points = torch.randn(2, len(anchors), 4), torch.randn(2, len(anchors), 10)
    torch.testing.assert_close(
        encode_boxes(decode_boxes(boxes, anchors), anchors), boxes, atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(
        encode_landmarks(decode_landmarks(points, anchors), anchors), points, atol=1e-4, rtol=1e-4
    )
