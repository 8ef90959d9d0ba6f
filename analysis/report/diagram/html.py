"""Layers and claims as HTML, for the panel beside the drawing and the sections below it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from analysis.report.diagram.style import MARKS
from analysis.report.diagram.words import count, shape

Record = Mapping[str, Any]
Address = Callable[[Record], str]

_URGENT = ("refuted", "explained", "untested", "confirmed")


def claims_list(
    claims: Sequence[Record], address: Address, *, fold: bool = False, source: bool = True
) -> str:
    """Claims with their verdicts, what contradicts the source first.

    Args:
        address: of a claim's own place on the page of verdicts.
        fold: whether those that hold are folded away.
        source: whether to say whose claim it is.
    """
    by_verdict = {verdict: [c for c in claims if c["verdict"] == verdict] for verdict in _URGENT}
    parts = []
    open_ones = [claim for verdict in _URGENT[:3] for claim in by_verdict[verdict]]
    confirmed = by_verdict["confirmed"]
    if not fold or len(confirmed) <= 2:
        open_ones, confirmed = open_ones + confirmed, []
    if open_ones:
        parts.append(
            f'<ul class="fa-claims">{"".join(_claim(c, address, source) for c in open_ones)}</ul>'
        )
    if confirmed:
        items = "".join(_claim(c, address, source) for c in confirmed)
        parts.append(
            f'<details><summary class="fa-confirmed">{MARKS["confirmed"]} {len(confirmed)} '
            f'confirmed</summary><ul class="fa-claims">{items}</ul></details>'
        )
    return "".join(parts) or '<p class="fa-none">No claims about it.</p>'


def _claim(claim: Record, address: Address, source: bool) -> str:
    verdict = claim["verdict"]
    figures = escape(shortened(claim["printed"]))
    said = claim["measured"] is not None and not isinstance(claim["measured"], bool)
    if said and verdict != "confirmed":
        figures += f", is {escape(shortened(_measured(claim)))}"
    whose = f" · {claim['source']}" if source else ""
    return (
        f'<li>{sign(verdict)} <a href="{escape(address(claim))}">{code(claim["statement"])}</a> '
        f"<small>{figures}{whose}</small></li>"
    )


def _measured(claim: Record) -> str:
    """What was measured, put as the source puts it: as a shape, or from inputs to outputs."""
    measured = claim["measured"]
    pairs = measured if isinstance(measured, list) else []
    if pairs and all(isinstance(item, list) and item == pairs[0] for item in pairs):
        pairs = pairs[0]
    if pairs and all(isinstance(item, int) for item in pairs):
        if claim["kind"] == "shape" and len(set(pairs)) > 1:
            return "×".join(map(str, pairs))
        if re.fullmatch(r"\d+→\d+", claim["printed"]):
            return "→".join(map(str, pairs))
    return value(measured)


def sign(verdict: str) -> str:
    """A verdict as a sign with its word."""
    return f'<b class="fa-{verdict}">{MARKS[verdict]} <span>{verdict}</span></b>'


def layer_rows(block: str, layers: Iterable[Record], depth: int) -> list[Record]:
    """The modules of a block, to a depth below it, without those that have nothing to say.

    Lists of modules are passed over, for their elements; modules alike and side by side (the
    same type and cost, on different levels) stay apart: they work on different tensors.
    """
    rows = []
    for layer in layers:
        path = layer["path"]
        if not path.startswith(f"{block}."):
            continue
        level = path.removeprefix(f"{block}.").count(".")
        costs = layer["params"] or layer["macs"]
        if layer["type"] != "ModuleList" and level <= depth and costs:
            rows.append(layer)
    return rows


def layer_table(block: str, rows: Sequence[Record], caption: str) -> str:
    """Modules with what they put out, their parameters and MACs."""
    if not rows:
        return '<p class="fa-none">No layers with parameters.</p>'
    body = "".join(_layer(block, row, rows) for row in rows)
    return (
        f'<table class="fa-layers"><caption>{escape(caption)}</caption><thead><tr>'
        '<th scope="col">layer</th><th scope="col">out</th><th scope="col">parameters</th>'
        f'<th scope="col">MACs</th></tr></thead><tbody>{body}</tbody></table>'
    )


def _layer(block: str, row: Record, rows: Sequence[Record]) -> str:
    path = row["path"].removeprefix(f"{block}.")
    above = [r["path"] for r in rows if row["path"].startswith(r["path"] + ".")]
    name = row["path"].removeprefix(above[-1] + ".") if above else path
    indent = f' class="in{len(above)}"' if above else ""
    out = shape(row["output_shapes"][0]) if row["output_shapes"] else ""
    return (
        f"<tr><th scope=row{indent}>{escape(name)} <span>{escape(row['type'])}</span></th>"
        f"<td>{out}</td><td>{row['params']:,}</td><td>{count(row['macs'])}</td></tr>"
    )


def value(measured: Any) -> str:
    """A measured value for people; equal ones, level by level, once."""
    match measured:
        case None:
            return "not measured"
        case bool():
            return "yes" if measured else "no"
        case int():
            return f"{measured:,}"
        case float():
            return f"{measured:,.0f}" if measured == int(measured) else f"{measured:,.6g}"
        case list() | tuple():
            return ", ".join(_once(value(item) for item in measured)) or "none"
    return str(measured)


def _once(items: Iterable[str]) -> Iterator[str]:
    every = list(items)
    yield from every[:1] if len(set(every)) == 1 else every


def shortened(words: str, length: int = 40) -> str:
    """The start of a long text."""
    return words if len(words) <= length else words[: length - 1].rstrip() + "…"


def code(words: str) -> str:
    """A sentence whose backticks mark code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(words, quote=False))
