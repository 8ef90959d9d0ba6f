"""Latency of a forward pass, whole and block by block.

The blocks are timed inside the network's own forward pass, by marks that hooks set before and
after each of its children; in a CUDA graph the marks are captured with it. Runs with marks
alternate with runs without, on the same inputs, so that what the marks cost is a measured number:
`overhead`. The sum of the blocks is taken run by run and compared with the same run as a whole:
`outside_blocks`. Reasons for `doubts` are in `analysis.speed.self_check`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import cycle
from typing import Any

from torch import nn

from analysis.speed.running import Subject, blocks_of, entered
from analysis.speed.self_check import OtherLoad, doubts
from analysis.speed.setting import Setting
from analysis.speed.timing import Rule, Turns, summarise, take_turns
from featherface.blocks.deformable import DeformConv2d


def measure_latency(setting: Setting, rule: Rule) -> dict[str, Any]:
    """Return the record of one setting; see `measure_latencies`."""
    return measure_latencies([setting], rule)[0]


def measure_latencies(settings: Sequence[Setting], rule: Rule) -> list[dict[str, Any]]:
    """Time forward passes of several settings, which take turns.

    Returns:
        A JSON document for each setting, with times as `summarise` describes them. `whole` is the
        run without marks, `marked` the one with; `share` of a block is its median over the sum of
        the blocks' medians. `blocks` is `None` for a network without any, and with "compile",
        "onnx" and "openvino", which dissolve them; `deform_kernel` where no such kernel ran.
        `prepare_ms` is what a runtime takes to write or capture a graph, `first_run_ms` includes
        compilation.

    Raises:
        InputError: for a setting that cannot be measured here.
    """
    with ExitStack() as stack:
        subjects = [stack.enter_context(entered(setting)) for setting in settings]
        prepared = [subject.prepare() for subject in subjects]
        first = [subject.first_run() for subject in subjects]
        with OtherLoad() as load:
            times = take_turns(dict(enumerate(map(_alternating, subjects))), rule)
        records = [
            {
                "record": "latency",
                **subject.setting.record(),
                "rule": asdict(rule),
                "prepare_ms": None if subject.setting.runtime == "torch" else prepared[i],
                "first_run_ms": first[i],
                "deform_kernel": subject.deform_kernel() if subject.has_blocks else None,
                "blocks_missing": subject.blocks_missing,
                "others_load": load.share,
                **_summaries(times[i], list(blocks_of(subject.model)), rule),
            }
            for i, subject in enumerate(subjects)
        ]
        structures = [
            _structures(s, r["deform_kernel"]) for s, r in zip(subjects, records, strict=True)
        ]
    for record, found in zip(records, doubts(records, structures), strict=True):
        record["settled"] = is_settled(record)
        record["doubts"] = found
    return records


def _structures(subject: Subject, kernel: str | None) -> dict[str, str]:
    """Return a text for each block that is equal for blocks that do the same work."""

    def deforms(block: nn.Module) -> bool:
        return any(isinstance(module, DeformConv2d) for module in block.modules())

    blocks = dict(subject.model.named_children())
    return {name: f"{b} {kernel}" if deforms(b) else str(b) for name, b in blocks.items()}


def _alternating(subject: Subject) -> Callable[[], Mapping[str, float]]:
    """Return one run: whole, and with marks where there are blocks, either first in turn."""
    whole_first = cycle((True, False))  # neither always finds the other's warm caches

    def run() -> dict[str, float]:
        if not subject.has_blocks:
            return {"whole": subject.time()}
        if next(whole_first):
            return {"whole": subject.time(), **subject.time_blocks()}
        return {**subject.time_blocks(), "whole": subject.time()}

    return run


def is_settled(record: Mapping[str, Any]) -> bool:
    """Return whether the whole and each block of a twentieth of it or more are settled."""
    whole = record["whole"]
    blocks = [b for b in record["blocks"] or () if b["ms_p50"] >= whole["ms_p50"] / 20]
    return all(times["settled"] for times in (whole, *blocks))


def _summaries(times: Mapping[str, Turns], names: Sequence[str], rule: Rule) -> dict[str, Any]:
    found = {name: summarise(turns, rule) for name, turns in times.items()}
    whole = found["whole"]
    if "marked" not in found:
        return {"whole": whole, "blocks": None}
    sums = [
        [sum(run) for run in zip(*turn, strict=True)]
        for turn in zip(*(times[name] for name in names), strict=True)
    ]
    marked, sum_of_blocks = found["marked"], summarise(sums, rule)
    total = sum(found[name]["ms_p50"] for name in names)
    return {
        "whole": whole,
        "marked": marked,
        "overhead": marked["ms_p50"] / whole["ms_p50"] - 1,
        "sum_of_blocks": sum_of_blocks,
        "outside_blocks": 1 - sum_of_blocks["ms_p50"] / marked["ms_p50"],
        "blocks": [
            {"name": name, **found[name], "share": found[name]["ms_p50"] / total if total else None}
            for name in names
        ],
    }
