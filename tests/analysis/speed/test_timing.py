"""The plan of a measurement and the statistics, with times that are made up."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from math import comb
from typing import Any

import numpy as np
import pytest

from analysis.speed.timing import (
    FEWEST_TURNS,
    MOST_RUNS,
    Clock,
    Rule,
    median_interval,
    summarise,
    take_turns,
)
from featherface.errors import InputError


@pytest.mark.parametrize("n", [6, 7, 20, 101])
def test_the_interval_is_the_narrowest_that_encloses_the_median_so_surely(n: int) -> None:
    found = median_interval(list(range(n)), 0.95)
    assert found is not None
    low, high = map(int, found)
    assert low + high == n - 1  # symmetric

    def coverage(low: int) -> float:
        return 1 - 2 * sum(comb(n, k) for k in range(low + 1)) / 2**n

    assert coverage(low) >= 0.95 > coverage(low + 1)


def test_the_interval_holds_for_times_that_depend_on_each_other() -> None:
    """Times that follow each other at ρ = 0.8, in turns with another contender between."""
    chance = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        noise = chance.normal(size=2 * 20 * 10)
        times = [float(noise[0]) / 0.6]
        for each in noise[1:]:
            times.append(0.8 * times[-1] + float(each))
        turns = np.reshape(times, (40, 10))[::2]
        interval = median_interval([float(np.median(turn)) for turn in turns], 0.95)
        assert interval is not None
        covered += interval[0] <= 0 <= interval[1]
    assert covered / 300 > 0.92


def test_a_summary_states_quantiles_interval_and_drift() -> None:
    turns = [[float(i), float(i)] for i in range(1, 21)]
    found = summarise(turns, Rule(within=0.5))
    assert (found["ms_p50"], found["ms_mean"], found["n"], found["turns"]) == (10.5, 10.5, 40, 20)
    assert (found["ms_p10"], found["ms_p90"]) == pytest.approx((2.9, 18.1))
    assert found["ms_p50_interval"] == [6, 15]
    assert found["p50_within"] == pytest.approx(4.5 / 10.5)
    assert found["settled"]
    assert not summarise(turns, Rule(within=0.4))["settled"]
    assert found["drift"] == pytest.approx(15.5 / 5.5 - 1)


def test_too_few_turns_have_no_interval_and_are_never_settled() -> None:
    found = summarise([[1.0] * 100] * 5, Rule())
    assert (found["ms_p50_interval"], found["p50_within"], found["settled"]) == (None, None, False)


class World:
    """Made-up contenders that take as long as their times say."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.order: list[str] = []

    def contender(self, name: str, times: Iterator[float]) -> Any:
        def run() -> dict[str, float]:
            ms = next(times)
            self.seconds += ms / 1e3
            self.order.append(name)
            return {"ms": ms}

        return run

    def measure(self, rule: Rule, **times: Iterator[float]) -> Any:
        runs = {name: self.contender(name, each) for name, each in times.items()}
        return take_turns(runs, rule, now=lambda: self.seconds)


def test_contenders_take_turns_and_their_first_run_is_not_counted() -> None:
    world = World()
    found = world.measure(
        Rule(seconds=0.11, turns=5), a=itertools.repeat(5.0), b=itertools.repeat(10.0)
    )
    assert found == {"a": {"ms": [[5.0] * 3] * 5}, "b": {"ms": [[10.0]] * 5}}
    in_turns = world.order[-5 * (4 + 2) :]
    assert in_turns == (["a"] * 4 + ["b"] * 2) * 5


def test_the_number_of_runs_does_not_depend_on_how_steady_they_are() -> None:
    rule = Rule(seconds=0.5)
    steady = World().measure(rule, a=itertools.repeat(5.0))["a"]["ms"]
    unsteady = World().measure(rule, a=itertools.cycle([5.0, 50.0]))["a"]["ms"]
    assert [len(turn) for turn in steady] == [len(turn) for turn in unsteady] == [4] * 20


def test_fast_contenders_run_so_often_at_most_and_slow_ones_a_few_times() -> None:
    assert [len(turn) for turn in World().measure(Rule(), a=itertools.repeat(0.01))["a"]["ms"]] == [
        MOST_RUNS
    ] * 20
    slow = World().measure(Rule(seconds=1.0), a=itertools.repeat(1e6))["a"]["ms"]
    assert [len(turn) for turn in slow] == [1] * FEWEST_TURNS


def test_slow_first_runs_do_not_shorten_the_plan() -> None:
    times = itertools.chain([3000.0, 2000.0], itertools.repeat(5.0))
    found = World().measure(Rule(seconds=0.5), a=times)["a"]["ms"]
    assert [len(turn) for turn in found] == [4] * 20


@pytest.mark.parametrize(
    "wrong", [{"within": 0.0}, {"confidence": 1.0}, {"turns": 2}, {"seconds": -1.0}]
)
def test_a_rule_that_nothing_can_obey_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"{next(iter(wrong))} \(="):
        Rule(**wrong)


def test_the_clock_gives_milliseconds() -> None:
    assert Clock().ms_between(1_000_000, 3_500_000) == 2.5
    assert Clock().time(lambda: time.sleep(0.02)) >= 20
