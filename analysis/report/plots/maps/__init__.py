"""Figures of attention and offsets on an image, from `analysis.maps.measure_maps`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

import matplotlib
from matplotlib.figure import Figure

from analysis.maps import Maps
from analysis.report.plots.maps.canvas import style
from analysis.report.plots.maps.captions import names
from analysis.report.plots.maps.effects import effects
from analysis.report.plots.maps.gates import channel_gates, gains, spatial_gates
from analysis.report.plots.maps.offsets import fields, reach, sampling
from analysis.report.plots.style import SCHEMES, Scheme

_PLOTS: dict[str, Callable[[Maps, Scheme], Figure]] = {
    "gates": spatial_gates,
    "channels": channel_gates,
    "gains": gains,
    "offsets": fields,
    "reach": reach,
    "effects": effects,
}


def figures(maps: Maps, theme: Literal["light", "dark"] = "light") -> Iterator[tuple[str, Figure]]:
    """Yield the figures by name, see `analysis.report.plots.maps.captions.names`."""
    scheme = SCHEMES[theme]
    for name in names(maps.record):
        kind, _, number = name.partition("-")
        draw = partial(sampling, position=int(number) - 1) if number else _PLOTS[kind]
        with matplotlib.rc_context(style(scheme)):
            figure = draw(maps, scheme)
        yield name, figure
