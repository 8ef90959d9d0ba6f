"""The centre of a cell's effective receptive field, against the centre that its grid states.

The squared gradient of a cell's features with respect to the image weighs each pixel (Luo et al.
2016, "Understanding the effective receptive field"); its centre of mass is measured.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch

from analysis.maps.geometry import rounded
from analysis.maps.observation import Prepared
from featherface.model import FeatherFace

Record = dict[str, Any]

_PLACES = ((0.4, 0.4), (0.4, 0.6), (0.5, 0.5), (0.6, 0.4), (0.6, 0.6))


def alignment_records(model: FeatherFace, prepared: Prepared) -> list[Record]:
    """Return how far the effective receptive field is off the stated centre, by block and level.

    Returns:
        records with `block`, `level`, and `down` and `right`, in cells of the level: the mean over
        five cells in the middle of the image, and a standard deviation between them; for
        comparison `anchor`, where the centre of the cell's anchors lies, in cells.
    """
    height, width = prepared.input_size
    rows = torch.arange(height) + 0.5
    columns = torch.arange(width) + 0.5
    pixels = prepared.pixels.clone().requires_grad_()
    with torch.enable_grad():
        _, named = model.intermediates(pixels)
    records = []
    for block, grid in product(("backbone", "pyramid"), prepared.grids):
        features = named[f"{block}.{grid.level}"][0]
        shifts = []
        for down, right in _PLACES:
            i, j = int(down * grid.rows), int(right * grid.columns)
            squared = (features[:, i, j] ** 2).sum()
            (gradient,) = torch.autograd.grad(squared, pixels, retain_graph=True)
            weight = (gradient[0].double() ** 2).sum(0)
            y = ((weight.sum(1) * rows).sum() / weight.sum()).item()
            x = ((weight.sum(0) * columns).sum() / weight.sum()).item()
            centre = np.array((grid.stride * i + 0.5, grid.stride * j + 0.5))
            shifts.append((np.array((y, x)) - centre) / grid.stride)
        (down, right), deviations = np.mean(shifts, axis=0), np.std(shifts, axis=0)
        records.append(
            {
                "block": block,
                "level": grid.level,
                "down": rounded(down),
                "right": rounded(right),
                "down_deviation": rounded(deviations[0]),
                "right_deviation": rounded(deviations[1]),
                "anchor": rounded((grid.stride - 1) / 2 / grid.stride),
            }
        )
    return records
