"""OpenVINO: the exported graph on the CPU (extra `openvino`).

It prepares its kernels anew for every size of image: "auto" does not choose it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from featherface.errors import InputError
from featherface.runtimes.onnx_session import RuntimeUnavailableError

FloatArray = npt.NDArray[np.float32]


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
                f"openvino is not installed: pip install featherface[openvino] ({error})"
            ) from error
        core = openvino.Core()
        core.add_extension(ConversionExtension("DeformConv", _deform_conv))
        settings = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads() if threads is None else threads,
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16, where the processor has it
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            self._compiled = core.compile_model(core.read_model(content), "CPU", settings)
        except RuntimeError as error:
            raise RuntimeUnavailableError(" ".join(str(error).split())[:200]) from error

    def run(self, pixels: FloatArray) -> list[FloatArray]:
        """Return boxes, scores and landmarks, as `featherface.runtimes.export.export` has them.

        Args:
            pixels: (batch, 3, height, width).
        """
        try:
            answer = self._compiled.create_infer_request().infer({"pictures": pixels})
        except RuntimeError as error:
            raise InputError(f"openvino: {' '.join(str(error).split())[:200]}") from error
        return list(answer.values())

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
