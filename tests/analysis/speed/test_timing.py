"""The stopping rule and the statistics, with times that are made up."""

from __future__ import annotations

import itertools
import random
from math import comb
from typing import Any

import pytest
import torch

from analysis.speed.timing import (
    FEWEST,
    CacheFlush,
    CpuClock,
    Rule,
    collect,
    median_ranks,
    summarise,
)
from featherface.errors import InputError


@pytest.mark.parametrize("n", [6, 7, 20, 101, 1000])
def test_ranks_enclose_the_median_as_surely_as_they_say(n: int) -> None:
    ranks = median_ranks(n, 0.95)
    assert ranks is not None
    low, high = ranks
    assert low + high == n - 1  # symmetric

    def coverage(low: int) -> float:
        return 1 - 2 * sum(comb(n, k) for k in range(low + 1)) / 2**n

    assert coverage(low) >= 0.95 > coverage(low + 1)  # and no narrower pair does


def test_five_times_do_not_suffice_for_95_percent() -> None:
    assert median_ranks(5, 0.95) is None
    assert median_ranks(5, 0.9) == (0, 4)


def test_the_normal_approximation_continues_the_exact_ranks_outwards() -> None:
    exact, approximate = median_ranks(1000, 0.95), median_ranks(1001, 0.95)
    assert exact == (468, 531)
    assert approximate is not None
    assert 466 <= approximate[0] <= 469
    assert sum(approximate) == 1000


def test_a_summary_states_quantiles_interval_and_drift() -> None:
    found = summarise([*range(1, 11), *range(11, 21)], Rule(least=10, within=0.5))
    assert (found["ms_p50"], found["ms_mean"], found["n"]) == (10.5, 10.5, 20)
    assert (found["ms_p10"], found["ms_p90"]) == pytest.approx((2.9, 18.1))
    assert found["ms_p50_interval"] == [6, 15]
    assert found["p50_within"] == pytest.approx(4.5 / 10.5)
    assert found["settled"]
    assert found["drift"] == pytest.approx(15.5 / 5.5 - 1)


def test_too_few_times_have_no_interval_and_are_never_settled() -> None:
    found = summarise([1.0] * 5, Rule(least=3))
    assert (found["ms_p50_interval"], found["p50_within"], found["settled"]) == (None, None, False)


class Running:
    """Made-up runs that take as long as their times say."""

    def __init__(self, *series: Any) -> None:
        self.series, self.seconds, self.runs = series, 0.0, 0

    def __call__(self) -> dict[str, float]:
        times = {name: next(iterator) for name, iterator in zip("ab", self.series, strict=False)}
        self.seconds += sum(times.values()) / 1e3
        self.runs += 1
        return times

    def now(self) -> float:
        return self.seconds


def test_steady_times_stop_at_the_least_number_of_runs() -> None:
    run = Running(itertools.repeat(5.0))
    assert collect(run, Rule(least=30), now=run.now) == {"a": [5.0] * 30}


def test_unsteady_times_go_on_until_they_settle() -> None:
    chance = random.Random(0)
    run = Running(iter(lambda: chance.uniform(80, 120), None))
    rule = Rule(seconds=1e6)
    times = collect(run, rule, now=run.now)["a"]
    assert len(times) > 100
    assert summarise(times, rule)["settled"]
    assert not summarise(times[:50], rule)["settled"]


def test_what_never_settles_ends_with_the_time_and_says_so() -> None:
    run = Running(itertools.cycle([1.0, 1000.0]))
    rule = Rule(seconds=20.0)
    times = collect(run, rule, now=run.now)["a"]
    assert 20 <= run.seconds < 22
    assert not summarise(times, rule)["settled"]


def test_the_slowest_run_is_still_taken_a_few_times() -> None:
    run = Running(itertools.repeat(1e6))
    assert len(collect(run, Rule(seconds=1.0), now=run.now)["a"]) == FEWEST


def test_only_what_is_watched_has_to_settle() -> None:
    def series() -> Running:
        return Running(itertools.repeat(5.0), itertools.cycle([1.0, 50.0]))

    both, first = series(), series()
    collect(both, Rule(seconds=5), now=both.now)
    collect(first, Rule(seconds=5), lambda times: ["a"], now=first.now)
    assert first.runs == 20 < both.runs


@pytest.mark.parametrize(
    "wrong", [{"within": 0.0}, {"confidence": 1.0}, {"least": 2}, {"seconds": -1.0}]
)
def test_a_rule_that_nothing_can_obey_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"{next(iter(wrong))} \(="):
        Rule(**wrong)


def test_the_clock_of_the_cpu_gives_milliseconds() -> None:
    assert CpuClock().ms_between(1_000_000, 3_500_000) == 2.5


def test_there_is_no_l2_to_flush_on_a_cpu() -> None:
    with pytest.raises(InputError, match="CUDA devices"):
        CacheFlush(torch.device("cpu"))
