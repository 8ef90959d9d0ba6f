"""A network with its input, and how it is run: what every measurement of time begins with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import torch
from torch import Tensor, nn

from analysis.cost import Cost, measure
from analysis.cost.blocks import check_size, network_cost
from analysis.cost.subject import Input, load_model, make_inputs, with_settings
from analysis.environment import stamp
from analysis.speed.device import DTYPES, MEMORY_FORMATS, device_of, using_threads
from analysis.speed.random_network import (
    DESCRIPTION,
    SEED,
    make_random_images,
    make_random_network,
)
from analysis.speed.timing import Clock, CudaClock, clock_of, l2_flusher
from featherface.blocks.deform_kernel import DeformKernel, deform_kernel, runs_gather
from featherface.blocks.deformable import DeformConv2d
from featherface.config import FeatherFaceConfig, config_of
from featherface.errors import InputError
from featherface.model import FeatherFace
from featherface.runtimes.cuda_graph import CapturedForward, GraphRunner, full_float32
from featherface.runtimes.onnx_graph import build_graph
from featherface.runtimes.onnx_session import open_session, run

RUNTIMES = ("torch", "compile", "cuda-graph", "onnx")
"""PyTorch as the network is written, `torch.compile`, CUDA graphs, ONNX Runtime on the CPU."""

_CHOICES: dict[str, Any] = {
    "dtype": DTYPES,
    "memory_format": MEMORY_FORMATS,
    "kernel": get_args(DeformKernel),
    "runtime": RUNTIMES,
}


Inputs = tuple[Tensor, ...] | dict[str, Tensor]
"""Of a network, by position or by name."""


@dataclass(frozen=True)
class Setting:
    """A network, its input, and how it is run.

    On a GPU float16 and bfloat16 are autocast; on a CPU weights and input are of the dtype.
    Float32 is computed without TF32.

    Raises:
        InputError: for a value that cannot be measured here.
    """

    variant: str = "official"
    height: int = 640
    width: int = 640
    batch: int = 1
    device: str = "cpu"
    dtype: str = "float32"
    memory_format: str = "contiguous"
    threads: int | None = None
    flush_l2: bool = False
    kernel: str = "auto"
    """Of deformable convolutions, see `featherface.blocks.deform_kernel`."""
    runtime: str = "torch"
    model: str | None = None
    """Another network, in place of the variant, by a name of `analysis.cost.subject.load_model`."""
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Fields of the variant's configuration to change, or arguments of the model's factory."""
    inputs: tuple[Input, ...] = ()
    """Those of the model, by default images; see `shapes`."""

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                raise InputError(f"{name} (={value!r}) must be one of {', '.join(known)}")
        if self.model is None:
            _ = self.config
            check_size(self.height, self.width, self.batch)
        elif self.runtime not in ("torch", "compile"):
            raise InputError(f"runtime {self.runtime!r} runs the variants alone, not {self.model}")
        on_gpu = device_of(self.device).type == "cuda"
        if self.runtime == "cuda-graph" and not on_gpu:
            raise InputError(f"runtime 'cuda-graph' runs on CUDA, not on device {self.device!r}")
        if self.flush_l2 and not on_gpu:
            raise InputError(f"only GPUs have an L2 cache to flush, not device {self.device!r}")
        plain = (self.dtype, self.memory_format) == ("float32", "contiguous")
        if self.runtime == "onnx" and (on_gpu or not plain):
            raise InputError("runtime 'onnx' is timed on the CPU, in float32, contiguous")

    @property
    def name(self) -> str:
        """The variant or the model."""
        return self.model or self.variant

    @property
    def config(self) -> FeatherFaceConfig:
        """The variant's architecture."""
        return with_settings(config_of(self.variant), self.arguments)

    @property
    def shapes(self) -> tuple[Input, ...]:
        """The network's inputs, the batch first in all of them.

        Those with four dimensions or more that are as high and wide as the first are images.
        """
        given = self.inputs or (Input((1, 3, self.height, self.width)),)
        images = given[0].shape[-2:]

        def sized(shape: tuple[int, ...]) -> tuple[int, ...]:
            if len(shape) < 4 or shape[-2:] != images:
                return (self.batch, *shape[1:])
            return (self.batch, *shape[1:-2], self.height, self.width)

        return tuple(replace(each, shape=sized(each.shape)) for each in given)

    @contextmanager
    def enter(self) -> Iterator[Subject]:
        """Yield the network and its inputs on the device, ready to run.

        Raises:
            InputError: where there is no such network, or they take too much memory.
        """
        kept = torch.float32 if self.autocast else DTYPES[self.dtype]
        layout = MEMORY_FORMATS[self.memory_format]
        with self.on_device() as device, self.explained():
            model = self.network().to(device, kept).to(memory_format=layout)
            inputs = self._inputs(model, device, layout)
            flush = l2_flusher(device) if self.flush_l2 else None
            subject = Subject(self, model, inputs, clock_of(device), flush)
        with self.on_device():
            yield subject

    def network(self) -> nn.Module:
        """Return the network on the CPU, with random weights."""
        if self.model is None:
            return make_random_network(self.config)
        with torch.inference_mode(False):
            return load_model(self.model, self.arguments)

    def _inputs(
        self, model: nn.Module, device: torch.device, layout: torch.memory_format
    ) -> Inputs:
        if self.model is None:
            images = make_random_images(self.batch, self.height, self.width)
            dtype = next(model.parameters()).dtype
            return (images.to(device, dtype).to(memory_format=layout),)
        inputs = make_inputs(model, self.shapes, str(device))
        generator = torch.Generator(device).manual_seed(SEED)

        def filled(x: Tensor) -> Tensor:
            if x.is_floating_point():
                x.uniform_(generator=generator)
            return x.to(memory_format=layout) if x.dim() == 4 else x

        if isinstance(inputs, dict):
            return {name: filled(x) for name, x in inputs.items()}
        return tuple(map(filled, inputs))

    def cost(self) -> Cost:
        """Return the cost of a pass, by module."""
        dtype = DTYPES[self.dtype]
        if self.model is None:
            return network_cost(self.config, self.height, self.width, self.batch, dtype)
        network = self.network().to(dtype)
        return measure(network, make_inputs(network, self.shapes))

    @property
    def autocast(self) -> bool:
        """True where the network is float32 and its operators are cast as they run."""
        return self.device != "cpu" and self.dtype in ("float16", "bfloat16")

    @contextmanager
    def on_device(self) -> Iterator[torch.device]:
        """Use the device with the setting's threads and kernel, without gradients."""
        device = device_of(self.device)
        current: AbstractContextManager[Any] = (
            torch.cuda.device(device) if device.type == "cuda" else nullcontext()
        )
        with using_threads(self.threads), current, self.computing():
            yield device

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Compute as the setting says; contenders of other settings may be entered as well."""
        cast = torch.autocast("cuda", DTYPES[self.dtype]) if self.autocast else nullcontext()
        with (
            deform_kernel(self.kernel),  # type: ignore[arg-type]
            torch.inference_mode(),
            full_float32(),
            cast,
        ):
            yield

    def at(self, **changes: Any) -> Setting:
        """Return the same setting, but for some fields."""
        return replace(self, **changes)

    def record(self) -> dict[str, Any]:
        """Return the beginning of every record; call it while the setting is entered."""
        shapes = [list(each.shape) for each in self.shapes]
        of_model = {"model": self.model, "inputs": shapes} if self.model else {}
        return {
            "variant": None if self.model else self.variant,
            **of_model,
            **({"settings": dict(self.arguments)} if self.arguments else {}),
            "runtime": self.runtime,
            "input": shapes[0],
            "weights": "as the factory makes them" if self.model else DESCRIPTION,
            "flush_l2": self.flush_l2,
            "environment": stamp(device_of(self.device), self.dtype, self.memory_format),
        }

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what cannot be run on this device into one line.

        Raises:
            InputError: for an operator that has no kernel for the dtype, too little memory, or
                whatever the code of a model raises.
        """
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            if self.model is None and not isinstance(error, RuntimeError | MemoryError):
                raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            shapes = " and ".join("×".join(map(str, each.shape)) for each in self.shapes)
            raise InputError(
                f"{self.name} with dtype {self.dtype}, runtime {self.runtime}, input {shapes} on "
                f"{self.device} cannot be run: {reason}"
            ) from error


