"""OpenVINO: the exported graph on the CPU (extra `openvino`).

With kernels for one size of image, most networks take less time in it than in ONNX Runtime; where
sizes change they take more. Making kernels takes some tenths of a second.
"""

from __future__ import annotations

import math
import sys
import threading
from functools import cached_property
from typing import Any

import numpy as np
import torch

from featherface.errors import one_line, out_of_memory
from featherface.forks import Lock, forked
from featherface.images import MAX_NETWORK_PIXELS, FloatArray
from featherface.pipeline import MOST_AT_ONCE
from featherface.runtimes.interface import BatchNetwork
from featherface.runtimes.onnx_session import LANES, RuntimeUnavailableError, import_runtime

SIZES = 8
"""At most so many sizes have kernels of their own at a time."""

_first_use = Lock()  # two threads that are the first to read a tensor block each other


class OpenVinoRunner(BatchNetwork):
    """An exported network in OpenVINO, on the CPU, in float32. Can be pickled, shared by threads.

    Args:
        content: the bytes of the ONNX file.
        threads: `None` for as many as PyTorch uses.
        one_size: each size gets kernels of its own when it first comes. Otherwise all have the
            same, for any size.
        at_once: so many calls at a time, which share the threads; others wait.

    Raises:
        RuntimeUnavailableError: where OpenVINO is not installed, or cannot run the network.
    """

    def __init__(
        self,
        content: bytes,
        threads: int | None = None,
        one_size: bool = False,
        at_once: int = 1,
    ) -> None:
        self._arguments = content, threads, one_size, at_once
        self.one_size = one_size
        self._threads = torch.get_num_threads() if threads is None else threads
        self._settings = {
            "INFERENCE_NUM_THREADS": self._threads,
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16, where the processor has it
            "NUM_STREAMS": at_once,
            "ENABLE_CPU_PINNING": False,  # else two processes get the same cores
        }
        if not one_size:
            # Layers at sizes that it keeps; 5000 by itself, after 500 sizes 0.3 GB more.
            self._settings["CPU_RUNTIME_CACHE_CAPACITY"] = 2000
        self._lock = threading.Lock()
        self._any: Any = None  # for any size
        self._fixed: dict[tuple[int, ...], Any] = {}  # the one that waited longest first
        openvino = import_openvino()
        try:
            self._core = openvino.Core()
            self._core.add_extension(
                openvino.frontend.onnx.ConversionExtension("DeformConv", _deform_conv)
            )
            self._model = self._core.read_model(content)
            if not one_size:
                self._any = self._compile(self._model)
            with _first_use:
                _ = openvino.Tensor(np.zeros(1, np.float32)).data
        except Exception as error:  # a damaged installation raises errors of any class
            raise RuntimeUnavailableError(one_line(error)) from error

    def run(self, pixels: FloatArray) -> list[FloatArray]:
        """Return what `BatchNetwork.run` does."""
        try:
            compiled = self._compiled_for(pixels.shape)
            return list(compiled.create_infer_request().infer({"pictures": pixels}).values())
        except RuntimeError as error:
            if out_of_memory(error):
                raise MemoryError(one_line(error)) from error
            raise RuntimeUnavailableError(f"openvino: {one_line(error)}") from None

    @property
    def on_one_thread(self) -> OpenVinoRunner | None:
        """The same network, each call on one thread, several at once: one a thread, at most 16.

        Only for one size, and in no forked process, which lacks the threads that it waits for.
        """
        return self._on_one_thread if self.one_size and not forked() else None

    @cached_property
    def _on_one_thread(self) -> OpenVinoRunner:
        count = min(self._threads, MOST_AT_ONCE)
        return OpenVinoRunner(self._arguments[0], count, self.one_size, count)

    def _compiled_for(self, shape: tuple[int, ...]) -> Any:
        if self._any is not None:
            return self._any
        with self._lock:
            compiled = self._fixed.pop(shape, None)
            if compiled is None:
                model = self._model.clone()
                model.reshape({"pictures": list(shape)})
                compiled = self._compile(model)
            self._fixed[shape] = compiled
            while len(self._fixed) > 1 and (len(self._fixed) > SIZES or self._hold_too_much()):
                del self._fixed[next(iter(self._fixed))]
            return compiled

    def _hold_too_much(self) -> bool:
        """Each keeps the memory of its activations between calls."""
        pixels = sum(batch * math.prod(size) for batch, _, *size in self._fixed)
        return self._arguments[3] * pixels > MAX_NETWORK_PIXELS

    def _compile(self, model: Any) -> Any:
        return self._core.compile_model(model, "CPU", self._settings)

    def __reduce__(self) -> tuple[type[OpenVinoRunner], tuple[bytes, int | None, bool, int]]:
        return OpenVinoRunner, self._arguments


def import_openvino() -> Any:
    """Return the module `openvino`; RuntimeUnavailableError where it is not installed."""
    # Importing it sends an event and writes below the user's home, unless this module, which it
    # takes as optional, is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    openvino = import_runtime("openvino", "pip install 'featherface[openvino]'")
    import_runtime("openvino.frontend.onnx")
    return openvino


def _deform_conv(node: Any) -> list[Any]:
    """ONNX's DeformConv, as `runtimes.onnx_graph` writes it, by OpenVINO's operators."""
    from openvino import opset8

    x, weight, offset, bias, *mask = (node.get_input(i) for i in range(node.get_input_size()))
    pads, groups = node.get_attribute("pads"), node.get_attribute("offset_group")
    short = -weight.get_partial_shape()[1].get_length() % LANES
    if short and groups == 1:  # a vector that is not full takes twice the time
        none, more = np.array([0, 0, 0, 0]), np.array([0, short, 0, 0])
        x, weight = (opset8.pad(y, none, more, "constant", np.float32(0)) for y in (x, weight))
    y = opset8.deformable_convolution(
        x,
        offset,
        weight,
        strides=[1, 1],
        pads_begin=pads[:2],
        pads_end=pads[2:],
        dilations=[1, 1],
        mask=mask[0] if mask else None,
        deformable_group=groups,
        bilinear_interpolation_pad=True,  # beside the edge, with zeros, as torchvision has it
    )
    channels = opset8.reshape(bias, np.array([1, -1, 1, 1]), special_zero=False)
    return [opset8.add(y, channels).output(0)]
