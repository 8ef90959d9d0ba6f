"""Figures of ablations: scores and boxes with a part neutralised, and the faces of each image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.maps import Maps
from analysis.report import Record
from analysis.report.plots.maps import canvas
from analysis.report.plots.maps.offsets import draw_points
from analysis.report.plots.style import BLUE, GREEN, LIGHT, ORANGE, SKY, VERMILION, YELLOW, Scheme

_ROW = 0.19  # inches
_DRAWN = ("p5", "a")  # the level and branch whose sampling points move farthest
_SHOWN = {
    "offsets-zero": "offsets 0",
    "masks-one": "masks 1",
    "cbam-bypass": "attention bypassed",
    "gates-zero": "gates 0, ReLU stays",
}
_PART_COLOURS = {
    "offsets": ORANGE,
    "masks": SKY,
    "offsets and masks": GREEN,
    "gates": BLUE,
    "everything": VERMILION,
}


def effects(maps: Maps, scheme: Scheme) -> Figure:
    """Return the faces of some ablations, and of each their mean score and overlap after it."""
    record, rows = maps.record, maps.record["effects"]
    after = {row["id"]: row["after"] for row in rows}
    images = {"as it is": record["faces"]} | {
        title: after[key] for key, title in _SHOWN.items() if key in after
    }
    top = canvas.height_of(maps.picture, len(images) + 0.2, 1, 0.6)
    bottom = 1.25 + _ROW * len(rows)
    figure = Figure(figsize=(canvas.WIDTH, top + bottom), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(top, bottom))
    above, below = parts
    window = canvas.whole(maps.picture)
    axes = above.subplots(1, len(images), squeeze=False)[0]
    for ax, (title, faces) in zip(axes, images.items(), strict=True):
        canvas.show(ax, canvas.photograph(maps.picture, window, 190), window)
        canvas.outline_faces(ax, faces, YELLOW)
        canvas.panel(ax, title, _best(faces), fontsize=8, fontweight="normal")
    scores, overlaps = below.subplots(1, 2, sharey=True, width_ratios=(2, 1.6))
    _scores(scores, record, scheme)
    _overlaps(overlaps, record, scheme)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=_PART_COLOURS[part], label=part)
        for part in dict.fromkeys(row["part"] for row in rows)
    ]
    below.legend(handles=handles, ncols=len(handles), loc="outside lower center")
    canvas.headline(above, "Ablations", record, f", {_faces(len(record['faces']))}")
    return figure


def _best(faces: list[Record]) -> str:
    if len(faces) == 1:
        return f"score {faces[0]['score']:.3f}"
    return _faces(len(faces)) if faces else "no face"


def _faces(count: int) -> str:
    return f"{count} face{'s' * (count != 1)}"


def _scores(ax: Axes, record: Record, scheme: Scheme) -> None:
    """Draw the mean score of the faces, or, where there is no face, of the best anchor."""
    rows, faces = record["effects"], record["faces"]
    before = (
        sum(face["score"] for face in faces) / len(faces) if faces else record["strongest"]["score"]
    )
    ax.axvline(before, color=scheme.muted, linewidth=1, linestyle="--")
    for place, row in enumerate(rows):
        after = row["mean_score"] if faces else row["best_score"]
        colour = _PART_COLOURS[row["part"]]
        ax.plot([before, after], [place, place], color=colour, linewidth=1.4)
        ax.plot(after, place, marker="o", color=colour, markersize=5, clip_on=False)
        side, aligned = (-1, "right") if after >= 0.5 else (1, "left")
        # Over the line, where a low score stands on it.
        behind = {"facecolor": scheme.background, "edgecolor": "none", "pad": 0.8}
        look: dict[str, Any] = {"ha": aligned, "va": "center", "size": 8, "bbox": behind}
        ax.text(after + 0.025 * side, place, f"{after:.3f}", **look)
    ax.set_yticks(range(len(rows)), [row["title"] for row in rows])
    ax.tick_params(axis="y", length=0, pad=7, labelcolor=scheme.text)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(0, 1.03)
    ax.set_xlabel("mean score of the faces after" if faces else "score of the best anchor after")


def _overlaps(ax: Axes, record: Record, scheme: Scheme) -> None:
    """Draw how well the boxes still fit, and how many faces are kept and new."""
    ax.axvline(1, color=scheme.muted, linewidth=1, linestyle="--")
    for place, row in enumerate(record["effects"]):
        colour, overlap = _PART_COLOURS[row["part"]], row["mean_iou"]
        if overlap is not None:
            ax.plot([overlap, 1], [place, place], color=colour, linewidth=1.4)
            ax.plot(overlap, place, marker="o", color=colour, markersize=5)
        new = f", {row['new']} new" if row["new"] else ""
        kept = f"{row['found']} of {len(record['faces'])}"
        ax.text(1.04, place, f"{kept}{new}", va="center", size=8)
    ax.set_xlim(0.45, 1.46)
    ax.set_xticks([0.5, 0.75, 1])
    ax.set_xlabel("overlap (IoU), and faces found", loc="left")
    ax.tick_params(axis="y", length=0)


def one_state(state: Record, maps: Maps) -> Figure:
    """Return the image with the faces and sampling points of a state, alike in both schemes."""
    width = 4.5  # inches
    height = width * maps.picture.shape[0] / maps.picture.shape[1]
    with matplotlib.rc_context(canvas.style(LIGHT)):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.set_layout_engine("none")  # so that all states are cut alike
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set_axis_off()
        window = canvas.whole(maps.picture)
        canvas.show(ax, canvas.photograph(maps.picture, window, 400), window)
        canvas.outline_faces(ax, state["faces"], YELLOW)
        for face in state["faces"]:
            x1, y1, x2, _ = face["box"]
            # On the side of the image where the state is shown.
            x, aligned = (x1 + 3, "left") if state["id"] == "as-is" else (x2 - 3, "right")
            look: dict[str, Any] = {"color": "white", "size": 9, "ha": aligned, "clip_on": True}
            box = {"facecolor": "black", "edgecolor": "none", "pad": 1.5}
            ax.text(x, y1 - 6, f"{face['score']:.4f}", bbox=box, **look)
        for point in state["points"]:
            if (point["level"], point["branch"]) == _DRAWN:
                draw_points(ax, point)
    return figure


def faces_found(images: Mapping[str, Maps], scheme: Scheme) -> Figure:
    """Return the images with the faces found on each."""
    aspects = [maps.picture.shape[1] / maps.picture.shape[0] for maps in images.values()]
    with matplotlib.rc_context(canvas.style(scheme)):
        height = canvas.WIDTH / sum(aspects) + 0.4
        figure = Figure(figsize=(canvas.WIDTH, height), layout="constrained")
        axes = figure.subplots(1, len(images), width_ratios=aspects)
        for ax, (name, maps) in zip(axes, images.items(), strict=True):
            window = canvas.whole(maps.picture)
            canvas.show(ax, canvas.photograph(maps.picture, window, 320), window)
            canvas.outline_faces(ax, maps.record["faces"], YELLOW)
            canvas.panel(ax, name.capitalize(), f"{_faces(len(maps.record['faces']))} found")
    return figure
