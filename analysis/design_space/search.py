"""The search for architectures, and for settings of one block, with given totals.

All architectures of a space are counted, none is sampled: "found none" is then a proof, for that
space.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.design_space.closed_form import LAYERS, count
from analysis.design_space.closed_form import macs as count_macs
from analysis.design_space.closed_form import parameters as count_parameters
from analysis.design_space.facts import Fact
from analysis.design_space.space import KINDS, SPACE, VARIANTS, Grid, Space, config_from
from featherface.config import ConfigError
from featherface.errors import InputError

_MOST = 2**62  # of a total: differences fit 64 bits, too

ALL_INTEGERS = replace(
    SPACE,
    channels=tuple(range(1, max(SPACE.channels) + 1)),
    pyramid=KINDS["pyramid"],
    reduction=tuple(range(1, max(SPACE.channels) + 1)),
    shuffle=KINDS["shuffle"],
)
"""The ranges of `SPACE` without the gaps, and with both pyramids: a block has few settings."""

_SETTINGS: dict[str, tuple[str, ...]] = {
    "backbone": (),
    "first_attention": ("reduction",),
    "pyramid": ("channels", "pyramid", "cells"),
    "second_attention": ("channels", "reduction"),
    "context": ("channels", "context"),
    "shuffle": ("channels", "shuffle"),
    "heads": ("channels", "anchors"),
}


def search(
    params: int | None = None,
    macs: int | None = None,
    within: int = 0,
    fixed: Mapping[str, Any] | None = None,
    excluded: Mapping[str, Any] | None = None,
    facts: Sequence[Fact] = (),
    space: Space = SPACE,
    size: tuple[int, int] = (640, 640),
    limit: int | None = 1000,
    within_macs: int | None = None,
    reading: str = "parameters",
) -> dict[str, Any]:
    """Return every architecture of a space with that many parameters, MACs, or both.

    Args:
        params: parameters asked for.
        macs: MACs asked for, for an image of `size`.
        within: how far from either an architecture may lie and still match.
        fixed, excluded: values by field, one or several; see `Space.narrowed`.
        facts: what else is known; those who agree with more of it come first.
        space: the ranges of the fields.
        size: height and width of the image that MACs are counted for.
        limit: how many matches to describe; all are counted. `None` describes all.
        within_macs: how far MACs may lie, where it is not `within`.
        reading: what counts as a parameter, one of `analysis.design_space.closed_form.READINGS`.

    Returns:
        `asked` (the arguments), `space` (its ranges, after fixing and excluding), `facts`,
        `looked_at` (distinct architectures), `seconds`, `found`, `shown`, and `matches`: for each
        its `config` (see `analysis.design_space.space.described`), `variants` (names it goes by),
        `params`, `counted` (parameters under the reading), `macs`, `params_difference` and
        `macs_difference` from what was asked (`None` where it was not), `facts` (by field:
        whether it agrees) and `facts_agreeing`, their number. They are ordered by that number,
        then by how near their parameters and then their MACs are, then by their place in the
        space.

    Raises:
        InputError: where nothing is asked for, a field, value or reading does not exist, or no
            architecture is left.
    """
    started = time.perf_counter()
    if params is None and macs is None:
        raise InputError("a search needs a number of parameters or of MACs")
    if within_macs is None:
        within_macs = within
    for name, value in (
        *(("params", params), ("macs", macs)),
        *(("within", within), ("within_macs", within_macs)),
    ):
        if value is not None and not 0 <= value <= _MOST:
            raise InputError(f"{name} (={value}) must be from 0 to {_MOST}")
    space = space.narrowed(fixed, excluded)
    grid = Grid(space)
    if not grid.allowed.any():
        try:
            config_from(grid.describe(np.zeros(1, np.int64))[0])
        except ConfigError as error:
            raise InputError(f"the design space is empty: {error}") from None
    counted = count_parameters(grid.fields, reading)
    cost = count_macs(grid.fields, *size)
    # What matches are ordered by: the last of the keys comes first.
    near, keys = grid.allowed, []
    if macs is not None:
        keys.append(np.abs(cost - macs))
        near = near & (keys[-1] <= within_macs)
    if params is not None:
        keys.append(np.abs(counted - params))
        near = near & (keys[-1] <= within)
    keys.append(-_agreements(grid, facts))

    every = np.flatnonzero(near)
    order = np.lexsort([every, *(np.broadcast_to(key, grid.shape)[near] for key in keys)])
    numbers = every[order[:limit]]
    places = np.unravel_index(numbers, grid.shape)
    totals = (count_parameters(grid.fields), counted, cost)
    columns = (np.broadcast_to(total, grid.shape)[places].tolist() for total in totals)
    matches = []
    for config, total, under, work in zip(grid.describe(numbers), *columns, strict=True):
        agrees = {fact.field: config[fact.field] in fact.values for fact in facts}
        matches.append(
            {
                "config": config,
                "variants": [name for name, variant in VARIANTS.items() if variant == config],
                "params": total,
                "counted": under,
                "macs": work,
                "params_difference": None if params is None else under - params,
                "macs_difference": None if macs is None else work - macs,
                "facts": agrees,
                "facts_agreeing": sum(agrees.values()),
            }
        )
    return {
        "asked": {
            "params": params,
            "macs": macs,
            "within": within,
            "within_macs": within_macs,
            "reading": reading,
            "height": size[0],
            "width": size[1],
        },
        "space": space.record(),
        "facts": {
            fact.field: {key: value for key, value in fact._asdict().items() if key != "field"}
            for fact in facts
        },
        "looked_at": int(np.count_nonzero(grid.allowed)),
        "seconds": time.perf_counter() - started,
        "found": len(every),
        "shown": len(matches),
        "matches": matches,
    }


def block_totals(
    block: str, reading: str = "parameters", space: Space = ALL_INTEGERS
) -> NDArray[Any]:
    """Return the parameters of every setting of one block, whatever the rest of the network is.

    A total that is not among them is impossible for the block in every network of the space.

    Raises:
        InputError: for an unknown block or reading.
    """
    if block not in _SETTINGS:
        raise InputError(f"unknown block {block!r}: it must be one of {', '.join(_SETTINGS)}")
    attention = {"first_attention": ("backbone",), "second_attention": ("pyramid",)}
    elsewhere: dict[str, tuple[Any, ...]] = {
        "channels": (4,),  # any that every block accepts
        "pyramid": ("bifpn",),
        "cells": (1,),
        "attention": attention.get(block, ("none",)),
        "reduction": (1,),
        "context": ("none",),
        "shuffle": ("none",),
        "anchors": (1,),
    }
    own = {name: getattr(space, name) for name in _SETTINGS[block]}
    grid = Grid(Space(**elsewhere | own))
    counts = np.broadcast_to(count(LAYERS[block](grid.fields), reading), grid.shape)
    return counts[grid.allowed]


def _agreements(grid: Grid, facts: Sequence[Fact]) -> NDArray[Any]:
    agree = (np.isin(grid.columns[fact.field], fact.values).astype(int) for fact in facts)
    return np.asarray(sum(agree))
