"""What all figures share: colours, type, and how a figure becomes a file.

The same records give the same bytes: the ids inside an SVG come from a fixed salt, its letters
are outlines, and no file carries a date or a version. Colours are those of Okabe and Ito (2008),
which people with any of the common kinds of colour blindness can tell apart.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Literal

import matplotlib
from matplotlib.figure import Figure

Record = Mapping[str, Any]

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000",
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#f0e442",
    "#0072b2",
    "#d55e00",
    "#cc79a7",
)
GREY = "#767676"  # 4.5:1 on white

STYLE: Any = {
    "svg.hashsalt": "featherface",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def render(figure: Figure, kind: Literal["svg", "png"]) -> bytes:
    """A figure as the content of a file."""
    # What matplotlib would put in by itself: the date, and its own version.
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[kind]
    content = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(content, format=kind, dpi=150, metadata=metadata, bbox_inches="tight")
    return content.getvalue()
