"""Offsets, masks and sampling points of deformable convolutions on an image.

torchvision lays the 18 channels of an offset out as (dy, dx) for tap 0, (dy, dx) for tap 1, …;
the taps of the 3×3 kernel run by row, then column. All is in cells of the level until
`analysis.maps.geometry.Grid` puts it on the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.maps.geometry import Floats, Grid, inside_and_outside, rounded
from analysis.maps.observation import Observation
from featherface.blocks.deform_kernel import KERNEL, TAPS
from featherface.config import FeatherFaceConfig

Record = dict[str, Any]

SINGLE = "single"
"""The name of the one convolution of a context without branches."""

BRANCHES = ("a", "b1", "b2", "c1", "c2")
"""The convolutions of an SSH context: a and b1 read the level, b2 and c1 the output of b1, c2 that
of c1."""

_STEPS = np.arange(KERNEL) - KERNEL // 2
REGULAR: Floats = np.array([(row, column) for row in _STEPS for column in _STEPS], np.float64)
"""(9, 2): row and column of the taps of a plain convolution, relative to its cell."""


def branches(config: FeatherFaceConfig) -> tuple[str, ...]:
    """Return the branches of each level that hold a deformable convolution."""
    if not config.context.removeprefix("ssh-").startswith("dcn"):
        return ()
    return BRANCHES if config.context.startswith("ssh") else (SINGLE,)


def array_name(level: str, branch: str, kind: str) -> str:
    """Return the name of an `offset` or a `mask` in `Observation.arrays`."""
    return f"context.{level}.{kind}" if branch == SINGLE else f"context.{level}.{branch}.{kind}"


def displacements(offset: np.ndarray) -> Floats:
    """Return an offset (18, rows, columns) as (9, 2, rows, columns): by tap, down and right."""
    return offset.reshape(TAPS, 2, *offset.shape[1:]).astype(np.float64)


def sampling_points(offset: np.ndarray, row: int, column: int) -> Floats:
    """Return (9, 2): row and column, between cells, of the points that one cell samples."""
    return np.asarray((row, column)) + REGULAR + displacements(offset)[:, :, row, column]


def offset_records(observed: Observation) -> list[Record]:
    """Return a record for each level and branch that has offsets.

    Distances are in cells of the level (`stride` pixels at the network each) and rounded to four
    significant digits. Each is summarised over all cells, inside and outside faces:

    - `displacement`: of a tap from its place on the regular grid, over all nine taps;
    - `reach`: of a sampling point from the centre of its cell (on the regular grid 1.073 on
      average);
    - `drift`: how far the nine points moved together (length of their mean displacement);
    - `spread`: root mean square distance of the nine points from their centre (regular: 1.155);
    - `mask`: the modulation, 0 to 2, where there is one.

    Besides, `outside_level`: the share of sampling points beyond the level's edge, where
    deformable convolution reads zeros (fully so from one cell out); `mean_displacement` (9, 2):
    that of each tap, down and right; `adaptive`: the share of the displacements' mean square
    that varies from cell to cell, the rest being the same everywhere.
    """
    records = []
    for grid in observed.prepared.grids:
        inside = grid.inside(observed.boxes)
        for branch in branches(observed.config):
            moved = displacements(observed.arrays[array_name(grid.level, branch, "offset")])
            points = moved + REGULAR[:, :, None, None]
            centre = points.mean(axis=0)
            spread = np.sqrt(((points - centre) ** 2).sum(axis=1).mean(axis=0))
            rows = np.arange(grid.rows)[:, None] + points[:, 0]
            columns = np.arange(grid.columns) + points[:, 1]
            beyond = (
                (rows < 0) | (rows > grid.rows - 1) | (columns < 0) | (columns > grid.columns - 1)
            )
            mean_square = float((moved**2).mean())
            mask = observed.arrays.get(array_name(grid.level, branch, "mask"))
            records.append(
                {
                    "level": grid.level,
                    "branch": branch,
                    "stride": grid.stride,
                    "cells_inside": int(inside.sum()),
                    "displacement": inside_and_outside(np.hypot(moved[:, 0], moved[:, 1]), inside),
                    "reach": inside_and_outside(np.hypot(points[:, 0], points[:, 1]), inside),
                    "drift": inside_and_outside(np.hypot(*moved.mean(axis=0)), inside),
                    "spread": inside_and_outside(spread, inside),
                    "mask": None if mask is None else inside_and_outside(mask, inside),
                    "outside_level": rounded(beyond.mean()),
                    "mean_displacement": rounded(moved.mean(axis=(2, 3))),
                    "adaptive": rounded(moved.var(axis=(2, 3)).mean() / mean_square)
                    if mean_square
                    else 0.0,
                }
            )
    return records


def point_records(observed: Observation, positions: Sequence[tuple[float, float]]) -> list[Record]:
    """Return the nine sampling points of every branch and level at positions on the image.

    Args:
        positions: (x, y) in pixels of the original image; of each level, the cell whose
            centre is nearest is taken.

    Returns:
        a record for each position, level and branch: `at` (x, y), `cell` (row, column), its
        `centre`, the nine `regular` and the nine `points` (x, y), all in pixels of the original
        image, and the `mask` of each tap, none for version 1.
    """
    records = []
    for index, (x, y) in enumerate(positions):
        for grid in observed.prepared.grids:
            row, column = grid.nearest(x, y)
            for branch in branches(observed.config):
                offset = observed.arrays[array_name(grid.level, branch, "offset")]
                mask = observed.arrays.get(array_name(grid.level, branch, "mask"))
                points = sampling_points(offset, row, column)
                cell = np.array((row, column))
                records.append(
                    {
                        "position": index,
                        "at": [round(x, 2), round(y, 2)],
                        "level": grid.level,
                        "branch": branch,
                        "cell": [row, column],
                        "centre": _pixels(grid, row, column),
                        "regular": [_pixels(grid, *p) for p in REGULAR + cell],
                        "points": [_pixels(grid, *p) for p in points],
                        "mask": None if mask is None else rounded(mask[:, row, column]),
                    }
                )
    return records


def _pixels(grid: Grid, row: float, column: float) -> list[float]:
    x, y = grid.place(float(row), float(column))
    return [round(x, 2), round(y, 2)]
