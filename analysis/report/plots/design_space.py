"""Figures of the design space: where architectures lie, and what one step does to them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.report.plots.style import (
    BLUE,
    LIGHT,
    ORANGE,
    VERMILION,
    Record,
    Scheme,
    canvas,
)

MARKERS = "osD^v"

CONTEXT_LABELS = {
    "none": "no context module",
    "plain": "one 3×3 convolution",
    "dcnv1": "one DCNv1",
    "dcnv2": "one DCNv2",
    "ssh": "SSH",
    "ssh-dcnv1": "SSH of DCNv1",
    "ssh-dcnv2": "SSH of DCNv2",
}


def sensitivity(records: Sequence[Record], scheme: Scheme = LIGHT) -> Figure:
    """What one step in each field does to a variant: a bar a step, parameters beside MACs.

    Args:
        records: of one variant, from `analysis.design_space.sensitivity`; at least one step.
    """
    steps = [r for r in records if r["to"] is not None]
    labels = [f"→ {r['to']}" for r in steps]
    # Rows from the top, with a gap between the fields.
    rows: list[float] = []
    for before, r in zip([None, *steps], steps, strict=False):
        gap = 0.0 if before is None else 1.0 if before["field"] == r["field"] else 1.6
        rows.append(gap + (rows[-1] if rows else 0))
    with canvas(scheme):
        figure = Figure(figsize=(9.5, 1.1 + 0.235 * rows[-1]), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for ax, key, title, scale, unit in (
            (axes[0], "params_change", "Parameters", 1e3, "thousand"),
            (axes[1], "macs_change", _macs_title(records), 1e6, "million"),
        ):
            changes = [None if r[key] is None else r[key] / scale for r in steps]
            _bars(ax, rows, changes, scheme)
            ax.set_title(title)
            ax.set_xlabel(f"change, {unit}")
        axes[0].set_yticks(rows, labels)
        axes[0].set_ylim(rows[-1] + 0.8, rows[0] - 0.8)
        for field in dict.fromkeys(r["field"] for r in steps):
            first = next(i for i, r in enumerate(steps) if r["field"] == field)
            axes[0].annotate(
                f"{field} {steps[first]['from']}",
                (-0.27, rows[first]),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="center",
                weight="bold",
                annotation_clip=False,
            )
        name = records[0]["variant"] or "an architecture"
        figure.suptitle(f"One step in each field of {name}", weight="bold")
    return figure


def _bars(ax: Axes, rows: Sequence[float], changes: Sequence[float | None], scheme: Scheme) -> None:
    known = [abs(c) for c in changes if c is not None]
    reach = max(known, default=0) or 1
    ax.set_xlim(-1.35 * reach, 1.35 * reach)
    ax.axvline(0, color=scheme.text, linewidth=0.8)
    for row, change in zip(rows, changes, strict=True):
        if change is None:
            ax.text(
                0.02 * reach,
                row,
                "cannot be built",
                color=scheme.muted,
                va="center",
                style="italic",
            )
            continue
        colour = BLUE if change < 0 else ORANGE
        ax.barh(row, change, height=0.72, color=colour)
        side = -1 if change < 0 else 1
        ax.text(
            change + side * 0.02 * reach,
            row,
            _signed(change),
            va="center",
            ha="right" if change < 0 else "left",
            size=8,
        )
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def landscape(record: Record, scheme: Scheme = LIGHT) -> Figure:
    """Parameters against MACs of all architectures, a panel per context, with the variants.

    Args:
        record: from `analysis.design_space.landscape`.
    """
    counts = {kind: np.asarray(rows) for kind, rows in record["counts"].items()}
    x = np.asarray(record["params_edges"]) / 1e3
    y = np.asarray(record["macs_edges"]) / 1e9
    extent = (x[0], x[-1], y[0], y[-1])
    everything = np.sum(list(counts.values()), axis=0)
    most = max(2, max(int(c.max()) for c in counts.values()))
    behind = ListedColormap([scheme.faint])
    colours = LinearSegmentedColormap.from_list("these", _FEW_TO_MANY[scheme.name])
    bold: dict[str, Any] = {
        "color": VERMILION,
        "markeredgecolor": scheme.background,
        "markersize": 8,
    }
    small: dict[str, Any] = {
        "color": scheme.background,
        "markeredgecolor": scheme.muted,
        "markersize": 4,
    }
    columns = min(4, len(counts))
    lines = -(-len(counts) // columns)
    with canvas(scheme):
        figure = Figure(figsize=(2.9 * columns + 0.6, 2.7 * lines + 0.8), layout="constrained")
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        panels = dict(zip(counts, grid.flat, strict=False))
        for ax in list(grid.flat)[len(counts) :]:
            ax.set_axis_off()
        norm = LogNorm(1, most)
        for kind, ax in panels.items():
            for shown, cmap in ((everything, behind), (counts[kind], colours)):
                ax.imshow(
                    np.ma.masked_equal(shown, 0),
                    cmap=cmap,
                    norm=norm,
                    interpolation="none",
                    extent=extent,
                    origin="lower",
                    aspect="auto",
                )
            ax.set_title(CONTEXT_LABELS.get(kind, kind))
            ax.set_xlim(extent[:2])
            ax.set_ylim(extent[2:])
        handles: list[Artist] = []
        for variant, marker in zip(record["variants"], itertools.cycle(MARKERS), strict=False):
            for kind, ax in panels.items():
                _mark(ax, variant, marker, bold if kind == variant["context"] else small, scheme)
            handles.append(
                Line2D([], [], marker=marker, linestyle="", label=variant["variant"], **bold)
            )
        # Below every column, whether its last panel is in the last line or above it.
        for ax in (*grid[-1], *grid[-2:][0][len(counts) % columns or columns :]):
            ax.set_xlabel("parameters, thousand")
            ax.tick_params(labelbottom=True)
        for ax in grid[:, 0]:
            ax.set_ylabel(f"GMACs at {record['height']}×{record['width']}")
        figure.colorbar(
            ScalarMappable(norm, colours),
            ax=list(grid.flat),
            label="architectures in a cell",
            shrink=0.7,
        )
        elsewhere = "variant with another context"
        handles += [
            Line2D([], [], marker="o", linestyle="", label=elsewhere, **small),
            Patch(color=scheme.faint, label="another context"),
        ]
        if len(counts) < grid.size:
            grid.flat[-1].legend(handles=handles, loc="center")
        figure.suptitle(
            f"Where {record['inside']:,} of {record['looked_at']:,} architectures lie, "
            "by context module",
            weight="bold",
        )
    return figure


_FEW_TO_MANY = {
    "light": ("#a9cfe8", BLUE, "#00213a"),
    "dark": ("#17476b", "#3d97cf", "#e3f2fb"),
}


def _mark(ax: Axes, variant: Record, marker: str, look: dict[str, Any], scheme: Scheme) -> None:
    point = (variant["params"] / 1e3, variant["macs"] / 1e9)
    (low, high), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    if not (low <= point[0] <= high and bottom <= point[1] <= top):
        return
    ax.plot(*point, marker=marker, linestyle="", **look)
    if look["color"] == VERMILION:
        # In the corner of cheap networks with many MACs, where there are none.
        ax.annotate(
            f"{variant['variant']}\n{variant['params']:,}",
            point,
            xytext=(0.03, 0.97 - 0.22 * len(ax.texts)),
            textcoords="axes fraction",
            va="top",
            size=8,
            arrowprops={"arrowstyle": "-", "color": scheme.muted, "linewidth": 0.8, "shrinkB": 4},
        )


def _macs_title(records: Sequence[Record]) -> str:
    sizes = {(r["height"], r["width"]) for r in records}
    return "MACs" + "".join(f" at {height}×{width}" for height, width in sizes)


def _signed(value: float) -> str:
    if value == 0:
        return "0"
    digits = max(0, 2 - int(np.floor(np.log10(abs(value)))))
    return f"{value:+,.{min(digits, 3)}f}".replace("-", "−")
