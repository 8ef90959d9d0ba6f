"""The nodes of the drawing: parameters by block, place and level, and their squares.

They are read off the layer tree and add up to the blocks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.report.diagram.svg import n

Record = Mapping[str, Any]

UNIT = 1000
"""Parameters that one square stands for."""

SIDE, GAP = 4.0, 1.0
PITCH = SIDE + GAP
"""Side, gap and distance of the squares, in the drawing's units."""


@dataclass(frozen=True)
class Node:
    """Layers that are drawn as one: those of one level at one place of a block."""

    block: str
    place: str
    """`stage`, `level`, `lateral`, or in a pyramid `CELL.down` and `CELL.out`."""
    level: int
    params: int
    predicting: int
    """Those of `params` that predict offsets and masks of deformable convolutions."""


def nodes(record: Record, layers: Sequence[Record]) -> list[Node]:
    """Return the nodes of a network.

    Args:
        record: from `analysis.cost.blocks.measure_blocks`.
        layers: from `analysis.cost.blocks.measure_layers`, of the same network.

    Raises:
        AssertionError: where the nodes do not add up to the blocks, or a layer has no place.
    """
    sums: dict[tuple[str, str, int], list[int]] = {}
    for layer in layers:
        if not layer["own_params"]:
            continue
        block, place, level = _place(layer["path"])
        node = sums.setdefault((block, place, level), [0, 0])
        node[0] += layer["own_params"]
        if layer["name"] in ("offset", "mask"):
            node[1] += layer["own_params"]
    found = [Node(*key, *numbers) for key, numbers in sums.items()]
    for block in record["blocks"]:
        drawn = sum(node.params for node in found if node.block == block["name"])
        assert drawn == block["params"], (record["variant"], block["name"], drawn)
    return found


def _place(path: str) -> tuple[str, str, int]:
    block, _, rest = path.partition(".")
    cell = re.match(r"cells\.(\d+)\.", rest)
    number = cell[1] if cell else "0"
    if rest.startswith("stem"):
        return block, "stage", 0
    if found := re.match(r"stages\.(\d)", rest):
        return block, "stage", int(found[1])
    if found := re.search(r"\bbottom_up_laterals\.(\d)", rest):
        return block, "lateral", int(found[1]) + 1
    if found := re.search(r"\blaterals\.(\d)", rest):
        return block, "lateral", int(found[1])
    if found := re.search(r"(?:fuse|conv)_p([345])_(down|out)", rest):
        return block, f"{number}.{found[2]}", int(found[1]) - 3
    if found := re.search(r"merge_p([345])", rest):
        return block, f"{number}.out", int(found[1]) - 3
    if found := re.match(r"[a-z]+\.(\d)", rest):
        return block, "level", int(found[1])
    raise AssertionError(f"{path}: no place for it in the drawing")


@dataclass(frozen=True)
class Squares:
    """Parameters as squares in rows, one a thousand; the last one is as wide as the rest."""

    params: int
    predicting: int = 0

    @property
    def columns(self) -> int:
        """Squares in a row: as many as there are rows, or one more."""
        return max(1, math.ceil(math.sqrt(self.params / UNIT)))

    @property
    def width(self) -> float:
        """In the drawing's units."""
        return self.columns * PITCH - GAP if self.params else 0.0

    @property
    def height(self) -> float:
        """In the drawing's units."""
        return math.ceil(self.params / UNIT / self.columns) * PITCH - GAP if self.params else 0.0

    def paths(self, x: float, y: float) -> tuple[str, str]:
        """Return paths to stroke `SIDE` wide, with dashes of `SIDE` and gaps of `GAP`.

        Args:
            x, y: the upper left corner.

        Returns:
            the path of all squares, and that of the last ones, which predict offsets and masks.
        """
        others = math.ceil((self.params - self.predicting) / UNIT)
        return self._path(x, y, 0), self._path(x, y, others) if self.predicting else ""

    def _path(self, x: float, y: float, first: int) -> str:
        """The path of the squares from number `first` on."""
        runs = []
        for row in range(first // self.columns, math.ceil(self.params / UNIT / self.columns)):
            start = max(first - row * self.columns, 0)
            count = min(self.params / UNIT - row * self.columns, self.columns) - start
            if count > 0:
                whole, rest = divmod(count, 1)
                length = whole * PITCH + (rest * SIDE if rest else -GAP)
                middle = y + row * PITCH + SIDE / 2
                runs.append(f"M{n(x + start * PITCH)} {n(middle)}h{n(length)}")
        return "".join(runs)
