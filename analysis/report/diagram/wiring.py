"""The inside of the blocks: nodes, and the tensors between them as lines.

Positions are (f, s): `f` runs with the flow of data, `s` across it, over the levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.report.diagram.nodes import Squares, nodes
from analysis.report.diagram.svg import n, path
from featherface.config import BLOCKS

Record = Mapping[str, Any]
Point = tuple[float, float]

HEAD = 6.0  # length of an arrow's head
THIN = None  # the width that the style gives to lines


class Wiring:
    """The lines and nodes of a network's blocks."""

    lanes: tuple[float, float, float]  # position of each level along `s`
    upright: bool  # the flow runs down the page

    def __init__(self, record: Record, layers: Sequence[Record]) -> None:
        self.record = record
        self.blocks = {block["name"]: block for block in record["blocks"]}
        self._nodes = nodes(record, layers)
        # The thickness of each level's tensor: one pixel for 32 channels.
        thick = [
            [sizes[1] / 32 for sizes in block["output_shapes"].values()]
            for block in record["blocks"][:-1]
        ]
        self.width_in = dict(zip(BLOCKS[1:], thick, strict=True))
        self.width_out = dict(zip(BLOCKS, [*thick, thick[-1]], strict=True))

    # --- marks -----------------------------------------------------------------------------------

    def at(self, f: float, s: float) -> Point:
        """Return (x, y) of a position."""
        return (s, f) if self.upright else (f, s)

    def squares(self, block: str, place: str, level: int) -> Squares:
        """Return the squares of a node; none where the network has no such node."""
        return self._nodes.get((block, place, level), Squares(0))

    def extent(self, squares: Squares) -> Point:
        """Return half the length of squares along `f` and along `s`."""
        w, h = squares.width / 2, squares.height / 2
        return (h, w) if self.upright else (w, h)

    def node(self, squares: Squares, f: float, s: float) -> Iterator[str]:
        """Yield a node's squares around (f, s), over an empty border."""
        if not squares.params:
            return
        x, y = self.at(f, s)
        x, y = float(round(x - squares.width / 2)), float(round(y - squares.height / 2))
        w, h = squares.width + 6, squares.height + 6
        yield path(f"M{n(x - 3)} {n(y - 3)}h{n(w)}v{n(h)}h{n(-w)}z", "halo")
        every, predicting = squares.paths(x, y)
        yield path(every, "square") + path(predicting, "hollow")

    def line(self, width: float | None, a: Point, b: Point) -> str:
        """Return a straight line along the flow or across it."""
        (x, y), (u, v) = self.at(*a), self.at(*b)
        end = f"H{n(u)}" if y == v else f"V{n(v)}"
        return path(f"M{n(x)} {n(y)}{end}", "flow", width)

    def bend(self, width: float | None, a: Point, b: Point, pull: float = 0.5) -> str:
        """Return a curve that leaves and arrives with the flow."""
        (f, s), (g, t) = a, b
        return self.curve(a, (f + (g - f) * pull, s), (g - (g - f) * pull, t), b, width=width)

    def curve(self, start: Point, *points: Point, width: float | None = None) -> str:
        """Return a line of cubic curves, three points each."""
        curve = " ".join(self._xy(*point) for point in points)
        return path(f"M{self._xy(*start)}C{curve}", "flow", width)

    def rise(self, a: Point, b: Point) -> str:
        """Return a thin curve to another level, which arrives across the flow."""
        (f, s), (g, t) = a, b
        return self.curve(a, (f + (g - f) * 0.9, s), (g, s + (t - s) * 0.45), b)

    def head(self, f: float, s: float, towards: str = "f", size: float = HEAD) -> str:
        """Return an arrow's head with its tip at (f, s), towards "f", "s+" or "s-"."""
        half = size * 0.55
        if towards == "f":
            points = (f, s), (f - size, s - half), (f - size, s + half)
        else:
            back = -size if towards == "s+" else size
            points = (f, s), (f - half, s + back), (f + half, s + back)
        return f'<path class="head" d="M{"L".join(self._xy(*p) for p in points)}z"/>'

    def _xy(self, f: float, s: float) -> str:
        x, y = self.at(f, s)
        return f"{n(x)} {n(y)}"

    # --- blocks ----------------------------------------------------------------------------------

    def through(self, block: str, start: float, stop: float) -> Iterator[str]:
        """Yield a block that the network lacks: its input is its output."""
        for level, s in enumerate(self.lanes):
            yield self.line(self.width_in[block][level], (start, s), (stop, s))

    def backbone(self, middle: float, stop: float) -> Iterator[str]:
        """Yield three stages, one behind the other; at the end of each a level begins."""
        block, before = "backbone", None
        for level, s in enumerate(self.lanes):
            _, across = self.extent(self.squares(block, "stage", level))
            if before is not None:
                width = self.width_out[block][level - 1]
                yield self.line(width, (middle, before), (middle, s - across - 4 - HEAD + 1))
                yield self.head(middle, s - across - 4, "s+", HEAD + width / 2)
            yield self.line(self.width_out[block][level], (middle, s), (stop, s))
            before = s + across + 4
        for level, s in enumerate(self.lanes):
            yield from self.node(self.squares(block, "stage", level), middle, s)

    def attention(self, block: str, start: float, stop: float, gate: float) -> Iterator[str]:
        """Yield the tensor, and beside it the gates that it is multiplied with."""
        aside = 25.0 if not self.upright else 30.0
        for level, s in enumerate(self.lanes):
            node, width = self.squares(block, "level", level), self.width_in[block][level]
            middle, s_node = gate - 26, s - aside
            along, _ = self.extent(node)
            yield self.line(width, (start, s), (stop, s))
            yield self.bend(THIN, (gate - 52, s), (middle - along - 3, s_node), 0.6)
            yield path(
                f"M{self._xy(middle + along + 3, s_node)}Q{self._xy(gate, s_node)} "
                f"{self._xy(gate, s - 6)}",
                "flow",
            )
            yield from self.node(node, middle, s_node)
            x, y = self.at(gate, s)
            yield path(f"M{n(x - 6)} {n(y)}a6 6 0 1 0 12 0a6 6 0 1 0-12 0z", "gate")
            yield path(
                f"M{n(x - 2.6)} {n(y - 2.6)}l5.2 5.2M{n(x - 2.6)} {n(y + 2.6)}l5.2-5.2",
                "cross",
            )

    def pyramid(self, start: float, stop: float, first: float, step: float) -> Iterator[str]:
        """Yield laterals, and for each cell a way down the levels and, in a BiFPN, a way up."""
        block, places = "pyramid", {place for name, place, _ in self._nodes if name == "pyramid"}
        cells = sorted({place.split(".")[0] for place in places if "." in place}, key=int)
        laterals = [self.squares(block, "lateral", level) for level in range(3)]
        drawn: list[str] = []
        for level, s in enumerate(self.lanes):
            yield self.line(self.width_in[block][level], (start, s), (first, s))
            drawn += self.node(laterals[level], first, s)
        before = [(first, self.extent(node)[0]) for node in laterals]
        for number, cell in enumerate(cells):
            f = first + self.extent(laterals[2])[0] + number * step
            if f"{cell}.down" in places:
                yield from self._cell(cell, before, f, step, drawn)
            else:
                yield from self._top_down(cell, before, f, step, drawn)
        for level, s in enumerate(self.lanes):
            yield self.line(self.width_out[block][level], (before[level][0], s), (stop, s))
        yield from drawn

    def _cell(
        self, cell: str, before: list[Point], f: float, step: float, drawn: list[str]
    ) -> Iterator[str]:
        """A cell of a BiFPN: P4 on the way down, then P3, P4 and P5 on the way up."""
        block, (s3, s4, s5) = "pyramid", self.lanes
        down, out = f + 0.34 * step, f + 0.8 * step
        width = self.width_out[block][0]
        middle = self.squares(block, f"{cell}.down", 1)
        outs = [self.squares(block, f"{cell}.out", level) for level in range(3)]
        along, across = self.extent(middle)
        _, (f4, e4), (f5, e5) = before
        for level, s in enumerate(self.lanes):
            yield self.line(width, (before[level][0], s), (out, s))
        yield self.rise((f5 + e5, s5), (down, s4 + across + 2 + HEAD))
        yield self.head(down, s4 + across + 3, "s-")
        edge = self.extent(outs[0])[1]
        yield self.rise((down + along, s4), (out, s3 + edge + 2 + HEAD))
        yield self.head(out, s3 + edge + 3, "s-")
        dip = s4 + across + 11  # the way up takes P4 as it came in, too
        yield self.curve(
            (f4 + e4 + 2, s4), (f4 + e4 + 8, dip + 3), (out - 16, dip + 3), (out - 4, s4 + 4)
        )
        for level in (1, 2):
            tip = self.lanes[level] - self.extent(outs[level])[1] - 3
            away = self.extent(outs[level - 1])[1]
            side = 5.0 if level == 1 else 0.0  # beside the curve that arrives from the way down
            yield self.line(
                THIN, (out + side, self.lanes[level - 1] + away), (out + side, tip - HEAD)
            )
            yield self.head(out + side, tip, "s+")
        drawn += self.node(middle, down, s4)
        for level, s in enumerate(self.lanes):
            drawn += self.node(outs[level], out, s)
            before[level] = out, self.extent(outs[level])[0]

    def _top_down(
        self, cell: str, before: list[Point], f: float, step: float, drawn: list[str]
    ) -> Iterator[str]:
        """An FPN: P5 is added to P4, the sum to P3."""
        block = "pyramid"
        for level, target in ((1, f + 0.34 * step), (0, f + 0.72 * step)):
            node = self.squares(block, f"{cell}.out", level)
            across = self.extent(node)[1]
            source, reach = before[level + 1]
            width = self.width_out[block][level]
            yield self.line(
                width, (before[level][0], self.lanes[level]), (target, self.lanes[level])
            )
            tip = self.lanes[level] + across + 3
            yield self.rise((source + reach, self.lanes[level + 1]), (target, tip + HEAD - 1))
            yield self.head(target, tip, "s-")
            drawn += self.node(node, target, self.lanes[level])
            before[level] = target, self.extent(node)[0]

    def on_the_lanes(self, block: str, start: float, stop: float, middle: float) -> Iterator[str]:
        """Yield one module a level."""
        for level, s in enumerate(self.lanes):
            yield self.line(self.width_out[block][level], (start, s), (stop, s))
            yield from self.node(self.squares(block, "level", level), middle, s)

    def shuffle(self, start: float, stop: float, crossing: float, middle: float) -> Iterator[str]:
        """Yield two groups of channels that change places, and the bottleneck if there is one."""
        block = "shuffle"
        for level, s in enumerate(self.lanes):
            width = self.width_in[block][level]
            yield self.line(width, (start, s), (crossing - 14, s))
            yield self.line(width, (crossing + 14, s), (stop, s))
            for side in (-6.0, 6.0):
                ahead = (-14, 0), (-10, 0), (-10, side), (-6, side), (0, side)
                behind = (0, -side), (6, -side), (10, -side), (10, 0), (14, 0)
                yield self.curve(*((crossing + along, s + away) for along, away in ahead + behind))
            yield from self.node(self.squares(block, "level", level), middle, s)
