"""The finding of each figure of costs, times and AP: a sentence, computed from its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.report import Record
from analysis.report.formats import event, extremes, share, signed
from analysis.report.plots.latency import label
from analysis.report.tables.widerface import span
from analysis.widerface.ground_truth import SUBSETS

_FEW = 100  # faces: AP of fewer says little


def by_block(rows: Sequence[Record]) -> str:
    """Return which block takes the most time, in how many of the bars, and up to which share."""
    largest = [max(row["blocks"], key=lambda block: block["ms_p50"]) for row in rows]
    ((name, bars),) = Counter(block["name"] for block in largest).most_common(1)

    def of_name(row: Record) -> float:
        times = {block["name"]: block["ms_p50"] for block in row["blocks"]}
        return float(times[name] / sum(times.values()))

    most = max(rows, key=of_name)
    return (
        f"{_words(name).capitalize()} takes the most time in {bars} of {len(rows)} bars, up to "
        f"{share(of_name(most))} in {label(most)}."
    )


def operators(row: Record) -> str:
    """Return the operator that takes the most time, and its share."""
    first = row["operators"][0]
    return (
        f"{first['operator'].removeprefix('aten::')} in {_words(first['block'])} takes the most "
        f"time: {share(first['share'])}."
    )


def by_reach(row: Record) -> list[Record]:
    """Return the blocks with MACs from the farthest below their ceiling to the closest."""
    blocks = [block for block in row["blocks"] if block["macs_per_byte"]]
    return sorted(blocks, key=lambda block: float(block["share_of_roof"]))


def roofline(row: Record) -> str:
    """Return the blocks that come closest to their ceiling and stay farthest below it."""
    low, *_, high = by_reach(row)
    return (
        f"{_words(high['name']).capitalize()} comes closest to its ceiling, with "
        f"{share(high['share_of_roof'])} of it; the farthest below is {_words(low['name'])}, with "
        f"{share(low['share_of_roof'])}."
    )


def growth(row: Record) -> str:
    """Return the time and memory that a megapixel more takes."""
    time, memory = (row["fits"]["sizes"][key] for key in ("ms_p50", "peak_bytes"))
    if time is None or memory is None:
        return ""
    return (
        f"A larger image takes {time['per_megapixel']:.3g} ms and "
        f"{memory['per_megapixel'] / 2**20:.3g} MiB more per megapixel."
    )


def sensitivity(steps: Sequence[Record]) -> str:
    """Return the step that changes the parameters most, and what it changes."""
    known = [step for step in steps if step["params_change"] is not None]
    most = max(known, key=lambda step: abs(step["params_change"]))
    params = signed(",.0f", 1e3)(most["params_change"])
    macs = signed(",.0f", 1e6)(most["macs_change"])
    return (
        f"The largest change: {most['field']} {most['from']} → {most['to']}, {params} thousand "
        f"parameters and {macs} million MACs."
    )


def curves(detectors: Mapping[str, Record]) -> str:
    """Return the subset on which the detectors differ most, with the lowest and highest AP."""

    def ends(subset: str) -> tuple[Any, Any]:
        pairs = [(one["ap"][subset], name) for name, one in detectors.items()]
        return min(pairs), max(pairs)

    widest = max(SUBSETS, key=lambda subset: ends(subset)[1][0] - ends(subset)[0][0])
    (low, worst), (high, best) = ends(widest)
    return (
        f"The detectors differ most on {widest.capitalize()}: from an AP of {low:.4f} ({worst}) "
        f"to {high:.4f} ({best})."
    )


def by_height(detectors: Mapping[str, Record]) -> str:
    """Return the heights of faces at which the first detector is worst and best."""
    name, first = next(iter(detectors.items()))
    known = [bucket for bucket in first["heights"] if bucket["faces"] >= _FEW]
    low, high = extremes(known, lambda bucket: bucket["ap"])
    return (
        f"{name} has an AP of {low['ap']:.2f} on faces of {span(low)} pixels and of "
        f"{high['ap']:.2f} on those of {span(high)}."
    )


def by_event(detectors: Mapping[str, Record]) -> str:
    """Return the events on which the first detector is worst and best, on Hard."""
    name, first = next(iter(detectors.items()))
    known = [one for one in first["events"] if one["hard"] is not None]
    low, high = extremes(known, lambda one: one["hard"])
    return (
        f"{name} is worst on {event(low['event'])} with an AP of {low['hard']:.2f} on Hard, and "
        f"best on {event(high['event'])} with {high['hard']:.2f}."
    )


def training(rows: Sequence[Record]) -> str:
    """Return the AP on Hard at the first and at the last checkpoint.

    Args:
        rows: of the history, all of one training; see `analysis.widerface.history.trainings`.
    """
    ordered = sorted(rows, key=lambda row: (row["epoch"] is None, row["epoch"] or 0))
    first, last = ordered[0], ordered[-1]
    end = last["detector"] if last["epoch"] is None else f"epoch {last['epoch']}"
    return (
        f"AP on Hard goes from {first['hard']:.3f} at epoch {first['epoch']} to "
        f"{last['hard']:.3f} with {end}."
    )


def _words(block: str) -> str:
    return block.replace("_", " ")
