"""The architecture diagram: seven blocks on three levels, their parameters and MACs, as SVG.

Squares are parameters, a thousand each, at the place where they work; lines are tensors, as thick
as they have channels; bars are shares of parameters and of multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from analysis.report import formats
from analysis.report.diagram.layouts import LeftToRight, TopToBottom, kind, magnitude, tally
from analysis.report.diagram.svg import file_style, group, link
from featherface.config import LEVELS

Record = Mapping[str, Any]


def architecture_svg(
    record: Record,
    layers: Sequence[Record],
    claims: Mapping[str, Sequence[Record]] | None = None,
    *,
    upright: bool = False,
) -> str:
    """Return one network as an SVG element for a page that has `svg.page_style`.

    Args:
        record: from `analysis.cost.blocks.measure_blocks`.
        layers: from `analysis.cost.blocks.measure_layers`, of the same network and size.
        claims: by block, the verdicts on claims about it; their counts are shown.
        upright: from top to bottom, for a narrow page, rather than from left to right.
    """
    layout = (TopToBottom if upright else LeftToRight)(record, layers, judged=claims is not None)
    blocks = []
    for block in record["blocks"]:
        name, of_block = block["name"], (claims or {}).get(block["name"], ())
        absent = kind(record, name) is None
        label = describe(record, block, of_block)
        address = f"#block-{name.replace('_', '-')}"
        blocks.append(link(address, label, name, layout.block(name, of_block), absent=absent))
    described = f"desc-{record['variant']}-{layout.name}"
    label = quoteattr(f"Architecture of {record['variant']}")
    return _svg(
        layout,
        f'role="group" aria-label={label} aria-describedby="{described}"',
        f'<desc id="{described}">{escape(summary(record))}</desc>',
        blocks,
    )


def static_svg(record: Record, layers: Sequence[Record], *, upright: bool = False) -> str:
    """Return one network as a file of its own, for light and dark pages."""
    layout = (TopToBottom if upright else LeftToRight)(record, layers, judged=False)
    blocks = [
        group(layout.block(name, ()), "absent" if kind(record, name) is None else "")
        for name in layout.blocks
    ]
    width, height = layout.size
    drawing = _svg(
        layout,
        f'width="{width:.0f}" height="{height:.0f}" role="img" aria-labelledby="title desc"',
        f'<style>{file_style()}</style><title id="title">Architecture of {record["variant"]}'
        f'</title><desc id="desc">{escape(summary(record))}</desc>',
        blocks,
    )
    return f"{drawing}\n"


def _svg(
    layout: LeftToRight | TopToBottom, attributes: str, head: str, blocks: Iterable[str]
) -> str:
    width, height = layout.size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="fa-svg fa-{layout.name}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" {attributes}>{head}'
        f"{group(layout.around())}{''.join(blocks)}{group(layout.output())}</svg>"
    )


def summary(record: Record) -> str:
    """Return the whole drawing in a few sentences."""
    height, width = record["input"][-2:]
    anchors = record["blocks"][-1]["output_shapes"]["boxes"][1]
    parts = "; ".join(f"{block['title']}, {block['params']:,}" for block in record["blocks"])
    return (
        f"An image of {height}×{width} passes through seven blocks on three levels, "
        f"{', '.join(LEVELS).upper()}, and leaves as boxes, classes and landmarks of {anchors:,} "
        f"anchors. {record['params']:,} parameters ({parts}) and {magnitude(record['macs'])}MAC, "
        f"of which {magnitude(record['macs_by_kind']['deformable_kernel'])} in deformable kernels."
    )


def describe(record: Record, block: Record, claims: Sequence[Record]) -> str:
    """Return a block in words: the label of its link."""
    if kind(record, block["name"]) is None:
        return f"{block['title']} in {record['variant']}"
    shapes = formats.shapes(block["output_shapes"])
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in tally(claims).items())
    return (
        f"{block['title']}. {block['params']:,} parameters, "
        f"{formats.share(block['params_share'])}; {magnitude(block['macs'])} MACs, "
        f"{formats.share(block['macs_share'])}. Output: {shapes}."
        + (f" Claims: {verdicts}." if verdicts else "")
    )
