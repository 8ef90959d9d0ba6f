"""Title, text alternative and finding of each figure of attention and offsets, from the record."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from analysis.report import Record
from analysis.report.formats import extremes, share


class Caption(NamedTuple):
    """The words around a figure."""

    title: str
    alternative: str  # the content with its numbers, for readers who cannot see it
    finding: str  # "" where there is nothing to compare


def names(record: Record) -> list[str]:
    """Return the names of the figures of a record, without those of a part the network lacks."""
    points = [f"points-{position + 1}" for position in range(len(record["positions"]))]
    return [
        *(["gates", "channels", "gains"] if record["attention"] else []),
        *([*points, "offsets", "reach"] if record["context"] else []),
        "effects",
    ]


def caption(record: Record, name: str) -> Caption:
    """Return the words around a figure: one of `names(record)`."""
    kind, _, number = name.partition("-")
    if number:
        return _points([p for p in record["points"] if p["position"] == int(number) - 1])
    if kind == "effects":
        return _effects(record)
    of_offsets = {"offsets": _offsets, "reach": _reach}
    if kind in of_offsets:
        return of_offsets[kind](record["context"])
    return {"gates": _gates, "channels": _channels, "gains": _gains}[kind](record["attention"])


def _gates(rows: Sequence[Record]) -> Caption:
    means = _listed(rows, lambda row: _both(row["spatial"]))
    both = [
        (row["spatial"]["inside"]["mean"], row["spatial"]["outside"]["mean"], place(row))
        for row in rows
        if row["spatial"]["inside"] and row["spatial"]["outside"]
    ]
    finding = ""
    if both:
        lower = sum(inside < outside for inside, outside, _ in both)
        inside, outside, where = max(both, key=lambda one: abs(one[0] - one[1]))
        finding = (
            f"The mean gate is lower inside faces than outside in {lower} of {len(both)} maps. The "
            f"largest difference: {where}, {inside:.2f} inside and {outside:.2f} outside."
        )
    return Caption("Spatial gates", f"Spatial gates over the image. Means: {means}.", finding)


def _channels(rows: Sequence[Record]) -> Caption:
    means = _listed(rows, lambda row: f"{row['channel']['mean']:.2f}")
    least, most = extremes(rows, lambda row: row["channel"]["mean"])
    return Caption(
        "Channel gates",
        f"Channel gates as bars by falling value. Means: {means}.",
        f"Mean channel gates are between {least['channel']['mean']:.2f} ({place(least)}) and "
        f"{most['channel']['mean']:.2f} ({place(most)}).",
    )


def _gains(rows: Sequence[Record]) -> Caption:
    means = _listed(rows, lambda row: _both(row["gain"]))
    inside = [row for row in rows if row["gain"]["inside"] is not None]
    finding = ""
    if inside:
        least, most = extremes(inside, lambda row: row["gain"]["inside"])
        finding = (
            f"Inside faces, gates add between {share(least['gain']['inside'])} of their input "
            f"({place(least)}) and {share(most['gain']['inside'])} ({place(most)})."
        )
    alternative = f"Mean activation the gates add, as a share of their input: {means}."
    return Caption("Share that the gates add", alternative, finding)


def _points(points: Sequence[Record]) -> Caption:
    def reach(point: Record) -> float:
        return max(math.dist(place, point["centre"]) for place in point["points"])

    most = max(points, key=reach)
    return Caption(
        "Sampling points of one cell",
        "The nine sampling points of each branch and level at one position, on the image, beside "
        "the regular grid.",
        f"The farthest sampling point is {reach(most):.0f} pixels from the cell's centre "
        f"({place(most)}).",
    )


def _offsets(rows: Sequence[Record]) -> Caption:
    means = _listed(rows, lambda row: f"{row['displacement']['all']['mean']:.2f} cells")
    least, most = extremes(rows, lambda row: row["displacement"]["all"]["mean"])
    low, high = (row["displacement"]["all"]["mean"] for row in (least, most))
    return Caption(
        "Offsets",
        f"Displacement of the taps over the image. Means: {means}.",
        f"Taps move on average between {low:.2f} cells ({place(least)}) and {high:.2f} "
        f"({place(most)}); of the latter's mean square, {share(most['adaptive'])} varies from "
        "cell to cell.",
    )


def _reach(rows: Sequence[Record]) -> Caption:
    means = _listed(rows, lambda row: _both(row["reach"]))
    both = [row["reach"] for row in rows if row["reach"]["inside"] and row["reach"]["outside"]]
    farther = sum(reach["inside"]["mean"] > reach["outside"]["mean"] for reach in both)
    finding = (
        f"Sampling points reach farther inside faces than outside in {farther} of {len(both)} "
        "convolutions."
    )
    alternative = f"Distance of sampling points from their cell, in cells. Means: {means}."
    return Caption("Reach of the sampling points", alternative, finding if both else "")


def _effects(record: Record) -> Caption:
    effects = {effect["id"]: effect for effect in record["effects"]}
    faces = len(record["faces"])
    listed = "; ".join(
        f"{effect['title']}: {effect['found']} of {faces} found, {effect['new']} new, "
        f"mean score {effect['mean_score']}"
        for effect in record["effects"]
        if effect["where"] == "everywhere"
    )

    def kept(effect: Record) -> str:
        return f"{effect['found']} of {faces} faces found, mean score {effect['mean_score']:.4f}"

    parts = []
    if faces and {"gates-zero", "cbam-bypass"} <= effects.keys():
        zero, bypass = effects["gates-zero"], effects["cbam-bypass"]
        parts.append(
            f"All gates at 0: {kept(zero)}. Attention bypassed, its ReLU with it: {kept(bypass)}."
        )
        if zero["found"] > bypass["found"]:
            parts.append("So these faces depend on the ReLU behind the gates, not on the gates.")
    if faces and "offsets-zero" in effects:
        before, zero = effects["offsets-zero"]["mean_score_before"], effects["offsets-zero"]
        parts.append(f"All offsets at 0: {kept(zero)} ({before:.4f} before).")
    return Caption("Ablations", f"Faces found with one part ablated. {listed}.", " ".join(parts))


def place(row: Record) -> str:
    """Return the attention or the convolution, and the level, that a row is about."""
    level = row["level"].upper()
    if "stage" in row:
        return f"{row['stage'].replace('_', ' ')}, {level}"
    return level if row["branch"] == "single" else f"{level}, branch {row['branch']}"


def _listed(rows: Sequence[Record], words: Callable[[Record], Any]) -> str:
    return "; ".join(f"{place(row)} {words(row)}" for row in rows)


def _both(values: Record) -> str:
    found = (values.get(where) for where in ("inside", "outside"))
    means = [value["mean"] if isinstance(value, Mapping) else value for value in found]
    inside, outside = ("none" if mean is None else f"{mean:.2f}" for mean in means)
    return f"{inside} in faces, {outside} outside"
