"""The inside of the blocks: nodes, and the tensors between them as lines.

Positions are (f, s): `f` runs with the flow of data, `s` across it, over the levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.report import Record
from analysis.report.diagram.nodes import Squares, nodes
from analysis.report.diagram.svg import n, path
from featherface.config import BLOCKS

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
        half, back = size * 0.55, size if towards == "s-" else -size
        if towards == "f":
            points = (f, s), (f + back, s - half), (f + back, s + half)
        else:
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
        widths, before = self.width_out["backbone"], None
        for level, s in enumerate(self.lanes):
            node = self.squares("backbone", "stage", level)
            _, across = self.extent(node)
            tip = s - across - 4
            if before is not None:
                yield self.line(widths[level - 1], (middle, before), (middle, tip - HEAD + 1))
                yield self.head(middle, tip, "s+", HEAD + widths[level - 1] / 2)
            yield self.line(widths[level], (middle, s), (stop, s))
            yield from self.node(node, middle, s)
            before = s + across + 4

    def attention(self, block: str, start: float, stop: float, gate: float) -> Iterator[str]:
        """Yield the tensor, and beside it the gates that it is multiplied with."""
        aside = 30.0 if self.upright else 25.0
        for level, s in enumerate(self.lanes):
            node, width = self.squares(block, "level", level), self.width_in[block][level]
            middle, s_node = gate - 26, s - aside
            along, _ = self.extent(node)
            yield self.line(width, (start, s), (stop, s))
            yield self.bend(THIN, (gate - 52, s), (middle - along - 3, s_node), 0.6)
            turn = f"{self._xy(gate, s_node)} {self._xy(gate, s - 6)}"
            yield path(f"M{self._xy(middle + along + 3, s_node)}Q{turn}", "flow")
            yield from self.node(node, middle, s_node)
            x, y = self.at(gate, s)
            yield path(f"M{n(x - 6)} {n(y)}a6 6 0 1 0 12 0a6 6 0 1 0-12 0z", "gate")
            down, up = f"M{n(x - 2.6)} {n(y - 2.6)}l5.2 5.2", f"M{n(x - 2.6)} {n(y + 2.6)}l5.2-5.2"
            yield path(down + up, "cross")

    def pyramid(self, start: float, stop: float, first: float, step: float) -> Iterator[str]:
        """Yield laterals, and for each cell a way down the levels and, in a BiFPN, a way up."""
        places = {place for name, place, _ in self._nodes if name == "pyramid"}
        cells = sorted({place.split(".")[0] for place in places if "." in place}, key=int)
        before: list[Point] = []  # of each level, the last node's place and half its length
        for level, s in enumerate(self.lanes):
            lateral = self.squares("pyramid", "lateral", level)
            yield self.line(self.width_in["pyramid"][level], (start, s), (first, s))
            yield from self.node(lateral, first, s)
            before.append((first, self.extent(lateral)[0]))
        start = first + before[2][1]
        for number, cell in enumerate(cells):
            draw = self._cell if f"{cell}.down" in places else self._top_down
            yield from draw(cell, before, start + number * step, step)
        for level, s in enumerate(self.lanes):
            yield self.line(self.width_out["pyramid"][level], (before[level][0], s), (stop, s))

    def _cell(self, cell: str, before: list[Point], f: float, step: float) -> Iterator[str]:
        """A cell of a BiFPN: P4 on the way down, then P3, P4 and P5 on the way up."""
        s3, s4, s5 = self.lanes
        down, out = f + 0.34 * step, f + 0.8 * step
        middle = self.squares("pyramid", f"{cell}.down", 1)
        outs = [self.squares("pyramid", f"{cell}.out", level) for level in range(3)]
        along, across = self.extent(middle)
        _, (f4, e4), (f5, e5) = before
        for level, s in enumerate(self.lanes):
            yield self.line(self.width_out["pyramid"][0], (before[level][0], s), (out, s))
        yield self.rise((f5 + e5, s5), (down, s4 + across + 2 + HEAD))
        yield self.head(down, s4 + across + 3, "s-")
        edge = self.extent(outs[0])[1]
        yield self.rise((down + along, s4), (out, s3 + edge + 2 + HEAD))
        yield self.head(out, s3 + edge + 3, "s-")
        dip = s4 + across + 11 + 3  # the way up takes P4 as it came in, too
        yield self.curve((f4 + e4 + 2, s4), (f4 + e4 + 8, dip), (out - 16, dip), (out - 4, s4 + 4))
        # P4's arrow stands beside the curve that arrives from the way down.
        for level, at in ((1, out + 5), (2, out)):
            tip = self.lanes[level] - self.extent(outs[level])[1] - 3
            away = self.extent(outs[level - 1])[1]
            yield self.line(THIN, (at, self.lanes[level - 1] + away), (at, tip - HEAD))
            yield self.head(at, tip, "s+")
        yield from self.node(middle, down, s4)
        for level, s in enumerate(self.lanes):
            yield from self.node(outs[level], out, s)
            before[level] = out, self.extent(outs[level])[0]

    def _top_down(self, cell: str, before: list[Point], f: float, step: float) -> Iterator[str]:
        """An FPN: P5 is added to P4, the sum to P3."""
        for level, target in ((1, f + 0.34 * step), (0, f + 0.72 * step)):
            s, node = self.lanes[level], self.squares("pyramid", f"{cell}.out", level)
            along, across = self.extent(node)
            source, reach = before[level + 1]
            yield self.line(self.width_out["pyramid"][level], (before[level][0], s), (target, s))
            tip = s + across + 3
            yield self.rise((source + reach, self.lanes[level + 1]), (target, tip + HEAD - 1))
            yield self.head(target, tip, "s-")
            yield from self.node(node, target, s)
            before[level] = target, along

    def on_the_lanes(self, block: str, start: float, stop: float, middle: float) -> Iterator[str]:
        """Yield one module a level."""
        for level, s in enumerate(self.lanes):
            yield self.line(self.width_out[block][level], (start, s), (stop, s))
            yield from self.node(self.squares(block, "level", level), middle, s)

    def shuffle(self, start: float, stop: float, crossing: float, middle: float) -> Iterator[str]:
        """Yield two groups of channels that change places, and the bottleneck if there is one."""
        for level, s in enumerate(self.lanes):
            width = self.width_in["shuffle"][level]
            yield self.line(width, (start, s), (crossing - 14, s))
            yield self.line(width, (crossing + 14, s), (stop, s))
            for side in (-6.0, 6.0):
                ahead = (-14, 0), (-10, 0), (-10, side), (-6, side), (0, side)
                behind = (0, -side), (6, -side), (10, -side), (10, 0), (14, 0)
                yield self.curve(*((crossing + along, s + away) for along, away in ahead + behind))
            yield from self.node(self.squares("shuffle", "level", level), middle, s)
