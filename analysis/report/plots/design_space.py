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

from analysis.report import Record
from analysis.report.formats import significant
from analysis.report.plots.style import BLUE, LIGHT, ORANGE, VERMILION, Scheme, canvas

_MARKERS = "osD^v"
_FEW_TO_MANY = {
    "light": ("#a9cfe8", BLUE, "#00213a"),
    "dark": ("#17476b", "#3d97cf", "#e3f2fb"),
}

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
    """Return the change with one step in each field: a bar a step, parameters beside MACs.

    Args:
        records: of one variant, from `analysis.design_space.sensitivity`; at least one step.
    """
    steps = [r for r in records if r["to"] is not None]
    labels = [f"→ {r['to']}" for r in steps]
    # Rows from the top, with a gap between the fields.
    rows = [0.0]
    for before, r in itertools.pairwise(steps):
        rows.append(rows[-1] + (1.0 if before["field"] == r["field"] else 1.6))
    with canvas(scheme, 9.5, 1.1 + 0.235 * rows[-1], 1, 2, sharey=True) as (figure, axes):
        macs = f"MACs at {records[0]['height']}×{records[0]['width']}"
        panels = (
            ("params_change", "Parameters", 1e3, "thousand"),
            ("macs_change", macs, 1e6, "million"),
        )
        for ax, (key, title, scale, unit) in zip(axes, panels, strict=True):
            changes = [None if r[key] is None else r[key] / scale for r in steps]
            _bars(ax, rows, changes, scheme)
            ax.set_title(title)
            ax.set_xlabel(f"change, {unit}")
        axes[0].set_yticks(rows, labels)
        axes[0].set_ylim(rows[-1] + 0.8, rows[0] - 0.8)
        for field in dict.fromkeys(r["field"] for r in steps):
            first = next(i for i, r in enumerate(steps) if r["field"] == field)
            place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center"}
            words, at = f"{field} {steps[first]['from']}", (-0.27, rows[first])
            axes[0].annotate(words, at, ha="right", weight="bold", annotation_clip=False, **place)
        figure.suptitle(f"One step in each field of {records[0]['variant']}")
    return figure


def _bars(ax: Axes, rows: Sequence[float], changes: Sequence[float | None], scheme: Scheme) -> None:
    reach = max((abs(change) for change in changes if change is not None), default=0) or 1
    ax.set_xlim(-1.35 * reach, 1.35 * reach)
    ax.axvline(0, color=scheme.text, linewidth=0.8)
    for row, change in zip(rows, changes, strict=True):
        if change is None:
            look: dict[str, Any] = {"color": scheme.muted, "va": "center", "style": "italic"}
            ax.text(0.02 * reach, row, "cannot be built", **look)
            continue
        side, colour, aligned = (-1, BLUE, "right") if change < 0 else (1, ORANGE, "left")
        ax.barh(row, change, height=0.72, color=colour)
        place = change + side * 0.02 * reach
        words = significant(change, "+" if change else "", 3)
        ax.text(place, row, words, va="center", ha=aligned, size=8)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def landscape(record: Record, scheme: Scheme = LIGHT) -> Figure:
    """Return parameters against MACs of all architectures, a panel per context, with the variants.

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
    bold = _look(VERMILION, scheme.background, 8)
    small = _look(scheme.background, scheme.muted, 4)
    with canvas(scheme, 12.2, 6.2, 2, 4, sharex=True, sharey=True) as (figure, grid):
        *axes, corner = grid.flat
        panels = dict(zip(counts, axes, strict=True))
        norm = LogNorm(1, most)
        drawn: dict[str, Any] = {"norm": norm, "interpolation": "none", "extent": extent}
        drawn |= {"origin": "lower", "aspect": "auto"}
        for kind, ax in panels.items():
            ax.imshow(np.ma.masked_equal(everything, 0), cmap=behind, **drawn)
            ax.imshow(np.ma.masked_equal(counts[kind], 0), cmap=colours, **drawn)
            ax.set_title(CONTEXT_LABELS[kind])
            ax.set_xlim(extent[:2])
            ax.set_ylim(extent[2:])
        handles: list[Artist] = []
        for variant, marker in zip(record["variants"], itertools.cycle(_MARKERS), strict=False):
            for kind, ax in panels.items():
                _mark(ax, variant, marker, bold if kind == variant["context"] else small, scheme)
            handles.append(Line2D([], [], marker=marker, label=variant["variant"], **bold))
        for ax in axes[-4:]:  # the last of each column
            ax.set_xlabel("parameters, thousand")
            ax.tick_params(labelbottom=True)
        for ax in grid[:, 0]:
            ax.set_ylabel(f"GMACs at {record['height']}×{record['width']}")
        scale = ScalarMappable(norm, colours)
        figure.colorbar(scale, ax=list(grid.flat), label="architectures in a cell", shrink=0.7)
        handles += [
            Line2D([], [], marker="o", label="variant with another context", **small),
            Patch(color=scheme.faint, label="another context"),
        ]
        corner.set_axis_off()
        corner.legend(handles=handles, loc="center")
        figure.suptitle(
            f"Where {record['inside']:,} of {record['looked_at']:,} architectures lie, "
            "by context module"
        )
    return figure


def _look(colour: str, edge: str, size: int) -> dict[str, Any]:
    return {"linestyle": "", "color": colour, "markeredgecolor": edge, "markersize": size}


def _mark(ax: Axes, variant: Record, marker: str, look: dict[str, Any], scheme: Scheme) -> None:
    point = (variant["params"] / 1e3, variant["macs"] / 1e9)
    (low, high), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    if not (low <= point[0] <= high and bottom <= point[1] <= top):
        return
    ax.plot(*point, marker=marker, **look)
    if look["color"] == VERMILION:
        # In the corner of cheap networks with many MACs, where there are none.
        words, corner = f"{variant['variant']}\n{variant['params']:,}", 0.97 - 0.22 * len(ax.texts)
        place: dict[str, Any] = {"xytext": (0.03, corner), "textcoords": "axes fraction"}
        line = {"arrowstyle": "-", "color": scheme.muted, "linewidth": 0.8, "shrinkB": 4}
        ax.annotate(words, point, va="top", size=8, arrowprops=line, **place)
