"""ONNX Runtime: sessions, and errors in one line."""

from __future__ import annotations

import importlib
import os
from typing import Any

import torch

from featherface.errors import InputError, one_line, out_of_memory
from featherface.images import FloatArray

OUTPUTS = ("boxes", "scores", "landmarks")

LANES = {"AVX512": 16, "AVX2": 8}.get(torch.backends.cpu.get_cpu_capability(), 1)
"""The channels that ONNX Runtime's blocked convolutions, and OpenVINO's deformable ones, compute
together on this processor; 1 where ONNX Runtime's packages have none, as on ARM."""


class RuntimeUnavailableError(InputError):
    """A runtime that is not installed, or cannot run here; the message says why."""


def open_session(content: bytes, name: str, threads: int | None = None) -> Any:
    """Return an `onnxruntime.InferenceSession` on the CPU.

    Args:
        content: the bytes of an ONNX file.
        name: what an error message calls them.
        threads: `None` for as many as PyTorch uses, which knows of containers' limits.

    Raises:
        RuntimeUnavailableError: where ONNX Runtime is not installed, or too old for DeformConv.
        InputError: where the bytes are no ONNX model.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads() if threads is None else threads
    # Patterns of allocation are kept for each size of picture, and sizes do not repeat.
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # what is wrong is raised; say it once
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of a dozen classes without a common one
        if "NOT_IMPLEMENTED" in str(error):
            raise RuntimeUnavailableError(
                f"{name}: onnxruntime {onnxruntime.__version__} cannot run it: {one_line(error)}"
            ) from error
        raise InputError(f"{name}: not an ONNX model: {one_line(error)}") from error


def import_onnxruntime() -> Any:
    """Return the module `onnxruntime`; RuntimeUnavailableError where it is not installed."""
    # Without it, onnxruntime from 1.29 writes an identifier below the user's home and sends
    # telemetry; to ask it later not to is too late.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return import_runtime("onnxruntime")


def import_runtime(name: str, advice: str = "") -> Any:
    """Return a module of a runtime.

    Args:
        advice: what installs it.

    Raises:
        RuntimeUnavailableError: where it is not installed, or its installation is damaged.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:  # a damaged installation raises errors of any class
        cause: BaseException | None = error
        while cause is not None:  # an interrupt inside of an extension module arrives as this
            if isinstance(cause, KeyboardInterrupt):
                raise cause from error
            cause = cause.__cause__ or cause.__context__
        package = name.partition(".")[0]
        missing = isinstance(error, ModuleNotFoundError) and error.name == package
        problem = "is not installed" if missing else "cannot be imported"
        how = f": {advice}" if missing and advice else f": {one_line(error)}"
        raise RuntimeUnavailableError(f"{package} {problem}{how}") from error


def run(session: Any, pixels: FloatArray, name: str) -> list[FloatArray]:
    """Return boxes, scores and landmarks of a batch, see `runtimes.onnx_graph.build_graph`.

    Raises:
        MemoryError: where there is too little of it.
        InputError: for anything else that ONNX Runtime objects to.
    """
    try:
        answer: list[FloatArray] = session.run(OUTPUTS, {"pictures": pixels})
    except Exception as error:
        if out_of_memory(error):
            raise MemoryError(one_line(error)) from error
        raise InputError(f"{name}: {one_line(error)}") from error
    return answer
