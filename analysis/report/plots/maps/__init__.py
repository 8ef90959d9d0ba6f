"""Figures of attention and offsets on a picture.

Each takes the record and the arrays of `analysis.maps.measure_maps`, and the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from matplotlib.figure import Figure

from analysis.report.plots.maps.canvas import Arrays, Picture, Record
from analysis.report.plots.maps.effects import effects
from analysis.report.plots.maps.gates import channel_gates, gains, spatial_gates
from analysis.report.plots.maps.offsets import fields, reach, sampling
from analysis.report.plots.maps.page import composite
from analysis.report.plots.style import SCHEMES, render

__all__ = ["draw_maps", "figures"]


def draw_maps(
    record: Record,
    arrays: Arrays,
    picture: Picture,
    kind: Literal["svg", "png"] = "svg",
    theme: Literal["light", "dark"] = "light",
) -> Iterator[tuple[str, bytes]]:
    """Each figure that this network has something to show in, as name and content of a file."""
    for name, figure in figures(record, arrays, picture, theme):
        yield name, render(figure, kind)


def figures(
    record: Record, arrays: Arrays, picture: Picture, theme: Literal["light", "dark"] = "light"
) -> Iterator[tuple[str, Figure]]:
    """The figures by name: "page", "gates", "channels", "gains", "points-1" …, "offsets", "reach",
    "effects". What a network does not have is left out; the page says so."""
    colours = SCHEMES[theme]
    yield "page", composite(record, arrays, picture, colours)
    if record["attention"]:
        yield "gates", spatial_gates(record, arrays, picture, colours)
        yield "channels", channel_gates(record, colours)
        yield "gains", gains(record, colours)
    if record["context"]:
        for position in range(len(record["positions"])):
            yield f"points-{position + 1}", sampling(record, picture, position, colours)
        yield "offsets", fields(record, arrays, picture, colours)
        yield "reach", reach(record, colours)
    yield "effects", effects(record, picture, colours)
