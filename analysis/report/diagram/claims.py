"""Claims about blocks: which are about which, and lists of them as HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from analysis.report import Record, formats
from analysis.report.formats import MARKS
from featherface.config import BLOCKS

_FEW = 3  # a claim about more blocks is about the whole network
_ORDER = ("refuted", "explained", "untested", "confirmed")


def claims_by_block(verdicts: Sequence[Record], variant: str) -> dict[str, list[Record]]:
    """Return the verdicts on claims about each block of a network, in the ledgers' order.

    Args:
        verdicts: as in `docs/results/verdicts.json`.

    Returns:
        by block; claims about the network as a whole stand under the empty name.
    """
    found: dict[str, list[Record]] = {name: [] for name in (*BLOCKS, "")}
    for verdict in verdicts:
        if verdict["network"] == variant:
            blocks = verdict["blocks"]
            for name in blocks if 0 < len(blocks) <= _FEW else ("",):
                found[name].append(verdict)
    return found


def tally(claims: Iterable[Record]) -> dict[str, int]:
    """Return the number of claims of each verdict that occurs, in the verdicts' order."""
    verdicts = [claim["verdict"] for claim in claims]
    return {verdict: verdicts.count(verdict) for verdict in MARKS if verdict in verdicts}


def verdict_counts(claims: Iterable[Record]) -> str:
    """Return the number of claims of each verdict in words."""
    return ", ".join(f"{number} {verdict}" for verdict, number in tally(claims).items()) or "none"


def claim_address(claim: Record) -> str:
    """Return where a claim stands on the page of verdicts, as seen from another page."""
    return f"../verdicts/#{claim['source']}-{claim['id']}"


def claims_list(claims: Sequence[Record], *, source: bool = True) -> str:
    """Return claims with their verdicts, what contradicts first; with `source`, whose they are."""
    if not claims:
        return '<p class="fa-none">No claims about it.</p>'
    ordered = sorted(claims, key=lambda claim: _ORDER.index(claim["verdict"]))
    return f'<ul class="fa-claims">{"".join(_item(claim, source) for claim in ordered)}</ul>'


def _item(claim: Record, source: bool) -> str:
    figures, measured = formats.shortened(claim["printed"], 40), claim["measured"]
    if measured is not None and not isinstance(measured, bool) and claim["verdict"] != "confirmed":
        value = formats.named(measured, claim["measure"])
        figures += f", measured {formats.shortened(value, 40)}"
    figures += f" · {claim['source']}" if source else ""
    statement = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(claim["statement"], quote=False))
    return (
        f'<li>{verdict_mark(claim)} <a href="{escape(claim_address(claim))}">{statement}</a> '
        f"<small>{escape(figures)}</small></li>"
    )


def verdict_mark(claim: Record) -> str:
    """Return the sign of a claim's verdict, with its word."""
    verdict = claim["verdict"]
    return f'<b class="fa-{verdict}">{MARKS[verdict]} <span>{verdict}</span></b>'
