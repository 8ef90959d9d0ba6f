"""The network from left to right for wide pages, and from top to bottom for narrow ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from analysis.report import formats
from analysis.report.diagram.svg import path, rect, text
from analysis.report.diagram.wiring import HEAD, THIN, Wiring
from analysis.report.formats import MARKS
from featherface.config import LEVELS

Record = Mapping[str, Any]

NAMES = {
    "backbone": "Backbone",
    "first_attention": "Attention 1",
    "pyramid": "Pyramid",
    "second_attention": "Attention 2",
    "context": "Context",
    "shuffle": "Shuffle",
    "heads": "Heads",
}
"""Names of the blocks that are short enough for the drawing."""

_CONTEXTS = {
    "plain": "3×3 convolution",
    "dcnv1": "deformable 3×3",
    "dcnv2": "modulated 3×3",
    "ssh": "SSH",
    "ssh-dcnv1": "SSH, deformable",
    "ssh-dcnv2": "SSH, deformable",
}

_LEGEND: Sequence[tuple[str, str]] = (
    ("square", "square: 1,000 parameters"),
    ("hollow", "hollow: predict offsets and masks"),
    ("flow", "line: as thick as its channels"),
    ("bd", "broken: deformable kernels"),
)


def kind(record: Record, name: str) -> str | None:
    """Return what a block is in this network, in a few words; `None` where there is none."""
    config = record["config"]
    cbam = f"CBAM, r = {config['reduction']}"
    cells = config["cells"]
    return {
        "backbone": "MobileNetV1 × 0.25",
        "first_attention": cbam if config["attention"] in ("backbone", "both") else None,
        "pyramid": f"BiFPN, {cells} cell{'s' * (cells > 1)}"
        if config["pyramid"] == "bifpn"
        else "FPN, top-down",
        "second_attention": cbam if config["attention"] in ("pyramid", "both") else None,
        "context": _CONTEXTS.get(config["context"]),
        "shuffle": {"free": "permutation", "bottleneck": "with bottleneck"}.get(config["shuffle"]),
        "heads": "1×1 convolutions",
    }[name]


def magnitude(number: int) -> str:
    """Return a count of multiply-accumulates with a prefix: 1.244 G, 332.9 M, 845 K, 0."""
    for factor, prefix, digits in ((10**9, "G", 3), (10**6, "M", 1), (10**3, "K", 0)):
        if number >= factor:
            return f"{number / factor:.{digits}f} {prefix}"
    return str(number)


def tally(claims: Iterable[Record]) -> dict[str, int]:
    """Return the number of claims of each verdict that occurs, in the verdicts' order."""
    verdicts = [claim["verdict"] for claim in claims]
    return {verdict: verdicts.count(verdict) for verdict in MARKS if verdict in verdicts}


