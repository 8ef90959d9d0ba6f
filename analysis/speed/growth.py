"""Growth of latency and peak memory with the size of an image and with the batch.

On a CPU every point is measured in a process of its own, so that none finds memory that another
left behind. The peak is the process's largest resident set; `peak_bytes` is by how much the first
run at this size exceeds what was resident before it, after a run on the smallest image has loaded
the libraries. Where a system cannot forget an earlier peak (all but Linux), that peak stands for
what was resident, and `peak_bytes` may be too low by what making the input took. On a GPU it is
the most that PyTorch's allocator had handed out, less what it had handed out before the run.
"""

from __future__ import annotations

import multiprocessing
import re
import signal
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from typing import Any

import psutil
import torch

from analysis.speed.running import entered
from analysis.speed.self_check import OtherLoad, load_doubts
from analysis.speed.setting import Setting, device_of, memory_free
from analysis.speed.timing import Rule, measure
from featherface.config import MIN_SIZE
from featherface.errors import InputError

SIZES = (320, 480, 640, 800, 960, 1280, 1600)
"""Sides of the square images, one a batch."""

BATCHES = (1, 2, 4, 8, 16)

_MOST_OF_FREE = 0.8


def measure_growth(
    setting: Setting,
    rule: Rule,
    sizes: Sequence[int] = SIZES,
    batches: Sequence[int] = BATCHES,
) -> dict[str, Any]:
    """Measure latency and peak memory against image size, and against batch.

    Args:
        setting: its batch is taken for the sizes, its height and width for the batches.
        sizes: sides of square images; of no use to a network whose first input is no image.

    Returns:
        A JSON document. `sizes` and `batches` are lists of points, see `measure_point`, each with
        `megapixels` of all its images together, and `skipped`: the reason why it is not measured.
        `fits` has for both lists the `fit` of `ms_p50` and of `peak_bytes`.

    Raises:
        InputError: for a setting that cannot be measured here.
    """
    has_images = len(setting.shapes[0].shape) >= 4
    sides = sorted(set(sizes)) if has_images else []
    series = {
        "sizes": [setting.at(height=side, width=side) for side in sides],
        "batches": [setting.at(batch=batch) for batch in sorted(set(batches))],
    }
    rows: dict[Setting, dict[str, Any]] = {}
    every = {point for points in series.values() for point in points}
    for point in sorted(every, key=attrgetter("pixels")):
        rows[point] = _measure(point, rule, rows)
    load = max((row["others_load"] or 0.0 for row in rows.values()), default=None)
    with setting.on_device():
        begin = setting.record()
    found = {name: [rows[point] for point in points] for name, points in series.items()}
    del begin["input"]  # each point has its own
    return {
        "record": "growth",
        **begin,
        "kernel": setting.kernel,
        "rule": asdict(rule),
        **found,
        "fits": {
            name: {key: fit(points, key) for key in ("ms_p50", "peak_bytes")}
            for name, points in found.items()
        },
        "others_load": load,
        "settled": all(row["settled"] for row in rows.values() if row["skipped"] is None),
        "doubts": load_doubts(load),
    }


def fit(points: Iterable[dict[str, Any]], key: str) -> dict[str, Any] | None:
    """Return the straight line of `key` against megapixels, by least squares, skipped points apart.

    `None` for fewer than two sizes; `at_zero` is the intercept.
    """
    from scipy.stats import linregress  # takes a second to import

    known = [(p["megapixels"], p[key]) for p in points if p["skipped"] is None]
    if len({x for x, _ in known}) < 2:
        return None
    line = linregress(*zip(*known, strict=True))
    return {
        "per_megapixel": float(line.slope),
        "at_zero": float(line.intercept),
        "r_squared": float(line.rvalue**2) if len({y for _, y in known}) > 1 else None,
        "points": len(known),
    }


def _measure(point: Setting, rule: Rule, before: dict[Setting, dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "input": list(point.shapes[0].shape),
        "megapixels": point.pixels / 1e6,
        "skipped": _too_much(point, before),
        "others_load": None,
    }
    if row["skipped"]:
        return row
    try:
        if point.device != "cpu":
            return row | measure_point(point, rule)
        # "spawn": a forked child would inherit threads' locks. Ctrl-C, which reaches the child too,
        # ends it without a word.
        spawn, quietly = multiprocessing.get_context("spawn"), (signal.SIGINT, signal.SIG_DFL)
        with ProcessPoolExecutor(1, spawn, signal.signal, quietly) as process:
            return row | process.submit(measure_point, point, rule).result()
    except BrokenProcessPool:
        return row | {"skipped": "the system ended the process: too little memory"}
    except InputError as error:
        if point.model is None:
            raise
        return row | {"skipped": str(error)}  # not every network takes every size


def _too_much(point: Setting, before: dict[Setting, dict[str, Any]]) -> str | None:
    """Return the reason why a point cannot be measured, judged by the points so far."""
    known = [r["peak_bytes"] / p.pixels for p, r in before.items() if r["skipped"] is None]
    need = max(known, default=0.0) * point.pixels
    free = memory_free(device_of(point.device))
    if need <= _MOST_OF_FREE * free:
        return None
    return f"needs about {need / 2**30:.1f} GiB; {free / 2**30:.1f} GiB are free"


def measure_point(setting: Setting, rule: Rule) -> dict[str, Any]:
    """Return latency, as `summarise` does, and peak memory; on a CPU call it in a fresh process."""
    with entered(setting.plain.at(height=MIN_SIZE, width=MIN_SIZE)) as subject:
        subject.first_run()
    with entered(setting) as subject:
        device = subject.images.device
        gpu = device.type == "cuda"
        if gpu:
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
        else:
            forget_peak()
            before = peak_resident_bytes()
        subject.prepare()
        first = subject.first_run()
        peak = torch.cuda.max_memory_allocated(device) if gpu else peak_resident_bytes()
        with OtherLoad() as load:
            times = measure(subject.time, rule)
    return {
        **times,
        "first_run_ms": first,
        "peak_bytes": peak - before,
        "others_load": load.share,
    }


def forget_peak() -> None:
    """Give unused memory back and, where the system can, start the peak anew from what remains."""
    if sys.platform != "linux":
        return
    trim = getattr(psutil, "heap_trim", None)  # psutil 7.2, with glibc
    if trim:
        trim()
    with suppress(OSError):  # forbidden in some containers: then as on other systems
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_resident_bytes() -> int:
    """Return the most memory that this process has had in use at once, so far."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform == "linux":
        # Not getrusage: on Linux a new process starts with the peak of the one that started it.
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
        return int(found[1]) * 1024 if found else int(psutil.Process().memory_info().rss)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes
