"""Clocks, the plan of a measurement, and the statistics of its times.

What is compared takes turns: in each turn every contender runs once untimed, then a few times on
the clock. The number of turns and runs is decided before, from the warm-up; stopping when an
interval looks narrow would make it too narrow. The interval of the median is that of the turns'
medians, from order statistics, which assume nothing but independence: single runs are not
independent, turns nearly are, as seconds and other contenders lie between them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from featherface.errors import InputError

FEWEST_TURNS = 3
MOST_RUNS = 20
"""Runs of one contender in a turn."""

WARM_UP_RUNS = 5
"""Runs before that are not counted: caches fill, libraries choose kernels, graphs are captured.
Fewer where they would take a quarter of the rule's time, but at least three: the second may still
be one that captures."""

Run = Callable[[], Mapping[str, float]]
"""One run: its times in milliseconds by name, the same names each time."""

Turns = list[list[float]]
"""Milliseconds of each run, by turn."""


@dataclass(frozen=True)
class Rule:
    """The time that a measurement takes, and when its median counts as settled.

    Raises:
        InputError: for values out of range.
    """

    seconds: float = 20.0
    """For each contender, the warm-up apart."""
    turns: int = 20
    within: float = 0.02
    """Half the width of the median's interval, as a fraction of the median, that is settled."""
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("seconds", self.seconds, 0.0, 10**6),
            ("turns", self.turns, FEWEST_TURNS, 10**4),
            ("within", self.within, 0.0001, 1.0),
            ("confidence", self.confidence, 0.5, 0.9999),
        ):
            if not low <= value <= high:
                raise InputError(f"{name} (={value}) must be from {low:g} to {high:g}")


def take_turns(
    contenders: Mapping[Any, Run], rule: Rule, now: Callable[[], float] = time.monotonic
) -> dict[Any, dict[str, Turns]]:
    """Run all contenders in turns, and return their times by name.

    With little time there are fewer runs in a turn, then fewer turns, but never fewer than
    `FEWEST_TURNS`.
    """
    seconds = {key: _warm_up(run, rule, now) for key, run in contenders.items()}
    # Every turn begins with an untimed run.
    slowest = max(seconds.values(), default=0.0)
    turns = rule.turns
    if 2 * turns * slowest > rule.seconds:
        turns = max(FEWEST_TURNS, int(rule.seconds / (2 * slowest)))
    runs = {
        key: max(1, min(MOST_RUNS, int(rule.seconds / (turns * each)) - 1)) if each else MOST_RUNS
        for key, each in seconds.items()
    }
    found: dict[Any, dict[str, Turns]] = {key: {} for key in contenders}
    for _ in range(turns):
        for key, run in contenders.items():
            run()
            for times in found[key].values():
                times.append([])
            for _ in range(runs[key]):
                for name, ms in run().items():
                    found[key].setdefault(name, [[]])[-1].append(ms)
    return found


def measure(run: Callable[[], float], rule: Rule) -> dict[str, Any]:
    """Run a single contender, which returns its milliseconds, and return the summary."""
    return summarise(take_turns({"": lambda: {"ms": run()}}, rule)[""]["ms"], rule)


def _warm_up(run: Run, rule: Rule, now: Callable[[], float]) -> float:
    """Return the seconds of the fastest of some runs."""
    begin, fastest = now(), float("inf")
    for done in range(WARM_UP_RUNS):
        start = now()
        if done >= 3 and start - begin >= rule.seconds / 4:
            break
        run()
        fastest = min(fastest, now() - start)
    return fastest


def summarise(turns: Turns, rule: Rule) -> dict[str, Any]:
    """Return the statistics of times in milliseconds.

    Returns:
        Quantiles, mean and number of all runs; `ms_p50_interval` of the turns' medians, and
        `p50_within`, half of its width over the median, `None` for too few turns; `settled`: true
        where that is as narrow as the rule asks; `drift`, the median of the second half of the
        runs over that of the first, minus 1.
    """
    times = np.array([ms for turn in turns for ms in turn], dtype=np.float64)
    p10, p50, p90 = (float(q) for q in np.quantile(times, (0.1, 0.5, 0.9)))
    interval = median_interval([float(np.median(turn)) for turn in turns], rule.confidence)
    within = (interval[1] - interval[0]) / 2 / p50 if interval and p50 > 0 else None
    half = len(times) // 2
    first, second = float(np.median(times[:half] if half else times)), np.median(times[half:])
    return {
        "ms_p10": p10,
        "ms_p50": p50,
        "ms_p90": p90,
        "ms_mean": float(times.mean()),
        "n": len(times),
        "turns": len(turns),
        "ms_p50_interval": interval,
        "p50_within": within,
        "settled": within is not None and within <= rule.within,
        "drift": float(second) / first - 1 if first > 0 else None,
    }


def median_interval(values: Sequence[float], confidence: float) -> list[float] | None:
    """Return the interval of a median from order statistics; `None` for too few values."""
    from scipy.stats import quantile_test  # takes a second to import

    found = quantile_test(values, p=0.5).confidence_interval(confidence)
    interval = [float(found.low), float(found.high)]
    return interval if np.isfinite(interval).all() else None


class Clock:
    """Takes times on a CPU. A mark is a moment; the time between two is known once settled."""

    def mark(self) -> Any:
        return time.perf_counter_ns()

    def settle(self) -> None:
        """Wait until everything marked has happened; on a CPU it has."""

    def ms_between(self, first: Any, second: Any) -> float:
        return float(second - first) / 1e6

    def time(self, act: Callable[[], Any]) -> float:
        """Return the milliseconds of a call."""
        start = self.mark()
        act()
        end = self.mark()
        self.settle()
        return self.ms_between(start, end)


class CudaClock(Clock):
    """Events in the stream of a GPU, which take the time when the device gets to them.

    The time between two events includes what the device waits for the host that feeds it, which
    in eager PyTorch and with small images is most of it.

    Args:
        captured: the events are marked while a CUDA graph is captured, and take their times anew
            whenever it is replayed.
    """

    def __init__(self, device: torch.device, captured: bool = False) -> None:
        self._device = device
        self._captured = captured

    def mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True, external=self._captured)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def settle(self) -> None:
        torch.cuda.synchronize(self._device)

    def ms_between(self, first: torch.cuda.Event, second: torch.cuda.Event) -> float:
        return float(first.elapsed_time(second))


def clock_of(device: torch.device) -> Clock:
    """Return the clock for a device."""
    return CudaClock(device) if device.type == "cuda" else Clock()


def l2_flusher(device: torch.device) -> Callable[[], Any]:
    """Return a function that overwrites a GPU's L2 cache, so that a run finds nothing in it."""
    cache = int(torch.cuda.get_device_properties(device).L2_cache_size)
    # Several times the cache, whose replacement need not be strictly by age.
    return torch.empty(4 * cache, dtype=torch.uint8, device=device).zero_
