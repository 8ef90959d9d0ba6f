"""The settings of one block that give a published number of parameters for that block.

A block is asked by itself, whatever the rest of the network is like, so that a figure that no
setting gives is impossible for the block in every network of the space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.design_space import closed_form
from analysis.design_space.space import KINDS, SPACE, Grid, Space, legal
from featherface.config import BACKBONE_CHANNELS
from featherface.errors import InputError

SETTINGS: dict[str, tuple[str, ...]] = {
    "backbone": (),
    "first_attention": ("reduction",),
    "pyramid": ("channels", "pyramid", "cells"),
    "second_attention": ("channels", "reduction"),
    "context": ("channels", "context"),
    "shuffle": ("channels", "shuffle"),
    "heads": ("channels", "anchors"),
}
"""The fields that the parameters of a block depend on."""

ALL_INTEGERS = replace(
    SPACE,
    channels=tuple(range(1, max(SPACE.channels) + 1)),
    pyramid=KINDS["pyramid"],
    reduction=tuple(range(1, max(SPACE.channels) + 1)),
    shuffle=KINDS["shuffle"],
)
"""The ranges of `SPACE` without the gaps, and with both pyramids: a block has few settings."""


def search_block(
    block: str,
    params: int,
    reading: str = "parameters",
    inputs: Sequence[int] = BACKBONE_CHANNELS,
    space: Space = ALL_INTEGERS,
) -> dict[str, Any]:
    """Return every setting of a block with exactly that many parameters, and the nearest.

    Args:
        block: its name, see `featherface.config.BLOCKS`.
        params: the number asked for.
        reading: what counts as a parameter, one of `analysis.design_space.closed_form.READINGS`.
        inputs: channels of the backbone's three levels, which the first attention and the
            pyramid depend on.
        space: the ranges of the fields.

    Returns:
        `block`, `asked`, `reading`, `inputs`, `looked_at` (settings of the block), `settings`
        (those with that number: dicts of the fields in `SETTINGS`), and `nearest`, the setting
        next to it with its `params` and the `difference`.

    Raises:
        InputError: for an unknown block or reading, or where no setting is possible.
    """
    if block not in SETTINGS:
        raise InputError(f"unknown block {block!r}: it must be one of {', '.join(SETTINGS)}")
    grid = Grid(_only(block, space))
    allowed = np.broadcast_to(legal(grid.fields, inputs), grid.shape)
    numbers = np.flatnonzero(allowed)
    if not numbers.size:
        raise InputError(f"no setting of {block} is possible in this design space")
    on_backbone = {"inputs": inputs} if block in ("first_attention", "pyramid") else {}
    layers = closed_form.LAYERS[block](grid.fields, **on_backbone)
    counts = np.broadcast_to(closed_form.count(layers, reading), grid.shape)[allowed]
    settings = [
        {name: values[name] for name in SETTINGS[block]}
        for values in grid.describe(numbers[counts == params])
    ]
    at = int(np.argmin(np.abs(counts - params)))
    (nearest,) = grid.describe(numbers[at : at + 1])
    return {
        "block": block,
        "asked": params,
        "reading": reading,
        "inputs": list(inputs),
        "looked_at": len(numbers),
        "settings": settings,
        "nearest": {
            **{name: nearest[name] for name in SETTINGS[block]},
            "params": int(counts[at]),
            "difference": int(counts[at]) - params,
        },
    }


def _only(block: str, space: Space) -> Space:
    """Return the block's own fields, and one value for each that it does not depend on."""
    attention = {"first_attention": ("backbone",), "second_attention": ("pyramid",)}
    plain: dict[str, tuple[Any, ...]] = {
        "channels": (4,),  # any that every block accepts
        "pyramid": ("bifpn",),
        "cells": (1,),
        "attention": attention.get(block, ("none",)),
        "reduction": (1,),
        "context": ("none",),
        "shuffle": ("none",),
        "anchors": (1,),
    }
    return Space(**plain | {name: getattr(space, name) for name in SETTINGS[block]})
