"""Reasons not to believe a measurement."""

from __future__ import annotations

import time
from typing import Any

import psutil
import pytest

from analysis.speed import self_check
from analysis.speed.self_check import OtherLoad, doubts, load_doubts


def record(variant: str, backbone: float, **changes: Any) -> dict[str, Any]:
    return {
        "variant": variant,
        "runtime": "torch",
        "input": [1, 3, 640, 640],
        "environment": {"dtype": "float32", "memory_format": "contiguous"},
        "whole": {"ms_p50": 20.0},
        "overhead": 0.01,
        "outside_blocks": 0.01,
        "others_load": 0.01,
        "blocks": [{"name": "backbone", "ms_p50": backbone}, {"name": "heads", "ms_p50": 5.0}],
        **changes,
    }


SAME = {"backbone": "Backbone()", "heads": "Heads()"}


def test_a_good_measurement_has_no_doubts() -> None:
    assert doubts([record("a", 10.0), record("b", 10.4)], [SAME, SAME]) == [[], []]


def test_a_block_that_differs_where_it_should_not_is_named_in_all_that_have_it() -> None:
    records = [record("a", 10.0), record("b", 15.0), record("c", 10.1), record("d", 99.0)]
    other = {**SAME, "backbone": "Backbone(2)"}
    found = doubts(records, [SAME, SAME, SAME, other])
    expected = "backbone takes 10.000 ms in a and 15.000 ms in b, though it is the same"
    assert found == [[expected], [expected], [expected], []]


def test_small_differences_and_other_inputs_are_ignored() -> None:
    small = [record("a", 1.60), record("b", 1.99)]  # 24 % of the block, 2 % of the pass
    assert doubts(small, [SAME, SAME]) == [[], []]
    other = [record("a", 10.0), record("b", 40.0, input=[4, 3, 640, 640])]
    assert doubts(other, [SAME, SAME]) == [[], []]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"others_load": 0.5}, "other processes took 50 % of the processors"),
        ({"overhead": -0.155}, "marks cost -15.5 % of the whole"),
        ({"overhead": 0.2}, "marks cost +20.0 % of the whole"),
        ({"outside_blocks": 0.2}, "20.0 % of the run is in no block"),
    ],
)
def test_what_is_out_of_range_is_said(change: dict[str, Any], reason: str) -> None:
    assert doubts([record("a", 10.0, **change)], [SAME]) == [[reason]]


def test_a_runtime_without_blocks_is_doubted_for_load_alone() -> None:
    assert doubts([record("a", 10.0, blocks=None, others_load=None)], [SAME]) == [[]]


def test_own_work_is_no_other_load(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = iter([10.0, 18.0])
    own = iter([1.0, 3.0])
    now = iter([0.0, 10.0])
    monkeypatch.setattr(self_check, "_busy", lambda: next(busy))
    monkeypatch.setattr(self_check, "_own", lambda: next(own))
    monkeypatch.setattr(psutil, "cpu_count", lambda: 2)
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    with OtherLoad() as load:
        pass
    assert load.share == pytest.approx((8 - 2) / (2 * 10))
    assert load_doubts(0.05) == load_doubts(None) == []


def test_the_system_says_how_busy_it_is() -> None:
    with OtherLoad() as load:
        until = time.process_time() + 0.2
        while time.process_time() < until:
            pass
    assert load.share is None or 0 <= load.share <= 1
