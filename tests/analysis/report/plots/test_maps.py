from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import nn

from analysis.maps import Maps, measure_maps
from analysis.report.plots.maps import figures
from analysis.report.plots.maps.canvas import photograph, show_map
from analysis.report.plots.maps.captions import caption
from analysis.report.plots.style import DARK, render
from featherface import CONFIGS, FeatherFace


def measured(variant: str, shape: tuple[int, int] = (40, 48), score: float = 0.3) -> Maps:
    torch.manual_seed(0)
    model = FeatherFace(CONFIGS[variant]).eval()
    for name, parameter in model.context.named_parameters():
        if ".offset." in name or ".mask." in name:
            nn.init.normal_(parameter, std=0.1)
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    maps = measure_maps(model, picture, weights=variant, score_threshold=score)
    # As it comes back from a file.
    return Maps(json.loads(json.dumps(maps.record)), maps.arrays, maps.picture)


@pytest.fixture(scope="module")
def official() -> Maps:
    return measured("official")


def drawn(maps: Maps, theme: Literal["light", "dark"] = "light") -> dict[str, Figure]:
    return dict(figures(maps, theme))


@pytest.fixture(scope="module")
def found(official: Maps) -> dict[str, Figure]:
    return drawn(official)


EVERY = ["gates", "channels", "gains", "offsets", "reach", "effects"]


def test_a_figure_for_everything_there_is(found: dict[str, Figure]) -> None:
    assert set(found) == {*EVERY, "points-1", "points-2", "points-3"}


@pytest.mark.slow
def test_what_a_network_lacks_has_no_figure() -> None:
    for variant, missing in (("v1", {"offsets", "reach"}), ("no-attention", {"gates", "channels"})):
        others = drawn(measured(variant, (40, 40)))
        assert not missing & set(others)
        assert "effects" in others


@pytest.mark.slow
@pytest.mark.parametrize("name", [*EVERY, "points-1"])
def test_the_same_record_gives_the_same_svg_that_stands_alone(official: Maps, name: str) -> None:
    twin = copy.deepcopy(official)
    svg = render(drawn(official, "dark")[name], "svg")
    assert render(drawn(twin, "dark")[name], "svg") == svg
    assert len(svg) < 600_000
    root = ElementTree.fromstring(svg)
    assert float(root.attrib["width"].removesuffix("pt")) == pytest.approx(700 * 0.75)
    assert b"dc:date" not in svg
    links = [value for node in root.iter() for key, value in node.items() if key.endswith("href")]
    assert all(link.startswith(("#", "data:image/png;", "data:image/jpeg;")) for link in links)
    assert not [node for node in root.iter() if node.tag.endswith("}text")]  # outlines, no fonts
    ground = DARK.background.encode()
    assert ground in svg


def test_colours_lie_on_the_cell_that_they_are_of() -> None:
    """A level of 8 pixels a cell on a black picture: only the cell at (row 1, column 2) is on."""
    values = np.zeros((4, 5))
    values[1, 2] = 1
    x, y = 8 * np.arange(5) + 0.5, 8 * np.arange(4) + 0.5
    picture = np.zeros((32, 40, 3), np.uint8)
    maps = Maps({"faces": []}, {"p3.x": x, "p3.y": y}, picture)
    ax = Figure().subplots()
    show_map(ax, maps, "p3", values, Normalize(0, 1), "gray", longest=400)
    image = np.asarray(ax.images[0].get_array())
    lit = np.argwhere(image[..., 0] > 0.5) / 4  # little pictures are enlarged four times
    assert lit.min(0) == pytest.approx([8.5 - 4, 16.5 - 4])
    assert lit.max(0) + 0.25 == pytest.approx([8.5 + 4, 16.5 + 4])


def test_a_photograph_is_grey_beyond_its_edge() -> None:
    picture = np.zeros((10, 10, 3), np.uint8)
    image = photograph(picture, (-10, -10, 10, 10), 20)
    assert image.shape == (20, 20, 3)
    assert np.allclose(image[:10], 128 / 255)
    assert np.allclose(image[10:, 10:], 0)


