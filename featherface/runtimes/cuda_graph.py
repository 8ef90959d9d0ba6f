"""CUDA graphs: a whole forward pass as one launch.

At 640×640 a GPU computes these networks in less time than Python takes to launch their 300 to 600
kernels. A graph records the launches for one shape of input, and replays them together.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from featherface.blocks.convolution import fold_norms
from featherface.blocks.deform_kernel import KERNEL, deform_conv2d
from featherface.blocks.deformable import DeformConv2d
from featherface.blocks.heads import BOX, Outputs
from featherface.errors import InputError, one_line
from featherface.images import FloatArray
from featherface.model import FeatherFace
from featherface.runtimes import agreement
from featherface.runtimes.agreement import Differences
from featherface.runtimes.interface import BatchNetwork
from featherface.runtimes.onnx_session import RuntimeUnavailableError

TOLERANCES: Mapping[torch.dtype, Differences] = {
    # Ten times those of two runtimes on the CPU: cuDNN may sum in another order (Winograd).
    torch.float32: Differences(scores=1e-4, boxes_px=1e-2, landmarks_px=1e-1),
    # Wide enough for every anchor, also those that see no face; scores decide what is kept.
    torch.float16: Differences(scores=5e-2, boxes_px=5.0, landmarks_px=5.0),
    torch.bfloat16: Differences(scores=3e-1, boxes_px=40.0, landmarks_px=40.0),
}
"""The largest differences from float32 PyTorch on the CPU that are accepted, by dtype."""

SHAPES = 8
"""Captured shapes that are kept; the least recently used one is dropped first."""

MOST_PIXELS = 2**22
"""Inputs of more pixels are not captured: there the launches cost little beside the kernels."""


class CapturedForward:
    """A function of one tensor, captured on its GPU for one shape.

    Attributes:
        output: what the function returned; each call overwrites it.

    Args:
        forward: launches work on the current stream only and never waits for it.
        example: an input; its values do not matter.

    Raises:
        RuntimeError: for a function that cannot be captured.
    """

    warm_up_runs = 3

    def __init__(self, forward: Callable[[Tensor], Any], example: Tensor) -> None:
        device = example.device
        self.input = example.clone()
        with torch.cuda.device(device), torch.inference_mode():
            # Libraries initialise themselves and choose kernels before, not while, capturing.
            side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(side):
                for _ in range(self.warm_up_runs):
                    forward(self.input)
            torch.cuda.current_stream(device).wait_stream(side)
            torch.cuda.synchronize(device)
            self._graph = torch.cuda.CUDAGraph()
            # Without a stream of ours, PyTorch takes one of the GPU that captured first. Other
            # threads may go on allocating memory meanwhile.
            with torch.cuda.graph(self._graph, stream=side, capture_error_mode="thread_local"):
                self.output = forward(self.input)

    def __call__(self, x: Tensor) -> Any:
        """Return the output for x."""
        self.input.copy_(x, non_blocking=True)
        self._graph.replay()
        return self.output


class GraphRunner(BatchNetwork):
    """Runs a network on a GPU, each shape of input as a CUDA graph from its second call on.

    Thread-safe: calls wait for each other. Pickled without what it has captured.

    Args:
        model: is copied, see `prepare`.
        dtype: float32, or float16 or bfloat16 by autocast, with deformable kernels in float32.
        memory_format: of the tensors. Channels-last is slower, as the deformable kernel copies its
            input: `featherface latency --channels-last`.
    """

    def __init__(
        self,
        model: FeatherFace,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        if dtype not in TOLERANCES:
            known = ", ".join(str(each).removeprefix("torch.") for each in TOLERANCES)
            raise InputError(f"dtype (={str(dtype).removeprefix('torch.')}) must be one of {known}")
        self.device = device
        self.dtype = dtype
        self.memory_format = memory_format
        self.model = prepare(model, dtype).to(device=device, memory_format=memory_format)  # type: ignore[call-overload]
        self._captured: dict[tuple[int, ...], _Captured] = {}  # the least recently used one first
        self._called: deque[tuple[int, ...]] = deque(maxlen=16 * SHAPES)
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        # The copy is prepared already, which changes nothing the second time.
        return GraphRunner, (self.model, self.device, self.dtype, self.memory_format)

    def network(self, pixels: Tensor) -> Outputs:
        """Return the network's outputs for a batch on the device; eager."""
        cast = torch.autocast(
            self.device.type,
            self.dtype,
            enabled=self.dtype != torch.float32,
            cache_enabled=False,  # a graph must not hold on to a cache that is emptied
        )
        with full_float32(), cast:
            outputs: Outputs = self.model(pixels.contiguous(memory_format=self.memory_format))
            return outputs

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (batch, anchors, 15): encoded box, score, encoded landmarks; eager."""
        boxes, logits, landmarks = (output.float() for output in self.network(pixels))
        return torch.cat([boxes, logits.softmax(-1)[..., 1:], landmarks], dim=-1)

    def run(self, pixels: FloatArray) -> list[FloatArray]:
        """Return what `BatchNetwork.run` does."""
        shape = pixels.shape
        with self._lock, torch.inference_mode(), on_device(self.device):
            # Capturing takes as long as tens of passes: not for a shape that may not come again.
            again = shape in self._called and shape[0] * shape[2] * shape[3] <= MOST_PIXELS
            if again or shape in self._captured:
                captured = self._captured.pop(shape, None) or self._capture(shape)
                self._captured[shape] = captured
                if len(self._captured) > SHAPES:
                    del self._captured[next(iter(self._captured))]
                return _split(captured.run(pixels))
            self._called.append(shape)
            return _split(self.forward(torch.from_numpy(pixels).to(self.device)).cpu().numpy())

    def run_captured(self, pixels: FloatArray) -> list[FloatArray]:
        """Return the same; the shape is captured now, and not kept."""
        with self._lock, torch.inference_mode(), on_device(self.device):
            return _split(self._capture(pixels.shape).run(pixels))

    def _capture(self, shape: tuple[int, ...]) -> _Captured:
        return _Captured(self.forward, shape, self.device)


class _Captured:
    """A captured forward pass with page-locked memory for what goes in and comes out."""

    def __init__(
        self, forward: Callable[[Tensor], Tensor], shape: tuple[int, ...], device: torch.device
    ) -> None:
        self._captured = CapturedForward(forward, torch.zeros(shape, device=device))
        pinned = device.type == "cuda"
        self._input = torch.empty(shape, pin_memory=pinned)
        self._output = torch.empty(self._captured.output.shape, pin_memory=pinned)
        self._device = device

    def run(self, pixels: FloatArray) -> FloatArray:
        np.copyto(self._input.numpy(), pixels)
        self._output.copy_(self._captured(self._input), non_blocking=True)
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()
        return self._output.numpy().copy()


def proven_runner(
    model: FeatherFace, device: torch.device, dtype: torch.dtype = torch.float32
) -> tuple[GraphRunner, dict[str, Any]]:
    """Return a runner whose graphs were compared with PyTorch on the CPU, and the comparison.

    Raises:
        InputError: for a device without CUDA, or another dtype.
        RuntimeUnavailableError: where the network cannot be captured.
        DisagreementError: where they differ by more than `TOLERANCES`.
    """
    if device.type != "cuda":
        raise InputError(f"runtime 'cuda-graph' runs on CUDA, not on device {str(device)!r}")
    runner = GraphRunner(model, device, dtype)
    try:
        found = agreement.compare(model, runner.run_captured, tolerance=TOLERANCES[dtype])
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise RuntimeUnavailableError(one_line(error)) from None
    return runner, found


class _Deforming(nn.Module):
    """A `DeformConv2d` whose offsets and masks come from one convolution instead of two."""

    def __init__(self, deform: DeformConv2d) -> None:
        super().__init__()
        convs = [conv for conv in (deform.offset, deform.mask) if conv is not None]
        weight = torch.cat([conv.weight for conv in convs])
        biases = [conv.bias for conv in convs if conv.bias is not None]
        self.steering = nn.Conv2d(weight.shape[1], len(weight), KERNEL, padding=KERNEL // 2)
        self.steering.weight = nn.Parameter(weight, requires_grad=False)
        self.steering.bias = nn.Parameter(torch.cat(biases), requires_grad=False)
        self.weight = deform.weight
        self.offsets = deform.offset.out_channels

    def forward(self, x: Tensor) -> Tensor:
        steering = self.steering(x)
        offset, mask = steering[:, : self.offsets], steering[:, self.offsets :]
        return deform_conv2d(
            x, offset, self.weight, 2 * torch.sigmoid(mask) if mask.shape[1] else None
        )


def prepare(model: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Return a copy in evaluation mode with fewer operators, its convolutions in dtype.

    Normalisations are folded, and offsets and masks come from one convolution. Under autocast a
    float32 weight would be rounded anew in every pass.
    """
    model = copy.deepcopy(model).eval().float().requires_grad_(False)
    fold_norms(model)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, DeformConv2d):
                setattr(module, name, _Deforming(child))
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.to(dtype)
    return model


