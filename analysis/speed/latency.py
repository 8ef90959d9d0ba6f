"""Latency of a forward pass, whole and block by block.

The blocks are timed inside the network's own forward pass, by marks that hooks set before and
after each of its children; in a CUDA graph the marks are captured with it. Runs with marks
alternate with runs without, on the same images, so that what the marks cost is a measured number:
`overhead`. The sum of the blocks is taken run by run and compared with the same run as a whole:
`outside_blocks`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any, get_args

import torch
from torch import Tensor, nn

from analysis.cost.blocks import check_size
from analysis.environment import stamp
from analysis.speed.device import DTYPES, MEMORY_FORMATS, device_of, using_threads
from analysis.speed.random_network import DESCRIPTION, make_random_images, make_random_network
from analysis.speed.self_check import OtherLoad, doubts
from analysis.speed.timing import (
    Clock,
    CudaClock,
    Rule,
    Turns,
    clock_of,
    l2_flusher,
    summarise,
    take_turns,
)
from featherface.blocks.deform_kernel import DeformKernel, deform_kernel, runs_gather
from featherface.blocks.deformable import DeformConv2d
from featherface.config import config_of
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

    def __post_init__(self) -> None:
        config_of(self.variant)
        check_size(self.height, self.width, self.batch)
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                raise InputError(f"{name} (={value!r}) must be one of {', '.join(known)}")
        on_gpu = device_of(self.device).type == "cuda"
        if self.runtime == "cuda-graph" and not on_gpu:
            raise InputError(f"runtime 'cuda-graph' runs on CUDA, not on device {self.device!r}")
        if self.flush_l2 and not on_gpu:
            raise InputError(f"only GPUs have an L2 cache to flush, not device {self.device!r}")
        plain = (self.dtype, self.memory_format) == ("float32", "contiguous")
        if self.runtime == "onnx" and (on_gpu or not plain):
            raise InputError("runtime 'onnx' is timed on the CPU, in float32, contiguous")

    @contextmanager
    def enter(self) -> Iterator[Subject]:
        """Yield the network and its images on the device, ready to run.

        Raises:
            InputError: where they take too much memory.
        """
        layout = MEMORY_FORMATS[self.memory_format]
        kept = torch.float32 if self.autocast else DTYPES[self.dtype]
        with self.on_device() as device:
            model = make_random_network(config_of(self.variant)).to(device, kept)
            with self.explained():
                images = make_random_images(self.batch, self.height, self.width).to(device, kept)
                images = images.to(memory_format=layout)
            flush = l2_flusher(device) if self.flush_l2 else None
            yield Subject(self, model.to(memory_format=layout), images, clock_of(device), flush)

    @property
    def input(self) -> list[int]:
        """The shape of the images."""
        return [self.batch, 3, self.height, self.width]

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
        return {
            "variant": self.variant,
            "runtime": self.runtime,
            "input": self.input,
            "weights": DESCRIPTION,
            "flush_l2": self.flush_l2,
            "environment": stamp(device_of(self.device), self.dtype, self.memory_format),
        }

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what PyTorch cannot do on this device into one line.

        Raises:
            InputError: for an operator that has no kernel for the dtype, or too little memory.
        """
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"{self.variant} with dtype {self.dtype}, runtime {self.runtime}, input "
                f"{self.batch}×3×{self.height}×{self.width} on {self.device} cannot be run: "
                f"{reason}"
            ) from error


Mark = tuple[str, Any, Any]
"""The name of a block, and when it began and ended."""


@dataclass
class Subject:
    """A network with its images on its device.

    Attributes:
        call: the network in its runtime; PyTorch as it is written until `prepare`.
    """

    setting: Setting
    model: nn.Module
    images: Tensor
    clock: Clock
    flush: Callable[[], Any] | None
    call: Callable[[Tensor], Any] = field(init=False)
    blocks_missing: str | None = None
    """The reason why a graph's blocks cannot be timed."""
    _graph: tuple[Callable[[Tensor], Any], list[Mark]] | None = None
    """The graph with marks in it, and its marks."""

    def __post_init__(self) -> None:
        self.call = self.model

    @property
    def has_blocks(self) -> bool:
        """True where the blocks can be timed."""
        return self.setting.runtime == "torch" or self._graph is not None

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

    def time(self, call: Callable[[Tensor], Any] | None = None) -> float:
        """Return the milliseconds of one run."""
        run = self.call if call is None else call
        with self.setting.computing():
            if self.flush:
                self.flush()
            return self.clock.time(lambda: run(self.images))

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
        times = {name: 0.0 for name, _ in self.model.named_children()}
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
        for name, child in model.named_children():
            hooks.append(child.register_forward_pre_hook(enter))
            hooks.append(child.register_forward_hook(leave(name)))
        yield marks
    finally:
        for hook in hooks:
            hook.remove()


