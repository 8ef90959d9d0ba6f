"""The profiler's times, put down to blocks and parts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from analysis.speed import operators
from analysis.speed.operators import KERNEL, STEERING, _profile, measure_operators
from analysis.speed.running import entered
from analysis.speed.setting import Setting
from analysis.speed.timing import Rule
from featherface.errors import InputError

RULE = Rule(seconds=1.0)


@pytest.fixture(scope="module", params=["torchvision", "gather"])
def record(request: pytest.FixtureRequest) -> dict[str, Any]:
    return measure_operators(Setting("official", 64, 64, kernel=request.param), RULE, runs=2)


def test_shares_add_up_by_operator_by_block_and_as_a_whole(record: dict[str, Any]) -> None:
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    for rows in ("operators", "blocks", "by_operator"):
        assert sum(row["share"] for row in record[rows]) == pytest.approx(1)
        assert sum(row["ms"] for row in record[rows]) == pytest.approx(record["ms_self_total"])
        assert [row["ms"] for row in record[rows]] == sorted(
            (row["ms"] for row in record[rows]), reverse=True
        )


def test_the_kernel_is_found_in_the_context_whatever_computes_it(record: dict[str, Any]) -> None:
    kernel = [row for row in record["operators"] if row["part"] == KERNEL]
    assert {row["block"] for row in kernel} == {"context"}
    assert record["deformable_share"] == pytest.approx(sum(row["share"] for row in kernel))
    seen = {row["operator"] for row in kernel}
    assert ("torchvision::deform_conv2d" in seen) == (record["deform_kernel"] == "torchvision")


def test_every_offset_and_mask_convolution_is_told_apart(record: dict[str, Any]) -> None:
    steering = [
        row
        for row in record["operators"]
        if row["part"] == STEERING and row["operator"] == "aten::conv2d"
    ]
    # Two for each of five deformable convolutions on each of three levels.
    assert [(row["block"], row["calls"]) for row in steering] == [("context", 30)]


def test_nothing_but_the_networks_own_views_runs_outside_the_blocks(
    record: dict[str, Any],
) -> None:
    outside = sum(row["share"] for row in record["operators"] if not row["block"])
    assert outside < 0.05


def test_a_network_without_deformable_convolutions_has_no_such_part() -> None:
    found = measure_operators(Setting("retinaface", 64, 64), RULE, runs=1)
    assert (found["deformable_share"], found["deform_kernel"]) == (0, None)
    assert {row["part"] for row in found["operators"]} == {""}


def test_a_profiler_that_sees_no_kernel_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU whose driver keeps its performance counters to administrators."""
    seen = {("heads", "", "aten::conv2d"): [0.0, 9]}
    monkeypatch.setattr(operators, "_profile", lambda *_: (seen, [1.0]))
    with pytest.raises(InputError, match="profiler saw no time spent on cpu"):
        measure_operators(Setting("retinaface", height=32, width=32), Rule(seconds=0.0))


def test_flushing_a_cache_is_no_part_of_a_pass() -> None:
    buffer = torch.empty(1000)
    with entered(Setting("retinaface", 32, 32)) as subject:
        flushing = replace(subject, flush=buffer.zero_)
        found, without = (_profile(one, 1)[0] for one in (flushing, subject))
    assert found.keys() == without.keys()
    assert [calls for _, calls in found.values()] == [calls for _, calls in without.values()]
