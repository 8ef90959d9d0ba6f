"""Image, faces, gates and offsets of the three levels in one figure."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from analysis.report.plots.maps import canvas
from analysis.report.plots.maps.canvas import Arrays, Picture, Record
from analysis.report.plots.maps.gates import GATE_COLOURS, GATE_NORM, draw_gate, gate_note
from analysis.report.plots.maps.offsets import (
    FIELD_COLOURS,
    displacement,
    draw_points,
    field_norm,
    window,
)
from analysis.report.plots.style import SKY, VERMILION, YELLOW
from featherface.config import LEVELS

_LEVEL_COLOURS = dict(zip(LEVELS, (YELLOW, SKY, VERMILION), strict=True))


def composite(record: Record, arrays: Arrays, picture: Picture) -> Figure:
    """Return one page: the faces, then by level the gates, the sampling points and the offsets."""
    stages = [stage for stage in canvas.STAGES if f"{stage}.p3.spatial_gate" in arrays]
    branches = list(dict.fromkeys(r["branch"] for r in record["context"]))
    photo = canvas.height_of(picture, 3.45, 1, 0.42)
    # The words beside the first picture may need more room than it.
    words = 0.19 * (1 + _words(record).count("\n")) + 0.85
    heights = [max(photo + 0.1, words), *[photo] * len(stages)]
    if branches:
        heights += [canvas.WIDTH / 3.45 + 0.35, photo]
    figure = Figure(figsize=(canvas.WIDTH, sum(heights) + 0.4), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _faces(parts[0], record, picture)
    for part, stage in zip(parts[1:], stages, strict=False):
        axes = part.subplots(1, 3)
        for ax, level in zip(axes, LEVELS, strict=True):
            draw_gate(ax, record, arrays, picture, stage, level)
            canvas.panel(
                ax, f"{canvas.STAGES[stage]}, {level.upper()}", gate_note(record, stage, level)
            )
        canvas.scale_bar(part, axes, GATE_NORM, GATE_COLOURS, "spatial gate", aspect=22, shrink=0.8)
    if branches:
        _points(parts[-2], record, picture)
        _fields(parts[-1], record, arrays, picture, branches)
    canvas.headline(figure, canvas.source_of(record))
    return figure


def _faces(part: Any, record: Record, picture: Picture) -> None:
    left, right = part.subplots(1, 2, width_ratios=(1, 1.9))
    places = canvas.whole(picture)
    canvas.show(left, canvas.photograph(picture, places, 320, colour=True), places)
    canvas.outline_faces(left, record["faces"], "#ffffff")
    for level in LEVELS:
        here = [p for p in record["points"] if p["position"] == 0 and p["level"] == level]
        if here:
            x1, y1, x2, y2 = window(here, record["levels"])
            left.add_patch(
                Rectangle(
                    (x1, y1),
                    x2 - x1,
                    y2 - y1,
                    fill=False,
                    edgecolor=_LEVEL_COLOURS[level],
                    linestyle="--",
                    linewidth=1.1,
                    path_effects=[withStroke(linewidth=2, foreground="black")],
                )
            )
    canvas.panel(left, "", "faces found, and windows below")
    right.set_axis_off()
    right.text(0, 0.98, _words(record), va="top", linespacing=1.5, transform=right.transAxes)
    handles = []
    branches = list(dict.fromkeys(p["branch"] for p in record["points"]))
    if branches:
        handles += [
            Line2D(
                [], [], color=_LEVEL_COLOURS[level], linestyle="--", label=f"window {level.upper()}"
            )
            for level in LEVELS
        ]
        handles += [
            Line2D(
                [],
                [],
                marker="o",
                linestyle="",
                color=canvas.BRANCH_COLOURS[b],
                label=f"points of {b}",
            )
            for b in branches
        ]
        right.legend(handles=handles, ncols=3, loc="lower left", borderpad=0, borderaxespad=0)


def _words(record: Record) -> str:
    faces = record["faces"]
    threshold = record["score_threshold"]
    lines = [f"{len(faces)} face{'' if len(faces) == 1 else 's'} scoring above {threshold:g}"]
    if faces:
        lines[0] += f", the best {faces[0]['score']:.3f}"
    else:
        lines.append(f"The best anchor scores {record['strongest']['score']:.3f}.")
    if not record["attention"]:
        lines.append("This network has no attention.")
    if not record["context"]:
        lines.append("This network has no deformable convolution.")
    for level in LEVELS:
        here = [r["reach"] for r in record["context"] if r["level"] == level]
        if here:
            stride = next(v["stride"] for v in record["levels"] if v["level"] == level)
            mean = np.mean([r["all"]["mean"] for r in here])
            text = f"{level.upper()}: points reach {mean:.2f} cells ({mean * stride:.0f} pixels)"
            if all(r["inside"] for r in here):
                text += f", in faces {np.mean([r['inside']['mean'] for r in here]):.2f}"
            lines.append(text)
    if record["context"]:
        lines.append("(on the regular grid 1.07)")
    for key in ("offsets-zero", "masks-one", "cbam-bypass", "gates-zero") if faces else ():
        for effect in (e for e in record["effects"] if e["id"] == key):
            kept = f"{effect['found']} of {len(faces)} found"
            new = f", {effect['new']} new" if effect["new"] else ""
            lines.append(f"{effect['title']}: {kept}{new}, mean score {effect['mean_score']:.3f}")
    return "\n".join(lines)


def _points(part: Any, record: Record, picture: Picture) -> None:
    axes = part.subplots(1, 3)
    for ax, level in zip(axes, LEVELS, strict=True):
        here = [p for p in record["points"] if p["position"] == 0 and p["level"] == level]
        places = window(here, record["levels"])
        canvas.show(ax, canvas.photograph(picture, places, 240) * 0.75, places)
        for point in here:
            draw_points(ax, point, canvas.BRANCH_COLOURS[point["branch"]], grid=point is here[-1])
        note = f"{places[2] - places[0]:.0f} pixels wide"
        canvas.panel(ax, f"sampling points, {level.upper()}", note)


def _fields(
    part: Any, record: Record, arrays: Arrays, picture: Picture, branches: list[str]
) -> None:
    axes = part.subplots(1, 3)
    norm = field_norm(arrays, branches)
    places = canvas.whole(picture)
    for ax, level in zip(axes, LEVELS, strict=True):
        moves = [displacement(arrays, level, branch) for branch in branches]
        moved = np.mean([np.hypot(move[:, 0], move[:, 1]).mean(axis=0) for move in moves], axis=0)
        x, y = arrays[f"{level}.x"], arrays[f"{level}.y"]
        canvas.show(ax, canvas.overlay(moved, x, y, picture, places, norm, FIELD_COLOURS), places)
        canvas.outline_faces(ax, record["faces"])
        canvas.panel(ax, f"displacement, {level.upper()}", f"mean {moved.mean():.2f} cells")
    canvas.scale_bar(
        part, axes, norm, FIELD_COLOURS, "cells of the level", aspect=22, shrink=0.8, extend="max"
    )
