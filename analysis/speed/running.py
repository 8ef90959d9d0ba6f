"""A network in its runtime, with its inputs on its device, and the time that it takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from analysis.cost.subject import make_inputs
from analysis.speed.random_network import SEED, make_random_images
from analysis.speed.setting import DTYPES, MEMORY_FORMATS, Setting
from analysis.speed.timing import Clock, CudaClock, clock_of, l2_flusher
from featherface.blocks.deform_kernel import runs_gather
from featherface.blocks.deformable import DeformConv2d
from featherface.model import FeatherFace
from featherface.runtimes.cuda_graph import CapturedForward, GraphRunner
from featherface.runtimes.onnx_graph import build_graph
from featherface.runtimes.onnx_session import LANES, open_session, run
from featherface.runtimes.openvino_network import OpenVinoRunner

Inputs = tuple[Tensor, ...] | dict[str, Tensor]
"""Of a network, by position or by name."""

Mark = tuple[str, Any, Any]
"""The name of a block, and when it began and ended."""


@dataclass
class Subject:
    """A network with its inputs on its device."""

    setting: Setting
    model: nn.Module
    inputs: Inputs
    clock: Clock
    flush: Callable[[], Any] | None = None
    call: Callable[..., Any] = field(init=False)
    """The network in its runtime; PyTorch as it is written until `prepare`."""
    blocks_missing: str | None = None
    """The reason why a graph's blocks cannot be timed."""
    _graph: tuple[Callable[..., Any], list[Mark]] | None = None
    """The graph with marks in it, and its marks."""

    def __post_init__(self) -> None:
        self.call = self.model

    @property
    def images(self) -> Tensor:
        """The first input."""
        given = self.inputs.values() if isinstance(self.inputs, dict) else self.inputs
        return next(iter(given))

    @property
    def has_blocks(self) -> bool:
        """True where there are blocks that can be timed."""
        runs_in_python = self.setting.runtime == "torch" and bool(blocks_of(self.model))
        return runs_in_python or self._graph is not None

    def prepare(self) -> float:
        """Bring the network into its runtime; returns the milliseconds that took."""
        start, setting = time.perf_counter(), self.setting
        with setting.explained(), setting.computing():
            if setting.runtime == "compile":
                self.call = torch.compile(self.model)
            elif setting.runtime == "onnx":
                self.call = in_onnx_runtime(self.model, f"the exported {setting.variant}")
            elif setting.runtime == "openvino":
                self.call = in_openvino(self.model)
            elif setting.runtime == "cuda-graph":
                self._capture()
        return (time.perf_counter() - start) * 1e3

    def _capture(self) -> None:
        device, setting = self.images.device, self.setting
        assert isinstance(self.model, FeatherFace)
        layout = MEMORY_FORMATS[setting.memory_format]
        runner = GraphRunner(self.model, device, DTYPES[setting.dtype], layout)
        self.call = CapturedForward(runner.network, self.images)
        try:
            with _marking(runner.model, CudaClock(device, captured=True)) as marks:
                marked = CapturedForward(runner.network, self.images)
            # The hooks marked the runs that warm up as well; the captured one was the last.
            calls = len(marks) // (marked.warm_up_runs + 1)
            self._graph = marked, marks[-calls:]
            self.time_blocks()
        except RuntimeError as error:  # a driver without events in graphs
            self._graph = None
            self.blocks_missing = " ".join(str(error).split())[:200]

    def first_run(self) -> float:
        """Return the milliseconds of the first run; raises InputError where it cannot be run."""
        with self.setting.explained():
            return self.time()

    def time(self, call: Callable[..., Any] | None = None) -> float:
        """Return the milliseconds of one run."""
        run = self.call if call is None else call
        given, named = ((), self.inputs) if isinstance(self.inputs, dict) else (self.inputs, {})
        with self.setting.computing():
            if self.flush:
                self.flush()
            return self.clock.time(lambda: run(*given, **named))

    def time_blocks(self) -> dict[str, float]:
        """Return the milliseconds of one run ("marked") and of each block in it, by its name.

        A block that is called more than once is the sum of its calls.
        """
        if self._graph is not None:
            graph, marks = self._graph
            whole = self.time(graph)
        else:
            with _marking(self.model, self.clock) as marks:
                whole = self.time()
        times = dict.fromkeys(blocks_of(self.model), 0.0)
        for name, start, end in marks:
            times[name] += self.clock.ms_between(start, end)
        return {"marked": whole, **times}

    def deform_kernel(self) -> str | None:
        """Return the kernel that runs in the deformable convolutions; `None` without any."""
        deforming = [m for m in self.model.modules() if isinstance(m, DeformConv2d)]
        if deforming and self.setting.runtime == "cuda-graph":
            return "gather"  # recorded on a side stream, see `runs_gather`
        ran: set[str] = set()

        def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            ran.add("gather" if runs_gather(inputs[0]) else "torchvision")

        with ExitStack() as hooks:
            for module in deforming:
                hooks.enter_context(module.register_forward_pre_hook(look))
            self.time(self.model)
        return " and ".join(sorted(ran)) or None


