"""Images of a network with and without one of its parts, one over the other on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from analysis.maps import Maps
from analysis.report.plots.maps import canvas
from analysis.report.plots.maps.canvas import Record
from analysis.report.plots.maps.offsets import draw_points
from analysis.report.plots.style import LIGHT, Scheme, render

_DRAWN = ("p5", "a")  # the level and branch whose sampling points move farthest

_WIDTH = 4.5  # inches


def draw_comparison(state: Record, maps: Maps) -> bytes:
    """Return the image with the faces and sampling points of a state, as SVG for both schemes."""
    height = _WIDTH * maps.picture.shape[0] / maps.picture.shape[1]
    with matplotlib.rc_context(canvas.style(LIGHT)):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        figure.set_layout_engine("none")  # so that all states are cut alike
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set_axis_off()
        window = canvas.whole(maps.picture)
        canvas.show(ax, canvas.photograph(maps.picture, window, 400), window)
        canvas.outline_faces(ax, state["faces"], "#f0e442")
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
        return render(figure)


def draw_images(images: Mapping[str, Maps], scheme: Scheme) -> bytes:
    """Return the images with the faces found on each, as SVG."""
    aspects = [maps.picture.shape[1] / maps.picture.shape[0] for maps in images.values()]
    with matplotlib.rc_context(canvas.style(scheme)):
        height = canvas.WIDTH / sum(aspects) + 0.4
        figure = Figure(figsize=(canvas.WIDTH, height), layout="constrained")
        axes = figure.subplots(1, len(images), width_ratios=aspects)
        for ax, (name, maps) in zip(axes, images.items(), strict=True):
            window = canvas.whole(maps.picture)
            canvas.show(ax, canvas.photograph(maps.picture, window, 320), window)
            canvas.outline_faces(ax, maps.record["faces"], "#f0e442")
            count = len(maps.record["faces"])
            canvas.panel(ax, name.capitalize(), f"{count} face{'s' * (count != 1)} found")
        return render(figure)