_NEWER_SWITCHES = hasattr(torch.backends, "fp32_precision")  # from PyTorch 2.9


@contextmanager
def full_float32() -> Iterator[None]:
    """Within it, a GPU computes float32 products and convolutions without TF32."""
    backends: Any = torch.backends
    cudnn = backends.cudnn
    newer = [cudnn.conv, backends.cuda.matmul, backends.mkldnn.matmul] if _NEWER_SWITCHES else []
    precisions = [switch.fp32_precision for switch in newer]
    try:
        older = cudnn.allow_tf32, torch.get_float32_matmul_precision()
    except RuntimeError:  # PyTorch refuses to read them where its newer switches were set
        older = None
    try:
        if older:
            cudnn.allow_tf32 = False
            torch.set_float32_matmul_precision("highest")
        else:
            cudnn.conv.fp32_precision = backends.cuda.matmul.fp32_precision = "ieee"
        yield
    finally:
        if older:
            cudnn.allow_tf32 = older[0]
            torch.set_float32_matmul_precision(older[1])
        for switch, precision in zip(newer, precisions, strict=True):  # which the older ones set
            switch.fp32_precision = precision


def _split(rows: FloatArray) -> list[FloatArray]:
    return [rows[..., :BOX], rows[..., BOX], rows[..., BOX + 1 :]]


def on_device(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which a GPU is the current one; for another device, one of no effect."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
