"""PyTorch, compiled PyTorch, CUDA graphs, ONNX Runtime and OpenVINO behind one call."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from featherface.blocks.heads import BOX, LANDMARKS
from featherface.boxes import make_anchors
from featherface.config import MIN_SIZE, read_config
from featherface.errors import InputError, first_sentence, one_line, without_warnings
from featherface.files import read_bytes
from featherface.forks import Lock, forked, one_thread_in_a_fork
from featherface.images import MAX_NETWORK_PIXELS, FloatArray
from featherface.model import FeatherFace
from featherface.runtimes import agreement, cuda_graph, export, onnx_cache
from featherface.runtimes.agreement import DisagreementError
from featherface.runtimes.export import ExportError
from featherface.runtimes.interface import BatchNetwork, Network, RawDetections
from featherface.runtimes.onnx_session import LANES, RuntimeUnavailableError, open_session, run
from featherface.runtimes.openvino_network import OpenVinoRunner, import_openvino
from featherface.weights.reading import MAX_BYTES, stated

Runtime = Literal["auto", "torch", "compile", "cuda-graph", "onnx", "openvino"]


class TorchNetwork:
    """A `Network`: a copy of the model, in PyTorch.

    Args:
        threads: on the CPU, during the call; `None` for what PyTorch is set to.
    """

    def __init__(
        self, model: FeatherFace, device: torch.device, threads: int | None = None
    ) -> None:
        self.device = device
        self.threads = threads
        self.model = copy.deepcopy(model).eval().float().to(device)

    def __call__(self, pixels: FloatArray) -> RawDetections:
        # In float32, whatever the caller has set.
        full = torch.autocast(self.device.type, enabled=False)
        with torch.inference_mode(), full, _threads(self.threads):
            outputs = self.model(torch.from_numpy(pixels).to(self.device))
            scores = outputs.logits.softmax(-1)[0, :, 1]
            arrays = (x.cpu().numpy() for x in (outputs.boxes[0], scores, outputs.landmarks[0]))
            return RawDetections(*arrays)


class CompiledNetwork(TorchNetwork):
    """A `Network`: the model compiled by `torch.compile`, for any size at once.

    Compiling takes from half a minute to minutes.

    Raises:
        RuntimeUnavailableError: where `torch.compile` does not work here.
    """

    def __init__(
        self, model: FeatherFace, device: torch.device, threads: int | None = None
    ) -> None:
        super().__init__(model, device, threads)
        self.model = torch.compile(self.model, dynamic=True)  # type: ignore[assignment]
        try:
            # A compiler that is missing is noticed when something is compiled.
            super().__call__(np.zeros((1, 3, 2 * MIN_SIZE + 1, 3 * MIN_SIZE + 1), np.float32))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # PyTorch's compilers raise errors of many kinds
            raise RuntimeUnavailableError(
                f"runtime 'compile' cannot be used here: {type(error).__name__}: {one_line(error)}"
            ) from error


class OnnxNetwork(BatchNetwork):
    """A `Network`: an exported one in ONNX Runtime, on the CPU. Can be pickled.

    See `open_session` for the arguments; `config` is the architecture that the file states.

    Raises:
        InputError: where it is no network of this family in the present format.
        RuntimeUnavailableError: where ONNX Runtime is missing or cannot run it.
    """

    def __init__(self, content: bytes, name: str, threads: int | None = None) -> None:
        self._arguments = content, name, threads
        self.name = name
        self.session = open_session(content, name, threads)
        self.stated = stated(self.session.get_modelmeta().custom_metadata_map, name)
        if self.stated.get("format") != export.FORMAT:
            raise InputError(
                f"{name}: exported in format {self.stated.get('format')}, not {export.FORMAT}; "
                "export it again"
            )
        self.config = read_config(self.stated.get("config", ""), name)

    def run(self, pixels: FloatArray) -> list[FloatArray]:
        """Return what `BatchNetwork.run` does."""
        return run(self.session, pixels, self.name)

    @cached_property
    def on_one_thread(self) -> OnnxNetwork:
        """The same network, each call on the thread that calls: several may at once."""
        content, name, threads = self._arguments
        return self if threads == 1 else OnnxNetwork(content, name, 1)

    def __reduce__(self) -> tuple[type[OnnxNetwork], tuple[bytes, str, int | None]]:
        return OnnxNetwork, self._arguments


def open_onnx(path: Path, threads: int | None = None) -> OnnxNetwork:
    """Return a network from a file that `featherface.runtimes.export.export` has written.

    It is run once, on the smallest image that it takes: a file may state one architecture and
    hold another.

    Raises:
        InputError: for a file that cannot be read, is of another kind or of another format, or
            does not compute what it states.
    """
    network = OnnxNetwork(read_bytes(path, MAX_BYTES), str(path), threads)
    # Tools can fix a file's size; else the smallest will do.
    height, width = (
        side if isinstance(side, int) else MIN_SIZE
        for side in network.session.get_inputs()[0].shape[2:]
    )
    if height * width > MAX_NETWORK_PIXELS:
        raise InputError(f"{path}: made for {height}×{width} pixels, more than are supported")
    pixels = np.zeros((1, 3, height, width), np.float32)
    found = [array.shape for array in network.run(pixels)]
    anchors = len(make_anchors(height, width, network.config.anchors, device="cpu"))
    stated = [(1, anchors, BOX), (1, anchors), (1, anchors, LANDMARKS)]
    if found != stated:
        raise InputError(
            f"{path}: outputs of shapes {found} instead of {stated}, which the architecture that "
            "it states has"
        )
    return network


def make_network(
    model: FeatherFace,
    runtime: Runtime,
    device: torch.device,
    threads: int | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[Network, Runtime]:
    """Return the network in that runtime, and which runtime it is.

    "auto" is the fastest that is installed and whose answers have been compared with PyTorch's
    (`featherface.runtimes.agreement`): CUDA graphs on a GPU; on the CPU OpenVINO for images of one
    size and ONNX Runtime for others; PyTorch where there is none of them. An exported network comes
    from a cache, see `featherface.runtimes.onnx_cache`.

    Args:
        size: height and width of all images, where they are known.

    Raises:
        InputError: for a runtime asked for by name that is unavailable, is not for that device,
            or differs from PyTorch.
    """
    unusable = RuntimeUnavailableError, ExportError, DisagreementError
    if runtime != "auto":
        try:
            return _open(runtime, model, device, threads, size), runtime
        except unusable as error:
            raise type(error)(f"runtime {runtime!r} cannot be used: {error}") from None
    fastest: list[Runtime] = []
    if device.type == "cuda":
        fastest = ["cuda-graph"]
    elif device.type == "cpu":
        fastest = ["openvino", "onnx"] if size else ["onnx"]
    for chosen in fastest:
        try:
            return _open(chosen, model, device, threads, size), chosen
        except unusable as error:
            if chosen == "cuda-graph" or isinstance(error, DisagreementError):
                message = f"runtime {chosen!r} is not used: {error}"
                warnings.warn(message, RuntimeWarning, stacklevel=4)
    return TorchNetwork(model, device, threads), "torch"


def _open(
    runtime: Runtime,
    model: FeatherFace,
    device: torch.device,
    threads: int | None,
    size: tuple[int, int] | None,
) -> Network:
    if runtime == "cuda-graph":
        return cuda_graph.proven_runner(model, device)[0]
    if runtime in ("onnx", "openvino") and device.type != "cpu":
        raise InputError(f"runtime {runtime!r} runs on the CPU, not on device {str(device)!r}")
    if runtime == "onnx":
        # More sizes were compared when it was exported. Here, each level has several cells.
        return _exported(
            model, LANES, [(129, 96)], lambda x: OnnxNetwork(x, "the exported network", threads)
        )
    if runtime == "openvino":
        import_openvino()  # before anything is exported for it
        sizes = [size] if size else agreement.SIZES
        return _exported(model, 1, sizes, lambda x: OpenVinoRunner(x, threads, size is not None))
    kind = CompiledNetwork if runtime == "compile" else TorchNetwork
    return kind(model, device, threads)


def _exported(
    model: FeatherFace,
    lanes: int,
    sizes: Iterable[tuple[int, int]],
    opened: Callable[[bytes], BatchNetwork],
) -> BatchNetwork:
    """Return an exported network, of the cache or a new one, compared with PyTorch at `sizes`."""
    try:
        network = opened(onnx_cache.content(model, lanes))
        agreement.compare(model, network.run, sizes=sizes)
    except DisagreementError:
        # The cache knows networks by tensors and modules; hooks may have changed this one.
        network = opened(onnx_cache.content(model, lanes, anew=True))
        agreement.compare(model, network.run, sizes=sizes)
    return network


def checked_device(device: str | torch.device | None) -> torch.device:
    """Return the device; `None` means CUDA where it can be used, else the CPU.

    Raises:
        InputError: for a device that is unavailable.
    """
    if device is None:
        # A driver too old for this PyTorch is reported, and then means the CPU; so does a fork of a
        # process that has used CUDA.
        with without_warnings(r"torch\.cuda"):
            cuda = not torch.cuda._is_in_bad_fork() and torch.cuda.is_available()
            return torch.device("cuda" if cuda else "cpu")
    try:
        checked = torch.device(device)
        torch.zeros(1, device=checked).cpu()  # exists, and gives back what it was given
    except Exception as error:  # of any class: some backends' modules are missing
        with without_warnings(r"torch\.cuda"):
            kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        reason = first_sentence(error)
        # Of a kind that is here, another number may be usable; where the number exists, it is not.
        refused = "" if "invalid device ordinal" in reason else str(device).partition(":")[0]
        usable = ["cpu", *(kind for kind, here in kinds.items() if here and kind != refused)]
        if reason.startswith("Expected one of"):  # twenty kinds, most of which are never built
            reason = "no such device"
        raise InputError(
            f"device (={str(device)!r}) cannot be used: {reason}; usable here: {', '.join(usable)}"
        ) from error
    return checked


_setting_threads = Lock()


@contextmanager
def _threads(wanted: int | None) -> Iterator[None]:
    one_thread_in_a_fork()
    if wanted is None or forked():
        yield
        return
    with _setting_threads:  # the number belongs to the whole process
        before = torch.get_num_threads()
        torch.set_num_threads(wanted)
        try:
            yield
        finally:
            torch.set_num_threads(before)
