"""OpenVINO: the exported graph on the CPU (extra `openvino`).

With kernels for one size of image it is the fastest runtime on a CPU, without them slower than ONNX
Runtime. Making them takes some tenths of a second.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from functools import cached_property
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch

from featherface.errors import InputError, one_line
from featherface.images import FloatArray
from featherface.pipeline import MOST_AT_ONCE
from featherface.runtimes.onnx_session import RuntimeUnavailableError

SIZES = 8
"""So many sizes have kernels of their own at a time."""


class OpenVinoRunner:
    """Runs an exported network in OpenVINO, in float32. Can be pickled and shared by threads.

    Args:
        content: the bytes of the ONNX file.
        threads: `None` for as many as PyTorch uses.
        one_size: every size gets kernels of its own when it first comes. Otherwise it does when it
            comes a second time, and until then has kernels for any size, which may round otherwise.
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
        openvino = import_openvino()
        from openvino.frontend.onnx import ConversionExtension

        core = openvino.Core()
        core.add_extension(ConversionExtension("DeformConv", _deform_conv))
        self.one_size = one_size
        self._threads = torch.get_num_threads() if threads is None else threads
        self._settings = {
            "INFERENCE_NUM_THREADS": self._threads,
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16, where the processor has it
            "NUM_STREAMS": at_once,
        }
        self._core = core
        self._lock = threading.Lock()
        self._came: deque[tuple[int, ...]] = deque(maxlen=128)
        self._fixed: dict[tuple[int, ...], SimpleQueue[Any]] = {}
        try:
            self._model = core.read_model(content)
            self._any = None if one_size else self._prepare(self._model)
        except RuntimeError as error:
            raise RuntimeUnavailableError(one_line(error)) from None

    def run(self, pixels: FloatArray) -> list[FloatArray]:
        """Return boxes, scores and landmarks of a batch, as `onnx_graph.build_graph` has them."""
        try:
            requests = self._requests(pixels.shape)
            request = requests.get()
            try:
                return list(request.infer({"pictures": pixels}).values())
            finally:
                requests.put(request)
        except RuntimeError as error:
            raise InputError(f"openvino: {one_line(error)}") from None

    @cached_property
    def on_one_thread(self) -> OpenVinoRunner:
        """The same network, each call on one thread, several at once: one a thread, at most 16."""
        count = min(self._threads, MOST_AT_ONCE)
        return OpenVinoRunner(self._arguments[0], count, self.one_size, count)

    def _requests(self, shape: tuple[int, ...]) -> SimpleQueue[Any]:
        with self._lock:
            if self._any is not None and shape not in self._fixed and shape not in self._came:
                self._came.append(shape)
                return self._any
            requests = self._fixed.pop(shape, None)
            if requests is None:
                model = self._model.clone()
                model.reshape({"pictures": list(shape)})
                requests = self._prepare(model)
            self._fixed[shape] = requests
            if len(self._fixed) > SIZES:
                del self._fixed[next(iter(self._fixed))]  # the one that waited longest
            return requests

    def _prepare(self, model: Any) -> SimpleQueue[Any]:
        compiled = self._core.compile_model(model, "CPU", self._settings)
        requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self._arguments[3]):
            requests.put(compiled.create_infer_request())
        return requests

    def __reduce__(self) -> tuple[type[OpenVinoRunner], tuple[bytes, int | None, bool, int]]:
        return OpenVinoRunner, self._arguments


def import_openvino() -> Any:
    """Return the module `openvino`; RuntimeUnavailableError where it is not installed."""
    # Importing it sends an event and writes below the user's home, unless this module, which it
    # takes as optional, is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"openvino is not installed: pip install 'featherface[openvino]' ({error})"
        ) from None
    return openvino


def _deform_conv(node: Any) -> list[Any]:
    """ONNX's DeformConv, as `runtimes.onnx_graph` writes it, by OpenVINO's operators."""
    from openvino import opset8

    x, weight, offset, bias, *mask = (node.get_input(i) for i in range(node.get_input_size()))
    pads = node.get_attribute("pads")
    y = opset8.deformable_convolution(
        x,
        offset,
        weight,
        strides=[1, 1],
        pads_begin=pads[:2],
        pads_end=pads[2:],
        dilations=[1, 1],
        mask=mask[0] if mask else None,
        deformable_group=node.get_attribute("offset_group"),
        bilinear_interpolation_pad=True,  # beside the edge, with zeros, as torchvision has it
    )
    channels = opset8.reshape(bias, np.array([1, -1, 1, 1]), special_zero=False)
    return [opset8.add(y, channels).output(0)]