@contextmanager
def entered(setting: Setting) -> Iterator[Subject]:
    """Yield the network and its inputs on the device, ready to run.

    Raises:
        InputError: where there is no such network, or they take too much memory.
    """
    kept = torch.float32 if setting.autocast else DTYPES[setting.dtype]
    layout = MEMORY_FORMATS[setting.memory_format]
    with setting.on_device() as device, setting.explained():
        model = setting.network(kept).to(device).to(memory_format=layout)
        inputs = _make_inputs(setting, model, device)
        flush = l2_flusher(device) if setting.flush_l2 else None
        subject = Subject(setting, model, inputs, clock_of(device), flush)
    with redirect_stdout(sys.stderr), setting.on_device():  # a network may print
        yield subject


def _make_inputs(setting: Setting, model: nn.Module, device: torch.device) -> Inputs:
    layout = MEMORY_FORMATS[setting.memory_format]
    if setting.model is None:
        images = make_random_images(setting.batch, setting.height, setting.width)
        dtype = next(model.parameters()).dtype
        return (images.to(device, dtype).to(memory_format=layout),)
    inputs = make_inputs(model, setting.shapes, str(device))
    generator = torch.Generator(device).manual_seed(SEED)

    def filled(x: Tensor) -> Tensor:
        if x.is_floating_point():
            x.copy_(torch.rand(x.shape, generator=generator, device=device))
        return x.to(memory_format=layout) if x.dim() == 4 else x

    if isinstance(inputs, dict):
        return {name: filled(x) for name, x in inputs.items()}
    return tuple(map(filled, inputs))


def blocks_of(model: nn.Module) -> dict[str, list[nn.Module]]:
    """Return the network's direct children by name, each as the modules that are called.

    They are one, but for a list of modules, whose own members are called. TorchScript has none, as
    it calls no hooks.
    """
    if isinstance(model, torch.jit.ScriptModule):
        return {}

    def called(module: nn.Module) -> Iterator[nn.Module]:
        if isinstance(module, nn.ModuleList | nn.ModuleDict):
            for member in module.children():
                yield from called(member)
        elif not isinstance(module, torch.jit.ScriptModule):
            yield module

    return {name: list(called(child)) for name, child in model.named_children()}


@contextmanager
def _marking(model: nn.Module, clock: Clock) -> Iterator[list[Mark]]:
    """Mark before and after every call of a child, as long as the context lasts."""
    marks: list[Mark] = []
    started: list[Any] = []

    def enter(*_: Any) -> None:
        started.append(clock.mark())

    def leave(name: str, *_: Any) -> None:
        end = clock.mark()
        marks.append((name, started.pop(), end))

    with ExitStack() as hooks:
        for name, modules in blocks_of(model).items():
            for module in modules:
                hooks.enter_context(module.register_forward_pre_hook(enter))
                hooks.enter_context(module.register_forward_hook(partial(leave, name)))
        yield marks


def in_onnx_runtime(model: nn.Module, name: str) -> Callable[[Tensor], Any]:
    """Return a network to time in ONNX Runtime, with PyTorch's threads, not compared with PyTorch.

    Random offsets amplify rounding until two right answers differ. What graphs compute is compared
    where one is exported to be used, see `featherface.runtimes.agreement`.

    Args:
        name: what an error message calls it.
    """
    assert isinstance(model, FeatherFace)
    session = open_session(build_graph(model, LANES).SerializeToString(), name)
    return lambda images: run(session, images.numpy(), name)


def in_openvino(model: nn.Module) -> Callable[[Tensor], Any]:
    """Return a network to time in OpenVINO, as `in_onnx_runtime` does, with kernels by size."""
    assert isinstance(model, FeatherFace)
    runner = OpenVinoRunner(build_graph(model).SerializeToString(), one_size=True)
    return lambda images: runner.run(images.numpy())
