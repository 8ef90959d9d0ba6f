"""The closed form as formulas in the numbers of an architecture, for readers and other programs.

Each formula is a sum of products, as `27*c*q + 405`, whose letters are

    c channels, n cells, r reduction, a anchors, h = ⌊c/2⌋, q = ⌊c/4⌋, m = ⌊c/r⌋, and
    m3 = ⌊64/r⌋, m4 = ⌊128/r⌋, m5 = ⌊256/r⌋ of the backbone's three levels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import sympy

from analysis.design_space.closed_form import LAYERS, READINGS, Fields, positions
from analysis.design_space.space import KINDS
from featherface.config import BACKBONE_CHANNELS

DECIDES = {
    "first_attention": "attention",
    "pyramid": "pyramid",
    "second_attention": "attention",
    "context": "context",
    "shuffle": "shuffle",
}
"""The kind that decides which formula a block has; the other blocks have one."""

_c, _n, _r, _a = sympy.symbols("c n r a", integer=True, positive=True)
_FLOORS = {_c // 2: "h", _c // 4: "q", _c // _r: "m"} | {
    channels // _r: f"m{level}" for level, channels in enumerate(BACKBONE_CHANNELS, 3)
}


def formulas(height: int = 640, width: int = 640) -> dict[str, dict[str, dict[str, str]]]:
    """Return formulas by block, by kind ("" where a block has one formula) and by quantity.

    Args:
        height, width: of the image that MACs are counted for.

    Returns:
        The quantities are `params`, `thop` (the parameters that the counter thop sees, see
        `READINGS`), `macs`, and `kernel_macs`, those of them in deformable kernels.

    Raises:
        InputError: for a size that no network of the family takes.
    """
    times = positions(height, width)
    plain = dict.fromkeys(KINDS, "none") | {"channels": _c, "cells": _n, "anchors": _a}
    found: dict[str, dict[str, dict[str, str]]] = {}
    for block, layers in LAYERS.items():
        decides = DECIDES.get(block)
        found[block] = {}
        for kind in KINDS[decides] if decides else ("",):
            chosen = plain | {"reduction": _r} | ({decides: kind} if decides else {})
            of_block = list(layers(Fields(**chosen)))
            found[block][kind] = {
                "params": _text(map(READINGS["parameters"], of_block)),
                "thop": _text(map(READINGS["thop"], of_block)),
                "macs": _text(x.weights * times[x.stride] for x in of_block),
                "kernel_macs": _text(
                    x.weights * times[x.stride] for x in of_block if x.kind == "deformable_kernel"
                ),
            }
    return found


def _text(counts: Iterable[Any]) -> str:
    total = sympy.expand(sum(counts))
    total = total.subs({floor: sympy.Symbol(name) for floor, name in _FLOORS.items()})
    return re.sub(r"(\w+)\*\*2", r"\1*\1", str(total))
