"""Clocks, and how long to go on measuring: until the median stands still.

Times of one machine are neither normal nor without outliers, so everything here is a quantile,
and the interval of the median is the one from order statistics: of n independent times the l-th
smallest and l-th largest enclose the true median with a probability that the binomial
distribution gives, whatever the times' own distribution is (David and Nagaraja 2003, "Order
Statistics", section 7.1). Times that follow each other are not quite independent; `drift` shows
how far the second half of a measurement lies from the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import comb, floor, sqrt
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np
import torch

from featherface.errors import InputError

FEWEST = 3
"""So many times are always taken, however slow; with fewer a median means nothing."""


@dataclass(frozen=True)
class Rule:
    """When to stop: once the median's interval is narrow enough, or the time is spent.

    Raises:
        InputError: for values that no measurement can obey.
    """

    within: float = 0.02
    """Half the width of the interval, as a fraction of the median."""
    confidence: float = 0.95
    least: int = 20
    """Runs before looking at the interval at all."""
    seconds: float = 20.0
    """Then stop anyway, and say so."""

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("within", self.within, 0.0001, 1.0),
            ("confidence", self.confidence, 0.5, 0.9999),
            ("least", self.least, FEWEST, 10**6),
            ("seconds", self.seconds, 0.0, 10**6),
        ):
            if not low <= value <= high:
                raise InputError(f"{name} (={value}) must be from {low:g} to {high:g}")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def median_ranks(n: int, confidence: float) -> tuple[int, int] | None:
    """Which order statistics of n enclose the median so surely: (l, n - 1 - l), from 0.

    The narrowest such pair that is symmetric; `None` where even the smallest and the largest do
    not reach the confidence, as with five values and 95 %. Exact up to a thousand values, then by
    the normal distribution, rounded outwards.
    """
    if n > _EXACT:
        z = NormalDist().inv_cdf((1 + confidence) / 2)
        rank = floor((n - z * sqrt(n)) / 2) - 1
        return rank, n - 1 - rank
    most = 2**n * (1 - confidence) / 2  # of the 2ⁿ ways to fall below or above, on either side
    tail, rank = 0, -1
    while rank + 1 < (n + 1) // 2:
        tail += comb(n, rank + 1)
        if tail > most:
            break
        rank += 1
    return (rank, n - 1 - rank) if rank >= 0 else None


_EXACT = 1000  # 2ⁿ is still a float


def summarise(ms: Sequence[float], rule: Rule) -> dict[str, Any]:
    """Times in milliseconds as one record.

    Returns:
        `ms_p10`, `ms_p50`, `ms_p90`, `ms_mean`, `n`; `ms_p50_interval`, the median's interval at
        the rule's confidence, and `p50_within`, half of its width over the median, both `None`
        for too few times; `settled`, whether that is as narrow as the rule asks; `drift`, the
        median of the second half over that of the first, minus 1.
    """
    times = np.sort(np.asarray(ms, dtype=np.float64))
    n = len(times)
    p10, p50, p90 = (float(q) for q in np.quantile(times, (0.1, 0.5, 0.9)))
    ranks = median_ranks(n, rule.confidence)
    interval = [float(times[ranks[0]]), float(times[ranks[1]])] if ranks else None
    within = (interval[1] - interval[0]) / 2 / p50 if interval and p50 > 0 else None
    first, second = float(np.median(ms[: n // 2] or ms)), float(np.median(ms[n // 2 :]))
    return {
        "ms_p10": p10,
        "ms_p50": p50,
        "ms_p90": p90,
        "ms_mean": float(times.mean()),
        "n": n,
        "ms_p50_interval": interval,
        "p50_within": within,
        "settled": n >= rule.least and within is not None and within <= rule.within,
        "drift": second / first - 1 if first > 0 else None,
    }


def collect(
    run: Callable[[], Mapping[str, float]],
    rule: Rule,
    watched: Callable[[Mapping[str, list[float]]], Sequence[str]] = list,
    now: Callable[[], float] = time.monotonic,
) -> dict[str, list[float]]:
    """Run again and again until the watched times have settled, or the rule's time is spent.

    Args:
        run: one run; its times in milliseconds by name, the same names each time.
        watched: of the times so far, by name, the names that have to settle; all by default.

    Returns:
        All times by name, in the order they were taken.
    """
    times: dict[str, list[float]] = {}
    start = now()
    n = 0
    look = rule.least
    while True:
        for name, ms in run().items():
            times.setdefault(name, []).append(ms)
        n += 1
        if n >= look:
            if all(summarise(times[name], rule)["settled"] for name in watched(times)):
                return times
            look = n + max(1, n // 10)  # sorting at every run would cost more than some runs
        if n >= FEWEST and now() - start >= rule.seconds:
            return times


class Clock(Protocol):
    """Takes times on a device. A mark is a moment; the time between two is known once settled."""

    def mark(self) -> Any: ...

    def settle(self) -> None:
        """Wait until everything marked has happened."""

    def ms_between(self, first: Any, second: Any) -> float: ...


class CpuClock:
    """The monotonic clock of the system with the highest resolution."""

    def mark(self) -> int:
        return time.perf_counter_ns()

    def settle(self) -> None:
        """Nothing to wait for: an operator on the CPU has ended when its call has."""

    def ms_between(self, first: int, second: int) -> float:
        return (second - first) / 1e6


class CudaClock:
    """Events in the stream of a GPU, which take the time when the device gets to them.

    The time between two events also holds what the device waits for the host that feeds it; in
    eager PyTorch and with small pictures that is most of it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def settle(self) -> None:
        torch.cuda.synchronize(self._device)

    def ms_between(self, first: torch.cuda.Event, second: torch.cuda.Event) -> float:
        return float(first.elapsed_time(second))


def clock_of(device: torch.device) -> Clock:
    """The clock for a device."""
    return CudaClock(device) if device.type == "cuda" else CpuClock()


class CacheFlush:
    """Overwrites a GPU's L2 cache, so that a run starts with its weights and input in memory.

    Raises:
        InputError: for a device that is no GPU.
    """

    def __init__(self, device: torch.device) -> None:
        if device.type != "cuda":
            raise InputError(f"flushing the L2 cache is for CUDA devices, not for {device}")
        cache = int(torch.cuda.get_device_properties(device).L2_cache_size)
        # Several times the cache, whose replacement need not be strictly by age.
        self._buffer = torch.empty(4 * cache, dtype=torch.uint8, device=device)

    def __call__(self) -> None:
        self._buffer.zero_()
