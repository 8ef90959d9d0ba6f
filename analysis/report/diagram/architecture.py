"""The network as a drawing: seven blocks, three levels, the data's way, and where the cost is.

Squares are parameters, a thousand each, at the place where they work; lines are tensors, as thick
as they have channels; bars are shares of parameters and of multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from analysis.report.diagram.across import Across
from analysis.report.diagram.down import Down
from analysis.report.diagram.ink import LEVELS
from analysis.report.diagram.layout import Frame
from analysis.report.diagram.style import file_style, group, link
from analysis.report.diagram.words import NAMES, count, kind, percent, shape

Record = Mapping[str, Any]


def architecture_svg(
    record: Record,
    layers: Sequence[Record],
    claims: Mapping[str, Sequence[Record]] | None = None,
    *,
    upright: bool = False,
    href: str = "#block-",
) -> str:
    """One network, as an SVG element for a page that has `style.page_style`.

    Args:
        record: from `analysis.cost.blocks.measure_blocks`.
        layers: from `analysis.cost.blocks.measure_layers`, of the same network and size.
        claims: by block, the verdicts on claims about it; their counts are shown.
        upright: from top to bottom, for a narrow page, rather than from left to right.
        href: what a block links to, with the block's name after it (its underscores as hyphens).
    """
    judged = claims is not None
    frame: Frame = Down(record, layers) if upright else Across(record, layers, judged=judged)
    return _drawing(frame, claims or {}, href, style="", role="group")


def static_svg(record: Record, layers: Sequence[Record]) -> str:
    """One network, as a file of its own, for light and dark pages."""
    svg = _drawing(Across(record, layers, judged=False), {}, None, style=file_style(), role="img")
    return svg + "\n"


def _drawing(
    frame: Frame,
    claims: Mapping[str, Sequence[Record]],
    href: str | None,
    *,
    style: str,
    role: str,
) -> str:
    record = frame.record
    name = f"{record['variant']}-{frame.name}"
    body = [group(frame.surroundings())]
    for block in record["blocks"]:
        inside = frame.block(block["name"], claims.get(block["name"], ()))
        absent = kind(record, block["name"]) is None
        if href is None:
            body.append(group(inside, "absent" if absent else ""))
        else:
            target = href + block["name"].replace("_", "-")
            label = describe(record, block, claims.get(block["name"], ()))
            body.append(link(target, label, block["name"], inside, absent=absent))
    body.append(group(frame.foreground()))
    title = f"Architecture of {record['variant']}"
    width, height = frame.size
    label = f"aria-label={quoteattr(title)}"
    if role == "img":
        label = f'aria-labelledby="title-{name} desc-{name}"'
        body.insert(0, f'<title id="title-{name}">{escape(title)}</title>')
    else:
        label += f' aria-describedby="desc-{name}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="fa-svg fa-{frame.name}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="{role}" {label}>'
        + (f"<style>{style}</style>" if style else "")
        + f'<desc id="desc-{name}">{escape(summary(record))}</desc>'
        + "".join(body)
        + "</svg>"
    )


def summary(record: Record) -> str:
    """The whole drawing in a few sentences."""
    height, width = record["input"][-2:]
    anchors = record["blocks"][-1]["output_shapes"]["boxes"][1]
    parts = "; ".join(f"{NAMES[block['name']]} {block['params']:,}" for block in record["blocks"])
    return (
        f"A picture of {height}×{width} passes through seven blocks on three levels, "
        f"{', '.join(LEVELS)}, and leaves as boxes, classes and landmarks of {anchors:,} anchors. "
        f"{record['params']:,} parameters ({parts}) and {count(record['macs'])}MAC, of which "
        f"{count(record['macs_by_kind']['deformable_kernel'])} in deformable kernels."
    )


def describe(record: Record, block: Record, claims: Sequence[Record]) -> str:
    """A block in words: the label of its link."""
    what = kind(record, block["name"])
    if what is None:
        return f"{NAMES[block['name']]}: {record['variant']} has none, data pass through"
    shapes = ", ".join(
        f"{name.upper() if name.startswith('p') else name} {shape(sizes)}"
        for name, sizes in block["output_shapes"].items()
    )
    verdicts = tally(claims)
    said = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items())
    return (
        f"{NAMES[block['name']]}: {what}. {block['params']:,} parameters, "
        f"{percent(block['params_share'])}; {count(block['macs'])} MACs, "
        f"{percent(block['macs_share'])}. Out: {shapes}." + (f" Claims: {said}." if said else "")
    )


def tally(claims: Sequence[Record]) -> dict[str, int]:
    """How many claims have which verdict, in a fixed order, without those that none has."""
    order = ("confirmed", "explained", "refuted", "untested")
    counts = {verdict: sum(c["verdict"] == verdict for c in claims) for verdict in order}
    return {verdict: number for verdict, number in counts.items() if number}
