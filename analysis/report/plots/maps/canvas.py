"""The parts of figures on an image: photograph, map over it, faces, scale, headline.

A figure is 700 pixels wide where it is shown as it is, and its smallest letters are 10 pixels high
there. Values lie over the photograph in grey, mixed in a fixed proportion, and so does the colour
bar, so that a colour on the image is a colour of the bar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from PIL import Image

from analysis.maps import Maps
from analysis.report import Record
from analysis.report.formats import shortened
from analysis.report.plots.gallery import cut_out
from analysis.report.plots.style import Scheme, settings
from featherface.images import RGBArray

Pixels = npt.NDArray[np.float64]  # (rows, columns, 3) from 0 to 1
Window = tuple[float, float, float, float]  # left, top, right, bottom in pixels of the image

WIDTH = 700 / 96  # inches
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


def panel(ax: Axes, title: str, note: str = "", **look: Any) -> None:
    """Remove ticks, write a title above, in its own look, and a note below."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_title(title, pad=3, **look)
    ax.set_xlabel(note, fontsize=8, labelpad=3)


def whole(image: RGBArray) -> Window:
    """Return the window of a whole image."""
    return 0.0, 0.0, float(image.shape[1]), float(image.shape[0])


def photograph(image: RGBArray, window: Window, longest: int) -> Pixels:
    """Return a part of the image in grey.

    Beyond the image's edge it is mid-grey. No side is longer than `longest`, nor than the part
    in pixels times four (small images are enlarged as they are, pixel by pixel).
    """
    left, top, right, bottom = window
    factor = min(longest / max(right - left, bottom - top), 4.0)
    resample = Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.NEAREST
    return np.asarray(cut_out(image, window, factor, "#808080", resample, grey=True)) / 255.0


def show(ax: Axes, pixels: Pixels, window: Window) -> None:
    """Show pixels in their window, in pixels of the image, y downwards."""
    left, top, right, bottom = window
    ax.imshow(pixels, extent=(left, right, bottom, top), interpolation="none", aspect="equal")
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)


def show_map(
    ax: Axes,
    maps: Maps,
    level: str,
    values: npt.NDArray[Any],
    norm: Normalize,
    colours: str,
    longest: int,
) -> None:
    """Show a map of a level (rows, columns) in colour over the image in grey, and the faces.

    Each pixel has the colour of the cell whose centre is nearest; `colours` names the colour map.
    """
    window = whole(maps.picture)
    grey = photograph(maps.picture, window, longest)
    (rows, columns), (height, width) = grey.shape[:2], maps.picture.shape[:2]
    across = _nearest(maps.arrays[f"{level}.x"], (np.arange(columns) + 0.5) * width / columns)
    down = _nearest(maps.arrays[f"{level}.y"], (np.arange(rows) + 0.5) * height / rows)
    coloured = colormaps[colours](norm(values[np.ix_(down, across)]))[..., :3]
    show(ax, _SHARE * coloured + (1 - _SHARE) * grey, window)
    outline_faces(ax, maps.record["faces"])


def _nearest(centres: npt.NDArray[Any], places: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    return np.searchsorted((centres[1:] + centres[:-1]) / 2, places, side="right")


def scale_bar(
    figure: Any, axes: Iterable[Axes], norm: Normalize, name: str, label: str, **options: Any
) -> None:
    """Add a colour bar of `show_map`, over mid-grey."""
    colours = _SHARE * colormaps[name](np.linspace(0, 1, 256))[:, :3] + (1 - _SHARE) * 0.5
    mappable = ScalarMappable(norm, ListedColormap(colours))
    bar = figure.colorbar(mappable, ax=list(axes), label=label, **options)
    bar.outline.set_visible(False)


def outline_faces(ax: Axes, faces: Sequence[Record], colour: str = "white") -> None:
    """Draw the faces' boxes with a dark edge; finer where there are many."""
    width = 1.4 if len(faces) <= 10 else 0.8
    for face in faces:
        x1, y1, x2, y2 = face["box"]
        box = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=width)
        box.set_path_effects([withStroke(linewidth=width + 1.2, foreground="black")])
        ax.add_patch(box)


def height_of(image: RGBArray, columns: float, rows: int, extra: float) -> float:
    """Return the height in inches of a figure with photographs in so many columns and rows."""
    aspect = image.shape[0] / image.shape[1]
    return float(rows * min(max(WIDTH / columns * aspect, 0.8), 4.0) + extra)


def headline(figure: Any, title: str, record: Record, end: str = "") -> None:
    """Write the title of a figure at its upper left: what it shows, of which weights and image."""
    weights, name = (
        shortened(re.split(r"[/\\]", path)[-1], 30)
        for path in (record["weights"], record["picture"]["name"])
    )
    text = f"{title}: {weights} on {name}{end}"
    figure.suptitle(text, x=0.01, ha="left", size=10)
    figure.get_layout_engine().set(h_pad=0.06)
