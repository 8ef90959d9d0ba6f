"""Figures of deformable convolutions: sampling points, fields of offsets, and reach."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.maps import Maps
from analysis.maps.offsets import REGULAR, array_name
from analysis.report import Record
from analysis.report.plots.maps import canvas
from analysis.report.plots.style import BLUE, ORANGE, PURPLE, SKY, VERMILION, Scheme
from featherface.config import LEVELS

_FIELD_COLOURS = "viridis"
_BRANCH_COLOURS = {
    "a": ORANGE,
    "b1": SKY,
    "b2": BLUE,
    "c1": PURPLE,
    "c2": VERMILION,
    "single": ORANGE,
}
_MOST_ARROWS = 8  # along the longer side


def sampling(maps: Maps, scheme: Scheme, position: int) -> Figure:
    """Return the nine sampling points of every branch and level at one position."""
    points = [p for p in maps.record["points"] if p["position"] == position]
    columns = max(len(points) // len(LEVELS), 3)
    side = (canvas.WIDTH - 0.35) / columns
    figure = Figure(figsize=(canvas.WIDTH, 3 * (side + 0.22) + 0.75), layout="constrained")
    axes = _panels(figure, columns, len(points) // len(LEVELS))
    for row, level in zip(axes, LEVELS, strict=True):
        here = [p for p in points if p["level"] == level]
        window = _window(here, maps.record["levels"])
        for ax, point in zip(row, here, strict=False):
            canvas.show(ax, canvas.photograph(maps.picture, window, 180) * 0.75, window)
            draw_points(ax, point)
            canvas.panel(ax, _title(point))
        row[0].set_ylabel(f"{window[2] - window[0]:.0f} pixels", size=8)
    dot: dict[str, Any] = {"marker": "o", "linestyle": "", "color": scheme.text}
    edge: dict[str, Any] = {"markeredgecolor": "black", "markeredgewidth": 0.6}
    cross: dict[str, Any] = {"marker": "+", "linestyle": "", "color": "#9a9a9a", "markersize": 7}
    handles = [
        Line2D([], [], label="regular grid", **cross),
        Line2D([], [], label="sampling point: mask 0.5", markersize=4, **dot, **edge),
        Line2D([], [], label="mask 2", markersize=8, **dot, **edge),
    ]
    figure.legend(handles=handles, ncols=3, loc="outside lower center")
    x, y = points[0]["at"]
    canvas.headline(figure, f"Sampling points of one cell, at ({x:.0f}, {y:.0f})", maps.record)
    return figure


def _window(points: list[Record], levels: list[Record]) -> canvas.Window:
    """Return a square on the image that shows all of these sampling points, with room around."""
    x, y = points[0]["centre"]
    cell = next(level["cell"] for level in levels if level["level"] == points[0]["level"])
    far = max(np.abs(np.array(p["points"]) - (x, y)).max() for p in points)
    half = max(far * 1.15, 2.2 * max(cell))
    return x - half, y - half, x + half, y + half


def _panels(figure: Figure, columns: int, used: int) -> Any:
    """Return a row of axes for each level, of which only the first columns are used."""
    axes = figure.subplots(len(LEVELS), columns, squeeze=False)
    for ax in axes[:, used:].flat:
        ax.set_axis_off()
    return axes


def _title(row: Record) -> str:
    branch = "" if row["branch"] == "single" else f" {row['branch']}"
    return f"{row['level'].upper()}{branch}"


def draw_points(ax: Axes, point: Record) -> None:
    """Draw the nine points of one branch, a line from each tap's place on the regular grid to it.

    The area of a point is its mask, 0 to 2; without masks all are 1.
    """
    colour = _BRANCH_COLOURS[point["branch"]]
    regular, points = np.array(point["regular"]), np.array(point["points"])
    masks = np.array(point["mask"] or [1.0] * len(points))
    moves = list(np.stack([regular, points], axis=1))
    ax.add_collection(LineCollection(moves, colors=colour, linewidths=0.8), autolim=False)
    grid: dict[str, Any] = {"marker": "+", "color": "white", "linewidths": 0.8, "zorder": 3}
    ax.scatter(regular[:, 0], regular[:, 1], s=25, **grid)
    sizes = (0.5 + 5.6 * (masks / 2) ** 0.5) ** 2
    dots: dict[str, Any] = {"edgecolors": "black", "linewidths": 0.6, "zorder": 4}
    ax.scatter(points[:, 0], points[:, 1], s=sizes, color=colour, **dots)
    ax.plot(*point["centre"], marker="x", color="white", markersize=5, markeredgewidth=1.4)


def fields(maps: Maps, scheme: Scheme) -> Figure:
    """Return displacement and mean direction of the taps of each branch and level, over the image.

    Colour: mean displacement of the nine taps, in cells of the level. Arrows: their mean direction
    (drift), one a neighbourhood, longer than it is by the factor written beside the level.
    """
    moves = {}
    for row in maps.record["context"]:
        offset = maps.arrays[array_name(row["level"], row["branch"], "offset")]
        moves[row["level"], row["branch"]] = offset.reshape(9, 2, *offset.shape[1:])
    sizes = {key: np.hypot(m[:, 0], m[:, 1]).mean(axis=0) for key, m in moves.items()}
    # From no displacement to the 98 % quantile of all cells.
    most = float(np.quantile(np.concatenate([size.ravel() for size in sizes.values()]), 0.98))
    norm = Normalize(0, round(most, 1) or 1.0)
    columns = max(len(moves) // len(LEVELS), 3)
    height = canvas.height_of(maps.picture, columns + 0.25, 3, 1.8)
    figure = Figure(figsize=(canvas.WIDTH, height), layout="constrained")
    axes = _panels(figure, columns, len(moves) // len(LEVELS))
    for line, level in zip(axes, LEVELS, strict=True):
        here = [row for row in maps.record["context"] if row["level"] == level]
        for ax, row in zip(line, here, strict=False):
            moved, size = (of[level, row["branch"]] for of in (moves, sizes))
            canvas.show_map(ax, maps, level, size, norm, _FIELD_COLOURS, 180)
            _arrows(ax, maps, level, moved.mean(axis=0))
            canvas.panel(ax, _title(row), f"mean {size.mean():.2f} cells")
        line[0].set_ylabel(f"arrows ×{_arrow_size(moved)[1]:g}", size=8)
    below: dict[str, Any] = {"location": "bottom", "shrink": 0.5, "aspect": 45, "extend": "max"}
    label = "mean displacement of the taps, cells of the level"
    canvas.scale_bar(figure, axes.ravel(), norm, _FIELD_COLOURS, label, **below)
    canvas.headline(figure, "Offsets", maps.record)
    return figure


def _arrows(ax: Axes, maps: Maps, level: str, drift: npt.NDArray[Any]) -> None:
    """Draw the mean direction in each square of some cells."""
    step, factor = _arrow_size(drift)
    rows, columns = ([slice(i, i + step) for i in range(0, n, step)] for n in drift.shape[1:])
    means = np.array([[drift[:, r, c].mean(axis=(1, 2)) for c in columns] for r in rows])
    width, height = next(v["cell"] for v in maps.record["levels"] if v["level"] == level)
    scale: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1, "pivot": "tail"}
    head: dict[str, Any] = {"headwidth": 3.2, "headlength": 3.2, "headaxislength": 2.9}
    look: dict[str, Any] = {"color": "white", "edgecolor": "black", "linewidth": 0.4}
    ax.quiver(
        [maps.arrays[f"{level}.x"][c].mean() for c in columns],
        [maps.arrays[f"{level}.y"][r].mean() for r in rows],
        means[..., 1] * width * factor,
        means[..., 0] * height * factor,
        width=0.013,
        minlength=0.8,
        **(scale | head | look),
    )


def _arrow_size(field: npt.NDArray[Any]) -> tuple[int, float]:
    """Return the cells along the side of a square that shares an arrow, and its factor of length.

    Arrows are longer than the drift by the factor, which is larger on fine levels.
    """
    step = math.ceil(max(field.shape[-2:]) / _MOST_ARROWS)
    return step, max(1.0, step / 2)


def reach(maps: Maps, scheme: Scheme) -> Figure:
    """Return distances of sampling points from their cell, inside and outside faces."""
    figure = Figure(figsize=(canvas.WIDTH, 2.9), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    regular = np.hypot(*REGULAR.T).mean()
    for ax, level in zip(axes, LEVELS, strict=True):
        here = [r for r in maps.record["context"] if r["level"] == level]
        for place, found in enumerate(here):
            colour = _BRANCH_COLOURS[found["branch"]]
            boxes = ((-0.19, "inside", colour), (0.19, "outside", scheme.background))
            for shift, where, fill in boxes:
                if found["reach"][where]:
                    _box(ax, place + shift, found["reach"][where], colour, fill, scheme.text)
        ax.axhline(regular, color=scheme.muted, linewidth=1, linestyle="--")
        ax.set_xticks(range(len(here)), [r["branch"] for r in here])
        ax.set_title(f"{level.upper()}, cells of {here[0]['stride']} pixels", pad=3)
    axes[0].set_ylabel("cells from the centre")
    axes[0].set_ylim(bottom=0)
    square: dict[str, Any] = {"marker": "s", "linestyle": "", "markersize": 8}
    square["markeredgecolor"] = scheme.muted
    handles = [
        Line2D([], [], label="inside faces", markerfacecolor=scheme.muted, **square),
        Line2D([], [], label="outside", markerfacecolor="none", **square),
        Line2D([], [], label="regular grid, mean", color=scheme.muted, linestyle="--"),
    ]
    figure.legend(handles=handles, ncols=3, loc="outside lower center")
    canvas.headline(figure, "Reach of the sampling points", maps.record)
    return figure


def _box(ax: Axes, place: float, found: Record, colour: str, fill: str, median: str) -> None:
    """Draw the middle half as a box, 5 to 95 % as a line, the median as a bar."""
    ax.plot([place, place], [found["p05"], found["p95"]], color=colour, linewidth=1.2)
    look: dict[str, Any] = {"facecolor": fill, "edgecolor": colour, "linewidth": 1.2, "zorder": 3}
    ax.bar(place, found["p75"] - found["p25"], bottom=found["p25"], width=0.3, **look)
    ax.plot([place - 0.15, place + 0.15], [found["p50"]] * 2, color=median, lw=1.6, zorder=4)
