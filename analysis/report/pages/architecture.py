"""The architecture page: the drawing, the card beside the truth, and a section for each block."""

from __future__ import annotations

import re

from analysis.report.diagram import architecture_html, block_sections, card_comparison
from analysis.report.pages.records import VARIANTS, Record, Records

_ELEMENT = re.compile(r'^<div class="fa[" ].*?</div>$', re.MULTILINE | re.DOTALL)


def diagram(records: Records) -> str:
    """Return the networks as drawings that one switches between."""
    return _unsearched(architecture_html(_blocks(records), records.layers, records.verdicts))


def card(records: Records) -> str:
    """Return what the card says of each block, beside what is."""
    return _unsearched(card_comparison(_blocks(records), records.verdicts))


def sections(records: Records) -> str:
    """Return a section for each block: its layers, and what was claimed of it."""
    return _unsearched(block_sections(_blocks(records), records.layers, records.verdicts))


def _blocks(records: Records) -> list[Record]:
    return [records.blocks[name] for name in VARIANTS]


def _unsearched(html: str) -> str:
    """Leave drawings, layers and claims out of the index that every page loads.

    The search skips as far as the first end tag of an element's name: there must be none inside.
    """
    return _ELEMENT.sub(lambda match: f"<section data-search-exclude>{match[0]}</section>", html)