Mark = tuple[str, Any, Any]
"""The name of a block, and when it began and ended."""


@dataclass
class Subject:
    """A network with its inputs on its device.

    Attributes:
        inputs: by position or by name.
        call: the network in its runtime; PyTorch as it is written until `prepare`.
    """

    setting: Setting
    model: nn.Module
    inputs: Inputs
    clock: Clock
    flush: Callable[[], Any] | None = None
    call: Callable[..., Any] = field(init=False)
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
        """Bring the network into its runtime; returns the milliseconds that took.

        Raises:
            InputError: where it cannot be done.
        """
        start, setting = time.perf_counter(), self.setting
        with setting.explained(), setting.computing():
            if setting.runtime == "compile":
                self.call = torch.compile(self.model)
            elif setting.runtime == "onnx":
                self.call = in_onnx_runtime(self.model, f"the exported {setting.variant}")
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
        """Return the milliseconds of the first run, which shows whether it works at all.

        Raises:
            InputError: where PyTorch cannot run it.
        """
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

        hooks = [module.register_forward_pre_hook(look) for module in deforming]
        try:
            self.time(self.model)
        finally:
            for hook in hooks:
                hook.remove()
        return " and ".join(sorted(ran)) or None


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

    def enter(module: nn.Module, inputs: Any) -> None:
        started.append(clock.mark())

    def leave(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, outputs: Any) -> None:
            end = clock.mark()
            marks.append((name, started.pop(), end))

        return hook

    hooks = []
    try:
        for name, modules in blocks_of(model).items():
            for module in modules:
                hooks.append(module.register_forward_pre_hook(enter))
                hooks.append(module.register_forward_hook(leave(name)))
        yield marks
    finally:
        for hook in hooks:
            hook.remove()


def in_onnx_runtime(model: nn.Module, name: str) -> Callable[[Tensor], Any]:
    """Return a network to time in ONNX Runtime, with PyTorch's threads, not compared with PyTorch.

    Random offsets amplify rounding until two right answers differ. What graphs compute is compared
    where one is exported to be used, see `featherface.runtimes.agreement`.

    Args:
        name: what an error message calls it.
    """
    assert isinstance(model, FeatherFace)
    session = open_session(build_graph(model).SerializeToString(), name)
    return lambda images: run(session, images.numpy(), name)
