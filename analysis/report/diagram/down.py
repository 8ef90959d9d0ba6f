"""The network from top to bottom, for narrow pages: legible at 360 pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.report.diagram.ink import LEVELS
from analysis.report.diagram.layout import Sheet
from analysis.report.diagram.style import path, rect, text
from analysis.report.diagram.wiring import HEAD, THIN
from analysis.report.diagram.words import NAMES, count, kind, percent, shape

Record = Mapping[str, Any]

_GAP = 31.0  # between blocks; shapes stand in it
_WIDTH = 360.0
_LEFT, _RIGHT = 13.0, 127.0  # of the figures
_SCALE = 200.0  # length of a bar for all there is
_FIRST = 150.0


class Down(Sheet):
    """Blocks are rows, levels are columns."""

    name, upright = "down", True
    lanes = (166.0, 243.0, 320.0)

    def __init__(self, record: Record, layers: Sequence[Record]) -> None:
        super().__init__(record, layers)
        self._rows: dict[str, tuple[float, float]] = {}
        y = _FIRST
        for name in self.blocks:
            height = self._height(name)
            self._rows[name] = y, y + height
            y += height + _GAP
        self._end = y
        self.size = (_WIDTH, y + 206)

    def _height(self, name: str) -> float:
        if kind(self.record, name) is None:
            return 54.0
        if name == "pyramid":
            return 60 + self.cells * 64 + (50 if self.cells == 1 else 0)
        return 116.0

    def surroundings(self) -> Iterator[str]:
        """The title and the picture."""
        yield text(4, 20, self.record["variant"], "h")
        height, width = self.record["input"][-2:]
        yield text(4, 40, f"{self.record['params']:,} parameters", "p b")
        macs = f"{count(self.record['macs'])}MAC for {height}×{width} pixels"
        yield text(356, 40, macs, "c e")
        x, y = self.lanes[0], 76.0
        for i in (2, 1, 0):
            yield rect(x - 17 + 4 * i, y - 13 - 4 * i, 34, 34, "gate", 2)
        yield text(x + 34, y + 8, "picture", "m")
        yield text(x, _FIRST - 15, shape(self.record["input"]), "i")
        yield path(f"M{x} {y + 21}V{_FIRST - 27}M{x} {_FIRST - 11}v11", "flow", THIN)

    def block(self, name: str, claims: Sequence[Record]) -> Iterator[str]:
        """One row."""
        start, stop = self._rows[name]
        block, present, wiring = self.blocks[name], kind(self.record, name), self.wiring
        yield rect(4, start, _WIDTH - 8, stop - start, "panel", 7)
        yield from self._wires(name, start, stop, present is not None)
        for level, s in enumerate(self.lanes[:1] if name == "backbone" else self.lanes):
            thick = 0.0 if name == "backbone" else wiring.width_in(name, level)
            yield wiring.head(start + 2, s, "f", HEAD + thick / 2)
        yield from self._shapes(name, stop)
        yield text(_LEFT, start + 22, NAMES[name], "t")
        yield text(_LEFT, start + 39, present or "none", "m")
        if not present:
            return
        yield text(_LEFT, start + 58, f"{block['params']:,}", "p b")
        yield text(_RIGHT, start + 58, percent(block["params_share"]), "p e")
        yield text(_LEFT, start + 82, count(block["macs"]), "c b")
        yield text(_RIGHT, start + 82, percent(block["macs_share"]), "c e")
        yield from self.bars(block, _LEFT, start + 65, 24, _SCALE)
        yield f'<text x="{_LEFT}" y="{start + 106}">{self.marks(claims)}</text>'

    def _shapes(self, name: str, stop: float) -> Iterator[str]:
        """Behind a block, what it hands on; the line makes room for it."""
        for level, (s, words) in enumerate(zip(self.lanes, self.shapes(name), strict=True)):
            width = self.wiring.width_in("heads", level)
            if name in ("backbone", "first_attention"):
                width = self.wiring.width_out(name, level)
            yield self.wiring.line(width, (stop, s), (stop + 4, s))
            yield text(s, stop + 16, words, "i s")
            if name != "heads":
                yield self.wiring.line(width, (stop + 20, s), (stop + _GAP - 2, s))

    def _wires(self, name: str, start: float, stop: float, present: bool) -> Iterator[str]:
        wiring, middle = self.wiring, (start + stop) / 2
        if not present:
            yield from wiring.through(name, start, stop)
        elif name == "backbone":
            for level, s in zip(LEVELS, self.lanes, strict=True):
                yield text(s + (12 if level == "P3" else 0), start + 18, level, "b m i")
            yield wiring.line(THIN, (start, self.lanes[0]), (middle, self.lanes[0]))
            yield from wiring.backbone(middle, stop)
        elif name == "pyramid":
            step = (stop - start - 60) / self.cells
            yield from wiring.pyramid(start, stop, start + 28, step)
        elif name == "shuffle":
            yield from wiring.shuffle(start, stop, middle - 20, middle + 14)
        elif name.endswith("attention"):
            yield from wiring.attention(name, start, stop, middle + 26)
        else:
            yield from wiring.on_the_lanes(name, start, stop, middle)

    def foreground(self) -> Iterator[str]:
        """The outputs, joined over the levels, and the legend."""
        anchors = self.anchors()
        start = self._end - _GAP + 20
        y, x, room = start + 34, 14.0, 326.0
        for level, (s, number) in enumerate(zip(self.lanes, anchors, strict=True)):
            length = room * number / sum(anchors)
            width = self.wiring.width_in("heads", level)
            yield self.wiring.bend(width, (start, s), (y, x + length / 2))
            yield path(f"M{x:.1f} {y + 5:.1f}h{length:.1f}", "flow", 9)
            x += length + 3
        yield text(_LEFT, y + 30, f"Output: N = {sum(anchors):,}", "t")
        said = " · ".join(f"{words} N×{values}" for words, values in self.outputs())
        yield text(_LEFT, y + 49, said, "m")
        yield from self._legend(y + 84)

    def _legend(self, y: float) -> Iterator[str]:
        x = _LEFT
        hollow = f'<g style="--fa-panel:var(--fa-ground)">{path(f"M{x} {y + 15}h24", "hollow")}</g>'
        yield path(f"M{x} {y - 4}h24M{x} {y + 15}h24", "ink") + hollow
        yield text(x + 36, y, "a square is 1,000 parameters", "m")
        yield text(x + 36, y + 19, "hollow: they predict offsets and masks", "m")
        yield path(f"M{x} {y + 34}h26", "flow", 4)
        yield text(x + 36, y + 38, "a line is as thick as its channels are many", "m")
        yield path(f"M{x} {y + 53}h12", "bp") + path(f"M{x + 14} {y + 53}h12", "bc")
        yield text(x + 36, y + 57, "shares of parameters, and of MACs", "m")
        yield path(f"M{x} {y + 72}h26", "bd")
        yield text(x + 36, y + 76, "broken: MACs in deformable kernels", "m")
