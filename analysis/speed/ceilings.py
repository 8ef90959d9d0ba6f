"""The most that a device can do: multiply and accumulate, and copy, by the best library at hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper
from torch import Tensor

from analysis.speed.device import DTYPES, memory_free
from analysis.speed.setting import Setting
from analysis.speed.timing import Rule, clock_of, measure
from featherface.runtimes.onnx_session import RuntimeUnavailableError, open_session

SIZES = {"cpu": (256, 512, 1024, 2048), "cuda": (1024, 2048, 4096, 8192)}
"""Sides of the square matrices whose products are timed."""

COPIES = {
    "cpu": (2**20, 16 * 2**20, 256 * 2**20),
    "cuda": (16 * 2**20, 256 * 2**20, 1024 * 2**20),
}
"""Bytes of the arrays that are copied: the smallest fit in caches, the largest in none."""

_NUMPY = (torch.float32, torch.float64)  # it computes other types far slower

Act = Callable[[], Any]


def measure_ceilings(setting: Setting, rule: Rule | None = None) -> dict[str, Any]:
    """Measure products of square matrices and copies, and return the best of each.

    Uses the setting's device, dtype and threads; on a CPU PyTorch, NumPy's BLAS and ONNX Runtime.
    The rule's time is for each measurement.

    Returns:
        `gmacs_per_second` and `product_by`, the library and side that reached it (n³ MACs each);
        `gigabytes_per_second` (bytes read plus bytes written), `copy_by`, and
        `gigabytes_per_second_memory`, that of arrays that no cache holds; `ridge_macs_per_byte`,
        where the two ceilings meet; all `matrix_products` and `copies`.

    Raises:
        InputError: for a setting that cannot be measured here.
    """
    rule = rule or Rule()
    dtype = DTYPES[setting.dtype]
    products, copies = [], []
    with setting.on_device() as device:
        clock = clock_of(device)
        for side in SIZES[device.type]:
            a, b = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
            for library, act in _products(a, b):
                times = measure(partial(clock.time, act), rule)
                gmacs = side**3 / times["ms_p50"] / 1e6
                products.append(
                    {"library": library, "side": side, **times, "gmacs_per_second": gmacs}
                )
        for size in COPIES[device.type]:
            # Two arrays; a small GPU may not have room for large ones.
            count = min(size, memory_free(device) // 4) // dtype.itemsize
            source = torch.ones(count, dtype=dtype, device=device)
            moved = 2 * source.nbytes
            for library, act in _copies(source):
                times = measure(partial(clock.time, act), rule)
                speed = moved / times["ms_p50"] / 1e6
                copies.append(
                    {"library": library, "bytes": moved, **times, "gigabytes_per_second": speed}
                )
    product = max(products, key=lambda each: float(each["gmacs_per_second"]))
    copy = max(copies, key=lambda each: float(each["gigabytes_per_second"]))
    largest = max(each["bytes"] for each in copies)
    return {
        "gmacs_per_second": product["gmacs_per_second"],
        "product_by": f"{product['library']}, {product['side']}×{product['side']}",
        "gigabytes_per_second": copy["gigabytes_per_second"],
        "copy_by": f"{copy['library']}, {copy['bytes'] / 2**21:g} MiB",
        "gigabytes_per_second_memory": max(
            each["gigabytes_per_second"] for each in copies if each["bytes"] == largest
        ),
        "ridge_macs_per_byte": product["gmacs_per_second"] / copy["gigabytes_per_second"],
        "matrix_products": products,
        "copies": copies,
    }


def _products(a: Tensor, b: Tensor) -> Iterator[tuple[str, Act]]:
    """Yield libraries that can multiply these matrices with PyTorch's number of threads."""
    c = torch.empty_like(a)
    yield "torch", lambda: torch.mm(a, b, out=c)
    if a.device.type != "cpu" or a.dtype not in _NUMPY:
        return
    x, y, z = a.numpy(), b.numpy(), c.numpy()
    if torch.get_num_threads() == os.cpu_count():  # a BLAS takes all processors
        yield "numpy", lambda: np.matmul(x, y, out=z)
    if a.dtype == torch.float32:
        with suppress(RuntimeUnavailableError):
            yield "onnxruntime", _onnx_product(x, y, z)


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
    for name, array, bind in (
        ("x", x, binding.bind_input),
        ("y", y, binding.bind_input),
        ("z", z, binding.bind_output),
    ):
        bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
    return lambda: session.run_with_iobinding(binding)


def _copies(source: Tensor) -> Iterator[tuple[str, Act]]:
    target = torch.empty_like(source)
    yield "torch", lambda: target.copy_(source)
    if source.device.type == "cpu" and source.dtype in _NUMPY:
        yield "numpy", lambda: np.copyto(target.numpy(), source.numpy())
