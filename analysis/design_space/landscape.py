"""The number of architectures of the design space by parameters and MACs."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.design_space.closed_form import (
    closed_form_macs,
    closed_form_parameters,
    macs,
    parameters,
)
from analysis.design_space.space import FAMILY, Grid, Space
from featherface.config import CONFIGS


def landscape(
    space: Space = FAMILY,
    size: tuple[int, int] = (640, 640),
    params_range: tuple[int, int] = (300_000, 700_000),
    macs_range: tuple[int, int] = (400_000_000, 1_800_000_000),
    bins: tuple[int, int] = (80, 70),
) -> dict[str, Any]:
    """Return a histogram of a space over parameters and MACs for each kind of context module.

    Args:
        space: the ranges of the fields.
        size: height and width of the image that MACs are counted for.
        params_range, macs_range: what to look at; the upper end is included.
        bins: how many of parameters, of MACs.

    Returns:
        `height`, `width`, `params_edges`, `macs_edges`, `looked_at` (architectures in the space),
        `inside` (those within both ranges), `counts` (by context, a row per bin of MACs with a
        count per bin of parameters), and `variants`: a dict of `variant, context, params, macs`
        for each named variant.
    """
    grid = Grid(space)
    x = np.broadcast_to(parameters(grid.fields), grid.shape)
    y = np.broadcast_to(macs(grid.fields, *size), grid.shape)
    edges = np.linspace(*macs_range, bins[1] + 1), np.linspace(*params_range, bins[0] + 1)
    counts = {}
    for kind in space.context:
        these = grid.allowed & (grid.fields.context == kind)
        counts[kind] = np.histogram2d(y[these], x[these], bins=edges)[0].astype(int).tolist()
    return {
        "height": size[0],
        "width": size[1],
        "params_edges": edges[1].tolist(),
        "macs_edges": edges[0].tolist(),
        "looked_at": int(np.count_nonzero(grid.allowed)),
        "inside": int(np.sum(list(counts.values()))),
        "counts": counts,
        "variants": [
            {
                "variant": name,
                "context": config.context,
                "params": closed_form_parameters(config),
                "macs": closed_form_macs(config, *size),
            }
            for name, config in CONFIGS.items()
        ],
    }
