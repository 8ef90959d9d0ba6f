"""The parts of figures on an image: photograph, map over it, faces, scale, headline.

A figure is 700 pixels wide where it is shown as it is, and its smallest letters are 10 pixels high
there. Values lie over the photograph in grey, mixed in a fixed proportion, and so does the colour
bar, so that a colour on the picture is a colour of the bar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Stroke, withStroke
from PIL import Image

from analysis.report.plots.style import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Scheme,
    settings,
)

Record = Mapping[str, Any]
Arrays = Mapping[str, npt.NDArray[Any]]
Picture = npt.NDArray[np.uint8]
Places = tuple[float, float, float, float]  # left, top, right, bottom in pixels of the picture

WIDTH = 700 / 96  # inches
STAGES = {"first_attention": "first attention", "second_attention": "second attention"}
BRANCH_COLOURS = {
    "a": ORANGE,
    "b1": SKY,
    "b2": BLUE,
    "c1": PURPLE,
    "c2": VERMILION,
    "single": ORANGE,
}
PART_COLOURS = {
    "offsets": ORANGE,
    "masks": SKY,
    "offsets and masks": GREEN,
    "gates": BLUE,
    "everything": VERMILION,
}

_SHARE = 0.7  # of the colour; the rest is the photograph


def style(scheme: Scheme) -> Any:
    """Return Matplotlib's settings for a figure of maps: those of all plots, with smaller type."""
    return settings(scheme) | {
        "axes.titlesize": 9,
        "font.size": 8.5,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "xtick.labelcolor": scheme.muted,
        "ytick.labelcolor": scheme.muted,
    }


def panel(ax: Axes, title: str = "", note: str = "") -> None:
    """Remove ticks, write a title above and a note below."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    if title:
        ax.set_title(title, pad=3)
    if note:
        ax.set_xlabel(note, fontsize=8, labelpad=3)


def whole(picture: Picture) -> Places:
    """Return the window of a whole image."""
    return 0.0, 0.0, float(picture.shape[1]), float(picture.shape[0])


def photograph(
    picture: Picture, places: Places, longest: int = 320, *, colour: bool = False
) -> npt.NDArray[np.float64]:
    """Return a part of the image, (rows, columns, 3) from 0 to 1, grey unless `colour`.

    Beyond the picture's edge it is mid-grey. No side is longer than `longest`, nor than the part
    in pixels times four (little pictures are enlarged as they are, pixel by pixel).
    """
    left, top, right, bottom = places
    factor = min(longest / max(right - left, bottom - top), 4.0)
    size = max(1, round((right - left) * factor)), max(1, round((bottom - top) * factor))
    x1, y1 = max(0, int(np.floor(left))), max(0, int(np.floor(top)))
    x2 = min(picture.shape[1], int(np.ceil(right)))
    y2 = min(picture.shape[0], int(np.ceil(bottom)))
    image = Image.fromarray(picture[y1:y2, x1:x2])
    if not colour:
        image = image.convert("L").convert("RGB")
    scaled = image.resize(
        (max(1, round((x2 - x1) * factor)), max(1, round((y2 - y1) * factor))),
        Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.NEAREST,
    )
    canvas = Image.new("RGB", size, (128, 128, 128))
    canvas.paste(scaled, (round((x1 - left) * factor), round((y1 - top) * factor)))
    return np.asarray(canvas) / 255.0


def show(ax: Axes, image: npt.NDArray[np.float64], places: Places) -> None:
    """Show pixels in their window, in pixels of the image, y downwards."""
    left, top, right, bottom = places
    ax.imshow(image, extent=(left, right, bottom, top), interpolation="none", aspect="equal")
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)


def overlay(
    values: npt.NDArray[Any],
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    picture: Picture,
    places: Places,
    norm: Normalize,
    name: str,
    longest: int = 260,
) -> npt.NDArray[np.float64]:
    """Return a map (rows, columns) in colour over the photograph in grey.

    Args:
        x, y: centres of its columns and rows, in pixels of the picture. Each pixel has the colour
            of the cell whose centre is nearest.
        name: of the colour map.
    """
    grey = photograph(picture, places, longest)
    left, top, right, bottom = places
    rows, columns = grey.shape[:2]
    across = left + (np.arange(columns) + 0.5) * (right - left) / columns
    down = top + (np.arange(rows) + 0.5) * (bottom - top) / rows
    spread = values[np.ix_(_nearest(y, down), _nearest(x, across))]
    colours = colormaps[name](norm(spread))[..., :3]
    mixed: npt.NDArray[np.float64] = _SHARE * colours + (1 - _SHARE) * grey
    return mixed


def _nearest(centres: npt.NDArray[Any], places: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    nearest: npt.NDArray[np.intp] = np.searchsorted(
        (centres[1:] + centres[:-1]) / 2, places, side="right"
    )
    return nearest


def scale_bar(
    figure: Any, axes: Iterable[Axes], norm: Normalize, name: str, label: str, **options: Any
) -> None:
    """Add a colour bar of `overlay`, over mid-grey."""
    colours = _SHARE * colormaps[name](np.linspace(0, 1, 256))[:, :3] + (1 - _SHARE) * 0.5
    mappable = ScalarMappable(norm, ListedColormap(colours))
    bar = figure.colorbar(mappable, ax=list(axes), label=label, **options)
    bar.outline.set_visible(False)


def outline_faces(ax: Axes, faces: Sequence[Record], colour: str = "white") -> None:
    """Draw the faces' boxes with a dark edge; finer where there are many."""
    width = 1.4 if len(faces) <= 10 else 0.8
    for face in faces:
        x1, y1, x2, y2 = face["box"]
        ax.add_patch(
            Rectangle(
                (x1, y1),
                x2 - x1,
                y2 - y1,
                fill=False,
                edgecolor=colour,
                linewidth=width,
                path_effects=[withStroke(linewidth=width + 1.2, foreground="black")],
            )
        )


EDGED = [Stroke(linewidth=2.2, foreground="black"), withStroke(linewidth=2.2, foreground="black")]


def height_of(picture: Picture, columns: float, rows: int, extra: float) -> float:
    """Return the height in inches of a figure with photographs in so many columns and rows."""
    aspect = picture.shape[0] / picture.shape[1]
    return float(rows * min(max(WIDTH / columns * aspect, 0.8), 4.0) + extra)


def headline(figure: Any, text: str) -> None:
    """Write the title of a figure, at its upper left."""
    figure.suptitle(text, x=0.01, ha="left", weight="bold", size=10)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(h_pad=0.06)


def source_of(record: Record) -> str:
    """Return weights and image, for a title; the middle of a long name is left out."""
    weights, name = (
        _shorter(re.split(r"[/\\]", path)[-1])
        for path in (record["weights"], record["picture"]["name"])
    )
    return f"{weights} on {name}"


def _shorter(name: str, most: int = 30) -> str:
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most // 2 - 1) :]}"
