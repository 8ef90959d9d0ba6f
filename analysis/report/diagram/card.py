"""The card's network beside the measured one, block by block."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from analysis.report import Record, formats
from analysis.report.diagram.claims import (
    claim_address,
    claims_by_block,
    claims_list,
    tally,
    verdict_mark,
)
from analysis.report.diagram.layouts import NAMES, anchor, output_shapes
from analysis.report.diagram.nodes import PITCH, Squares
from analysis.report.diagram.svg import n, page_style, path
from analysis.report.formats import MARKS
from analysis.report.table import Cell, Column, Table

VARIANT = "v1"
"""The network that the card is about."""

_DEPICTS = ("shape", "structure")  # what a drawing shows, besides sizes


def card_comparison(records: Sequence[Record], verdicts: Sequence[Record]) -> str:
    """Return what the card says of each block beside what is measured, as one HTML element.

    Args:
        records: from `analysis.cost.blocks.measure_blocks`, one a network.
        verdicts: as in `docs/results/verdicts.json`.
    """
    record = next(record for record in records if record["variant"] == VARIANT)
    blocks = {block["name"]: block for block in record["blocks"]}
    of_card = [verdict for verdict in verdicts if verdict["source"] == "card"]
    claims: dict[str, list[Record]] = {}
    for each in records:
        for name, found in claims_by_block(of_card, each["variant"]).items():
            claims.setdefault(name, []).extend(found)
    sizes = {name: _size(found, name) for name, found in claims.items()}
    total = sizes[""]["claimed"]

    def block_cell(name: str) -> Cell:
        if not name:
            return Cell("the whole", "<b>The whole</b>")
        marks = " ".join(
            f'<span class="fa-{verdict}">{MARKS[verdict]} {number}<span class="fa-word"> {verdict}'
            "</span></span>"
            for verdict, number in tally(claims[name]).items()
        )
        link = f'<a href="#{anchor(name)}"><b>{NAMES[name]}</b></a>'
        return Cell(NAMES[name], f"{link}<br><small>{marks}</small>")

    def card_cell(name: str) -> Cell:
        stated = _stated(sizes[name]) if sizes[name] else '<span class="fa-none">no figure</span>'
        return Cell("", stated + ("" if name else _sum_of_blocks(sizes, claims[""])))

    def measured_cell(name: str) -> Cell:
        of = blocks.get(name, record)
        below = f"output: {output_shapes(of['output_shapes'])}" if name else "the sum of its blocks"
        squares = _squares(of["params"])
        return Cell("", f"{squares}<b>{of['params']:,}</b><br><small>{below}</small>")

    def different_cell(name: str) -> Cell:
        wrong = [c for c in claims[name] if c["verdict"] != "confirmed" and c is not sizes[name]]
        if not name:
            return Cell("", claims_list(wrong, source=False))
        shown = [c for c in wrong if c["kind"] in _DEPICTS or c["claimed"] == total]
        rest = [c for c in claims[name] if c not in shown and c is not sizes[name]]
        nothing = '<p class="fa-none">Nothing.</p>'
        html = claims_list(shown, source=False) if shown else nothing
        if rest:
            folded = claims_list(rest, source=False)
            html += f"<details><summary>{len(rest)} more claims</summary>{folded}</details>"
        return Cell("", html)

    table = Table(
        "The card and the network",
        (
            Column("Block", block_cell),
            Column("The card", card_cell),
            Column(f"Measured, {VARIANT}", measured_cell),
            Column("Drawn differently by the card", different_cell),
        ),
        list(blocks),
        totals=[""],
    )
    return (
        f'<section class="fa fa-card" data-search-exclude><style>{page_style()}</style>'
        f"{table.html()}</section>\n"
    )


def _size(claims: Sequence[Record], name: str) -> Record:
    """The claim that states a block's number of parameters, in full rather than rounded."""
    measure = f"params('{VARIANT}', '{name}')" if name else f"params('{VARIANT}')"
    found = [claim for claim in claims if claim["measure"] == measure]
    return min(found, key=lambda claim: float(claim["tolerance"]), default={})


def _stated(size: Record) -> str:
    """The size that the card states, with its squares: hollow where the verdict is another."""
    holds = size["verdict"] == "confirmed"
    off = "" if holds else f"<br><small>off by {_difference(size)}</small>"
    printed = escape(re.sub(r"[()]", "", size["printed"]))
    return (
        f'{_squares(size["claimed"], hollow=not holds)}<a href="{escape(claim_address(size))}">'
        f"<b>{printed}</b></a> {verdict_mark(size)}{off}"
    )


def _difference(size: Record) -> str:
    ratio = size["claimed"] / size["measured"]
    if ratio >= 2:
        return f"a factor of {ratio:.{1 if ratio < 10 else 0}f}"
    return formats.count(abs(size["claimed"] - size["measured"]))


def _sum_of_blocks(sizes: Mapping[str, Record], claims: Sequence[Record]) -> str:
    total = sum(size["claimed"] for name, size in sizes.items() if name and size)
    (claim,) = (c for c in claims if c["kind"] == "arithmetic" and c["measured"] == total)
    link = f'<a href="{escape(claim_address(claim))}"><b>{total:,}</b></a>'
    return f"<p>but its blocks add up to {link} {verdict_mark(claim)}</p>"


def _squares(params: int, hollow: bool = False) -> str:
    squares = Squares(params)
    every, _ = squares.paths(0, 0)
    width, height = n(squares.columns * PITCH), n(max(squares.height, 4))
    return (
        f'<svg class="fa-svg fa-squares" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" aria-hidden="true">{path(every, "square")}'
        f"{path(every, 'hollow') if hollow else ''}</svg>"
    )