class Layout(Wiring):
    """The parts of both directions; with `judged`, verdicts are counted in each block."""

    name: str
    size: tuple[float, float]

    def __init__(self, record: Record, layers: Sequence[Record], *, judged: bool = True) -> None:
        super().__init__(record, layers)
        self.judged = judged
        self.blocks = {block["name"]: block for block in record["blocks"]}
        config = record["config"]
        self.cells = int(config["cells"]) if config["pyramid"] == "bifpn" else 1
        maps = self.blocks["shuffle"]["output_shapes"].values()
        self.anchors = [rows * columns * config["anchors"] for *_, rows, columns in maps]

    def wires(
        self, name: str, begin: float, start: float, stop: float, *at: float
    ) -> Iterator[str]:
        """Yield the lines and nodes of a block, and the arrows that lead into it.

        Args:
            begin: where the lines start.
            start, stop: the block's edges.
            at: where along the flow its nodes lie.
        """
        if kind(self.record, name) is None:
            yield from self.through(name, begin, stop)
        elif name == "backbone":
            yield self.line(THIN, (begin, self.lanes[0]), (at[0], self.lanes[0]))
            yield from self.backbone(at[0], stop)
        elif name == "pyramid":
            yield from self.pyramid(begin, stop, *at)
        elif name == "shuffle":
            yield from self.shuffle(begin, stop, *at)
        elif name.endswith("attention"):
            yield from self.attention(name, begin, stop, at[0])
        else:
            yield from self.on_the_lanes(name, begin, stop, at[0])
        for level, s in enumerate(self.lanes[:1] if name == "backbone" else self.lanes):
            thick = 0.0 if name == "backbone" else self.width_in(name, level)
            yield self.head(start + 2, s, "f", HEAD + thick / 2)

    def width_after(self, name: str, level: int) -> float:
        """Return the thickness of the line behind a block."""
        if name in ("backbone", "first_attention"):
            return self.width_out(name, level)
        return self.width_in("heads", level)

    def shapes(self, name: str) -> list[str]:
        """Return the shape of a block's output, by level."""
        shapes = self.blocks[name]["output_shapes"].values()
        if name == "heads":
            values = sum(sizes[-1] for sizes in shapes)
            return [f"{number:,}×{values}" for number in self.anchors]
        return [formats.shape(sizes[1:]) for sizes in shapes]

    def outputs(self) -> Iterator[str]:
        """Yield the network's outputs, with their values an anchor."""
        for name, sizes in self.blocks["heads"]["output_shapes"].items():
            yield f"{'classes' if name == 'logits' else name} N×{sizes[-1]}"

    def costs(
        self, name: str, left: float, right: float, params: float, macs: float, scale: float
    ) -> Iterator[str]:
        """Yield parameters and MACs on their baselines, and bars; `scale` is the whole network."""
        block = self.blocks[name]
        yield text(left, params, f"{block['params']:,}", "p b")
        yield text(right, params, formats.share(block["params_share"]), "p e")
        yield text(left, macs, magnitude(block["macs"]), "c b")
        yield text(right, macs, formats.share(block["macs_share"]), "c e")
        yield path(f"M{left:.1f} {params + 8:.1f}h{scale * block['params_share']:.1f}", "bp")
        broken = block["macs_by_kind"]["deformable_kernel"] / self.record["macs"] * scale
        solid = scale * block["macs_share"] - broken
        yield path(f"M{left:.1f} {macs + 8:.1f}h{solid:.1f}", "bc")
        if broken:
            yield path(f"M{left + solid:.1f} {macs + 8:.1f}h{broken:.1f}", "bd")

    def verdicts(self, x: float, y: float, claims: Sequence[Record]) -> str:
        """Return the number of claims of each verdict, as text."""
        spans = "&#160; ".join(
            f'<tspan class="{verdict[0]}v">{MARKS[verdict]} {number}</tspan>'
            for verdict, number in tally(claims).items()
        )
        return f'<text x="{x}" y="{y}">{spans or "–"}</text>'

    def image(self, x: float, y: float, side: float) -> Iterator[str]:
        """Yield three planes of an image around (x, y)."""
        for i in (2, 1, 0):
            yield rect(x - side / 2 + 4 * (i - 1), y - 15 - 4 * i, side, side, "gate", 2)

    def legend(self, places: Iterable[tuple[float, float]]) -> Iterator[str]:
        """Yield an entry of the legend at each place."""
        for (x, y), (mark, words) in zip(places, _LEGEND, strict=True):
            line = f"M{x} {y - 4}h24"
            yield path(line, "square" if mark == "hollow" else mark, 4 if mark == "flow" else None)
            if mark == "hollow":
                yield f'<g style="--fa-panel:var(--fa-ground)">{path(line, mark)}</g>'
            yield text(x + 31, y, words, "m")


