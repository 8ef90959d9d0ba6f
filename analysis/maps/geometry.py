"""The cells of a level on the image, and summaries of maps inside and outside faces.

A 3×3 convolution of stride 2 with one pixel of padding reads, for its output i, the inputs 2i − 1,
2i and 2i + 1. So cell (i, j) of a level with stride s has its receptive field centred on the pixel
(s·i, s·j): on (s·j + ½, s·i + ½), as the upper left pixel reaches from 0 to 1. That is exact
after the backbone and the first attention. The pyramid's upsampling and max-pooling move features
by up to a cell of the coarser level, and a trained network leans towards the centre of the cell's
anchors, ((j + ½)·s, (i + ½)·s); `analysis.maps.alignment` measures how far.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from featherface.config import LEVELS, STRIDES

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Grid:
    """The cells of one level; x and y are in pixels of the original image."""

    level: str
    stride: int
    rows: int
    columns: int
    scale: tuple[float, float]  # pixels of the original per pixel of the network's input, x and y

    @property
    def cell(self) -> tuple[float, float]:
        """Width and height of a cell in pixels of the original image."""
        return self.stride * self.scale[0], self.stride * self.scale[1]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top of all cells; the first starts before the first pixel."""
        left, top = self.place(-0.5, -0.5)
        right, bottom = self.place(self.rows - 0.5, self.columns - 0.5)
        return left, right, bottom, top

    def place(self, row: float, column: float) -> tuple[float, float]:
        """Return (x, y) of the centre of a cell, or between cells for fractions."""
        return (
            (self.stride * column + 0.5) * self.scale[0],
            (self.stride * row + 0.5) * self.scale[1],
        )

    def nearest(self, x: float, y: float) -> tuple[int, int]:
        """Return (row, column) of the cell whose centre is nearest to a point."""
        column = (x / self.scale[0] - 0.5) / self.stride
        row = (y / self.scale[1] - 0.5) / self.stride
        return (
            int(np.clip(np.floor(row + 0.5), 0, self.rows - 1)),
            int(np.clip(np.floor(column + 0.5), 0, self.columns - 1)),
        )

    def inside(self, boxes: Iterable[Iterable[float]]) -> Mask:
        """Return (rows, columns): whether a cell has its centre in one of the boxes."""
        x, y = self.place(np.arange(self.rows)[:, None], np.arange(self.columns)[None])  # type: ignore[arg-type]
        found = np.zeros((self.rows, self.columns), dtype=bool)
        for x1, y1, x2, y2 in boxes:
            found |= (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
        return found


def make_grids(height: int, width: int, scale: tuple[float, float] = (1.0, 1.0)) -> list[Grid]:
    """Return the grids of P3, P4 and P5.

    Args:
        height, width: of the network's input, in pixels.
        scale: see `Grid`; `featherface.images.NetworkInput` has it.
    """
    return [
        Grid(level, stride, -(-height // stride), -(-width // stride), scale)
        for level, stride in zip(LEVELS, STRIDES, strict=True)
    ]


DIGITS = 4
"""Significant digits of what is measured on an image: sums of two machines differ in the 7th."""

QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


def rounded(value: Any) -> Any:
    """Return a number or an array of numbers with `DIGITS` significant digits, for JSON."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim:
        return [rounded(item) for item in array]
    return float(f"{float(array):.{DIGITS}g}")


def summary(values: npt.ArrayLike) -> dict[str, float] | None:
    """Return mean, extremes and quantiles; None without values."""
    array = np.asarray(values, dtype=np.float64).ravel()
    if not array.size:
        return None
    quantiles = np.quantile(array, list(QUANTILES.values()))
    return {
        "mean": rounded(array.mean()),
        "min": rounded(array.min()),
        "max": rounded(array.max()),
        **{name: rounded(value) for name, value in zip(QUANTILES, quantiles, strict=True)},
    }


def inside_and_outside(values: np.ndarray, inside: Mask) -> dict[str, dict[str, float] | None]:
    """Return summaries of a map (…, rows, columns): all of it, inside of faces and outside.

    None where no cell has its centre in a face (small faces on a coarse level), or none outside.
    """
    return {
        "all": summary(values),
        "inside": summary(values[..., inside]),
        "outside": summary(values[..., ~inside]),
    }
