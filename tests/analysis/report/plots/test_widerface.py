"""Figures of AP: what the records say is what is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.report.plots import widerface
from analysis.report.plots.style import render


def texts(figure: Figure) -> set[str]:
    return {t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text"))}


def curves(ap: float | None) -> dict[str, Any]:
    recall = np.linspace(0, 0.9, 10).tolist()
    one = {"recall": recall, "precision": [None, *np.linspace(1, 0.3, 9).tolist()]}
    return {
        **dict.fromkeys(("easy", "medium", "hard"), one),
        "ap": dict.fromkeys(("easy", "medium", "hard"), ap),
    }


def row(detector: str, epoch: int | None, hard: float) -> dict[str, Any]:
    return {"detector": detector, "epoch": epoch, "easy": 0.9, "medium": 0.8, "hard": hard}


HEIGHTS = [
    {"from": 0, "to": 20, "faces": 5, "ap": 0.25},
    {"from": 20, "to": None, "faces": 0, "ap": None},
]
EVENTS = [
    {"event": "0--Parade", "faces": {"hard": 5}, "hard": 0.9},
    {"event": "59--people--driving--car", "faces": {"hard": 1}, "hard": 0.1},
    {"event": "2--Demonstration", "faces": {"hard": 0}, "hard": None},
]


def draw(which: str) -> Figure:
    match which:
        case "curves":
            return widerface.precision_recall({"a": curves(0.5), "b": curves(None)}, "title")
        case "heights":
            return widerface.by_height({"a": HEIGHTS, "b": HEIGHTS}, "title")
        case "events":
            return widerface.by_event({"a": EVENTS}, "title")
    return widerface.training([row("official", None, 0.7), row("early", 10, 0.3)], "title")


@pytest.mark.parametrize("which", ["curves", "heights", "events", "training"])
def test_the_same_records_give_the_same_bytes(which: str) -> None:
    assert render(draw(which), "svg") == render(draw(which), "svg")


def test_a_curve_has_the_records_points_and_names_its_ap() -> None:
    figure = draw("curves")
    line = figure.axes[0].lines[0]
    np.testing.assert_array_equal(line.get_xdata(), curves(0)["easy"]["recall"])
    assert np.isnan(line.get_ydata()[0])
    assert {"a, AP 0.5000", "b, AP undefined", "Easy", "Hard"} <= texts(figure)


def test_buckets_are_named_by_their_ends() -> None:
    assert {"0–20", "20 up", "5", "0"} <= texts(draw("heights"))


def test_events_without_faces_are_left_out_and_the_worst_stands_on_top() -> None:
    ax = draw("events").axes[0]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["people driving car (1)", "Parade (5)"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_what_is_measured_is_filled_and_what_is_published_hollow() -> None:
    rows = [
        {"name": "ours", "macs": 2e9, "hard": 0.7, "source": ""},
        {"name": "theirs", "macs": 5e8, "hard": 0.8, "source": "https://a"},
    ]
    figure = widerface.cost(rows)
    ours, theirs = figure.axes[0].lines
    assert (ours.get_xydata().tolist(), theirs.get_xydata().tolist()) == ([[2, 70]], [[0.5, 80]])
    assert ours.get_markerfacecolor() == ours.get_color() != theirs.get_markerfacecolor()
    assert {"ours", "theirs"} <= texts(figure)


def test_a_checkpoint_without_an_epoch_stands_at_the_end() -> None:
    ax = draw("training").axes[0]
    hard = ax.lines[2]
    np.testing.assert_array_equal(hard.get_ydata(), [0.3, 0.7])
    assert hard.get_xdata()[0] == 10 < hard.get_xdata()[1]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["10", "official"]


def test_a_single_checkpoint_can_be_drawn() -> None:
    assert render(widerface.training([row("official", None, 0.7)], "title"), "png")


def test_all_figures_of_a_breakdown_are_drawn() -> None:
    one = {
        "ap": dict.fromkeys(("easy", "medium", "hard"), 0.5),
        "curves": {
            name: {"recall": [0.1, 0.2], "precision": [1.0, 0.9]}
            for name in ("easy", "medium", "hard")
        },
        "heights": HEIGHTS,
        "events": EVENTS,
    }
    drawn = widerface.figures({"detectors": {"a": one, "b": one}}, "title")
    assert list(drawn) == ["curves", "height", "events"]
    assert {"a, AP 0.5000", "b, AP 0.5000"} <= texts(drawn["curves"])