class LeftToRight(Layout):
    """Blocks are columns, levels are rows."""

    name, upright = "across", False
    lanes = (150.0, 252.0, 354.0)

    _WIDTHS: Mapping[str, float] = {
        "input": 98,
        "backbone": 162,
        "first_attention": 126,
        "pyramid": 280,
        "second_attention": 122,
        "context": 146,
        "shuffle": 122,
        "heads": 134,
    }
    _BETWEEN, _INSET, _TOP = 9.0, 11.0, 40.0
    _PARAMS, _MACS, _CLAIMS = 426.0, 456.0, 489.0  # baselines of the figures

    def __init__(self, record: Record, layers: Sequence[Record], *, judged: bool = True) -> None:
        super().__init__(record, layers, judged=judged)
        self._bottom = 506.0 if judged else 474.0
        self._columns: dict[str, tuple[float, float]] = {}
        x = 0.0
        for name, width in self._WIDTHS.items():
            self._columns[name] = x, x + width - self._BETWEEN
            x += width
        self.size = x + 112, self._bottom + 42

    def around(self) -> Iterator[str]:
        """Yield the title and the image."""
        height, width = self.record["input"][-2:]
        yield (
            f'<text x="0" y="20"><tspan class="h">{self.record["variant"]}</tspan>'
            f'<tspan class="m" dx="12">{self.record["params"]:,} parameters · '
            f"{magnitude(self.record['macs'])}MAC for {height}×{width} pixels</tspan></text>"
        )
        middle, s = 46.0, self.lanes[0]
        yield from self.image(middle, s, 38)
        yield text(middle, s + 42, formats.shape(self.record["input"][1:]), "i")
        yield text(middle, s + 58, "image", "i m")
        right = self._columns["input"][1] - 2
        yield text(right, self._PARAMS, "Parameters", "b e p")
        yield text(right, self._MACS, "MACs", "b e c")
        yield text(right, self._CLAIMS, "Claims" if self.judged else "", "b e m")

    def block(self, name: str, claims: Sequence[Record]) -> Iterator[str]:
        """Yield one block."""
        start, stop = self._columns[name]
        left, present = start + self._INSET, kind(self.record, name)
        yield rect(start, self._TOP, stop - start, self._bottom - self._TOP, "panel", 7)
        yield text(left, 64, NAMES[name], "t")
        yield text(left, 82, present or "none", "m")
        begin = 72 if name == "backbone" else start - 9
        yield from self.wires(name, begin, start, stop, *self.places(name, start))
        if name == "backbone":
            for label, s, above in zip(LEVELS, self.lanes, (20, 31, 33), strict=True):
                yield text(left, s - above, label.upper(), "b m")
        if present:
            for level, words in enumerate(self.shapes(name)):
                below = 15 + self.width_after(name, level) / 2
                if name.endswith("attention") or name == "shuffle":
                    below = 22.0  # clear of the multiplication sign and the squares
                yield text(stop - 7, self.lanes[level] + below, words, "e s")
            right = min(stop - 9, left + 126)
            yield from self.costs(name, left, right, self._PARAMS, self._MACS, 190)
        else:
            yield text(left, self._PARAMS, "input unchanged", "m")
        if self.judged:
            yield self.verdicts(left, self._CLAIMS, claims)

    def places(self, name: str, start: float) -> tuple[float, ...]:
        """Return where along the flow the nodes of a block lie."""
        return {
            "backbone": (start + 40,),
            "pyramid": (start + 32, 150 / self.cells),
            "context": (start + 36,),
            "shuffle": (start + 24, start + 52),
            "heads": (start + 26,),
        }.get(name, (start + 68,))

    def output(self) -> Iterator[str]:
        """Yield the outputs, joined over the levels, and the legend."""
        start = self._columns["heads"][1]
        bar, y, room = start + 52, 100.0, 282.0
        for level, (s, number) in enumerate(zip(self.lanes, self.anchors, strict=True)):
            height = room * number / sum(self.anchors)
            width = self.width_in("heads", level)
            yield self.bend(width, (start, s), (bar, y + height / 2))
            yield path(f"M{bar + 5:.1f} {y:.1f}v{height:.1f}", "flow", 9)
            y += height + 3
        right = self.size[0] - 2
        yield text(right, 64, "Output", "t e")
        yield text(right, 82, f"N = {sum(self.anchors):,}", "e m")
        yield text(bar + 20, 250, "N", "b")
        for row, words in enumerate(self.outputs()):
            yield text(right, self._PARAMS + 16 * row, words, "e m")
        x = self._columns["backbone"][0]
        yield from self.legend((x + dx, self._bottom + 30) for dx in (0, 222, 502, 752))


