"""The architecture page: the diagram, and a section for each block."""

from __future__ import annotations

from analysis.site.html import missing
from analysis.site.records import Records


def diagram(records: Records) -> str:
    """The networks as drawings in which area is parameters."""
    return missing("The diagram is drawn by `featherface report`.", "featherface report")


def sections(records: Records) -> str:
    """A section for each block: its layers, and what was claimed of it."""
    return ""
