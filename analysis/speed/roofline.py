"""The roofline of a network's blocks: how fast they are beside how fast they could be here.

After Williams, Waterman and Patterson (2009), "Roofline: an insightful visual performance model
for multicore architectures", Communications of the ACM 52(4): a block that does I MACs for every
byte it moves cannot do more of them in a second than the processor can at best, nor more than I
times the bytes that the memory delivers in a second. Both ceilings are measured, on the same
device with the same threads, dtype and use of TF32: the best of several square matrix products,
and copying between two arrays that no cache holds. Bytes are counted as `analysis.cost.trace`
says.
Caches can deliver faster than memory, so that a block whose tensors fit in them may reach above
the sloping part of its roof.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from analysis.cost.blocks import network_cost
from analysis.speed.device import dtype_of, memory_free
from analysis.speed.latency import Setting, measure_latency, warm_up
from analysis.speed.timing import Rule, clock_of, collect, summarise

CONVENTIONS = {
    "macs": "as in the cost by block",
    "bytes": "every operator reads its input activations and weights once and writes its result "
    "once; views move nothing; what a kernel needs inside itself is not counted",
    "bytes_least": "a block reads its input and weights once and writes its output once",
    "macs_per_byte": "macs / bytes",
    "roof_gmacs_per_second": "the lower of the matrix product and macs_per_byte × copying",
    "matrix_product": "the best median of square products; n³ MACs each",
    "copy": "bytes read plus bytes written, of arrays that no cache holds",
}

SIZES = (256, 512, 1024, 2048)
"""Sides of the square matrices whose products are timed on a CPU."""

GPU_SIZES = (1024, 2048, 4096, 8192)

_ARRAY_BYTES = {"cpu": 256 * 2**20, "cuda": 1024 * 2**20}
"""Several times the largest caches that there are."""

FIELDS = {
    "record": str,
    "variant": str,
    "input": list,
    "environment": dict,
    "ceilings": dict,
    "blocks": list,
}
"""What a record of `measure_roofline` has, for `featherface.records`."""


def measure_roofline(
    setting: Setting, rule: Rule | None = None, latency: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Put every block of a network under its roof.

    Args:
        latency: what `measure_latency` said of the same setting just before; else it is measured.

    Returns:
        A JSON document. Of `ceilings`: `gmacs_per_second`, `gigabytes_per_second`,
        `ridge_macs_per_byte`, where the two meet, and the measurements behind them. Each of
        `blocks` has `macs`, `bytes`, `bytes_least`, `macs_per_byte`, `ms_p50`,
        `gmacs_per_second` and `gigabytes_per_second` as achieved, `roof_gmacs_per_second`,
        `share_of_roof`, and `bound`: "memory", "compute", or `None` for a block that moves
        nothing. For a block without MACs, whose roof is copying alone, `share_of_roof` is that
        of the bytes. `whole` is the same for the network.

    Raises:
        InputError: for a setting that cannot be measured here.
    """
    rule = rule or Rule()
    latency = latency or measure_latency(setting, rule)
    ceilings = measure_ceilings(setting, rule)
    size = (setting.height, setting.width, setting.batch)
    network = network_cost(setting.variant, *size, dtype_of(setting.dtype))
    cost = {block.path: block for block in network.children}
    assert sum(block.macs for block in cost.values()) == network.macs, cost
    blocks = [
        {
            "name": block["name"],
            **place(
                cost[block["name"]].macs,
                cost[block["name"]].bytes_moved,
                cost[block["name"]].bytes_least,
                block["ms_p50"],
                ceilings,
            ),
        }
        for block in latency["blocks"]
    ]
    whole = place(
        network.macs,
        sum(block.bytes_moved for block in cost.values()),
        sum(block.bytes_least for block in cost.values()),
        latency["whole"]["ms_p50"],
        ceilings,
    )
    kept = ("variant", "input", "weights", "flush_l2", "environment", "deform_kernel", "rule")
    return {
        "record": "roofline",
        **{key: latency[key] for key in kept},
        "ceilings": ceilings,
        "whole": whole,
        "blocks": blocks,
        "conventions": CONVENTIONS,
    }


def place(
    macs: int, bytes_moved: int, bytes_least: int, ms_p50: float, ceilings: dict[str, Any]
) -> dict[str, Any]:
    """What so many MACs and bytes in so much time mean under the ceilings."""
    compute, memory = ceilings["gmacs_per_second"], ceilings["gigabytes_per_second"]
    intensity = macs / bytes_moved if bytes_moved else None
    achieved = macs / ms_p50 / 1e6
    moved = bytes_moved / ms_p50 / 1e6
    roof = min(compute, intensity * memory) if intensity else None
    if not bytes_moved:
        share = bound = None
    elif roof:
        share, bound = achieved / roof, "memory" if roof < compute else "compute"
    else:
        share, bound = moved / memory, "memory"
    return {
        "macs": macs,
        "bytes": bytes_moved,
        "bytes_least": bytes_least,
        "macs_per_byte": intensity,
        "macs_per_byte_most": macs / bytes_least if bytes_least else None,
        "ms_p50": ms_p50,
        "gmacs_per_second": achieved,
        "gigabytes_per_second": moved,
        "roof_gmacs_per_second": roof,
        "share_of_roof": share,
        "bound": bound,
    }


def measure_ceilings(setting: Setting, rule: Rule | None = None) -> dict[str, Any]:
    """What this device can do at best: multiply and accumulate, and copy.

    Uses the setting's device, dtype and threads. The rule's time is for each measurement.

    Raises:
        InputError: for a setting that cannot be measured here.
    """
    rule = rule or Rule()
    dtype = dtype_of(setting.dtype)
    products, copies = [], []
    with setting.on_device() as device, _products_as_convolutions():
        for side in GPU_SIZES if device.type == "cuda" else SIZES:
            a, b = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
            c = torch.empty_like(a)
            times = _time(lambda a=a, b=b, c=c: torch.mm(a, b, out=c), device, rule)
            gmacs = side**3 / times["ms_p50"] / 1e6
            products.append({"side": side, **times, "gmacs_per_second": gmacs})
        # Two arrays; a small GPU may not have room for large ones.
        size, free = _ARRAY_BYTES[device.type], memory_free(device)
        size = size if free is None else min(size, free // 4)
        source = torch.ones(size // dtype.itemsize, dtype=dtype, device=device)
        target = torch.empty_like(source)
        times = _time(lambda: target.copy_(source), device, rule)
        moved = 2 * source.numel() * dtype.itemsize
        copies.append(
            {"bytes": moved, **times, "gigabytes_per_second": moved / times["ms_p50"] / 1e6}
        )
    compute = max(product["gmacs_per_second"] for product in products)
    memory = max(copy["gigabytes_per_second"] for copy in copies)
    return {
        "gmacs_per_second": compute,
        "gigabytes_per_second": memory,
        "ridge_macs_per_byte": compute / memory,
        "matrix_products": products,
        "copies": copies,
    }


@contextmanager
def _products_as_convolutions() -> Iterator[None]:
    """Let a GPU's products of float32 matrices round to TF32 where convolutions may.

    PyTorch lets convolutions alone do so, by default; they would reach above the ceiling.
    """
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _time(act: Any, device: torch.device, rule: Rule) -> dict[str, Any]:
    clock = clock_of(device)

    def run() -> dict[str, float]:
        start = clock.mark()
        act()
        end = clock.mark()
        clock.settle()
        return {"ms": clock.ms_between(start, end)}

    warm_up(run, rule)
    return summarise(collect(run, rule)["ms"], rule)
