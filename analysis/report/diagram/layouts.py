"""The network from left to right for wide pages, and from top to bottom for narrow ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from analysis.report import Record, formats
from analysis.report.diagram.claims import tally
from analysis.report.diagram.svg import path, rect, text
from analysis.report.diagram.wiring import HEAD, THIN, Wiring
from analysis.report.formats import MARKS
from featherface.config import BLOCKS, LEVELS

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

_SHORT = {
    "FPN": "FPN, top-down",
    "deformable convolution v1": "deformable 3×3",
    "deformable convolution v2": "modulated 3×3",
    "SSH with deformable convolutions v1": "SSH, deformable",
    "SSH with deformable convolutions v2": "SSH, deformable",
    "permutation and bottleneck": "with bottleneck",
}
"""Kinds of blocks whose words in their titles are too long for the drawing."""

_LEGEND: Sequence[tuple[str, str]] = (
    ("square", "square: 1,000 parameters"),
    ("hollow", "hollow: predict offsets and masks"),
    ("flow", "line: as thick as its channels"),
    ("bd", "broken: deformable kernels"),
)


def kind(block: Record) -> str | None:
    """Return what a block is in its network, in a few words; `None` where there is none."""
    words = str(block["title"]).partition(": ")[2].replace("reduction", "r =")
    return None if words == "none" else _SHORT.get(words, words)


def cells(record: Record) -> int:
    """Return the number of cells that a pyramid is drawn with: an FPN is one."""
    return int(record["config"]["cells"]) if record["config"]["pyramid"] == "bifpn" else 1


def anchor(block: str) -> str:
    """Return the anchor of a block's section on the page."""
    return f"block-{block.replace('_', '-')}"


def output_shapes(shapes: Mapping[str, Sequence[int]]) -> str:
    """Return the shapes of a block's outputs without the batch: "64×80×80 · 64×40×40"."""
    return " · ".join(formats.shape(sizes[1:]) for sizes in shapes.values())


def magnitude(number: int) -> str:
    """Return a count of multiply-accumulates with a prefix: 1.244 G, 332.9 M, 845 K, 0."""
    for factor, prefix, digits in ((10**9, "G", 3), (10**6, "M", 1), (10**3, "K", 0)):
        if number >= factor:
            return f"{number / factor:.{digits}f} {prefix}"
    return str(number)


class Layout(Wiring):
    """The parts of both directions."""

    first: float  # where the first block begins along the flow
    between: float  # two blocks

    def __init__(
        self, record: Record, layers: Sequence[Record], lengths: Mapping[str, float]
    ) -> None:
        super().__init__(record, layers)
        maps = self.blocks["shuffle"]["output_shapes"].values()
        self.anchors = [rows * columns * record["config"]["anchors"] for *_, rows, columns in maps]
        self.spans: dict[str, tuple[float, float]] = {}  # the blocks' edges along the flow
        self.end = self.first
        for name, length in lengths.items():
            self.spans[name] = self.end, self.end + length
            self.end += length + self.between

    def wires(self, name: str, begin: float, *at: float) -> Iterator[str]:
        """Yield the lines and nodes of a block, and the arrows that lead into it.

        Args:
            begin: where the lines start.
            at: where along the flow its nodes lie.
        """
        start, stop = self.spans[name]
        if kind(self.blocks[name]) is None:
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
            thick = 0.0 if name == "backbone" else self.width_in[name][level]
            yield self.head(start + 2, s, "f", HEAD + thick / 2)

    def shapes(self, name: str) -> list[str]:
        """Return the shape of a block's output, by level."""
        shapes = self.blocks[name]["output_shapes"].values()
        if name == "heads":
            values = sum(sizes[-1] for sizes in shapes)
            return [f"{number:,}×{values}" for number in self.anchors]
        return [formats.shape(sizes[1:]) for sizes in shapes]

    def joined(self, start: float, bar: float, s: float, room: float) -> Iterator[str]:
        """Yield the levels' lines into a bar of all anchors, from `s` on and `room` long."""
        for level, (lane, number) in enumerate(zip(self.lanes, self.anchors, strict=True)):
            length = room * number / sum(self.anchors)
            yield self.bend(self.width_in["heads"][level], (start, lane), (bar, s + length / 2))
            x, y = self.at(bar + 5, s)
            yield path(f"M{x:.1f} {y:.1f}{'h' if self.upright else 'v'}{length:.1f}", "flow", 9)
            s += length + 3

    def output_names(self) -> Iterator[str]:
        """Yield the network's outputs, with their values an anchor."""
        for name, sizes in self.blocks["heads"]["output_shapes"].items():
            yield f"{'classes' if name == 'logits' else name} N×{sizes[-1]}"

    def costs(
        self, name: str, left: float, right: float, params: float, macs: float, scale: float
    ) -> Iterator[str]:
        """Yield parameters and MACs on their baselines, and bars; `scale` is the whole network."""
        block = self.blocks[name]
        rows = (("p", params, "params", formats.count), ("c", macs, "macs", magnitude))
        for style, y, key, form in rows:
            yield text(left, y, form(block[key]), f"{style} b")
            yield text(right, y, formats.share(block[f"{key}_share"]), f"{style} e")
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
    first, between = 98.0, 9.0

    _LENGTHS = (153.0, 117.0, 271.0, 113.0, 137.0, 113.0, 125.0)  # of the blocks, along the flow
    _TOP = 40.0
    _PARAMS, _MACS, _CLAIMS = 426.0, 456.0, 489.0  # baselines of the figures

    def __init__(self, record: Record, layers: Sequence[Record], *, judged: bool) -> None:
        super().__init__(record, layers, dict(zip(BLOCKS, self._LENGTHS, strict=True)))
        self.judged = judged  # verdicts are counted below each block
        self._bottom = 506.0 if judged else 474.0
        self.size = self.end + 112, self._bottom + 42

    def around(self) -> Iterator[str]:
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
        yield text(87, self._PARAMS, "Parameters", "b e p")
        yield text(87, self._MACS, "MACs", "b e c")
        yield text(87, self._CLAIMS, "Claims" if self.judged else "", "b e m")

    def block(self, name: str, claims: Sequence[Record]) -> Iterator[str]:
        start, stop = self.spans[name]
        left, present = start + 11, kind(self.blocks[name])
        yield rect(start, self._TOP, stop - start, self._bottom - self._TOP, "panel", 7)
        yield text(left, 64, NAMES[name], "t")
        yield text(left, 82, present or "none", "m")
        nodes_at = {
            "backbone": (start + 40,),
            "pyramid": (start + 32, 150 / cells(self.record)),
            "context": (start + 36,),
            "shuffle": (start + 24, start + 52),
            "heads": (start + 26,),
        }.get(name, (start + 68,))
        yield from self.wires(name, 72 if name == "backbone" else start - 9, *nodes_at)
        if name == "backbone":
            for label, s, above in zip(LEVELS, self.lanes, (20, 31, 33), strict=True):
                yield text(left, s - above, label.upper(), "b m")
        if present:
            for level, words in enumerate(self.shapes(name)):
                below = 15 + self.width_out[name][level] / 2
                if name.endswith("attention") or name == "shuffle":
                    below = 22.0  # clear of the multiplication sign and the squares
                yield text(stop - 7, self.lanes[level] + below, words, "e s")
            right = min(stop - 9, left + 126)
            yield from self.costs(name, left, right, self._PARAMS, self._MACS, 190)
        else:
            yield text(left, self._PARAMS, "input unchanged", "m")
        if self.judged:
            yield self.verdicts(left, self._CLAIMS, claims)

    def output(self) -> Iterator[str]:
        start = self.spans["heads"][1]
        bar = start + 52
        yield from self.joined(start, bar, 100, 282)
        right = self.size[0] - 2
        yield text(right, 64, "Output", "t e")
        yield text(right, 82, f"N = {sum(self.anchors):,}", "e m")
        yield text(bar + 20, 250, "N", "b")
        for row, words in enumerate(self.output_names()):
            yield text(right, self._PARAMS + 16 * row, words, "e m")
        yield from self.legend((self.first + dx, self._bottom + 30) for dx in (0, 222, 502, 752))


