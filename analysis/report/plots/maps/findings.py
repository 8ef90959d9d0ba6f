"""One finding for each figure of attention and offsets, computed from the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.report.formats import share

Record = Mapping[str, Any]


def finding(record: Record, name: str) -> str:
    """Return what to see in a figure, in a sentence or two; "" where there is nothing to compare.

    Args:
        record: from `analysis.maps.measure_maps`.
        name: of the figure, as `analysis.report.plots.maps.figures` yields it.
    """
    kind = name.split("-")[0]
    if kind in ("page", "effects"):
        return _effects(record)
    if kind in ("gates", "channels", "gains"):
        return {"gates": _gates, "channels": _channels, "gains": _gains}[kind](record["attention"])
    if kind == "points":
        return _points([p for p in record["points"] if p["position"] == int(name[7:]) - 1])
    return {"offsets": _offsets, "reach": _reach}[kind](record["context"])


def _place(row: Record) -> str:
    if "branch" in row:
        branch = "" if row["branch"] == "single" else f", branch {row['branch']}"
        return f"{row['level'].upper()}{branch}"
    return f"{row['stage'].replace('_', ' ')}, {row['level'].upper()}"


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
