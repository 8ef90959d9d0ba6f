"""The card's version of the network beside the true one, block by block."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from analysis.report.diagram.architecture import tally
from analysis.report.diagram.html import claims_list, sign, value
from analysis.report.diagram.ink import PITCH, Ink
from analysis.report.diagram.page import default_address
from analysis.report.diagram.style import MARKS, n, page_style, path
from analysis.report.diagram.subjects import claims_by_block
from analysis.report.diagram.words import NAMES, shape

Record = Mapping[str, Any]

SOURCE, VARIANT = "card", "v1"
"""The source that is compared, and the network that it speaks of."""

_DEPICTS = ("shape", "structure")  # what a drawing shows, besides sizes


def card_comparison(
    records: Sequence[Record],
    verdicts: Sequence[Record],
    *,
    claim_href: Callable[[Record], str] = default_address,
) -> str:
    """What the card says of each block, beside what the network of its total has.

    Sizes are drawn as in the diagram, a thousand parameters a square. Below them stands what the
    card's drawing shows otherwise than it is; the rest is folded.

    Args:
        records: from `analysis.cost.blocks.measure_blocks`, one a network.
        verdicts: as in `docs/results/verdicts.json`.
        claim_href: the address of a claim on the page of verdicts, as seen from this page.

    Returns:
        One HTML element without empty lines.
    """
    record = next(record for record in records if record["variant"] == VARIANT)
    of_card = [verdict for verdict in verdicts if verdict["source"] == SOURCE]
    about = claims_by_block(of_card, records)
    claims = {
        block: [claim for variant in about for claim in about[variant][block]]
        for block in (*NAMES, "")
    }
    sizes = {block: _size(claims[block], block) for block in claims}
    total = sizes[""]["claimed"] if sizes[""] else None
    rows = [
        _row(block, sizes[block["name"]], claims[block["name"]], total, claim_href)
        for block in record["blocks"]
    ]
    return (
        f'<div class="fa fa-card" role="table" aria-label="The card and the network">'
        f"<style>{page_style()}</style>"
        '<div class="fa-row fa-head" role="row"><span role="columnheader">Block</span>'
        '<span role="columnheader">The card says</span>'
        f'<span role="columnheader">What is, in {VARIANT}</span>'
        '<span role="columnheader">What it draws otherwise</span></div>'
        f"{''.join(rows)}{_total(record, sizes, claims[''], claim_href)}</div>\n"
    )


def _size(claims: Sequence[Record], block: str) -> Record | None:
    """The claim that states how many parameters a block has, in full rather than rounded."""
    measure = f"params('{VARIANT}', '{block}')" if block else f"params('{VARIANT}')"
    found = [claim for claim in claims if claim["measure"] == measure]
    return min(found, key=lambda claim: float(claim["tolerance"]), default=None)


def _row(
    block: Record,
    size: Record | None,
    claims: Sequence[Record],
    total: Any,
    address: Callable[[Record], str],
) -> str:
    name = block["name"]
    otherwise = [  # what is drawn, and the total with the block as it is drawn
        claim
        for claim in claims
        if claim["verdict"] != "confirmed"
        and (claim["kind"] in _DEPICTS or claim["claimed"] == total)
    ]
    rest = [c for c in claims if c not in otherwise and c is not size]
    shapes = list(block["output_shapes"].values())
    out = " · ".join(shape(sizes) for sizes in shapes)
    marks = " ".join(
        f'<span class="fa-{verdict}">{MARKS[verdict]} {number}<span class="fa-word"> {verdict}'
        "</span></span>"
        for verdict, number in tally(claims).items()
    )
    more = (
        claims_list(otherwise, address, source=False)
        if otherwise
        else '<p class="fa-none">Nothing.</p>'
    )
    if rest:
        folded = claims_list(rest, address, source=False)
        more += f"<details><summary>{len(rest)} more claims</summary>{folded}</details>"
    return (
        f'<div class="fa-row" role="row"><div role="rowheader"><a href="#block-'
        f'{name.replace("_", "-")}"><b>{NAMES[name]}</b></a><br><small>{marks}</small></div>'
        f'<div role="cell"><span class="fa-where">Card </span>{_said(size, address)}</div>'
        f'<div role="cell"><span class="fa-where">Is </span>{_squares(block["params"])}'
        f"<b>{block['params']:,}</b><br><small>out: {out}</small></div>"
        f'<div role="cell">{more}</div></div>'
    )


def _total(
    record: Record,
    sizes: Mapping[str, Record | None],
    claims: Sequence[Record],
    address: Callable[[Record], str],
) -> str:
    stated = [size["claimed"] for block, size in sizes.items() if block and size]
    adding = [c for c in claims if c["kind"] == "arithmetic" and c["measured"] == sum(stated)]
    listed = f"{sum(stated):,}"
    for claim in adding:
        listed = f'<a href="{escape(address(claim))}"><b>{listed}</b></a> {sign(claim["verdict"])}'
    rest = [claim for claim in claims if claim not in adding and claim is not sizes[""]]
    wrong = [claim for claim in rest if claim["verdict"] != "confirmed"]
    return (
        '<div class="fa-row fa-sum" role="row"><div role="rowheader"><b>The whole</b></div>'
        f'<div role="cell"><span class="fa-where">Card </span>{_said(sizes[""], address)}'
        f"<p>but its blocks add up to {listed}</p></div>"
        f'<div role="cell"><span class="fa-where">Is </span>{_squares(record["params"])}'
        f"<b>{record['params']:,}</b><br><small>the sum of its blocks</small></div>"
        f'<div role="cell">{claims_list(wrong, address, source=False)}</div></div>'
    )


def _said(size: Record | None, address: Callable[[Record], str]) -> str:
    if size is None:
        return '<span class="fa-none">no figure</span>'
    holds = size["verdict"] == "confirmed"
    off = "" if holds else f"<br><small>off by {_off(size)}</small>"
    return (
        f"{_squares(size['claimed'], plain=not holds)}"
        f'<a href="{escape(address(size))}"><b>{escape(re.sub(r"[()]", "", size["printed"]))}</b>'
        f"</a> {sign(size['verdict'])}{off}"
    )


def _off(size: Record) -> str:
    ratio = size["claimed"] / size["measured"]
    if ratio >= 2:
        return f"a factor of {ratio:.1f}" if ratio < 10 else f"a factor of {ratio:.0f}"
    return value(abs(size["claimed"] - size["measured"]))


def _squares(params: int, plain: bool = False) -> str:
    """A figure as squares; hollow where nothing has that many."""
    ink = Ink(params)
    if not params:
        return '<svg class="fa-svg fa-squares" width="0" height="4" aria-hidden="true"></svg>'
    rows, _ = ink.rows(0, 0)
    width, height = ink.columns * PITCH, ink.height
    hollow = path(rows, "hollow") if plain else ""
    return (
        f'<svg class="fa-svg fa-squares" width="{n(width)}" height="{n(height)}" '
        f'viewBox="0 0 {n(width)} {n(height)}" aria-hidden="true">{path(rows, "ink")}{hollow}</svg>'
    )