class TopToBottom(Layout):
    """Blocks are rows, levels are columns: legible at 360 pixels."""

    name, upright = "down", True
    lanes = (162.0, 241.0, 321.0)
    first, between = 150.0, 31.0  # shapes stand between blocks

    _LEFT, _RIGHT = 13.0, 127.0  # of the figures

    def __init__(self, record: Record, layers: Sequence[Record]) -> None:
        lengths = {block["name"]: 116.0 if kind(block) else 54.0 for block in record["blocks"]}
        lengths["pyramid"] = 174.0 if cells(record) == 1 else 60.0 + 64 * cells(record)
        super().__init__(record, layers, lengths)
        self.size = 360.0, self.end + 187

    def around(self) -> Iterator[str]:
        yield text(4, 20, self.record["variant"], "h")
        height, width = self.record["input"][-2:]
        yield text(4, 40, f"{self.record['params']:,} parameters", "p b")
        macs = f"{magnitude(self.record['macs'])}MAC for {height}×{width} pixels"
        yield text(356, 40, macs, "c e")
        x, y = self.lanes[0], 76.0
        yield from self.image(x, y + 2, 34)
        yield text(x + 34, y + 8, "image", "m")
        yield text(x, self.first - 15, formats.shape(self.record["input"][1:]), "i")
        lines = f"M{x} {y + 21}V{self.first - 27}M{x} {self.first - 11}v11"
        yield path(lines, "flow", THIN)

    def block(self, name: str, claims: Sequence[Record]) -> Iterator[str]:
        start, stop = self.spans[name]
        present = kind(self.blocks[name])
        yield rect(4, start, 352, stop - start, "panel", 7)
        middle = (start + stop) / 2
        nodes_at = {
            "pyramid": (start + 28, (stop - start - 60) / cells(self.record)),
            "shuffle": (middle - 20, middle + 14),
        }.get(name, (middle + 26 * name.endswith("attention"),))
        yield from self.wires(name, start, *nodes_at)
        if name == "backbone":
            for label, s in zip(LEVELS, self.lanes, strict=True):
                yield text(s + 12 * (label == LEVELS[0]), start + 18, label.upper(), "b m i")
        for level, (s, words) in enumerate(zip(self.lanes, self.shapes(name), strict=True)):
            width = self.width_out[name][level]
            yield self.line(width, (stop, s), (stop + 4, s))
            yield text(s, stop + 16, words, "i s")
            if name != "heads":
                yield self.line(width, (stop + 20, s), (stop + self.between - 2, s))
        yield text(self._LEFT, start + 22, NAMES[name], "t")
        yield text(self._LEFT, start + 39, present or "none", "m")
        if present:
            yield from self.costs(name, self._LEFT, self._RIGHT, start + 58, start + 82, 200)
            if claims:
                yield self.verdicts(self._LEFT, start + 106, claims)

    def output(self) -> Iterator[str]:
        start = self.spans["heads"][1] + 20
        bar = start + 34
        yield from self.joined(start, bar, 14, 326)
        yield text(self._LEFT, bar + 30, f"Output: N = {sum(self.anchors):,}", "t")
        yield text(self._LEFT, bar + 49, " · ".join(self.output_names()), "m")
        yield from self.legend((self._LEFT, bar + 84 + 19 * row) for row in range(len(_LEGEND)))
