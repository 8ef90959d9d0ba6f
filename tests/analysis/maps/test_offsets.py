from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.maps.observation import observe, prepare
from analysis.maps.offsets import (
    BRANCHES,
    REGULAR,
    branches,
    offset_records,
    point_records,
    sampling_points,
)
from featherface import CONFIGS, FeatherFace
from featherface.blocks.deformable import DeformConv2d


@pytest.mark.parametrize("tap", range(9))
def test_a_known_offset_moves_the_point_to_where_the_kernel_reads(tap: int) -> None:
    """The reading itself is torchvision's, so that both must mean the same by an offset."""
    down, right = 2, -1
    conv = DeformConv2d(1, 1, 1).eval()
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight.view(-1)[tap] = 1
        conv.offset.bias[2 * tap] = down
        conv.offset.bias[2 * tap + 1] = right
        picture = torch.zeros(1, 1, 11, 11)
        picture[0, 0, 5, 6] = 1
        y = conv(picture, named := {})
    ((row, column),) = np.argwhere(y[0, 0].numpy() != 0)
    points = sampling_points(named["offset"][0].numpy(), row, column)
    assert points[tap].tolist() == [5, 6]
    others = [k for k in range(9) if k != tap]
    assert np.array_equal(points[others], REGULAR[others] + [row, column])


def test_a_point_between_cells_is_read_by_interpolation() -> None:
    conv = DeformConv2d(1, 1, 1).eval()
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight.view(-1)[4] = 1
        conv.offset.bias[8:10] = torch.tensor([0.25, 0.5])
        rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
        y = conv((10 * rows + columns)[None, None], named := {})
    row, column = sampling_points(named["offset"][0].numpy(), 4, 4)[4]
    assert y[0, 0, 4, 4].item() == pytest.approx(10 * row + column)


@pytest.fixture(scope="module")
def seen():  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    model = FeatherFace(CONFIGS["official"]).eval()
    conv = model.context.levels[1].b1.conv
    with torch.no_grad():
        conv.offset.bias[2 * 5] = 0.25  # tap 5: the middle row, one to the right
        conv.offset.bias[2 * 5 + 1] = -1.5
        conv.mask.bias[5] = 20.0  # 2·sigmoid(20) is 2
    picture = np.zeros((150, 200, 3), np.uint8)
    prepared = prepare(model, picture, 100)  # the network sees half the size
    return observe(model, prepared, 0.999)


def test_points_on_the_picture_have_the_known_offset(seen) -> None:  # type: ignore[no-untyped-def]
    records = point_records(seen, [(100, 70)])
    assert [(r["level"], r["branch"]) for r in records] == [
        (level, branch) for level in ("p3", "p4", "p5") for branch in BRANCHES
    ]
    (record,) = [r for r in records if (r["level"], r["branch"]) == ("p4", "b1")]
    cell = 16 * 2
    x, y = record["centre"]
    assert record["cell"] == [2, 3]
    assert [x, y] == [(3 * 16 + 0.5) * 2, (2 * 16 + 0.5) * 2]
    assert record["regular"][5] == [x + cell, y]
    assert record["points"][5] == [x + cell - 1.5 * cell, y + 0.25 * cell]
    assert record["mask"] == [1, 1, 1, 1, 1, 2, 1, 1, 1]
    assert record["points"][:5] == record["regular"][:5]


def test_records_say_how_far_and_how_much_alike(seen) -> None:  # type: ignore[no-untyped-def]
    records = {(r["level"], r["branch"]): r for r in offset_records(seen)}
    still, moved = records["p3", "a"], records["p4", "b1"]
    assert still["displacement"]["all"]["max"] == 0
    assert still["reach"]["all"]["mean"] == 1.073  # (4 + 4·√2) / 9
    assert still["spread"]["all"]["mean"] == 1.155  # √(12 / 9)
    assert still["adaptive"] == 0
    assert still["displacement"]["inside"] is None  # there is no face
    length = (1.5**2 + 0.25**2) ** 0.5
    assert moved["displacement"]["all"]["mean"] == pytest.approx(length / 9, rel=1e-3)
    assert moved["drift"]["all"]["mean"] == pytest.approx(length / 9, rel=1e-3)
    assert moved["mean_displacement"][5] == [0.25, -1.5]
    assert moved["adaptive"] == 0  # the same everywhere: a bias
    assert moved["mask"]["all"]["max"] == 2


def test_points_beyond_the_level_are_counted(seen) -> None:  # type: ignore[no-untyped-def]
    (still,) = [r for r in offset_records(seen) if (r["level"], r["branch"]) == ("p5", "a")]
    rows, columns = 3, 4  # of 75×100 pixels
    inside = (3 * rows - 2) * (3 * columns - 2)
    assert still["outside_level"] == pytest.approx(1 - inside / (9 * rows * columns), rel=1e-3)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [("official", BRANCHES), ("v1-deformable", ("single",)), ("v1", ()), ("retinaface", ())],
)
def test_branches_of_the_variants(variant: str, expected: tuple[str, ...]) -> None:
    assert branches(CONFIGS[variant]) == expected
