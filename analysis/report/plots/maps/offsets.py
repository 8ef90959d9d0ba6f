"""Figures of deformable convolutions: sampling points, fields of offsets, and reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.report.plots.maps import canvas
from analysis.report.plots.maps.canvas import Arrays, Picture, Places, Record
from analysis.report.plots.style import Scheme
from featherface.config import LEVELS

FIELD_COLOURS = "viridis"
_MOST_ARROWS = 8  # along the longer side


def sampling(record: Record, picture: Picture, position: int, scheme: Scheme) -> Figure:
    """Return the nine sampling points of every branch and level at one position."""
    points = [p for p in record["points"] if p["position"] == position]
    branches = list(dict.fromkeys(p["branch"] for p in points))
    columns = max(len(branches), 3)
    side = (canvas.WIDTH - 0.35) / columns
    figure = Figure(figsize=(canvas.WIDTH, 3 * (side + 0.22) + 0.75), layout="constrained")
    axes = figure.subplots(3, columns, squeeze=False)
    for row, level in zip(axes, LEVELS, strict=True):
        here = [p for p in points if p["level"] == level]
        places = window(here, record["levels"])
        for ax in row[len(branches) :]:
            ax.set_axis_off()
        for ax, point in zip(row, here, strict=False):
            canvas.show(ax, canvas.photograph(picture, places, 180) * 0.75, places)
            draw_points(ax, point, canvas.BRANCH_COLOURS[point["branch"]], grid=True)
            title = f"{level.upper()} {point['branch']}"
            canvas.panel(ax, title if len(branches) > 1 else level.upper())
        row[0].set_ylabel(f"{places[2] - places[0]:.0f} pixels", size=8)
    figure.legend(
        handles=[
            Line2D([], [], **_GRID | {"markersize": 7}, label="regular grid"),
            Line2D([], [], **_dot(scheme.text), markersize=4, label="sampling point: mask 0.5"),
            Line2D([], [], **_dot(scheme.text), markersize=8, label="mask 2"),
        ],
        ncols=3,
        loc="outside lower center",
    )
    x, y = points[0]["at"]
    canvas.headline(
        figure, f"Sampling points of one cell, at ({x:.0f}, {y:.0f}): {canvas.source_of(record)}"
    )
    return figure


def window(points: Sequence[Record], levels: Sequence[Record]) -> Places:
    """Return a square on the image that shows all of these sampling points, with room around."""
    centre = np.array(points[0]["centre"])
    cell = next(level["cell"] for level in levels if level["level"] == points[0]["level"])
    far = max(np.abs(np.array(p["points"]) - centre).max() for p in points)
    half = max(far * 1.15, 2.2 * max(cell))
    x, y = centre
    return x - half, y - half, x + half, y + half


_GRID: dict[str, Any] = {"marker": "+", "linestyle": "", "color": "#9a9a9a"}


def _dot(colour: str) -> dict[str, Any]:
    return {
        "marker": "o",
        "linestyle": "",
        "color": colour,
        "markeredgecolor": "black",
        "markeredgewidth": 0.6,
    }


def draw_points(ax: Axes, point: Record, colour: str, *, grid: bool) -> None:
    """Draw the nine points of one branch, a line from each tap's place on the regular grid to it.

    The area of a point is its mask, 0 to 2; without masks all are 1.
    """
    regular, points = np.array(point["regular"]), np.array(point["points"])
    masks = np.array(point["mask"] or [1.0] * len(points))
    ax.add_collection(
        LineCollection(list(np.stack([regular, points], axis=1)), colors=colour, linewidths=0.8),
        autolim=False,
    )
    if grid:
        ax.scatter(
            regular[:, 0], regular[:, 1], marker="+", color="white", s=25, linewidths=0.8, zorder=3
        )
    edged: dict[str, Any] = {"edgecolors": "black", "linewidths": 0.6, "zorder": 4}
    ax.scatter(
        points[:, 0], points[:, 1], s=(0.5 + 5.6 * (masks / 2) ** 0.5) ** 2, color=colour, **edged
    )
    ax.plot(*point["centre"], marker="x", color="white", markersize=5, markeredgewidth=1.4)


def fields(record: Record, arrays: Arrays, picture: Picture) -> Figure:
    """Return displacement and mean direction of the taps of each branch and level, over the image.

    Colour: mean displacement of the nine taps, in cells of the level. Arrows: their mean direction
    (drift), one a neighbourhood, longer than it is by the factor written beside the level.
    """
    branches = list(dict.fromkeys(r["branch"] for r in record["context"]))
    columns = max(len(branches), 3)
    size = (canvas.WIDTH, canvas.height_of(picture, columns + 0.25, 3, 1.8))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(3, columns, squeeze=False)
    norm = field_norm(arrays, branches)
    for row, level in zip(axes, LEVELS, strict=True):
        for ax in row[len(branches) :]:
            ax.set_axis_off()
        for ax, branch in zip(row, branches, strict=False):
            moved = displacement(arrays, level, branch)
            draw_field(ax, record, arrays, picture, moved, level, norm)
            title = f"{level.upper()} {branch}" if len(branches) > 1 else level.upper()
            canvas.panel(ax, title, f"mean {np.hypot(moved[:, 0], moved[:, 1]).mean():.2f} cells")
        factor = arrow_factor(arrow_step(*moved.shape[2:]))
        row[0].set_ylabel(f"arrows ×{factor:g}", size=8)
    canvas.scale_bar(
        figure,
        axes.ravel(),
        norm,
        FIELD_COLOURS,
        "mean displacement of the taps, cells of the level",
        location="bottom",
        shrink=0.5,
        aspect=45,
        extend="max",
    )
    canvas.headline(figure, f"Offsets: {canvas.source_of(record)}")
    return figure


def displacement(arrays: Arrays, level: str, branch: str) -> np.ndarray:
    """Return an offset as (9, 2, rows, columns), down and right."""
    name = f"context.{level}.offset" if branch == "single" else f"context.{level}.{branch}.offset"
    offset = arrays[name]
    return offset.reshape(9, 2, *offset.shape[1:])


def field_norm(arrays: Arrays, branches: Sequence[str]) -> Normalize:
    """Return the scale from no displacement to the 98 % quantile of all cells."""
    means = [
        np.hypot(moved[:, 0], moved[:, 1]).mean(axis=0).ravel()
        for level in LEVELS
        for moved in [displacement(arrays, level, branch) for branch in branches]
    ]
    most = float(np.quantile(np.concatenate(means), 0.98))
    return Normalize(0, round(most, 1) or 1.0)


def draw_field(
    ax: Axes,
    record: Record,
    arrays: Arrays,
    picture: Picture,
    moved: np.ndarray,
    level: str,
    norm: Normalize,
) -> None:
    """Draw one field: size in colour, mean direction as arrows."""
    places = canvas.whole(picture)
    x, y = arrays[f"{level}.x"], arrays[f"{level}.y"]
    size = np.hypot(moved[:, 0], moved[:, 1]).mean(axis=0)
    canvas.show(ax, canvas.overlay(size, x, y, picture, places, norm, FIELD_COLOURS, 180), places)
    canvas.outline_faces(ax, record["faces"])
    step = arrow_step(len(y), len(x))
    drift = moved.mean(axis=0)
    rows, columns = (_blocks(n, step) for n in drift.shape[1:])
    cell = next(item["cell"] for item in record["levels"] if item["level"] == level)
    means = np.array([[drift[:, r, c].mean(axis=(1, 2)) for c in columns] for r in rows])
    ax.quiver(
        [x[c].mean() for c in columns],
        [y[r].mean() for r in rows],
        means[..., 1] * cell[0] * arrow_factor(step),
        means[..., 0] * cell[1] * arrow_factor(step),
        angles="xy",
        scale_units="xy",
        scale=1,
        color="white",
        edgecolor="black",
        linewidth=0.4,
        width=0.013,
        headwidth=3.2,
        headlength=3.2,
        headaxislength=2.9,
        minlength=0.8,
        pivot="tail",
    )


def arrow_step(rows: int, columns: int) -> int:
    """Return the cells along the side of a block that shares an arrow."""
    return max(1, -(-max(rows, columns) // _MOST_ARROWS))


def arrow_factor(step: int) -> float:
    """Return the factor from drift to length of arrow, which is larger on fine levels."""
    return max(1.0, step / 2)


def _blocks(count: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def reach(record: Record, scheme: Scheme) -> Figure:
    """Return distances of sampling points from their cell, inside and outside faces."""
    figure = Figure(figsize=(canvas.WIDTH, 2.9), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for ax, level in zip(axes, LEVELS, strict=True):
        here = [r for r in record["context"] if r["level"] == level]
        for place, found in enumerate(here):
            colour = canvas.BRANCH_COLOURS[found["branch"]]
            for shift, where in ((-0.19, "inside"), (0.19, "outside")):
                _box(ax, place + shift, found["reach"][where], colour, where == "inside", scheme)
        ax.axhline(_REGULAR, color=scheme.muted, linewidth=1, linestyle="--")
        ax.set_xticks(range(len(here)), [r["branch"] for r in here])
        pixels = here[0]["stride"]
        ax.set_title(f"{level.upper()}, cells of {pixels} pixels", pad=3)
    axes[0].set_ylabel("cells from the centre")
    axes[0].set_ylim(bottom=0)
    figure.legend(
        handles=[
            Line2D([], [], **_square(scheme.muted, True), label="inside faces"),
            Line2D([], [], **_square(scheme.muted, False), label="outside"),
            Line2D([], [], color=scheme.muted, linestyle="--", label="regular grid, mean"),
        ],
        ncols=3,
        loc="outside lower center",
    )
    canvas.headline(figure, f"Reach of the sampling points: {canvas.source_of(record)}")
    return figure


_REGULAR = (4 + 4 * 2**0.5) / 9  # of the nine taps of a 3×3 kernel


def _square(colour: str, filled: bool) -> dict[str, Any]:
    return {
        "marker": "s",
        "linestyle": "",
        "markersize": 8,
        "markeredgecolor": colour,
        "markerfacecolor": colour if filled else "none",
    }


def _box(
    ax: Axes, place: float, found: Record | None, colour: str, filled: bool, scheme: Scheme
) -> None:
    """Middle half as a box, 5 to 95 % as a line, the median as a bar."""
    if found is None:
        return
    ax.plot([place, place], [found["p05"], found["p95"]], color=colour, linewidth=1.2)
    ax.bar(
        place,
        found["p75"] - found["p25"],
        bottom=found["p25"],
        width=0.3,
        facecolor=colour if filled else scheme.background,
        edgecolor=colour,
        linewidth=1.2,
        zorder=3,
    )
    ax.plot([place - 0.15, place + 0.15], [found["p50"]] * 2, color=scheme.text, lw=1.6, zorder=4)
