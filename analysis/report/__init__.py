"""Report: tables, plots, the diagram and the pages; the only place that draws or writes."""

from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]
"""A record of an instrument, as docs/results/ has it."""
