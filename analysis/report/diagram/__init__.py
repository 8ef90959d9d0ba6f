"""Diagrams as SVG of our own: the same records give the same bytes, whatever is installed.

Everything here takes records and imports nothing of ours outside this package.
"""

from analysis.report.diagram.architecture import architecture_svg, static_svg
from analysis.report.diagram.card import card_comparison
from analysis.report.diagram.cost import cost_bars
from analysis.report.diagram.page import architecture_html
from analysis.report.diagram.sections import block_sections
from analysis.report.diagram.subjects import claims_by_block

__all__ = [
    "architecture_html",
    "architecture_svg",
    "block_sections",
    "card_comparison",
    "claims_by_block",
    "cost_bars",
    "static_svg",
]
