"""The architecture diagram: seven blocks on three levels, their parameters and MACs, as SVG.

Squares are parameters, a thousand each, at the place where they work; lines are tensors, as thick
as they have channels; bars are shares of parameters and of multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from analysis.report import Record, formats
from analysis.report.diagram.claims import verdict_counts
from analysis.report.diagram.layouts import LeftToRight, TopToBottom, anchor, kind, magnitude
from analysis.report.diagram.svg import file_style, group
from featherface.config import LEVELS


def architecture_svg(
    record: Record,
    layers: Sequence[Record],
    claims: Mapping[str, Sequence[Record]],
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
    layout = TopToBottom(record, layers) if upright else LeftToRight(record, layers, judged=True)
    blocks = []
    for name, block in layout.blocks.items():
        of_block = claims.get(name, ())
        style = "fa-block" if kind(block) else "fa-block absent"
        label = quoteattr(describe(record, block, of_block))
        blocks.append(
            f'<a href="#{anchor(name)}" class="{style}" data-block="{name}" aria-label={label}>'
            f"{group(layout.block(name, of_block))}</a>"
        )
    described = f"desc-{record['variant']}-{layout.name}"
    label = quoteattr(f"Architecture of {record['variant']}")
    attributes = f'role="group" aria-label={label} aria-describedby="{described}"'
    return _svg(layout, attributes, f'<desc id="{described}">{summary(record)}</desc>', blocks)


def static_svg(record: Record, layers: Sequence[Record], *, upright: bool = False) -> str:
    """Return one network as a file of its own, for light and dark pages."""
    layout = TopToBottom(record, layers) if upright else LeftToRight(record, layers, judged=False)
    blocks = [
        group(layout.block(name, ()), "" if kind(block) else "absent")
        for name, block in layout.blocks.items()
    ]
    width, height = layout.size
    size = f'width="{width:.0f}" height="{height:.0f}"'
    head = (
        f'<style>{file_style()}</style><title id="title">Architecture of {record["variant"]}'
        f'</title><desc id="desc">{summary(record)}</desc>'
    )
    return _svg(layout, f'{size} role="img" aria-labelledby="title desc"', head, blocks) + "\n"


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
    """Return the whole drawing in a few sentences, as XML."""
    height, width = record["input"][-2:]
    anchors = record["blocks"][-1]["output_shapes"]["boxes"][1]
    parts = "; ".join(f"{block['title']}, {block['params']:,}" for block in record["blocks"])
    return escape(
        f"An image of {height}×{width} passes through seven blocks on three levels, "
        f"{', '.join(LEVELS).upper()}, and leaves as boxes, classes and landmarks of {anchors:,} "
        f"anchors. {record['params']:,} parameters ({parts}) and {magnitude(record['macs'])}MAC, "
        f"of which {magnitude(record['macs_by_kind']['deformable_kernel'])} in deformable kernels."
    )


def describe(record: Record, block: Record, claims: Sequence[Record]) -> str:
    """Return a block in words: the label of its link."""
    if kind(block) is None:
        return f"{block['title']} in {record['variant']}"
    return (
        f"{block['title']}. {block['params']:,} parameters, "
        f"{formats.share(block['params_share'])}; {magnitude(block['macs'])} MACs, "
        f"{formats.share(block['macs_share'])}. Output: {formats.shapes(block['output_shapes'])}."
        + (f" Claims: {verdict_counts(claims)}." if claims else "")
    )
