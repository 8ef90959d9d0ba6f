"""The nodes of the drawing: parameters by block, place and level, and their squares."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.report import Record
from analysis.report.diagram.svg import n

UNIT = 1000  # parameters that one square stands for
SIDE, GAP = 4.0, 1.0  # in the drawing's units
PITCH = SIDE + GAP


@dataclass(frozen=True)
class Squares:
    """Parameters as squares in rows, one a thousand; the last one is as wide as the rest."""

    params: int
    predicting: int = 0  # those of `params` that predict offsets and masks

    @property
    def columns(self) -> int:
        """Squares in a row: as many as there are rows, or one more."""
        return max(1, math.ceil(math.sqrt(self.params / UNIT)))

    @property
    def rows(self) -> int:
        return math.ceil(self.params / UNIT / self.columns)

    @property
    def width(self) -> float:
        return self.columns * PITCH - GAP if self.params else 0.0

    @property
    def height(self) -> float:
        return self.rows * PITCH - GAP if self.params else 0.0

    def paths(self, x: float, y: float) -> tuple[str, str]:
        """Return the path of all squares, and that of the last ones, which predict offsets.

        They start at the upper left corner (x, y), and are to be stroked `SIDE` wide, with dashes
        of `SIDE` and gaps of `GAP`.
        """
        others = math.ceil((self.params - self.predicting) / UNIT)
        return self._path(x, y, 0), self._path(x, y, others) if self.predicting else ""

    def _path(self, x: float, y: float, first: int) -> str:
        """The path of the squares from number `first` on."""
        runs = []
        for row in range(first // self.columns, self.rows):
            start = max(first - row * self.columns, 0)
            count = min(self.params / UNIT - row * self.columns, self.columns) - start
            if count > 0:
                whole, rest = divmod(count, 1)
                length = whole * PITCH + (rest * SIDE if rest else -GAP)
                middle = y + row * PITCH + SIDE / 2
                runs.append(f"M{n(x + start * PITCH)} {n(middle)}h{n(length)}")
        return "".join(runs)


def nodes(record: Record, layers: Sequence[Record]) -> dict[tuple[str, str, int], Squares]:
    """Return the nodes of a network by block, place and level; they add up to the blocks.

    A place is `stage`, `level`, `lateral`, or in a pyramid `CELL.down` and `CELL.out`.

    Args:
        record: from `analysis.cost.blocks.measure_blocks`.
        layers: from `analysis.cost.blocks.measure_layers`, of the same network.
    """
    sums: dict[tuple[str, str, int], list[int]] = {}
    for layer in layers:
        if layer["own_params"]:
            node = sums.setdefault(_place(layer["path"]), [0, 0])
            node[0] += layer["own_params"]
            node[1] += layer["own_params"] * (layer["name"] in ("offset", "mask"))
    for block in record["blocks"]:
        drawn = sum(params for (name, *_), (params, _) in sums.items() if name == block["name"])
        assert drawn == block["params"], (record["variant"], block["name"], drawn)
    return {key: Squares(*numbers) for key, numbers in sums.items()}


def _place(path: str) -> tuple[str, str, int]:
    """The node that a layer belongs to."""
    block, _, rest = path.partition(".")
    cell = re.match(r"cells\.(\d+)\.", rest)
    if rest.startswith("stem"):
        return block, "stage", 0
    if found := re.search(r"\b(bottom_up_)?laterals\.(\d)", rest):
        return block, "lateral", int(found[2]) + bool(found[1])
    if found := re.search(r"(?:fuse|conv|merge)_p([345])(?:_(down|out))?", rest):
        return block, f"{cell[1] if cell else 0}.{found[2] or 'out'}", int(found[1]) - 3
    if found := re.match(r"([a-z]+)\.(\d)", rest):
        return block, "stage" if found[1] == "stages" else "level", int(found[2])
    raise AssertionError(f"{path}: no place for it in the drawing")
