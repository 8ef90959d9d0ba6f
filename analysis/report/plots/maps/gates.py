"""Figures of CBAM's gates: over the image, by channel, and against their input."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from analysis.maps import Maps
from analysis.report.plots.maps import canvas
from analysis.report.plots.maps.captions import place
from analysis.report.plots.style import BLUE, ORANGE, Scheme
from featherface.config import LEVELS

_COLOURS = "cividis"
_NORM = Normalize(0, 1)  # of a sigmoid; all figures have one scale


def spatial_gates(maps: Maps, scheme: Scheme) -> Figure:
    """Return the spatial gate of each attention and level over the image, on one scale."""
    gates = maps.record["attention"]
    rows = len(gates) // len(LEVELS)
    size = (canvas.WIDTH, canvas.height_of(maps.picture, 3.5, rows, 0.35 + 0.42 * rows))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, len(LEVELS), squeeze=False).ravel()
    for ax, gate in zip(axes, gates, strict=True):
        values = maps.arrays[f"{gate['stage']}.{gate['level']}.spatial_gate"]
        canvas.show_map(ax, maps, gate["level"], values, _NORM, _COLOURS, 260)
        means = [
            f"{gate['spatial'][where]['mean']:.2f} {word}"
            for where, word in (("inside", "in faces"), ("outside", "outside"))
            if gate["spatial"][where] is not None
        ]
        canvas.panel(ax, place(gate), f"mean {', '.join(means)}")
    canvas.scale_bar(figure, axes, _NORM, _COLOURS, "spatial gate", shrink=0.6, aspect=35)
    canvas.headline(figure, "Spatial gates", maps.record)
    return figure


def channel_gates(maps: Maps, scheme: Scheme) -> Figure:
    """Return the channel gates as bars, by falling value."""
    rows = len(maps.record["attention"]) // len(LEVELS)
    figure = Figure(figsize=(canvas.WIDTH, 0.5 + 1.75 * rows), layout="constrained")
    axes = figure.subplots(rows, len(LEVELS), squeeze=False, sharey=True)
    for ax, found in zip(axes.ravel(), maps.record["attention"], strict=True):
        gates, mean = found["channel"]["sorted"], found["channel"]["mean"]
        ax.stairs(gates, np.arange(len(gates) + 1) - 0.5, fill=True, color=BLUE)
        ax.axhline(mean, color=scheme.text, linewidth=1, linestyle="--")
        ax.text(len(gates) - 1, mean + 0.03, f"mean {mean:.2f}", ha="right", va="bottom", size=8)
        ax.set_xlim(-0.5, len(gates) - 0.5)
        ax.set_ylim(0, 1.05)
        ax.set_title(place(found), pad=3)
        ax.set_xlabel(f"{len(gates)} channels, by gate")
    for ax in axes[:, 0]:
        ax.set_ylabel("channel gate")
    canvas.headline(figure, "Channel gates", maps.record)
    return figure


def gains(maps: Maps, scheme: Scheme) -> Figure:
    """Return |gated| as a share of |input|, inside and outside faces, as bars."""
    figure = Figure(figsize=(canvas.WIDTH, 2.3), layout="constrained")
    ax = figure.subplots()
    rows = maps.record["attention"]
    places = np.arange(len(rows))
    for shift, where, colour, word in (
        (-0.2, "inside", ORANGE, "inside faces"),
        (0.2, "outside", BLUE, "outside"),
    ):
        values: list[Any] = [row["gain"][where] for row in rows]
        heights = [value or 0 for value in values]
        ax.bar(places + shift, heights, width=0.38, color=colour, label=word)
        for at, value in zip(places + shift, values, strict=True):
            text = "no cell" if value is None else f"{value:.2f}"
            ax.text(at, (value or 0) + 0.01, text, ha="center", va="bottom", size=8)
    labels = [f"{row['stage'].split('_')[0]}\n{row['level'].upper()}" for row in rows]
    ax.set_xticks(places, labels)
    ax.margins(y=0.18)
    ax.set_ylabel("added ÷ input")
    ax.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)
    canvas.headline(figure, "Gated activation as a share of the input", maps.record)
    return figure
