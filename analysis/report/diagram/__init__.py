"""The architecture diagram as SVG, and the parts of its page as HTML.

Everything here takes records, and the same records give the same bytes.
"""

from analysis.report.diagram.card import card_comparison
from analysis.report.diagram.drawing import architecture_svg, static_svg
from analysis.report.diagram.page import architecture_html, block_sections

__all__ = [
    "architecture_html",
    "architecture_svg",
    "block_sections",
    "card_comparison",
    "static_svg",
]
