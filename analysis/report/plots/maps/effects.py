"""Figure of ablations: scores and boxes with a part neutralised."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.report.plots.maps import canvas
from analysis.report.plots.maps.canvas import Picture, Record
from analysis.report.plots.style import Scheme

_ROW = 0.19  # inches
_SHOWN = ("offsets-zero", "masks-one", "cbam-bypass", "gates-zero")
_SHORT = {
    "offsets-zero": "offsets 0",
    "masks-one": "masks 1",
    "cbam-bypass": "attention bypassed",
    "gates-zero": "gates 0, ReLU stays",
}


def effects(record: Record, picture: Picture, scheme: Scheme) -> Figure:
    """Return the faces of some ablations, and of each their mean score and overlap after it."""
    rows = record["effects"]
    shown = [r for key in _SHOWN for r in rows if r["id"] == key]
    top = canvas.height_of(picture, len(shown) + 1.2, 1, 0.6)
    bottom = 1.25 + _ROW * len(rows)
    figure = Figure(figsize=(canvas.WIDTH, top + bottom), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(top, bottom))
    above, below = parts
    _pictures(above, record, shown, picture)
    scores, overlaps = below.subplots(1, 2, sharey=True, width_ratios=(2, 1.6))
    faces = record["faces"]
    _scores(scores, record, scheme)
    _overlaps(overlaps, record, scheme)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=canvas.PART_COLOURS[part], label=part)
        for part in dict.fromkeys(r["part"] for r in rows)
    ]
    below.legend(handles=handles, ncols=len(handles), loc="outside lower center")
    count = f"{len(faces)} face" + ("s" if len(faces) != 1 else "")
    canvas.headline(above, f"Ablations: {canvas.source_of(record)}, {count}")
    return figure


def _pictures(figure: Any, record: Record, shown: list[Record], picture: Picture) -> None:
    places = canvas.whole(picture)
    axes = figure.subplots(1, len(shown) + 1, squeeze=False)[0]
    panels = [("as it is", record["faces"]), *((_SHORT[r["id"]], r["after"]) for r in shown)]
    for ax, (title, faces) in zip(axes, panels, strict=True):
        canvas.show(ax, canvas.photograph(picture, places, 190), places)
        canvas.outline_faces(ax, faces, "#f0e442")
        canvas.panel(ax, title, _best(faces))
        ax.title.set(fontsize=8, fontweight="normal")


def _best(faces: list[Record]) -> str:
    if not faces:
        return "no face"
    if len(faces) == 1:
        return f"score {faces[0]['score']:.3f}"
    return f"{len(faces)} faces"


def _scores(ax: Axes, record: Record, scheme: Scheme) -> None:
    """Mean score of the faces, or, where there is no face, of the best anchor."""
    rows = record["effects"]
    faces = record["faces"]
    before = (
        sum(face["score"] for face in faces) / len(faces) if faces else record["strongest"]["score"]
    )
    ax.axvline(before, color=scheme.muted, linewidth=1, linestyle="--")
    for place, row in enumerate(rows):
        after = row["mean_score"] if faces else row["best_score"]
        colour = canvas.PART_COLOURS[row["part"]]
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
    """How well the boxes still fit, and how many faces are kept and new."""
    ax.axvline(1, color=scheme.muted, linewidth=1, linestyle="--")
    total = len(record["faces"])
    for place, row in enumerate(record["effects"]):
        colour = canvas.PART_COLOURS[row["part"]]
        if row["mean_iou"] is not None:
            ax.plot([row["mean_iou"], 1], [place, place], color=colour, linewidth=1.4)
            ax.plot(row["mean_iou"], place, marker="o", color=colour, markersize=5)
        words = f"{row['found']} of {total}" + (f", {row['new']} new" if row["new"] else "")
        ax.text(1.04, place, words, va="center", size=8)
    ax.set_xlim(0.45, 1.46)
    ax.set_xticks([0.5, 0.75, 1])
    ax.set_xlabel("overlap (IoU), and faces found", loc="left")
    ax.tick_params(axis="y", length=0)