def test_points_are_drawn_where_the_record_has_them(
    official: Maps, found: dict[str, Figure]
) -> None:
    figure = found["points-1"]
    first = [p for p in official.record["points"] if p["position"] == 0]
    assert len(figure.axes) == len(first) == 15
    for ax, point in zip(figure.axes, first, strict=True):
        lines, grid, dots = ax.collections
        assert dots.get_offsets().tolist() == point["points"]
        assert grid.get_offsets().tolist() == point["regular"]
        ends = [[start, end] for start, end in zip(point["regular"], point["points"], strict=True)]
        assert [segment.tolist() for segment in lines.get_segments()] == ends
        assert np.argmax(dots.get_sizes()) == np.argmax(point["mask"])
        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        assert all(left <= x <= right and top <= y <= bottom for x, y in point["points"])


def test_bars_and_dots_are_the_record(official: Maps, found: dict[str, Figure]) -> None:
    gates = [r["channel"]["sorted"] for r in official.record["attention"]]
    stairs = [patch.get_data().values for ax in found["channels"].axes for patch in ax.patches]
    assert all(np.allclose(a, b) for a, b in zip(stairs, gates, strict=True))
    scores = next(ax for ax in found["effects"].axes if "mean score" in ax.get_xlabel())
    dots = [line.get_xdata()[0] for line in scores.lines if line.get_marker() == "o"]
    assert dots == [r["mean_score"] for r in official.record["effects"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "shape", "score"),
    [
        ("official", (33, 50), 0.99),  # little, and no face
        ("v1-deformable", (32, 400), 0.3),  # wide, version 1
        ("v1", (400, 32), 0.3),  # tall, no offsets
        ("no-attention", (20, 20), 0.99),  # padded
    ],
)
@pytest.mark.filterwarnings("error")  # a layout that collapses warns
def test_pictures_of_any_shape(variant: str, shape: tuple[int, int], score: float) -> None:
    maps = measured(variant, shape, score)
    for name, figure in drawn(maps).items():
        assert render(figure, "png").startswith(b"\x89PNG"), name


def recorded(**changes: Any) -> dict[str, Any]:
    def effect(id: str, found: int, score: float) -> dict[str, Any]:
        return {
            "id": id,
            "title": id,
            "where": "",
            "new": 0,
            "found": found,
            "mean_score": score,
            "mean_score_before": 0.9,
        }

    effects = [effect("gates-zero", 2, 0.8), effect("cbam-bypass", 1, 0.3)]
    return {"faces": [{}, {}], "effects": effects} | changes


def test_the_finding_of_effects_compares_gates_and_their_relu() -> None:
    words = caption(recorded(), "effects").finding
    assert "All gates at 0: 2 of 2 faces found, mean score 0.8000." in words
    assert "bypassed, its ReLU with it: 1 of 2 faces found, mean score 0.3000." in words
    assert words.endswith("depend on the ReLU behind the gates, not on the gates.")
    gates, bypass = recorded()["effects"]
    same = recorded(effects=[gates, bypass | {"found": 2}])
    assert "depend on" not in caption(same, "effects").finding
    assert caption(recorded(faces=[]), "effects").finding == ""


def test_findings_of_the_recorded_image() -> None:
    path = Path(__file__).resolve().parents[4] / "docs" / "results" / "maps.json"
    record = json.loads(path.read_text(encoding="utf-8"))["maps"]["official"]
    expected = {
        "gates": "second attention, P5, 0.10 inside and 0.56 outside",
        "channels": "between 0.33 (first attention, P5) and 0.56 (second attention, P4)",
        "gains": "between 4.8 % of their input (second attention, P5)",
        "points-1": "(P5, branch b1)",
        "offsets": "and 1.76 (P5, branch a)",
        "reach": "in 14 of 15 convolutions",
        "effects": "All offsets at 0: 1 of 1 faces found, mean score 0.8820 (0.9997 before).",
    }
    for name, words in expected.items():
        assert words in caption(record, name).finding
    assert "P5 0.10 in faces, 0.56 outside" in caption(record, "gates").alternative
