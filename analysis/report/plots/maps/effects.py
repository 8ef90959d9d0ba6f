"""Figure of ablations: scores and boxes with a part neutralised."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.maps import Maps
from analysis.report.plots.maps import canvas
from analysis.report.plots.maps.canvas import Record
from analysis.report.plots.style import BLUE, GREEN, ORANGE, SKY, VERMILION, Scheme

_ROW = 0.19  # inches
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
        canvas.outline_faces(ax, faces, "#f0e442")
        canvas.panel(ax, title, _best(faces))
        ax.title.set(fontsize=8, fontweight="normal")
    scores, overlaps = below.subplots(1, 2, sharey=True, width_ratios=(2, 1.6))
    _scores(scores, record, scheme)
    _overlaps(overlaps, record, scheme)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=_PART_COLOURS[part], label=part)
        for part in dict.fromkeys(row["part"] for row in rows)
    ]
    below.legend(handles=handles, ncols=len(handles), loc="outside lower center")
    count = f", {len(record['faces'])} face" + ("s" if len(record["faces"]) != 1 else "")
    canvas.headline(above, "Ablations", record, count)
    return figure


def _best(faces: list[Record]) -> str:
    if not faces:
        return "no face"
    if len(faces) == 1:
        return f"score {faces[0]['score']:.3f}"
    return f"{len(faces)} faces"


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
        ax.plot(after, place, marker="o", color=colour, markersize=5)
        side, aligned = (-1, "right") if after >= 0.5 else (1, "left")
        ax.text(
            after + 0.025 * side,
            place,
            f"{after:.3f}",
            ha=aligned,
            va="center",
            size=8,
            # Over the line, where a low score stands on it.
            bbox={"facecolor": scheme.background, "edgecolor": "none", "pad": 0.8},
        )
    ax.set_yticks(range(len(rows)), [row["title"] for row in rows])
    ax.tick_params(axis="y", length=0, labelcolor=scheme.text)
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
