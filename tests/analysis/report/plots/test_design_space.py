"""Figures: what the records say is what is drawn, and the same records give the same bytes."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.design_space.landscape import landscape
from analysis.design_space.sensitivity import sensitivity
from analysis.design_space.space import FAMILY
from analysis.report.plots import design_space as plots
from analysis.report.plots.style import DARK, LIGHT, Scheme, render
from featherface import CONFIGS


@pytest.fixture(scope="module")
def steps() -> list[dict[str, Any]]:
    return sensitivity(CONFIGS["v1"])


@pytest.fixture(scope="module")
def land() -> dict[str, Any]:
    space = replace(FAMILY, channels=(56, 64, 74), cells=(1, 2, 3), reduction=(16, 48))
    return landscape(space, bins=(20, 16))


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def draw(kind: str, steps: list[dict[str, Any]], land: dict[str, Any]) -> Figure:
    return plots.sensitivity(steps) if kind == "sensitivity" else plots.landscape(land)


@pytest.mark.parametrize(
    ("figure", "kind"), [("sensitivity", "svg"), ("sensitivity", "png"), ("landscape", "svg")]
)
def test_the_same_records_give_the_same_bytes(
    figure: str,
    kind: Literal["svg", "png"],
    steps: list[dict[str, Any]],
    land: dict[str, Any],
) -> None:
    copies = copy.deepcopy(steps), copy.deepcopy(land)
    first = render(draw(figure, steps, land), kind)
    assert render(draw(figure, *copies), kind) == first


@pytest.mark.parametrize("figure", ["sensitivity", "landscape"])
def test_an_svg_stands_alone_and_has_no_date(
    figure: str, steps: list[dict[str, Any]], land: dict[str, Any]
) -> None:
    svg = render(draw(figure, steps, land), "svg")
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    assert b"dc:date" not in svg
    assert b"matplotlib.org" not in svg  # its version would come with it
    links = [value for node in root.iter() for key, value in node.items() if key.endswith("href")]
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert not [node for node in root.iter() if node.tag.endswith("}text")]  # outlines, no fonts


def test_sensitivity_draws_every_step(steps: list[dict[str, Any]]) -> None:
    figure = plots.sensitivity(steps)
    params, macs = figure.axes
    possible = [r for r in steps if r["reason"] is None]
    assert np.allclose(
        [b.get_width() for b in params.patches], [r["params_change"] / 1e3 for r in possible]
    )
    assert np.allclose(
        [b.get_width() for b in macs.patches], [r["macs_change"] / 1e6 for r in possible]
    )
    assert len(params.get_yticks()) == len(steps)
    shown = texts(figure)
    assert shown.count("cannot be built") == 2 * 3  # three SSH contexts of 74 channels
    assert {"channels 74", "context plain", "→ dcnv1", "+36.0", "−148"} <= set(shown)
    assert "One step in each field of v1" in shown
    assert "MACs at 640×640" in shown


def test_sensitivity_leaves_out_fields_that_are_not_there() -> None:
    shown = texts(plots.sensitivity(sensitivity(CONFIGS["retinaface"])))
    assert not [text for text in shown if text.startswith(("cells", "reduction"))]


def test_no_two_labels_of_sensitivity_overlap(steps: list[dict[str, Any]]) -> None:
    figure = plots.sensitivity(steps)
    render(figure, "png")  # lays it out
    for ax in figure.axes:
        boxes = [
            t.get_window_extent()
            for t in (*ax.texts, *ax.get_yticklabels())
            if t.get_text() and t.get_visible()
        ]
        overlaps = [
            (i, j)
            for i, a in enumerate(boxes)
            for j, b in enumerate(boxes[:i])
            if a.shrunk(0.9, 0.7).overlaps(b.shrunk(0.9, 0.7))
        ]
        assert not overlaps


def test_landscape_has_a_panel_a_context_with_its_counts(land: dict[str, Any]) -> None:
    figure = plots.landscape(land)
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes if ax.get_title(loc="left")}
    assert set(panels) == {plots.CONTEXT_LABELS[kind] for kind in land["counts"]}
    for kind, rows in land["counts"].items():
        everything, these = panels[plots.CONTEXT_LABELS[kind]].images
        assert np.array_equal(np.ma.filled(these.get_array(), 0), np.asarray(rows))
        total = sum(np.asarray(r) for r in land["counts"].values())
        assert np.array_equal(np.ma.filled(everything.get_array(), 0), total)
        assert these.get_extent() == [300, 700, 0.4, 1.8]


def test_landscape_names_each_variant_in_its_own_panel(land: dict[str, Any]) -> None:
    figure = plots.landscape(land)
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes}
    for v in land["variants"]:
        ax = panels[plots.CONTEXT_LABELS[v["context"]]]
        (label,) = [t for t in ax.texts if t.get_text().startswith(f"{v['variant']}\n")]
        assert f"{v['params']:,}" in label.get_text()
        assert label.xy == (v["params"] / 1e3, v["macs"] / 1e9)
    labels = sum(len(ax.texts) for ax in figure.axes)
    assert labels == len(land["variants"])


def test_a_variant_outside_the_figure_is_not_drawn(land: dict[str, Any]) -> None:
    far = land | {"variants": [{"variant": "far", "context": "ssh", "params": 10**7, "macs": 1}]}
    assert not any(ax.texts or ax.lines for ax in plots.landscape(far).axes[:7])


def test_landscape_of_contexts_without_an_architecture(land: dict[str, Any]) -> None:
    nothing = np.zeros((16, 20), int).tolist()
    counts = dict.fromkeys(land["counts"], nothing)
    one = copy.deepcopy(nothing)
    one[3][4] = 1
    for ssh in (nothing, one):
        png = render(plots.landscape(land | {"counts": counts | {"ssh": ssh}}), "png")
        assert png.startswith(b"\x89PNG")


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("kind", ["sensitivity", "landscape"])
def test_text_stands_out_in_either_scheme(
    contrast: Any,
    kind: str,
    scheme: Scheme,
    steps: list[dict[str, Any]],
    land: dict[str, Any],
) -> None:
    figure = (
        plots.sensitivity(steps, scheme) if kind == "sensitivity" else plots.landscape(land, scheme)
    )
    svg = render(figure)
    root = ElementTree.fromstring(svg)
    texts = [node for node in root.iter() if node.get("id", "").startswith("text_")]
    filled = [
        node for text in texts for node in text.iter() if "fill:" in (node.get("style") or "")
    ]
    assert len(filled) >= len(texts) > 20  # without a fill letters are black
    for node in filled:
        (colour,) = re.findall(r"fill: (#[0-9a-f]{6})", node.get("style") or "")
        assert contrast(colour, scheme.background) >= 4.5
