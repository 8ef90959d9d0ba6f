from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.maps.alignment import alignment_records
from analysis.maps.geometry import Grid, make_grids
from analysis.maps.observation import prepare
from featherface import CONFIGS, FeatherFace
from featherface.blocks.backbone import Backbone


@pytest.mark.parametrize(("height", "width"), [(640, 640), (601, 623)])
@pytest.mark.parametrize("level", [0, 1])
def test_a_cell_is_where_the_middle_of_its_receptive_field_is(
    height: int, width: int, level: int
) -> None:
    torch.manual_seed(0)
    picture = torch.rand(1, 3, height, width, requires_grad=True)
    features = Backbone().eval()(picture)[level]
    grid = make_grids(height, width)[level]
    assert features.shape[-2:] == (grid.rows, grid.columns)
    row, column = grid.rows // 2, grid.columns // 2 + 1
    (gradient,) = torch.autograd.grad(features[0, :, row, column].sum(), picture)
    seen = np.argwhere(gradient[0].abs().sum(0).numpy() > 0)
    (top, left), (bottom, right) = seen.min(0), seen.max(0) + 1
    assert min(top, left) > 0  # all of the field is on the picture
    assert (bottom, right) < (height, width)
    assert right < width
    assert grid.place(row, column) == ((left + right) / 2, (top + bottom) / 2)


def test_places_scale_with_the_picture() -> None:
    grid = Grid("p4", 16, rows=3, columns=5, scale=(2.0, 1.5))
    assert grid.place(1, 2) == ((32 + 0.5) * 2, (16 + 0.5) * 1.5)
    assert grid.cell == (32.0, 24.0)
    left, right, bottom, top = grid.extent
    assert (right - left, bottom - top) == (5 * 32, 3 * 24)
    assert (left, top) == ((-8 + 0.5) * 2, (-8 + 0.5) * 1.5)


def test_the_nearest_cell_is_the_one_whose_place_it_is() -> None:
    for grid in make_grids(97, 130, (0.7, 1.3)):
        for row in range(grid.rows):
            for column in range(grid.columns):
                x, y = grid.place(row, column)
                assert grid.nearest(x, y) == (row, column)
                assert grid.nearest(x + 0.49 * grid.cell[0], y) == (row, column)
        assert grid.nearest(-50, 1e6) == (grid.rows - 1, 0)


def test_cells_inside_have_their_centre_in_a_box() -> None:
    grid = make_grids(32, 32)[0]  # centres at 0.5, 8.5, 16.5, 24.5
    inside = grid.inside([[8, 0, 17, 8], [24, 24, 25, 25]])
    assert np.argwhere(inside).tolist() == [[0, 1], [0, 2], [3, 3]]
    assert not grid.inside([]).any()


def test_alignment_is_in_cells_of_each_level() -> None:
    torch.manual_seed(0)
    model = FeatherFace(CONFIGS["v1"]).eval()
    rng = np.random.default_rng(0)
    prepared = prepare(model, rng.integers(0, 256, (160, 160, 3), dtype=np.uint8))
    records = [r for r in alignment_records(model, prepared) if r["block"] == "backbone"]
    assert [r["level"] for r in records] == ["p3", "p4", "p5"]
    assert [r["anchor"] for r in records] == [3.5 / 8, pytest.approx(0.4688), pytest.approx(0.4844)]
    # A fresh network leans nowhere, up to chance and what the picture's edge cuts off.
    assert abs(records[0]["down"]) < 0.3
    assert abs(records[0]["right"]) < 0.3