class TopToBottom(Layout):
    """Blocks are rows, levels are columns: legible at 360 pixels."""

    name, upright = "down", True
    lanes = (166.0, 243.0, 320.0)

    _WIDTH, _FIRST = 360.0, 150.0
    _LEFT, _RIGHT = 13.0, 127.0  # of the figures
    _BETWEEN = 31.0  # blocks; shapes stand there

    def __init__(self, record: Record, layers: Sequence[Record], *, judged: bool = True) -> None:
        super().__init__(record, layers, judged=judged)
        self._rows: dict[str, tuple[float, float]] = {}
        y = self._FIRST
        for name in self.blocks:
            height = 54.0 if kind(record, name) is None else 116.0
            if name == "pyramid":
                height = 60 + self.cells * 64 + (50 if self.cells == 1 else 0)
            self._rows[name] = y, y + height
            y += height + self._BETWEEN
        self._end = y
        self.size = self._WIDTH, y + 187

    def around(self) -> Iterator[str]:
        """Yield the title and the image."""
        yield text(4, 20, self.record["variant"], "h")
        height, width = self.record["input"][-2:]
        yield text(4, 40, f"{self.record['params']:,} parameters", "p b")
        macs = f"{magnitude(self.record['macs'])}MAC for {height}×{width} pixels"
        yield text(356, 40, macs, "c e")
        x, y = self.lanes[0], 76.0
        yield from self.image(x, y + 2, 34)
        yield text(x + 34, y + 8, "image", "m")
        yield text(x, self._FIRST - 15, formats.shape(self.record["input"][1:]), "i")
        lines = f"M{x} {y + 21}V{self._FIRST - 27}M{x} {self._FIRST - 11}v11"
        yield path(lines, "flow", THIN)

    def block(self, name: str, claims: Sequence[Record]) -> Iterator[str]:
        """Yield one block."""
        start, stop = self._rows[name]
        present = kind(self.record, name)
        yield rect(4, start, self._WIDTH - 8, stop - start, "panel", 7)
        yield from self.wires(name, start, start, stop, *self.places(name, start, stop))
        if name == "backbone":
            for label, s in zip(LEVELS, self.lanes, strict=True):
                yield text(s + 12 * (label == LEVELS[0]), start + 18, label.upper(), "b m i")
        for level, (s, words) in enumerate(zip(self.lanes, self.shapes(name), strict=True)):
            width = self.width_after(name, level)
            yield self.line(width, (stop, s), (stop + 4, s))
            yield text(s, stop + 16, words, "i s")
            if name != "heads":
                yield self.line(width, (stop + 20, s), (stop + self._BETWEEN - 2, s))
        yield text(self._LEFT, start + 22, NAMES[name], "t")
        yield text(self._LEFT, start + 39, present or "none", "m")
        if present:
            yield from self.costs(name, self._LEFT, self._RIGHT, start + 58, start + 82, 200)
            if claims:
                yield self.verdicts(self._LEFT, start + 106, claims)

    def places(self, name: str, start: float, stop: float) -> tuple[float, ...]:
        """Return where along the flow the nodes of a block lie."""
        middle = (start + stop) / 2
        if name == "pyramid":
            return start + 28, (stop - start - 60) / self.cells
        if name == "shuffle":
            return middle - 20, middle + 14
        return (middle + 26 * name.endswith("attention"),)

    def output(self) -> Iterator[str]:
        """Yield the outputs, joined over the levels, and the legend."""
        start = self._end - self._BETWEEN + 20
        y, x, room = start + 34, 14.0, 326.0
        for level, (s, number) in enumerate(zip(self.lanes, self.anchors, strict=True)):
            length = room * number / sum(self.anchors)
            width = self.width_in("heads", level)
            yield self.bend(width, (start, s), (y, x + length / 2))
            yield path(f"M{x:.1f} {y + 5:.1f}h{length:.1f}", "flow", 9)
            x += length + 3
        yield text(self._LEFT, y + 30, f"Output: N = {sum(self.anchors):,}", "t")
        yield text(self._LEFT, y + 49, " · ".join(self.outputs()), "m")
        yield from self.legend((self._LEFT, y + 84 + 19 * row) for row in range(len(_LEGEND)))
