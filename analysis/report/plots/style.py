"""Colours and type of all plots in both colour schemes, and their files.

A plot is a function that takes records and a `Scheme`, opens a `canvas` and returns its
Matplotlib figure. Data have the colours of Okabe and Ito (2008),
which people with any of the common kinds of colour blindness can tell apart; all but yellow have a
contrast of 2 and more on either background. Text, axes and grids have the scheme's.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from featherface.config import BLOCKS

ORANGE, SKY, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
BLUE, VERMILION, PURPLE = "#0072b2", "#d55e00", "#cc79a7"
BLOCK_COLOURS = dict(
    zip(BLOCKS, (BLUE, ORANGE, SKY, VERMILION, GREEN, YELLOW, PURPLE), strict=True)
)
GREY = "#767676"  # for data; 4.5:1 on white, 3.7:1 on the dark background


@dataclass(frozen=True)
class Scheme:
    """The colours that a plot takes from the page it is shown on."""

    name: Literal["light", "dark"]
    background: str
    text: str
    muted: str  # of secondary text: at least 4.5:1 on the background
    line: str  # of axes
    faint: str  # of grids, and of areas behind the data

    @property
    def ending(self) -> str:
        """The end of a file's name: none for the light version."""
        return "" if self.name == "light" else f"-{self.name}"


LIGHT = Scheme("light", "#ffffff", "#1a1a1a", "#5c5c5c", "#b8b8b8", "#e4e4e4")
DARK = Scheme("dark", "#171d24", "#ececec", "#b0b4bd", "#5a5f6b", "#313842")
SCHEMES = {scheme.name: scheme for scheme in (LIGHT, DARK)}

_SETTINGS: Any = dict(
    matplotlib.rc_params_from_file(
        Path(__file__).with_name("figures.mplstyle"), use_default_template=False
    )
)


def settings(scheme: Scheme = LIGHT) -> Any:
    """Return Matplotlib's settings for a scheme: those of `figures.mplstyle` and its colours."""
    return _SETTINGS | {
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor"), scheme.text),
        **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor"), scheme.text),
        **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), scheme.line),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor"), scheme.background),
        "savefig.facecolor": scheme.background,
        "grid.color": scheme.faint,
    }


@contextmanager
def canvas(
    scheme: Scheme, width: float, height: float, *grid: int, **options: Any
) -> Iterator[tuple[Figure, Any]]:
    """Yield a figure of a size in inches and its axes, which are drawn in the colours of a scheme.

    `grid` and `options` are those of `Figure.subplots`.
    """
    with matplotlib.rc_context(settings(scheme)):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(*grid, **options)


def render(figure: Figure, kind: Literal["svg", "png"] = "svg") -> bytes:
    """Return the content of a figure's file, without dates and versions.

    A figure without a layout engine is cut to what it holds. Photographs inside an SVG become
    JPEG, and its paths are rounded to a hundredth of a point: a tenth of the bytes.
    """
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[kind]
    cut: Any = {} if figure.get_layout_engine() else {"bbox_inches": "tight"}
    content = io.BytesIO()
    with matplotlib.rc_context({k: v for k, v in settings().items() if k.startswith("svg.")}):
        colour = figure.get_facecolor()
        figure.savefig(content, format=kind, dpi=150, metadata=metadata, facecolor=colour, **cut)
    if kind == "png":
        return content.getvalue()
    return _PATH.sub(_rounded, _PNG.sub(_as_jpeg, content.getvalue()))


_PNG = re.compile(rb"data:image/png;base64,([A-Za-z0-9+/=\s]+)")
_PATH = re.compile(rb' d="[^"]+"')
_LONG = re.compile(rb"-?\d+\.\d{3,}")
_QUALITY = 70  # of JPEG


def _rounded(path: re.Match[bytes]) -> bytes:
    return _LONG.sub(lambda number: f"{float(number[0]):.2f}".encode(), path[0])


def _as_jpeg(found: re.Match[bytes]) -> bytes:
    image = Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGBA")
    lowest: Any = image.getchannel("A").getextrema()[0]
    if min(image.size) < 32 or lowest < 255:
        return found[0]  # a colour bar, or counts over what lies behind
    grey = all(band == image.getchannel(0) for band in image.convert("RGB").split())
    content = io.BytesIO()
    image.convert("L" if grey else "RGB").save(content, "JPEG", quality=_QUALITY, optimize=True)
    return b"data:image/jpeg;base64," + base64.b64encode(content.getvalue())
