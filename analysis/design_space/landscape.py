"""The number of architectures of the design space by parameters and MACs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.design_space.closed_form import (
    closed_form_macs,
    closed_form_parameters,
    macs,
    parameters,
)
from analysis.design_space.space import FAMILY, Grid, Space, legal
from featherface.config import CONFIGS, FeatherFaceConfig
from featherface.errors import InputError


def landscape(
    space: Space = FAMILY,
    size: tuple[int, int] = (640, 640),
    params_range: tuple[int, int] = (300_000, 700_000),
    macs_range: tuple[int, int] = (400_000_000, 1_800_000_000),
    bins: tuple[int, int] = (80, 70),
    variants: Mapping[str, FeatherFaceConfig] = CONFIGS,
) -> dict[str, Any]:
    """A histogram of a space over parameters and MACs for each kind of context module.

    Args:
        space: the ranges of the fields.
        size: height and width of the picture that MACs are counted for.
        params_range, macs_range: what to look at; the upper end is included.
        bins: how many of parameters, of MACs.
        variants: architectures to say the place of, by name.

    Returns:
        `height`, `width`, `params_edges`, `macs_edges`, `looked_at` (architectures in the space),
        `inside` (those within both ranges), `counts` (by context, a row per bin of MACs with a
        count per bin of parameters), and `variants`: a dict of `variant, context, params, macs`
        for each.

    Raises:
        InputError: for an empty range, or a size that no network of the family takes.
    """
    for name, (low, high) in (("params_range", params_range), ("macs_range", macs_range)):
        if low >= high:
            raise InputError(f"{name} (={low}–{high}) must end above its start")
    grid = Grid(space)
    grid.check_range(*size)
    counts = {kind: np.zeros((bins[1], bins[0]), np.int64) for kind in space.context}
    edges = [
        np.linspace(*macs_range, bins[1] + 1),
        np.linspace(*params_range, bins[0] + 1),
    ]
    looked_at = 0
    for _, shape, combinations in grid.blocks(_BLOCK):
        allowed = np.broadcast_to(legal(combinations), shape)
        looked_at += int(np.count_nonzero(allowed))
        x = np.broadcast_to(parameters(combinations), shape)
        y = np.broadcast_to(macs(combinations, *size), shape)
        contexts = np.broadcast_to(combinations.context, shape)
        for kind in counts:
            these = allowed & (contexts == kind)
            inside = np.histogram2d(y[these], x[these], bins=edges)[0]
            counts[kind] += inside.astype(np.int64)
    return {
        "height": size[0],
        "width": size[1],
        "params_edges": edges[1].tolist(),
        "macs_edges": edges[0].tolist(),
        "looked_at": looked_at,
        "inside": int(sum(count.sum() for count in counts.values())),
        "counts": {kind: count.tolist() for kind, count in counts.items()},
        "variants": [
            {
                "variant": name,
                "context": config.context,
                "params": closed_form_parameters(config),
                "macs": closed_form_macs(config, *size),
            }
            for name, config in variants.items()
        ],
    }


_BLOCK = 1 << 20  # combinations at a time
