"""Figures of average precision on WIDER FACE: curves and counts, never an image of anybody."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from analysis.report import Record
from analysis.report.formats import event
from analysis.report.plots import style
from analysis.report.plots.style import LIGHT, Scheme, canvas
from analysis.report.tables.widerface import span
from analysis.widerface.ground_truth import SUBSETS

SUBSET_COLOURS = {"easy": style.GREEN, "medium": style.ORANGE, "hard": style.BLUE}
COLOURS = (style.BLUE, style.VERMILION, style.GREEN, style.PURPLE, style.ORANGE, style.GREY)
LINES = ("-", "--", "-.", ":")
MARKERS = {"easy": "o", "medium": "s", "hard": "D"}


def figures(record: Record, title: str, scheme: Scheme = LIGHT) -> dict[str, Figure]:
    """Return curves, AP by height and AP by event of several detectors, by name.

    Args:
        record: `detectors`, by name, each as `analysis.widerface.breakdown.summary` returns it.
    """
    detectors = record["detectors"].items()
    curves = {name: {**one["curves"], "ap": one["ap"]} for name, one in detectors}
    heights = {name: one["heights"] for name, one in detectors}
    events = {name: one["events"] for name, one in detectors}
    return {
        "curves": precision_recall(curves, title, scheme),
        "height": by_height(heights, title, scheme),
        "events": by_event(events, title, scheme),
    }


def precision_recall(curves: Mapping[str, Record], title: str, scheme: Scheme = LIGHT) -> Figure:
    """Draw precision against recall, a panel a subset, a line a detector.

    Args:
        curves: by detector, `recall` and `precision` of each subset, as in
            `Evaluation.curves_as_dict` and `breakdown.summary`, and under "ap" the three AP.
        title: which images they are of.
    """
    with canvas(scheme, 10.5, 3.9, 1, 3, sharex=True, sharey=True) as (figure, axes):
        for ax, subset in zip(axes, SUBSETS, strict=True):
            styles = itertools.cycle(itertools.product(LINES, COLOURS))
            for (name, record), (line, colour) in zip(curves.items(), styles, strict=False):
                curve, ap = record[subset], record["ap"][subset]
                label = f"{name}, AP {'undefined' if ap is None else f'{ap:.4f}'}"
                points = np.array([curve["recall"], curve["precision"]], float)  # None is NaN
                ax.plot(*points, line, color=colour, linewidth=1.6, label=label)
            ax.set_title(subset.capitalize())
            ax.set_xlabel("recall")
            ax.set_xlim(0, 1)
            ax.set_ylim(0, 1.02)
            ax.grid(True)
            ax.legend(loc="lower left", frameon=True)
        axes[0].set_ylabel("precision")
        figure.suptitle(title)
    return figure


def by_height(
    records: Mapping[str, Sequence[Record]], title: str, scheme: Scheme = LIGHT
) -> Figure:
    """Draw AP by height of the face, a line a detector, over the number of faces.

    Args:
        records: by detector, from `breakdown.by_height`, all with the same buckets.
    """
    first = next(iter(records.values()))
    places = np.arange(len(first))
    with canvas(scheme, 7.2, 4.4, 2, 1, sharex=True, height_ratios=(3, 1)) as (figure, axes):
        top, bottom = axes
        for (name, buckets), look in zip(records.items(), _styles(), strict=False):
            top.plot(places, np.array([b["ap"] for b in buckets], float), **look, label=name)
        top.set_ylabel("AP")
        top.set_ylim(0, 1.02)
        top.grid(axis="y")
        top.legend(loc="lower right")
        faces = [bucket["faces"] for bucket in first]
        bottom.bar(places, faces, color=style.GREY)
        for place, number in zip(places, faces, strict=True):
            bottom.text(place, number, f"{number:,}", ha="center", va="bottom", size=8)
        bottom.set_ylim(0, max(1, *faces) * 1.3)
        bottom.yaxis.set_major_formatter("{x:,g}")
        bottom.set_ylabel("faces")
        bottom.set_xticks(places, [span(bucket) for bucket in first])
        bottom.set_xlabel("height of the annotated face, pixels")
        figure.suptitle(title)
    return figure


def by_event(records: Mapping[str, Sequence[Record]], title: str, scheme: Scheme = LIGHT) -> Figure:
    """Draw AP on Hard by event, a row an event, a dot a detector; the first's worst on top.

    Args:
        records: by detector, from `breakdown.by_event`, all of the same events.
    """
    first = next(iter(records.values()))
    known = [i for i, record in enumerate(first) if record["hard"] is not None]
    order = sorted(known, key=lambda i: first[i]["hard"])
    rows = np.arange(len(order))
    with canvas(scheme, 7.6, 1.2 + 0.19 * max(1, len(order))) as (figure, ax):
        for (name, events), look in zip(records.items(), _styles(), strict=False):
            values = np.array([events[i]["hard"] for i in order], float)
            ax.plot(values, rows, **look, linestyle="", markersize=5, label=name, alpha=0.9)
        labels = [f"{event(first[i]['event'])} ({first[i]['faces']['hard']:,})" for i in order]
        ax.set_yticks(rows, labels, size=7.5)
        ax.set_ylim(len(order) - 0.4, -0.6)
        ax.set_xlim(0, 1.02)
        ax.set_xlabel("AP, Hard; in brackets: faces")
        ax.grid(axis="x")
        ax.set_axisbelow(True)
        ax.legend(frameon=True, loc="lower left")
        ax.set_title(title)
    return figure


def cost(rows: Sequence[Record], scheme: Scheme = LIGHT) -> Figure:
    """Draw AP on Hard against MACs: filled where it is measured here, hollow where published.

    Args:
        rows: `name`, `macs` at 640×640, `hard`, and `source`, which is empty for what is ours.
    """
    with canvas(scheme, 9.6, 3.2) as (figure, ax):
        for row in rows:
            at = row["macs"] / 1e9, 100 * row["hard"]
            inside = scheme.background if row["source"] else style.SKY
            look: dict[str, Any] = {"markerfacecolor": inside, "markeredgewidth": 1.6}
            ax.plot(*at, "o", color=style.SKY, markersize=8, **look)
            ax.annotate(row["name"], at, xytext=(8, 0), textcoords="offset points", va="center")
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 4, 6, 8)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_locator(NullLocator())
        ax.margins(x=0.15, y=0.14)
        ax.set_xlabel("GMAC at 640×640, logarithmic")
        ax.set_ylabel("AP on Hard, %")
        ax.grid(axis="y")
        ax.set_axisbelow(True)
    return figure


def training(rows: Sequence[Record], title: str, scheme: Scheme = LIGHT) -> Figure:
    """Draw AP over a training, a line a subset; checkpoints without an epoch at the right end.

    Args:
        rows: of the history, all of the same images and protocol; at least one.
    """
    ordered = sorted(rows, key=lambda row: (row["epoch"] is None, row["epoch"] or 0))
    epochs = [row["epoch"] for row in ordered]
    last = max((epoch for epoch in epochs if epoch is not None), default=0)
    step = max(1.0, last / 12)
    without = itertools.count(1)
    places = [last + step * next(without) if epoch is None else float(epoch) for epoch in epochs]
    labels = [row["detector" if row["epoch"] is None else "epoch"] for row in ordered]
    lowest = min(row[subset] for row in rows for subset in SUBSETS)
    bottom = max(0.0, np.floor(10 * lowest - 0.5) / 10)
    ends = [ordered[-1][subset] for subset in SUBSETS]
    with canvas(scheme, 7.4, 4.2) as (figure, ax):
        for subset, beside in zip(SUBSETS, _spread(ends, 0.05 * (1 - bottom)), strict=True):
            values = [row[subset] for row in ordered]
            colour = SUBSET_COLOURS[subset]
            ax.plot(places, values, marker=MARKERS[subset], color=colour, linewidth=1.6)
            words, at = f"{subset.capitalize()} {values[-1]:.3f}", (places[-1], beside)
            place: dict[str, Any] = {"xytext": (8, 0), "textcoords": "offset points"}
            ax.annotate(words, at, va="center", weight="bold", annotation_clip=False, **place)
        ax.set_xticks(places, labels)
        for label, epoch in zip(ax.get_xticklabels(), epochs, strict=True):
            if epoch is None and len(label.get_text()) > 3:
                label.set_rotation(20)
        ax.set_xlabel("epoch of training")
        ax.set_ylabel("AP")
        ax.set_ylim(bottom, 1)
        ax.margins(x=0.03)
        ax.grid(axis="y")
        ax.set_title(title)
    return figure


def _styles() -> Iterator[dict[str, Any]]:
    """Yield colours and markers of detectors."""
    for colour, marker in zip(itertools.cycle(COLOURS), itertools.cycle("osD^v"), strict=False):
        yield {"color": colour, "marker": marker}


def _spread(values: Sequence[float], gap: float) -> list[float]:
    """Return places for labels near falling values, the first unmoved, at least `gap` apart."""
    places = [values[0]]
    for value in values[1:]:
        places.append(min(value, places[-1] - gap))
    return places
