"""OpenVINO: the exported graph on the CPU (extra `openvino`).

With kernels for one size of image it is the fastest runtime on a CPU, without them slower than ONNX
Runtime. So a size gets kernels of its own when it comes a second time, as in a video (the answers
may then differ by rounding), and "auto" does not choose OpenVINO.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from typing import Any

import numpy as np
import torch

from featherface.errors import InputError, one_line
from featherface.images import FloatArray
from featherface.runtimes.onnx_session import RuntimeUnavailableError

SIZES = 8
"""So many sizes have kernels of their own at a time."""


class OpenVinoRunner:
    """Runs an exported network in OpenVINO, in float32. Can be pickled and shared by threads.

    Args:
        content: the bytes of the ONNX file.
        threads: `None` for as many as PyTorch uses.

    Raises:
        RuntimeUnavailableError: where OpenVINO is not installed, or cannot run the network.
    """

    def __init__(self, content: bytes, threads: int | None = None) -> None:
        self._arguments = content, threads
        # Importing openvino sends an event and writes below the user's home, unless this module,
        # which it takes as optional, is missing.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        try:
            import openvino
            from openvino.frontend.onnx import ConversionExtension
        except ImportError as error:
            raise RuntimeUnavailableError(
                f"openvino is not installed: pip install 'featherface[openvino]' ({error})"
            ) from None
        core = openvino.Core()
        core.add_extension(ConversionExtension("DeformConv", _deform_conv))
        self._settings = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads() if threads is None else threads,
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16, where the processor has it
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._core = core
        self._lock = threading.Lock()
        self._came: deque[tuple[int, ...]] = deque(maxlen=128)
        self._fixed: dict[tuple[int, ...], Any] = {}
        try:
            self._model = core.read_model(content)
            self._any = self._prepare(self._model)
        except RuntimeError as error:
            raise RuntimeUnavailableError(one_line(error)) from None

    def run(self, pixels: FloatArray) -> list[FloatArray]:
        """Return boxes, scores and landmarks of a batch, as `onnx_graph.build_graph` has them."""
        shape = pixels.shape
        try:
            with self._lock:
                if shape not in self._fixed and shape not in self._came:
                    self._came.append(shape)
                    return list(self._any.infer({"pictures": pixels}).values())
                request = self._fixed.pop(shape, None) or self._prepare_for(shape)
                self._fixed[shape] = request
                if len(self._fixed) > SIZES:
                    del self._fixed[next(iter(self._fixed))]  # the one that waited longest
                return list(request.infer({"pictures": pixels}).values())
        except RuntimeError as error:
            raise InputError(f"openvino: {one_line(error)}") from None

    def _prepare_for(self, shape: tuple[int, ...]) -> Any:
        model = self._model.clone()
        model.reshape({"pictures": list(shape)})
        return self._prepare(model)

    def _prepare(self, model: Any) -> Any:
        return self._core.compile_model(model, "CPU", self._settings).create_infer_request()

    def __reduce__(self) -> tuple[type[OpenVinoRunner], tuple[bytes, int | None]]:
        return OpenVinoRunner, self._arguments


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
