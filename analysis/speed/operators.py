"""Operators and their share of the time inside the blocks, from PyTorch's profiler.

The profiler notes when every operator begins and ends; an operator's self time is what it does
not spend in operators that it calls. Each belongs to the block it runs in and to its part there,
by labels that hooks set around blocks, deformable convolutions and the convolutions that predict
their offsets and masks. Profiling takes time itself, mostly for operators that are called often
and do little, so the shares are of the profiled time, and `slowdown` says how much longer a
profiled pass took than one that was not.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from statistics import median
from typing import Any

import torchvision
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

from analysis.speed.running import Subject, blocks_of, entered
from analysis.speed.self_check import OtherLoad, load_doubts
from analysis.speed.setting import Setting
from analysis.speed.timing import Rule, summarise
from featherface.blocks.deformable import DeformConv2d
from featherface.errors import InputError

KERNEL, STEERING = "deformable kernel", "offset and mask convolution"
"""The parts of a deformable convolution. The kernel is all but the two convolutions: sampling,
the product with the weights, and the mask's sigmoid."""

_LABELS = ("pass", "block", "part")


def measure_operators(setting: Setting, rule: Rule, runs: int = 10) -> dict[str, Any]:
    """Measure self time by block, part and operator, the mean of several passes.

    On a GPU it is the time of the kernels that the operators launch.

    Args:
        rule: its time bounds the passes: fewer than `runs` are profiled where they do not fit.

    Returns:
        A JSON document. `operators` has for each `block` ("" for none), `part` and `operator` its
        `ms` and `calls` in one pass and `share` of the profiled time, largest first; `blocks` and
        `by_operator` are sums of these.

    Raises:
        InputError: for a setting that cannot be measured here.
    """
    with entered(setting) as subject:
        subject.first_run()
        with OtherLoad() as load:
            plain = [subject.time() for _ in range(4)][1:]
            passes = max(1, min(runs, int(rule.seconds * 1e3 / max(plain))))
            plain += [subject.time() for _ in range(passes - 3)]
            usual = summarise([[ms] for ms in plain], rule)
            found, profiled = _profile(subject, passes)
        total = sum(ms for ms, _ in found.values())
        if not total:
            raise InputError(
                f"PyTorch's profiler saw no time spent on {setting.device}; "
                "on a GPU it needs permission to use performance counters"
            )
        operators: list[dict[str, Any]] = [
            {
                "block": block,
                "part": part,
                "operator": operator,
                "ms": ms / passes,
                "calls": calls / passes,
                "share": ms / total,
            }
            for (block, part, operator), (ms, calls) in found.items()
        ]
        operators.sort(key=lambda record: -record["ms"])
        slow = median(profiled)
        return {
            "record": "operators",
            **setting.record(),
            "deform_kernel": subject.deform_kernel(),
            "rule": asdict(rule),
            "passes": passes,
            "ms_profiled": slow,
            "ms_p50": usual["ms_p50"],
            "slowdown": slow / usual["ms_p50"] - 1,
            "ms_self_total": total / passes,
            "deformable_share": sum(r["share"] for r in operators if r["part"] == KERNEL),
            "blocks": _sums(operators, "block"),
            "by_operator": _sums(operators, "operator"),
            "operators": operators,
            "others_load": load.share,
            "settled": usual["settled"],
            "doubts": load_doubts(load.share),
        }


def _sums(operators: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Return time and share by one field, largest first."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for record in operators:
        sums[record[key]][0] += record["ms"]
        sums[record[key]][1] += record["share"]
    rows = [{key: name, "ms": ms, "share": share} for name, (ms, share) in sums.items()]
    return sorted(rows, key=lambda row: -row["ms"])


Found = Mapping[tuple[str, str, str], list[float]]


def _profile(subject: Subject, passes: int) -> tuple[Found, list[float]]:
    """Return milliseconds and calls by block, part and operator, and the time of each pass."""
    # The profiler's library writes its progress to standard error unless told not to, once.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    gpu = subject.images.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]

    def labelled(*given: Any, **named: Any) -> None:
        with record_function("pass: "):
            subject.model(*given, **named)

    with _labelling(subject.model), profile(activities=activities) as profiler:
        times = [subject.time(labelled) for _ in range(passes)]
    found: defaultdict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0.0, 0])
    for event in profiler.events() or []:
        labels = _labels_around(event)
        is_label = event.name.partition(": ")[0] in _LABELS
        if is_label or "pass" not in labels or event.device_type.name != "CPU":
            continue  # what flushes a cache is no part of a pass
        ms = (event.self_device_time_total if gpu else event.self_cpu_time_total) / 1e3
        entry = found[(labels.get("block", ""), labels.get("part", ""), event.name)]
        entry[0] += ms
        entry[1] += 1
    return found, times


def _labels_around(event: Any) -> dict[str, str]:
    """Return the innermost label of each kind that an event runs in."""
    found: dict[str, str] = {}
    while (event := event.cpu_parent) is not None:
        kind, _, name = event.name.partition(": ")
        if kind in _LABELS:
            found.setdefault(kind, name)
    return found


@contextmanager
def _labelling(model: nn.Module) -> Iterator[None]:
    """Label blocks and parts, as long as the context lasts."""
    labels = [(m, f"block: {name}") for name, block in blocks_of(model).items() for m in block]
    for module in model.modules():
        if isinstance(module, DeformConv2d | torchvision.ops.DeformConv2d):
            labels.append((module, f"part: {KERNEL}"))
            labels += [(child, f"part: {STEERING}") for child in module.children()]
    opened: list[record_function] = []

    def enter(label: str, *_: Any) -> None:
        opened.append(record_function(label))
        opened[-1].__enter__()  # type: ignore[no-untyped-call]

    def leave(*_: Any) -> None:
        opened.pop().__exit__(None, None, None)

    with ExitStack() as hooks:
        for module, label in labels:
            hooks.enter_context(module.register_forward_pre_hook(partial(enter, label)))
            hooks.enter_context(module.register_forward_hook(leave))
        yield
