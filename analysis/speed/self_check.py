"""Reasons not to believe a measurement, found by the measurement itself."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from analysis.speed import latest

MOST_OTHER_LOAD = 0.05
"""Of all processors, by other processes."""

MOST_DIFFERENCE = 0.10
"""Between the same block in two variants, of the block's time.

On a quiet machine it was 4 to 8 per cent in three runs, as a block also depends on the memory that
others have used; on a busy one 74.
"""

LEAST_DIFFERENCE = 0.02
"""Of the whole pass; less is ignored, as a block finds the caches that the one before left."""

OVERHEAD = (-0.03, 0.10)
"""The cost of the marks, as a part of the whole; below zero shows unsteady times."""

MOST_OUTSIDE = 0.10
"""Of the marked run, in no block."""


class OtherLoad:
    """Measures the processor time that other processes take while the context lasts.

    Attributes:
        share: of all processors, from 0 to 1; `None` where the system does not say.
    """

    share: float | None = None

    def __enter__(self) -> OtherLoad:
        self._start = time.monotonic(), _busy(), _own()
        return self

    def __exit__(self, *_: object) -> None:
        start, busy, own = self._start
        seconds = (time.monotonic() - start) * (psutil.cpu_count() or 1)
        spent = _busy() - busy
        if seconds > 0 and spent > 0:
            self.share = min(1.0, max(0.0, (spent - (_own() - own)) / seconds))


def _busy() -> float:
    """Return the seconds that all processors were busy, since the system started."""
    spent = psutil.cpu_times()
    return float(sum(spent) - spent.idle - getattr(spent, "iowait", 0.0))


def _own() -> float:
    return float(sum(psutil.Process().cpu_times()[:2]))


def load_doubts(share: float | None) -> list[str]:
    """Return the doubt that the load of other processes gives, if it does."""
    if share is None or share <= MOST_OTHER_LOAD:
        return []
    return [f"other processes took {100 * share:.0f} % of the processors"]


def doubts(
    records: Sequence[Mapping[str, Any]], modules: Sequence[Mapping[str, str]]
) -> list[list[str]]:
    """Return for each record of latency the reasons not to believe it.

    Args:
        records: of one run, in which they took turns.
        modules: for each, its blocks' structure by name, with the kernel of a block that deforms;
            blocks of the same structure do the same.
    """
    found = [load_doubts(record["others_load"]) for record in records]
    same: dict[tuple[Any, ...], dict[int, float]] = defaultdict(dict)
    for i, record in enumerate(records):
        if not record["blocks"]:
            continue
        overhead, outside = record["overhead"], record["outside_blocks"]
        if not OVERHEAD[0] <= overhead <= OVERHEAD[1]:
            found[i].append(f"marks cost {100 * overhead:+.1f} % of the whole")
        # Other networks may do much themselves, or call a block inside another.
        if record["variant"] and not -0.001 <= outside <= MOST_OUTSIDE:
            found[i].append(f"{100 * outside:.1f} % of the run is in no block")
        here = record["environment"]
        how = record["runtime"], *record["input"], here["dtype"], here["memory_format"]
        for block in record["blocks"]:
            name = block["name"]
            same[(name, modules[i][name], how)][i] = block["ms_p50"]
    for (name, *_), times in same.items():
        fast, slow = min(times, key=times.__getitem__), max(times, key=times.__getitem__)
        differ = times[slow] - times[fast]
        ignored = LEAST_DIFFERENCE * records[fast]["whole"]["ms_p50"]
        if differ > max(MOST_DIFFERENCE * times[fast], ignored):
            least, most = (latest.network_name(records[i]) for i in (fast, slow))
            reason = (
                f"{name} takes {times[fast]:.3f} ms in {least} and {times[slow]:.3f} ms in {most}, "
                "though it is the same"
            )
            for i in times:
                found[i].append(reason)
    return found
