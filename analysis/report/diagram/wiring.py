"""What the blocks look like inside: nodes of ink and the tensors between them.

Positions are (f, s): `f` runs with the flow of data, `s` across it, over the levels. A frame maps
them to the page, from left to right or from top to bottom.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.report.diagram.ink import Ink, Node, nodes
from analysis.report.diagram.style import n, path

Record = Mapping[str, Any]
Point = tuple[float, float]

HEAD = 6.0  # length of an arrow's head
THIN = None  # the width that the style gives to lines


class Wiring:
    """The marks of a network's blocks, for a direction of flow.

    Args:
        record, layers: as in `ink.nodes`.
        lanes: where on `s` the levels run.
        upright: whether the flow runs down the page.
    """

    def __init__(
        self, record: Record, layers: Sequence[Record], lanes: Sequence[float], upright: bool
    ) -> None:
        self.record, self.lanes, self.upright = record, lanes, upright
        self._nodes: dict[tuple[str, str, int], Node] = {
            (node.block, node.place, node.level): node for node in nodes(record, layers)
        }
        names = [block["name"] for block in record["blocks"]]
        shapes = [list(block["output_shapes"].values()) for block in record["blocks"]]
        self._after = dict(zip(names, shapes, strict=True))
        self._before = dict(zip(names[1:], shapes, strict=False))

    # --- marks -----------------------------------------------------------------------------------

    def at(self, f: float, s: float) -> Point:
        """Where a position lies on the page."""
        return (s, f) if self.upright else (f, s)

    def ink(self, block: str, place: str, level: int) -> Ink:
        """The squares of a node; none where the network has no such node."""
        node = self._nodes.get((block, place, level))
        return Ink(node.params, node.predicting) if node else Ink(0)

    def extent(self, ink: Ink) -> Point:
        """Half of what some ink takes up along `f` and along `s`."""
        w, h = ink.width / 2, ink.height / 2
        return (h, w) if self.upright else (w, h)

    def node(self, ink: Ink, f: float, s: float, *, halo: float = 3) -> Iterator[str]:
        """A node's squares around (f, s), on a ground of their own."""
        if not ink.params:
            return
        x, y = self.at(f, s)
        x, y = float(round(x - ink.width / 2)), float(round(y - ink.height / 2))
        if halo:
            size = ink.width + 2 * halo, ink.height + 2 * halo
            w, h = size
            yield path(f"M{n(x - halo)} {n(y - halo)}h{n(w)}v{n(h)}h{n(-w)}z", "halo")
        squares, predicting = ink.rows(x, y)
        yield path(squares, "ink") + path(predicting, "hollow")

    def line(self, width: float | None, a: Point, b: Point) -> str:
        """A straight line along the flow or across it."""
        (x, y), (u, v) = self.at(*a), self.at(*b)
        end = f"H{n(u)}" if y == v else f"V{n(v)}"
        return path(f"M{n(x)} {n(y)}{end}", "flow", width)

    def bend(self, width: float | None, a: Point, b: Point, pull: float = 0.5) -> str:
        """A curve that leaves and arrives with the flow."""
        (f, s), (g, t) = a, b
        first, second = (f + (g - f) * pull, s), (g - (g - f) * pull, t)
        curve = " ".join(self._xy(*p) for p in (first, second, b))
        return path(f"M{self._xy(*a)}C{curve}", "flow", width)

    def rise(self, a: Point, b: Point) -> str:
        """A thin curve to another level: it leaves with the flow and arrives across it."""
        (f, s), (g, t) = a, b
        points = (f + (g - f) * 0.9, s), (g, s + (t - s) * 0.45), b
        return path(f"M{self._xy(*a)}C{' '.join(self._xy(*p) for p in points)}", "flow")

    def head(self, f: float, s: float, towards: str = "f", size: float = HEAD) -> str:
        """An arrow's head whose tip is at (f, s): with the flow, or up or down the levels."""
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

    def width_in(self, block: str, level: int) -> float:
        """Thickness of the tensor that enters a block."""
        return _thickness(self._before[block][level])

    def width_out(self, block: str, level: int) -> float:
        """Thickness of the tensor that leaves a block."""
        return _thickness(self._after[block][level])

    # --- blocks ----------------------------------------------------------------------------------

    def through(self, block: str, start: float, stop: float) -> Iterator[str]:
        """A block that hands on what it gets."""
        for level, s in enumerate(self.lanes):
            yield self.line(self.width_in(block, level), (start, s), (stop, s))

    def backbone(self, middle: float, stop: float) -> Iterator[str]:
        """Three stages, one behind the other; each is also the start of a level."""
        block, before = "backbone", None
        for level, s in enumerate(self.lanes):
            ink = self.ink(block, "stage", level)
            _, across = self.extent(ink)
            if before is not None:
                width = self.width_out(block, level - 1)
                yield self.line(width, (middle, before), (middle, s - across - 4 - HEAD + 1))
                yield self.head(middle, s - across - 4, "s+", HEAD + width / 2)
            yield self.line(self.width_out(block, level), (middle, s), (stop, s))
            before = s + across + 4
        for level, s in enumerate(self.lanes):
            yield from self.node(self.ink(block, "stage", level), middle, s)

    def attention(self, block: str, start: float, stop: float, gate: float) -> Iterator[str]:
        """The tensor, and beside it the two gates that it is multiplied with."""
        aside = 25.0 if not self.upright else 30.0
        for level, s in enumerate(self.lanes):
            ink, width = self.ink(block, "level", level), self.width_in(block, level)
            middle, s_ink = gate - 26, s - aside
            along, _ = self.extent(ink)
            yield self.line(width, (start, s), (stop, s))
            yield self.bend(THIN, (gate - 52, s), (middle - along - 3, s_ink), 0.6)
            yield path(
                f"M{self._xy(middle + along + 3, s_ink)}Q{self._xy(gate, s_ink)} "
                f"{self._xy(gate, s - 6)}",
                "flow",
            )
            yield from self.node(ink, middle, s_ink)
            x, y = self.at(gate, s)
            yield path(f"M{n(x - 6)} {n(y)}a6 6 0 1 0 12 0a6 6 0 1 0-12 0z", "gate")
            yield path(
                f"M{n(x - 2.6)} {n(y - 2.6)}l5.2 5.2M{n(x - 2.6)} {n(y + 2.6)}l5.2-5.2",
                "cross",
            )

    def pyramid(self, start: float, stop: float, first: float, step: float) -> Iterator[str]:
        """Laterals, and for each cell a way down the levels and, in a BiFPN, a way up."""
        block, places = "pyramid", {place for name, place, _ in self._nodes if name == "pyramid"}
        cells = sorted({place.split(".")[0] for place in places if "." in place}, key=int)
        laterals = [self.ink(block, "lateral", level) for level in range(3)]
        drawn: list[str] = []
        for level, s in enumerate(self.lanes):
            yield self.line(self.width_in(block, level), (start, s), (first, s))
            drawn += self.node(laterals[level], first, s)
        before = [(first, self.extent(ink)[0]) for ink in laterals]
        for number, cell in enumerate(cells):
            f = first + self.extent(laterals[2])[0] + number * step
            if f"{cell}.down" in places:
                yield from self._cell(cell, before, f, step, drawn)
            else:
                yield from self._top_down(cell, before, f, step, drawn)
        for level, s in enumerate(self.lanes):
            yield self.line(self.width_out(block, level), (before[level][0], s), (stop, s))
        yield from drawn

    def _cell(
        self, cell: str, before: list[Point], f: float, step: float, drawn: list[str]
    ) -> Iterator[str]:
        """A cell of a BiFPN: P4 on the way down, then P3, P4 and P5 on the way up."""
        block, (s3, s4, s5) = "pyramid", self.lanes
        down, out = f + 0.34 * step, f + 0.8 * step
        width = self.width_out(block, 0)
        middle = self.ink(block, f"{cell}.down", 1)
        outs = [self.ink(block, f"{cell}.out", level) for level in range(3)]
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
        yield path(
            f"M{self._xy(f4 + e4 + 2, s4)}C{self._xy(f4 + e4 + 8, dip + 3)} "
            f"{self._xy(out - 16, dip + 3)} {self._xy(out - 4, s4 + 4)}",
            "flow",
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
        places = {1: f + 0.34 * step, 0: f + 0.72 * step}
        for level in (1, 0):
            ink, target = self.ink(block, f"{cell}.out", level), places[level]
            across = self.extent(ink)[1]
            source, reach = before[level + 1]
            width = self.width_out(block, level)
            yield self.line(
                width, (before[level][0], self.lanes[level]), (target, self.lanes[level])
            )
            tip = self.lanes[level] + across + 3
            yield self.rise((source + reach, self.lanes[level + 1]), (target, tip + HEAD - 1))
            yield self.head(target, tip, "s-")
            drawn += self.node(ink, target, self.lanes[level])
            before[level] = target, self.extent(ink)[0]

    def on_the_lanes(self, block: str, start: float, stop: float, middle: float) -> Iterator[str]:
        """One module a level, which the tensor goes through."""
        for level, s in enumerate(self.lanes):
            yield self.line(
                self.width_out(block, level) if block != "heads" else self.width_in(block, level),
                (start, s),
                (stop, s),
            )
            yield from self.node(self.ink(block, "level", level), middle, s)

    def shuffle(self, start: float, stop: float, crossing: float, middle: float) -> Iterator[str]:
        """Two groups of channels that change places, and the bottleneck if there is one."""
        block = "shuffle"
        for level, s in enumerate(self.lanes):
            width = self.width_in(block, level)
            yield self.line(width, (start, s), (crossing - 14, s))
            yield self.line(width, (crossing + 14, s), (stop, s))
            for side in (-6.0, 6.0):
                points = (
                    (crossing - 10, s),
                    (crossing - 10, s + side),
                    (crossing - 6, s + side),
                    (crossing, s + side),
                    (crossing, s - side),
                    (crossing + 6, s - side),
                    (crossing + 10, s - side),
                    (crossing + 10, s),
                    (crossing + 14, s),
                )
                curve = " ".join(self._xy(*p) for p in points)
                yield path(f"M{self._xy(crossing - 14, s)}C{curve}", "flow")
            yield from self.node(self.ink(block, "level", level), middle, s)


def _thickness(shape: Sequence[int]) -> float:
    """A pixel for every 32 channels."""
    return shape[1] / 32
