"""The architecture page: the drawing, the card beside the truth, and a section for each block."""

from __future__ import annotations

from analysis.diagram import architecture_html, block_sections, card_comparison
from analysis.site.records import VARIANTS, Records


def diagram(records: Records) -> str:
    """The networks as drawings that one switches between."""
    blocks = [records.blocks[name] for name in VARIANTS]
    return architecture_html(blocks, records.layers, records.verdicts)


def card(records: Records) -> str:
    """What the card says of each block, beside what is."""
    return card_comparison([records.blocks[name] for name in VARIANTS], records.verdicts)


def sections(records: Records) -> str:
    """A section for each block: its layers, and what was claimed of it."""
    blocks = [records.blocks[name] for name in VARIANTS]
    return block_sections(blocks, records.layers, records.verdicts)
