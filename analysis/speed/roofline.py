"""Roofline: the speed of a network's blocks beside the most that their device can do.

After Williams, Waterman and Patterson (2009), "Roofline: an insightful visual performance model
for multicore architectures", Communications of the ACM 52(4): a block that does I MACs for every
byte it moves cannot do more of them in a second than the processor can at best, nor more than I
times the bytes that can be copied in a second. Both ceilings are measured on the same device with
the same threads, dtype and use of TF32: copies by PyTorch, and products by PyTorch or ONNX Runtime,
whichever is faster. Bytes are counted as
`analysis.cost.trace` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper
from torch import Tensor

from analysis.speed.latency import measure_latency
from analysis.speed.setting import DTYPES, Setting, memory_free
from analysis.speed.timing import Rule, clock_of, measure
from featherface.runtimes.onnx_session import RuntimeUnavailableError, open_session

CONVENTIONS = {
    "macs": "as in the cost by block",
    "bytes": "every operator reads its input activations and weights once and writes its result "
    "once; views move nothing; what a kernel needs inside itself is not counted",
    "bytes_least": "a block reads its input and weights once and writes its output once",
    "macs_per_byte": "macs / bytes",
    "roof_gmacs_per_second": "the lower of the matrix product and macs_per_byte × copying",
    "matrix_product": "the best median of square products by any library; n³ MACs each",
    "copy": "bytes read plus bytes written; the best median of any size",
}

_KEPT = (
    *("variant", "model", "settings", "runtime", "input", "inputs", "weights", "flush_l2"),
    *("environment", "deform_kernel", "rule", "others_load", "settled"),
)
"""Fields that a record takes from the latency."""


def measure_roofline(setting: Setting, rule: Rule) -> dict[str, Any]:
    """Put every block of a network under its roof; see `under_roof`.

    Raises:
        InputError: for a setting that cannot be measured here.
    """
    ceilings = measure_ceilings(setting, rule)
    return under_roof(setting, measure_latency(setting, rule), ceilings)


def under_roof(
    setting: Setting, latency: dict[str, Any], ceilings: dict[str, Any]
) -> dict[str, Any]:
    """Put the blocks of a record of latency under the ceilings of their device.

    Args:
        setting: of the record.
        ceilings: of `measure_ceilings` with the same device, dtype and threads.

    Returns:
        A JSON document, with `place` of each block and of the network. A share above 1 is among
        the `doubts`: then a ceiling is too low.
    """
    network = setting.cost()
    cost = {block.path: block for block in network.children}
    blocks = []
    for block in latency["blocks"] or ():
        name, part = block["name"], cost[block["name"]]
        placed = place(part.macs, part.bytes_moved, part.bytes_least, block["ms_p50"], ceilings)
        blocks.append({"name": name, **placed})
    least = sum(part.bytes_least for part in network.children) or network.bytes_least
    ms = latency["whole"]["ms_p50"]
    whole = place(network.macs, network.bytes_moved, least, ms, ceilings)
    above = above_roof([*blocks, {"name": "the whole", **whole}])
    return {
        "record": "roofline",
        **{key: latency[key] for key in _KEPT if key in latency},
        "ceilings": ceilings,
        "whole": whole,
        "blocks": blocks,
        "conventions": CONVENTIONS,
        "doubts": latency["doubts"] + above,
    }


def above_roof(blocks: Sequence[dict[str, Any]]) -> list[str]:
    """Return a doubt for each block that is faster than its roof."""
    return [
        f"{block['name']} reaches {100 * block['share_of_roof']:.0f} % of its roof: the ceiling "
        "is not one"
        for block in blocks
        if block["share_of_roof"] is not None and block["share_of_roof"] > 1
    ]


def place(
    macs: int, bytes_moved: int, bytes_least: int, ms_p50: float, ceilings: dict[str, Any]
) -> dict[str, Any]:
    """Return speed, roof and share of MACs and bytes that take so much time.

    `bound` is "memory", "compute", or `None` for a block that moves nothing. The roof of a block
    without MACs is copying alone, and `share_of_roof` that of the bytes.
    """
    compute, memory = ceilings["gmacs_per_second"], ceilings["gigabytes_per_second"]
    intensity = macs / bytes_moved if bytes_moved else None
    rate = 1e-6 / ms_p50 if ms_p50 else 0.0  # a block that is never called takes no time
    achieved, moved = macs * rate, bytes_moved * rate
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


SIZES = {"cpu": (256, 512, 1024, 2048), "cuda": (1024, 2048, 4096, 8192)}
"""Sides of the square matrices whose products are timed."""

COPIES = {
    "cpu": (2**20, 16 * 2**20, 256 * 2**20),
    "cuda": (16 * 2**20, 256 * 2**20, 1024 * 2**20),
}
"""Bytes of the arrays that are copied: the smallest fit in caches, the largest in none."""

Act = Callable[[], Any]


def measure_ceilings(setting: Setting, rule: Rule) -> dict[str, Any]:
    """Measure products of square matrices and copies, and return the best of each.

    Uses the setting's device, dtype and threads. Each measurement takes a quarter of the rule's
    time.

    Returns:
        Both ceilings with the library and size that reached them, `gigabytes_per_second_memory` of
        arrays that no cache holds, `ridge_macs_per_byte`, where the ceilings meet, and all
        `matrix_products` and `copies`.

    Raises:
        InputError: for a setting that cannot be measured here.
    """
    rule = Rule(seconds=rule.seconds / 4)
    dtype = DTYPES[setting.dtype]
    products, copies = [], []
    with setting.on_device() as device:
        clock = clock_of(device)
        for side in SIZES[device.type]:
            a, b = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
            for library, act in _products(a, b).items():
                times = measure(partial(clock.time, act), rule)
                rate = side**3 / times["ms_p50"] / 1e6
                row = {"library": library, "side": side, **times, "gmacs_per_second": rate}
                products.append(row)
        for size in COPIES[device.type]:
            # Two arrays; a small GPU may not have room for large ones.
            count = min(size, memory_free(device) // 4) // dtype.itemsize
            source = torch.ones(count, dtype=dtype, device=device)
            moved = 2 * source.nbytes
            copy = partial(torch.empty_like(source).copy_, source)
            times = measure(partial(clock.time, copy), rule)
            rate = moved / times["ms_p50"] / 1e6
            row = {"library": "torch", "bytes": moved, **times, "gigabytes_per_second": rate}
            copies.append(row)
    product = max(products, key=lambda each: float(each["gmacs_per_second"]))
    fastest = max(copies, key=lambda each: float(each["gigabytes_per_second"]))
    largest = max(each["bytes"] for each in copies)
    return {
        "gmacs_per_second": product["gmacs_per_second"],
        "product_by": f"{product['library']}, {product['side']}×{product['side']}",
        "gigabytes_per_second": fastest["gigabytes_per_second"],
        "copy_by": f"{fastest['library']}, {fastest['bytes'] / 2**21:g} MiB",
        "gigabytes_per_second_memory": max(
            each["gigabytes_per_second"] for each in copies if each["bytes"] == largest
        ),
        "ridge_macs_per_byte": product["gmacs_per_second"] / fastest["gigabytes_per_second"],
        "matrix_products": products,
        "copies": copies,
    }


def _products(a: Tensor, b: Tensor) -> dict[str, Act]:
    """Return the product by each library that has one with PyTorch's number of threads."""
    c = torch.empty_like(a)
    products: dict[str, Act] = {"torch": partial(torch.mm, a, b, out=c)}
    if a.device.type == "cpu" and a.dtype == torch.float32:
        with suppress(RuntimeUnavailableError):
            products["onnxruntime"] = _onnx_product(a.numpy(), b.numpy(), c.numpy())
    return products


def _onnx_product(x: Any, y: Any, z: Any) -> Act:
    """Return a MatMul of ONNX Runtime from x and y into z."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in ("x", "y", "z")
    ]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "y"], ["z"])], "product", ends[:2], ends[2:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = open_session(model.SerializeToString(), "a matrix product")
    binding = session.io_binding()
    for name, array in (("x", x), ("y", y), ("z", z)):
        bind = binding.bind_output if name == "z" else binding.bind_input
        bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
    return lambda: session.run_with_iobinding(binding)
