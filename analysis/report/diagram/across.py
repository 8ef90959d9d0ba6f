"""The network from left to right, for wide pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.report.diagram.ink import LEVELS
from analysis.report.diagram.layout import Sheet
from analysis.report.diagram.style import path, rect, text
from analysis.report.diagram.wiring import HEAD, THIN
from analysis.report.diagram.words import NAMES, count, kind, percent, shape

Record = Mapping[str, Any]

_GAP = 9.0  # between blocks
_WIDTHS = {
    "input": 98.0,
    "backbone": 162.0,
    "first_attention": 126.0,
    "pyramid": 280.0,
    "second_attention": 122.0,
    "context": 146.0,
    "shuffle": 122.0,
    "heads": 134.0,
}
_OUTPUT = 112.0
_TOP, _BOTTOM, _BELOW = 40.0, 474.0, 42.0
_VERDICTS = 32.0  # height of their row
_PARAMS, _MACS, _CLAIMS = 426.0, 456.0, 489.0  # baselines of the figures
_SCALE = 190.0  # length of a bar for all there is
_INSET = 11.0


class Across(Sheet):
    """Blocks are columns, levels are rows."""

    name, upright = "across", False
    lanes = (150.0, 252.0, 354.0)

    def __init__(self, record: Record, layers: Sequence[Record], *, judged: bool = True) -> None:
        super().__init__(record, layers)
        self._judged = judged
        self._bottom = _BOTTOM + _VERDICTS * judged
        self.size = (sum(_WIDTHS.values()) + _OUTPUT, self._bottom + _BELOW)
        self._columns: dict[str, tuple[float, float]] = {}
        x = 0.0
        for name, width in _WIDTHS.items():
            self._columns[name] = x, x + width - _GAP
            x += width

    def surroundings(self) -> Iterator[str]:
        """The title, the picture, and what the figures in the columns are."""
        variant = self.record["variant"]
        yield (
            f'<text x="0" y="20"><tspan class="h">{variant}</tspan>'
            f'<tspan class="m" dx="12">{self.totals()}</tspan></text>'
        )
        middle, s = 46.0, self.lanes[0]
        for i in (2, 1, 0):
            yield rect(middle - 23 + 4 * i, s - 15 - 4 * i, 38, 38, "gate", 2)
        yield text(middle, s + 42, shape(self.record["input"]), "i")
        yield text(middle, s + 58, "picture", "i m")
        right = self._columns["input"][1] - 2
        for y, words, style in (
            (_PARAMS, "Parameters", "p"),
            (_MACS, "MACs", "c"),
            (_CLAIMS, "Claims" if self._judged else "", "m"),
        ):
            yield text(right, y, words, f"b e {style}")

    def block(self, name: str, claims: Sequence[Record]) -> Iterator[str]:
        """One column."""
        start, stop = self._columns[name]
        present = kind(self.record, name)
        yield rect(start, _TOP, stop - start, self._bottom - _TOP, "panel", 7)
        yield text(start + _INSET, 64, NAMES[name], "t")
        yield text(start + _INSET, 82, present or "none", "m")
        yield from self._wires(name, start, stop, present is not None)
        for level, s in enumerate(self.lanes[:1] if name == "backbone" else self.lanes):
            thick = 0.0 if name == "backbone" else self.wiring.width_in(name, level)
            yield self.wiring.head(start + 2, s, "f", HEAD + thick / 2)
        if present:
            for level, words in enumerate(self.shapes(name)):
                below = 15 + self.wiring.width_in("heads", level) / 2
                if name in ("backbone", "first_attention"):
                    below = 15 + self.wiring.width_out(name, level) / 2
                yield text(stop - 7, self.lanes[level] + below, words, "e s")
        yield from self._figures(name, start, stop, claims, present is not None)

    def _wires(self, name: str, start: float, stop: float, present: bool) -> Iterator[str]:
        wiring, begin = self.wiring, start - _GAP
        if not present:
            yield from wiring.through(name, begin, stop)
        elif name == "backbone":
            stage = start + 40
            yield wiring.line(THIN, (72, self.lanes[0]), (stage, self.lanes[0]))
            for level, s, at in zip(LEVELS, self.lanes, (20, 31, 33), strict=True):
                yield text(start + _INSET, s - at, level, "b m")
            yield from wiring.backbone(stage, stop)
        elif name == "pyramid":
            yield from wiring.pyramid(begin, stop, start + 32, 150 / self.cells)
        elif name == "shuffle":
            yield from wiring.shuffle(begin, stop, start + 24, start + 52)
        elif name.endswith("attention"):
            yield from wiring.attention(name, begin, stop, start + 68)
        else:
            middle = start + (36 if name == "context" else 26)
            yield from wiring.on_the_lanes(name, begin, stop, middle)

    def _figures(
        self, name: str, start: float, stop: float, claims: Sequence[Record], present: bool
    ) -> Iterator[str]:
        block, left = self.blocks[name], start + _INSET
        right = min(stop - 9, left + 126)
        if present:
            yield text(left, _PARAMS, f"{block['params']:,}", "p b")
            yield text(right, _PARAMS, percent(block["params_share"]), "p e")
            yield text(left, _MACS, count(block["macs"]), "c b")
            yield text(right, _MACS, percent(block["macs_share"]), "c e")
            yield from self.bars(block, left, _PARAMS + 8, _MACS - _PARAMS, _SCALE)
        else:
            yield text(left, _PARAMS, "passes on", "m")
            yield text(left, _PARAMS + 17, "what it gets", "m")
        if self._judged:
            yield f'<text x="{left}" y="{_CLAIMS}">{self.marks(claims) or "–"}</text>'

    def foreground(self) -> Iterator[str]:
        """The outputs, joined over the levels, and the legend."""
        start = self._columns["heads"][1]
        bar, top, room = start + 52, 100.0, 282.0
        y, anchors = top, self.anchors()
        for level, (s, number) in enumerate(zip(self.lanes, anchors, strict=True)):
            height = room * number / sum(anchors)
            width = self.wiring.width_in("heads", level)
            yield self.wiring.bend(width, (start, s), (bar, y + height / 2))
            yield path(f"M{bar + 5:.1f} {y:.1f}v{height:.1f}", "flow", 9)
            y += height + 3
        right = self.size[0] - 2
        yield text(right, 64, "Output", "t e")
        yield text(right, 82, f"N = {sum(anchors):,}", "e m")
        yield text(bar + 20, 250, "N", "b")
        for row, (words, values) in enumerate(self.outputs()):
            yield text(right, _PARAMS + 16 * row, f"{words} N×{values}", "e m")
        yield from self._legend(self._bottom + 30)

    def _legend(self, y: float) -> Iterator[str]:
        x, h = self._columns["backbone"][0], y - 4
        hollow = (
            f'<g style="--fa-panel:var(--fa-ground)">{path(f"M{x + 222} {h}h19", "hollow")}</g>'
        )
        yield path(f"M{x} {h}h19M{x + 222} {h}h19", "ink") + hollow
        yield text(x + 26, y, "square: 1,000 parameters", "m")
        yield text(x + 248, y, "hollow: predict offsets and masks", "m")
        yield path(f"M{x + 502} {h}h24", "flow", 4)
        yield text(x + 533, y, "line: as thick as its channels", "m")
        yield path(f"M{x + 752} {h}h24", "bd")
        yield text(x + 783, y, "broken: deformable kernels", "m")
