"""Figures of attention and offsets on an image, and the finding of each.

They take the record and the arrays of `analysis.maps.measure_maps`, and the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

import matplotlib
from matplotlib.figure import Figure

from analysis.report.plots.maps.canvas import Arrays, Picture, Record, style
from analysis.report.plots.maps.effects import effects
from analysis.report.plots.maps.findings import finding
from analysis.report.plots.maps.gates import channel_gates, gains, spatial_gates
from analysis.report.plots.maps.offsets import fields, reach, sampling
from analysis.report.plots.maps.page import composite
from analysis.report.plots.style import SCHEMES, render

__all__ = ["draw_maps", "figures", "finding"]


def draw_maps(
    record: Record,
    arrays: Arrays,
    picture: Picture,
    kind: Literal["svg", "png"] = "svg",
    theme: Literal["light", "dark"] = "light",
) -> Iterator[tuple[str, bytes]]:
    """Yield name and file content of each figure that this network has something to show in."""
    for name, figure in figures(record, arrays, picture, theme):
        yield name, render(figure, kind)


def figures(
    record: Record, arrays: Arrays, picture: Picture, theme: Literal["light", "dark"] = "light"
) -> Iterator[tuple[str, Figure]]:
    """Yield the figures by name: "page", "gates", "channels", "gains", "points-1" …, "offsets",
    "reach", "effects", without those of a part that the network lacks."""
    scheme = SCHEMES[theme]
    plots: dict[str, Callable[[], Figure]] = {"page": partial(composite, record, arrays, picture)}
    if record["attention"]:
        plots["gates"] = partial(spatial_gates, record, arrays, picture)
        plots["channels"] = partial(channel_gates, record, scheme)
        plots["gains"] = partial(gains, record)
    if record["context"]:
        for position in range(len(record["positions"])):
            plots[f"points-{position + 1}"] = partial(sampling, record, picture, position, scheme)
        plots["offsets"] = partial(fields, record, arrays, picture)
        plots["reach"] = partial(reach, record, scheme)
    plots["effects"] = partial(effects, record, picture, scheme)
    for name, draw in plots.items():
        with matplotlib.rc_context(style(scheme)):
            figure = draw()
        yield name, figure
