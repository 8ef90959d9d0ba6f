"""Title, text alternative and finding of each figure of attention and offsets, from the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from analysis.report.formats import share

Record = Mapping[str, Any]


def names(record: Record) -> list[str]:
    """Return the names of the figures of a record, without those of a part the network lacks."""
    points = [f"points-{position + 1}" for position in range(len(record["positions"]))]
    return [
        *(["gates", "channels", "gains"] if record["attention"] else []),
        *([*points, "offsets", "reach"] if record["context"] else []),
        "effects",
    ]


def title(name: str) -> str:
    """Return the subject of a figure."""
    return {
        "gates": "Spatial gates",
        "channels": "Channel gates",
        "gains": "Share that the gates add",
        "points": "Sampling points of one cell",
        "offsets": "Offsets",
        "reach": "Reach of the sampling points",
        "effects": "Ablations",
    }[name.split("-")[0]]


def alternative(record: Record, name: str) -> str:
    """Return the text alternative of a figure, with the numbers it shows."""
    attention, context = record["attention"], record["context"]

    def both(key: str) -> Callable[[Record], str]:
        def means(row: Record) -> str:
            inside, outside = (row[key][where] for where in ("inside", "outside"))
            return f"{_mean(inside)} in faces, {_mean(outside)} outside"

        return means

    match name.split("-")[0]:
        case "gates":
            return f"Spatial gates over the image. Means: {_listed(attention, both('spatial'))}."
        case "channels":
            means = _listed(attention, lambda row: row["channel"]["mean"])
            return f"Channel gates as bars by falling value. Means: {means}."
        case "gains":
            means = _listed(attention, both("gain"))
            return f"Mean activation the gates add, as a share of their input: {means}."
        case "points":
            return (
                "The nine sampling points of each branch and level at one position, on the image, "
                "beside the regular grid."
            )
        case "offsets":
            means = _listed(context, lambda row: f"{_mean(row['displacement']['all'])} cells")
            return f"Displacement of the taps over the image. Means: {means}."
        case "reach":
            means = _listed(context, both("reach"))
            return f"Distance of sampling points from their cell, in cells. Means: {means}."
    effects = "; ".join(
        f"{effect['title']}: {effect['found']} of {len(record['faces'])} found, "
        f"{effect['new']} new, mean score {effect['mean_score']}"
        for effect in record["effects"]
        if effect["where"] == "everywhere"
    )
    return f"Faces found with one part ablated. {effects}."


def _mean(summary: Any) -> str:
    if summary is None:
        return "none"
    return f"{summary['mean'] if isinstance(summary, Mapping) else summary:.2f}"


def _listed(rows: Sequence[Record], words: Callable[[Record], Any]) -> str:
    return "; ".join(f"{_place(row)} {words(row)}" for row in rows)


def _place(row: Record) -> str:
    level = row["level"].upper()
    if "stage" in row:
        return f"{row['stage'].replace('_', ' ')}, {level}"
    return level if row["branch"] == "single" else f"{level}, branch {row['branch']}"


def finding(record: Record, name: str) -> str:
    """Return what to see in a figure, in a sentence or two; "" where there is nothing to compare.

    Args:
        record: from `analysis.maps.measure_maps`.
        name: of the figure, one of `names(record)`.
    """
    match name.split("-")[0]:
        case "gates":
            return _gates(record["attention"])
        case "channels":
            return _channels(record["attention"])
        case "gains":
            return _gains(record["attention"])
        case "points":
            return _points([p for p in record["points"] if p["position"] == int(name[7:]) - 1])
        case "offsets":
            return _offsets(record["context"])
        case "reach":
            return _reach(record["context"])
    return _effects(record)


def _effects(record: Record) -> str:
    effects = {effect["id"]: effect for effect in record["effects"]}
    faces = len(record["faces"])
    if not faces:
        return ""

    def kept(effect: Record) -> str:
        return f"{effect['found']} of {faces} faces found, mean score {effect['mean_score']:.4f}"

    parts = []
    if {"gates-zero", "cbam-bypass"} <= effects.keys():
        zero, bypass = effects["gates-zero"], effects["cbam-bypass"]
        parts.append(
            f"All gates at 0: {kept(zero)}. Attention bypassed, its ReLU with it: {kept(bypass)}."
        )
        if zero["found"] > bypass["found"]:
            parts.append("So these faces depend on the ReLU behind the gates, not on the gates.")
    if "offsets-zero" in effects:
        before, zero = effects["offsets-zero"]["mean_score_before"], effects["offsets-zero"]
        parts.append(f"All offsets at 0: {kept(zero)} ({before:.4f} before).")
    return " ".join(parts)


def _gates(rows: Sequence[Record]) -> str:
    def means(row: Record) -> tuple[float, float]:
        return row["spatial"]["inside"]["mean"], row["spatial"]["outside"]["mean"]

    both = [row for row in rows if row["spatial"]["inside"] and row["spatial"]["outside"]]
    if not both:
        return ""
    most = max(both, key=lambda row: abs(means(row)[0] - means(row)[1]))
    lower = sum(means(row)[0] < means(row)[1] for row in both)
    inside, outside = means(most)
    return (
        f"The mean gate is lower inside faces than outside in {lower} of {len(both)} maps. The "
        f"largest difference: {_place(most)}, {inside:.2f} inside and {outside:.2f} outside."
    )


def _channels(rows: Sequence[Record]) -> str:
    least, most = _extremes(rows, lambda row: row["channel"]["mean"])
    return (
        f"Mean channel gates are between {least['channel']['mean']:.2f} ({_place(least)}) and "
        f"{most['channel']['mean']:.2f} ({_place(most)})."
    )


def _gains(rows: Sequence[Record]) -> str:
    both = [row for row in rows if row["gain"]["inside"] is not None]
    if not both:
        return ""
    least, most = _extremes(both, lambda row: row["gain"]["inside"])
    return (
        f"Inside faces, gates add between {share(least['gain']['inside'])} of their input "
        f"({_place(least)}) and {share(most['gain']['inside'])} ({_place(most)})."
    )


def _points(points: Sequence[Record]) -> str:
    def reach(point: Record) -> float:
        moved = np.array(point["points"]) - np.array(point["centre"])
        return float(np.hypot(moved[:, 0], moved[:, 1]).max())

    _, most = _extremes(points, reach)
    return (
        f"The farthest sampling point is {reach(most):.0f} pixels from the cell's centre "
        f"({_place(most)})."
    )


def _offsets(rows: Sequence[Record]) -> str:
    least, most = _extremes(rows, lambda row: row["displacement"]["all"]["mean"])
    low, high = (row["displacement"]["all"]["mean"] for row in (least, most))
    return (
        f"Taps move by {low:.2f} cells on average ({_place(least)}) to {high:.2f} "
        f"({_place(most)}), where "
        f"{share(most['adaptive'])} of the mean square varies from cell to cell."
    )


def _reach(rows: Sequence[Record]) -> str:
    both = [row["reach"] for row in rows if row["reach"]["inside"] and row["reach"]["outside"]]
    if not both:
        return ""
    farther = sum(reach["inside"]["mean"] > reach["outside"]["mean"] for reach in both)
    return (
        f"Sampling points reach farther inside faces than outside in {farther} of {len(both)} "
        "convolutions."
    )


def _extremes(rows: Sequence[Record], key: Any) -> tuple[Record, Record]:
    return min(rows, key=key), max(rows, key=key)
