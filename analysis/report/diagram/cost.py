"""What networks cost, as bars of their blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

Record = Mapping[str, Any]

# Okabe and Ito (2008), one colour a block in the network's order; they stay apart for the
# colour-blind, and neighbours differ in lightness.
_COLOURS = ("#0072b2", "#e69f00", "#56b4e9", "#d55e00", "#009e73", "#f0e442", "#cc79a7")
_INK, _FAINT = "#1a1a1a", "#5f5f5f"

_WIDTH = 960
_LEFT, _RIGHT = 120, 150  # room for the variants' names and the totals
_ROW, _BAR = 62, 18


def cost_bars(records: Sequence[Record]) -> str:
    """Parameters and MACs of several networks, each as one bar of its seven blocks.

    The part of the MACs that is hatched is the deformable kernels', which counters that do not
    know the operator leave out.

    Args:
        records: from `analysis.cost.blocks.measure_blocks`, all at one picture size.

    Returns:
        An SVG document with a title and a description for screen readers.
    """
    height, width = records[0]["input"][-2:]
    room = _WIDTH - _LEFT - _RIGHT
    most = {key: max(record[key] for record in records) for key in ("params", "macs")}
    top = 96
    body: list[str] = []
    for row, record in enumerate(records):
        y = top + row * _ROW
        body.append(_text(_LEFT - 12, y + 24, record["variant"], anchor="end", bold=True))
        for line, (key, unit) in enumerate((("params", "parameters"), ("macs", "MACs"))):
            bar_top = y + line * (_BAR + 4)
            x = float(_LEFT)
            for block, colour in zip(record["blocks"], _COLOURS, strict=True):
                size = room * block[key] / most[key]
                hint = f"{block['title']}: {block[key]:,} {unit}"
                body.append(_bar(x, bar_top, size, colour, hint))
                hidden = room * block["macs_by_kind"]["deformable_kernel"] / most["macs"]
                if key == "macs" and hidden:
                    body.append(_bar(x + size - hidden, bar_top, hidden, "url(#hatch)", hint))
                x += size
            total = f"{record[key]:,}" if key == "params" else f"{record[key] / 1e9:.3f} GMAC"
            body.append(_text(x + 8, bar_top + 14, total))
    bottom = top + len(records) * _ROW
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom}" '
            'role="img" aria-labelledby="title description" '
            'font-family="Helvetica, Arial, sans-serif" font-size="13">',
            f'<title id="title">Parameters and MACs by block, {height}×{width} pixels</title>',
            f'<desc id="description">{escape(_description(records))}</desc>',
            '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><rect width="2.5" height="6" fill="#fff" '
            'fill-opacity="0.75"/></pattern></defs>',
            f'<rect width="{_WIDTH}" height="{bottom}" fill="#fff"/>',
            _text(
                12,
                24,
                f"Where the parameters (above) and MACs at {height}×{width} (below) are",
                bold=True,
            ),
            *_legend(records[0]["blocks"]),
            *body,
            "</svg>\n",
        ]
    )


def _legend(blocks: Iterable[Record]) -> Iterator[str]:
    x, y = 12, 44
    for block, colour in zip(blocks, _COLOURS, strict=True):
        name = block["name"].replace("_", " ")
        yield f'<rect x="{x}" y="{y}" width="13" height="13" fill="{colour}"/>'
        yield _text(x + 18, y + 11, name, faint=True)
        x += 18 + 7 * len(name) + 20
    yield f'<rect x="12" y="{y + 20}" width="13" height="13" fill="{_COLOURS[4]}"/>'
    yield f'<rect x="12" y="{y + 20}" width="13" height="13" fill="url(#hatch)"/>'
    yield _text(30, y + 31, "hatched: deformable kernels, which usual counters skip", faint=True)


def _description(records: Iterable[Record]) -> str:
    return " ".join(
        f"{record['variant']}: {record['params']:,} parameters and {record['macs']:,} MACs, of "
        f"which {record['macs_by_kind']['deformable_kernel']:,} in deformable kernels."
        for record in records
    )


def _bar(x: float, y: float, width: float, fill: str, hint: str) -> str:
    return (
        f'<rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{_BAR}" fill="{fill}">'
        f"<title>{escape(hint)}</title></rect>"
    )


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    bold: bool = False,
    faint: bool = False,
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.2f}" y="{y}" text-anchor="{anchor}" fill="{_FAINT if faint else _INK}"'
        f"{weight}>{escape(text)}</text>"
    )