def measure_latency(setting: Setting, rule: Rule | None = None) -> dict[str, Any]:
    """Return the record of one setting; see `measure_latencies`."""
    return measure_latencies([setting], rule)[0]


def measure_latencies(
    settings: Sequence[Setting], rule: Rule | None = None
) -> list[dict[str, Any]]:
    """Time forward passes of several settings, which take turns.

    Returns:
        A JSON document for each setting. `whole` is the run without marks, `marked` the one with,
        and `overhead` the ratio of their medians minus 1. `sum_of_blocks` is taken run by run, and
        `outside_blocks` is the part of the marked run's median that it does not reach. Each of
        `blocks` has, besides its times, `share`: its median over the sum of the blocks' medians.
        The runtimes "compile" and "onnx" dissolve the blocks: `blocks` is `None`.
        Times are described by `analysis.speed.timing.summarise`. `deform_kernel` is the one that
        ran, `None` for a network without deformable convolutions and with other runtimes.
        `prepare_ms` is what a runtime takes before the first run, to write or capture a graph;
        `first_run_ms` includes what happens only once, with "compile" the compilation.
        `others_load`, `settled` and `doubts`: see `analysis.speed.self_check`.

    Raises:
        InputError: for a setting that cannot be measured here.
    """
    rule = rule or Rule()
    with ExitStack() as stack:
        subjects = [stack.enter_context(setting.enter()) for setting in settings]
        prepared = [subject.prepare() for subject in subjects]
        first = [subject.first_run() for subject in subjects]
        with OtherLoad() as load:
            times = take_turns(dict(enumerate(map(_alternating, subjects))), rule)
        records = [
            {
                "record": "latency",
                **subject.setting.record(),
                "rule": asdict(rule),
                "prepare_ms": None if subject.setting.runtime == "torch" else prepared[i],
                "first_run_ms": first[i],
                "deform_kernel": subject.deform_kernel() if subject.has_blocks else None,
                "blocks_missing": subject.blocks_missing,
                "others_load": load.share,
                **_summaries(times[i], list(dict(subject.model.named_children())), rule),
            }
            for i, subject in enumerate(subjects)
        ]
        structures = [
            _structures(s, r["deform_kernel"]) for s, r in zip(subjects, records, strict=True)
        ]
    for record, found in zip(records, doubts(records, structures), strict=True):
        record["settled"] = is_settled(record)
        record["doubts"] = found
    return records


def _structures(subject: Subject, kernel: str | None) -> dict[str, str]:
    """Return a text for each block that is equal for blocks that do the same work."""

    def deforms(block: nn.Module) -> bool:
        return any(isinstance(module, DeformConv2d) for module in block.modules())

    blocks = dict(subject.model.named_children())
    return {name: f"{b} {kernel}" if deforms(b) else str(b) for name, b in blocks.items()}


def _alternating(subject: Subject) -> Callable[[], Mapping[str, float]]:
    """Return one run: whole, and with marks where there are blocks, either first in turn."""
    turn = 0

    def run() -> dict[str, float]:
        nonlocal turn
        turn += 1
        if not subject.has_blocks:
            return {"whole": subject.time()}
        # Neither always finds the other's warm caches.
        if turn % 2:
            return {"whole": subject.time(), **subject.time_blocks()}
        return {**subject.time_blocks(), "whole": subject.time()}

    return run


def is_settled(record: Mapping[str, Any]) -> bool:
    """Return whether the whole and each block of a twentieth of it or more are settled."""
    whole = record["whole"]
    blocks = [b for b in record["blocks"] or () if b["ms_p50"] >= whole["ms_p50"] / 20]
    return all(times["settled"] for times in (whole, *blocks))


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


def _summaries(times: Mapping[str, Turns], names: Sequence[str], rule: Rule) -> dict[str, Any]:
    found = {name: summarise(turns, rule) for name, turns in times.items()}
    whole = found["whole"]
    if "marked" not in found:
        return {"whole": whole, "blocks": None}
    sums = [
        [sum(run) for run in zip(*turn, strict=True)]
        for turn in zip(*(times[name] for name in names), strict=True)
    ]
    marked, sum_of_blocks = found["marked"], summarise(sums, rule)
    total = sum(found[name]["ms_p50"] for name in names)
    return {
        "whole": whole,
        "marked": marked,
        "overhead": marked["ms_p50"] / whole["ms_p50"] - 1,
        "sum_of_blocks": sum_of_blocks,
        "outside_blocks": 1 - sum_of_blocks["ms_p50"] / marked["ms_p50"],
        "blocks": [
            {"name": name, **found[name], "share": found[name]["ms_p50"] / total} for name in names
        ],
    }
