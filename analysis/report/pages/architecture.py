"""The architecture page: the drawing, the card beside the truth, and a section for each block."""

from __future__ import annotations

import re

from analysis.report.diagram import architecture_html, block_sections, card_comparison
from analysis.report.pages.records import VARIANTS, Records

_ELEMENT = re.compile(r'^<div class="fa[" ].*?</div>$', re.MULTILINE | re.DOTALL)


def diagram(records: Records) -> str:
    """The networks as drawings that one switches between."""
    blocks = [records.blocks[name] for name in VARIANTS]
    return _unsearched(architecture_html(blocks, records.layers, records.verdicts))


def card(records: Records) -> str:
    """What the card says of each block, beside what is."""
    blocks = [records.blocks[name] for name in VARIANTS]
    return _unsearched(card_comparison(blocks, records.verdicts))


def sections(records: Records) -> str:
    """A section for each block: its layers, and what was claimed of it."""
    blocks = [records.blocks[name] for name in VARIANTS]
    return _unsearched(block_sections(blocks, records.layers, records.verdicts))


def _unsearched(html: str) -> str:
    """Leaves drawings, layers and claims out of the index that every page loads.

    The element is one that they do not contain: the search forgets what it skips at the first
    end tag of that name.
    """
    return _ELEMENT.sub(lambda match: f"<section data-search-exclude>{match[0]}</section>", html)
