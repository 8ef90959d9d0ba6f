"""Figures of CBAM's gates: over the image, by channel, and against their input."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from analysis.report.plots.maps import canvas
from analysis.report.plots.maps.canvas import Arrays, Picture, Record
from analysis.report.plots.style import BLUE, ORANGE, Scheme
from featherface.config import LEVELS

GATE_COLOURS = "cividis"
GATE_NORM = Normalize(0, 1)  # of a sigmoid; all figures have one scale


def spatial_gates(record: Record, arrays: Arrays, picture: Picture) -> Figure:
    """Return the spatial gate of each attention and level over the image, on one scale."""
    stages = [stage for stage in canvas.STAGES if f"{stage}.p3.spatial_gate" in arrays]
    size = (canvas.WIDTH, canvas.height_of(picture, 3.5, len(stages), 0.35 + 0.42 * len(stages)))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(stages), 3, squeeze=False)
    for row, stage in zip(axes, stages, strict=True):
        for ax, level in zip(row, LEVELS, strict=True):
            draw_gate(ax, record, arrays, picture, stage, level)
            note = gate_note(record, stage, level)
            canvas.panel(ax, f"{canvas.STAGES[stage]}, {level.upper()}", note)
    canvas.scale_bar(
        figure, axes.ravel(), GATE_NORM, GATE_COLOURS, "spatial gate", shrink=0.6, aspect=35
    )
    canvas.headline(figure, f"Spatial gates: {canvas.source_of(record)}")
    return figure


def draw_gate(
    ax: Axes, record: Record, arrays: Arrays, picture: Picture, stage: str, level: str
) -> None:
    """Draw one spatial gate over the image, with the faces."""
    places = canvas.whole(picture)
    values = arrays[f"{stage}.{level}.spatial_gate"]
    x, y = arrays[f"{level}.x"], arrays[f"{level}.y"]
    image = canvas.overlay(values, x, y, picture, places, GATE_NORM, GATE_COLOURS)
    canvas.show(ax, image, places)
    canvas.outline_faces(ax, record["faces"])


def gate_note(record: Record, stage: str, level: str) -> str:
    """Return mean gates inside and outside faces, in words."""
    (found,) = [r for r in record["attention"] if (r["stage"], r["level"]) == (stage, level)]
    spatial = found["spatial"]
    means = [
        f"{spatial[where]['mean']:.2f} {word}"
        for where, word in (("inside", "in faces"), ("outside", "outside"))
        if spatial[where] is not None
    ]
    return "mean " + ", ".join(means)


def channel_gates(record: Record, scheme: Scheme) -> Figure:
    """Return the channel gates as bars, by falling value."""
    stages = [s for s in canvas.STAGES if any(r["stage"] == s for r in record["attention"])]
    figure = Figure(figsize=(canvas.WIDTH, 0.5 + 1.75 * len(stages)), layout="constrained")
    axes = figure.subplots(len(stages), 3, squeeze=False, sharey=True)
    for found in record["attention"]:
        ax = axes[stages.index(found["stage"])][LEVELS.index(found["level"])]
        gates = found["channel"]["sorted"]
        ax.stairs(gates, np.arange(len(gates) + 1) - 0.5, fill=True, color=BLUE)
        mean = found["channel"]["mean"]
        ax.axhline(mean, color=scheme.text, linewidth=1, linestyle="--")
        ax.text(len(gates) - 1, mean + 0.03, f"mean {mean:.2f}", ha="right", va="bottom", size=8)
        ax.set_xlim(-0.5, len(gates) - 0.5)
        ax.set_ylim(0, 1.05)
        ax.set_title(f"{canvas.STAGES[found['stage']]}, {found['level'].upper()}", pad=3)
        ax.set_xlabel(f"{len(gates)} channels, by gate")
    for row in axes:
        row[0].set_ylabel("channel gate")
    canvas.headline(figure, f"Channel gates: {canvas.source_of(record)}")
    return figure


def gains(record: Record) -> Figure:
    """Return |gated| as a share of |input|, inside and outside faces, as bars."""
    figure = Figure(figsize=(canvas.WIDTH, 2.3), layout="constrained")
    ax = figure.subplots()
    labels = [
        f"{canvas.STAGES[r['stage']].split()[0]}\n{r['level'].upper()}" for r in record["attention"]
    ]
    places = np.arange(len(labels))
    for shift, where, colour, word in (
        (-0.2, "inside", ORANGE, "inside faces"),
        (0.2, "outside", BLUE, "outside"),
    ):
        values: list[Any] = [r["gain"][where] for r in record["attention"]]
        heights = [value or 0 for value in values]
        ax.bar(places + shift, heights, width=0.38, color=colour, label=word)
        for place, value in zip(places + shift, values, strict=True):
            text = "no cell" if value is None else f"{value:.2f}"
            ax.text(place, (value or 0) + 0.01, text, ha="center", va="bottom", size=8)
    ax.set_xticks(places, labels)
    ax.margins(y=0.18)
    ax.set_ylabel("added ÷ input")
    ax.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)
    figure.suptitle(
        f"Gated activation as a share of the input: {canvas.source_of(record)}",
        weight="bold",
        x=0.01,
        ha="left",
    )
    return figure
