"""Where a network's parameters are: on which level of which block, as squares of a thousand.

The nodes of the drawing are read off the layer tree, so that what is drawn is what is measured,
and they add up to the blocks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]

UNIT = 1000
"""Parameters that one square stands for."""

PITCH, SIDE = 5.0, 4.0
"""Distance of the squares, and their side, in the drawing's units."""

LEVELS = ("P3", "P4", "P5")


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
    """The nodes of a network.

    Args:
        record: from `analysis.cost.blocks.measure_blocks`.
        layers: from `analysis.cost.blocks.measure_layers`, of the same network.

    Raises:
        AssertionError: where the nodes do not add up to the blocks: a layer that this drawing
            does not know a place for.
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
class Ink:
    """Squares in rows, as many as there are thousands; the last one is as wide as its rest."""

    params: int
    predicting: int = 0

    @property
    def columns(self) -> int:
        return max(1, math.ceil(math.sqrt(self.params / UNIT)))

    @property
    def width(self) -> float:
        return self.columns * PITCH - (PITCH - SIDE) if self.params else 0.0

    @property
    def height(self) -> float:
        rows = math.ceil(self.params / UNIT / self.columns)
        return rows * PITCH - (PITCH - SIDE) if self.params else 0.0

    def rows(self, x: float, y: float) -> tuple[str, str]:
        """Paths to stroke `SIDE` wide with dashes of `SIDE` and gaps of the rest of `PITCH`.

        Args:
            x, y: the upper left corner.

        Returns:
            All squares, and the last of them, which predict.
        """
        whole = self.params / UNIT
        rest = self.predicting / UNIT
        return (
            "".join(self._run(x, y, 0.0, whole)),
            "".join(self._run(x, y, whole - rest, whole)) if rest else "",
        )

    def _run(self, x: float, y: float, start: float, stop: float) -> Iterator[str]:
        for row in range(int(start // self.columns), math.ceil(stop / self.columns)):
            left = max(start - row * self.columns, 0.0)
            right = min(stop - row * self.columns, float(self.columns))
            if right <= left:
                continue
            left = float(math.ceil(left))  # a square is not divided between two kinds
            if right <= left:
                continue
            middle = y + row * PITCH + SIDE / 2
            length = int(right - left) * PITCH + (right - left) % 1 * SIDE
            whole = (right - left) % 1 == 0
            length -= PITCH - SIDE if whole else 0
            yield f"M{_n(x + left * PITCH)} {_n(middle)}h{_n(length)}"


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
