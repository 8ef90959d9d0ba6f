"""How long a forward pass takes, whole and block by block.

The blocks are timed inside the network's own forward pass, by marks that hooks set before and
after each of its children. Passes with marks alternate with passes without, on the same pictures,
so that what the marks cost is a measured number: `overhead`. The sum of the blocks is taken pass
by pass and compared with the same pass as a whole: `outside_blocks`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, get_args

import torch
from torch import Tensor, nn

from analysis.cost.blocks import check_size
from analysis.environment import stamp
from analysis.speed.device import MEMORY_FORMATS, device_of, dtype_of, using_threads
from analysis.speed.random_network import DESCRIPTION, make_pictures, make_specimen
from analysis.speed.timing import CacheFlush, Clock, Rule, clock_of, collect, summarise
from featherface.blocks.deform_kernel import DeformKernel, deform_kernel, runs_gather
from featherface.blocks.deformable import DeformConv2d
from featherface.config import config_of
from featherface.errors import InputError
from featherface.model import FeatherFace

RUNTIMES = ("torch", "compile", "onnx")

KERNELS: tuple[str, ...] = get_args(DeformKernel)

WARM_UP_RUNS = 5
"""Passes after the first that are run and not counted: caches fill, libraries choose kernels.
Fewer, but at least one, where they would take a quarter of the rule's time."""

FIELDS = {
    "record": str,
    "variant": str,
    "runtime": str,
    "input": list,
    "environment": dict,
    "whole": dict,
    "blocks": list | None,
}
"""What a record of `measure_latency` has, for `featherface.records`."""


@dataclass(frozen=True)
class Setting:
    """What to time, and how.

    Raises:
        InputError: for a value that cannot be measured, when the setting is entered.
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

    @contextmanager
    def enter(self) -> Iterator[Subject]:
        """The network and its pictures on the device, as long as the context lasts."""
        config = config_of(self.variant)
        check_size(self.height, self.width, self.batch)
        if self.memory_format not in MEMORY_FORMATS:
            raise InputError(
                f"memory_format (={self.memory_format!r}) must be one of "
                f"{', '.join(MEMORY_FORMATS)}"
            )
        dtype, layout = dtype_of(self.dtype), MEMORY_FORMATS[self.memory_format]
        with self.on_device() as device:
            flush = CacheFlush(device) if self.flush_l2 else None
            model = make_specimen(config).to(device, dtype)
            with self._explained():
                pictures = make_pictures(self.batch, self.height, self.width).to(device, dtype)
            yield Subject(
                self,
                model.to(memory_format=layout),
                pictures.to(memory_format=layout),
                clock_of(device),
                flush,
            )

    @contextmanager
    def on_device(self) -> Iterator[torch.device]:
        """The device with the setting's threads, and no gradients, as long as the context lasts."""
        device = device_of(self.device)
        if self.kernel not in KERNELS:
            raise InputError(
                f"deform_kernel (={self.kernel!r}) must be one of {', '.join(KERNELS)}"
            )
        with (
            using_threads(self.threads),
            deform_kernel(self.kernel),  # type: ignore[arg-type]
            _on(device),
            torch.inference_mode(),
        ):
            yield device

    def at(self, **changes: Any) -> Setting:
        """The same setting, but for some fields."""
        return replace(self, **changes)

    def record(self) -> dict[str, Any]:
        """What every record of a measurement begins with; call it while the setting is entered."""
        return {
            "variant": self.variant,
            "input": [self.batch, 3, self.height, self.width],
            "weights": DESCRIPTION,
            "flush_l2": self.flush_l2,
            "environment": stamp(device_of(self.device), self.dtype, self.memory_format),
        }

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what PyTorch cannot do on this device into one line.

        Raises:
            InputError: for an operator that has no kernel for the dtype, or too little memory.
        """
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"{self.variant} with dtype {self.dtype}, input {self.batch}×3×{self.height}×"
                f"{self.width} on {self.device} cannot be run: {said}"
            ) from error


@dataclass(frozen=True)
class Subject:
    """A network with its pictures, ready to run on its device."""

    setting: Setting
    model: FeatherFace
    pictures: Tensor
    clock: Clock
    flush: Callable[[], None] | None

    def first_run(self, forward: Callable[[Tensor], Any] | None = None) -> float:
        """Milliseconds of the first pass, which is when one learns whether it works at all.

        Raises:
            InputError: where PyTorch cannot run it.
        """
        with self.setting._explained():
            return self.time(forward)

    def time(self, forward: Callable[[Tensor], Any] | None = None) -> float:
        """Milliseconds of one pass, of the network itself or of another form of it."""
        forward = forward or self.model
        if self.flush:
            self.flush()
        start = self.clock.mark()
        forward(self.pictures)
        end = self.clock.mark()
        self.clock.settle()
        return self.clock.ms_between(start, end)

    def time_blocks(self) -> dict[str, float]:
        """Milliseconds of one pass ("marked") and of each block in it, by the block's name.

        A block that is called more than once is the sum of its calls.
        """
        with _marking(self.model, self.clock) as marks:
            whole = self.time()
        times = {name: 0.0 for name, _ in self.model.named_children()}
        for name, start, end in marks:
            times[name] += self.clock.ms_between(start, end)
        return {"marked": whole, **times}


def measure_latency(
    setting: Setting, rule: Rule | None = None, runtime: str = "torch"
) -> dict[str, Any]:
    """Time forward passes of a network.

    Args:
        rule: when to stop; it has to be met by the whole pass and by each block that takes a
            twentieth of it or more.
        runtime: "torch" is PyTorch as the network is written. "compile" is `torch.compile` and
            "onnx" is ONNX Runtime on the CPU; both dissolve the blocks, so that only the whole is
            timed.

    Returns:
        A JSON document. `whole` is the pass without marks, `marked` the one with, and `overhead`
        the ratio of their medians minus 1. `sum_of_blocks` is taken pass by pass, and
        `outside_blocks` is the part of the marked pass's median that it does not reach. Each of
        `blocks` has, besides its times, `share`: its median over the sum of the blocks' medians.
        Times are described by `analysis.speed.timing.summarise`. `deform_kernel` is the one that
        ran,
        `None` for a network without deformable convolutions and with other runtimes.
        `prepare_ms` is what a runtime takes before the first run, with "onnx" to write the graph
        and to open it; `first_run_ms` includes what happens only once, with "compile" the
        compilation.

    Raises:
        InputError: for a setting that cannot be measured here.
    """
    rule = rule or Rule()
    if runtime not in RUNTIMES:
        raise InputError(f"runtime (={runtime!r}) must be one of {', '.join(RUNTIMES)}")
    with setting.enter() as subject:
        start = time.perf_counter()
        forward = _forward(subject, runtime)
        prepare = None if runtime == "torch" else (time.perf_counter() - start) * 1e3
        first = subject.first_run(forward)
        with_blocks = runtime == "torch"

        turn = 0

        def run() -> dict[str, float]:
            nonlocal turn
            turn += 1
            if not with_blocks:
                return {"whole": subject.time(forward)}
            # Which goes first alternates, so that neither always finds the other's warm caches.
            if turn % 2:
                return {"whole": subject.time(), **subject.time_blocks()}
            return {**subject.time_blocks(), "whole": subject.time()}

        warm_up_runs = warm_up(run, rule)
        times = collect(run, rule, _worth_watching)
        record = {
            "record": "latency",
            "runtime": runtime,
            **setting.record(),
            "rule": rule.as_dict(),
            "prepare_ms": prepare,
            "first_run_ms": first,
            "warm_up_runs": warm_up_runs,
            "deform_kernel": kernel_that_runs(subject) if with_blocks else None,
            "whole": summarise(times["whole"], rule),
        }
        names = [name for name, _ in subject.model.named_children()]
    return record | (_by_block(times, names, rule) if with_blocks else {"blocks": None})


def _forward(subject: Subject, runtime: str) -> Callable[[Tensor], Any]:
    """The network in that runtime.

    Raises:
        InputError: for settings that ONNX Runtime cannot have here.
    """
    if runtime == "compile":
        return torch.compile(subject.model)
    if runtime != "onnx":
        return subject.model
    setting = subject.setting
    for name, value, only in (
        ("device", setting.device, "cpu"),
        ("dtype", setting.dtype, "float32"),
        ("memory_format", setting.memory_format, "contiguous"),
    ):
        if value != only:
            raise InputError(f"{name} (={value!r}): the runtime onnx has {only} alone")
    return in_onnx_runtime(subject.model, f"the exported {setting.variant}")


def in_onnx_runtime(model: FeatherFace, name: str) -> Callable[[Tensor], Any]:
    """A network to time in ONNX Runtime, with PyTorch's threads, not compared with PyTorch.

    Random offsets amplify rounding until two right answers differ. What graphs compute is compared
    where one is exported to be used, see `featherface.runtimes.agreement`.

    Args:
        name: what an error message calls it.

    Raises:
        InputError: where ONNX or ONNX Runtime is not installed.
    """
    try:
        from featherface.runtimes.onnx_graph import build_graph
    except ImportError as error:
        raise InputError(f"onnx is not installed: {error}") from error
    from featherface.runtimes.onnx_session import open_session, run

    content = build_graph(model).SerializeToString()
    session = open_session(content, name, torch.get_num_threads())
    return lambda pictures: run(session, pictures.numpy(), name)


def warm_up(run: Callable[[], Any], rule: Rule) -> int:
    """Run without counting; returns how many times."""
    start = time.monotonic()
    runs = 0
    while runs < WARM_UP_RUNS and (not runs or time.monotonic() - start < rule.seconds / 4):
        run()
        runs += 1
    return runs


def kernel_that_runs(subject: Subject) -> str | None:
    """Which kernel computes the network's deformable convolutions; `None` if it has none."""
    seen: set[str] = set()

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.add("gather" if runs_gather(inputs[0]) else "torchvision")

    deforming = [m for m in subject.model.modules() if isinstance(m, DeformConv2d)]
    hooks = [module.register_forward_pre_hook(look) for module in deforming]
    try:
        subject.model(subject.pictures)
    finally:
        for hook in hooks:
            hook.remove()
    return " and ".join(sorted(seen)) or None


def _worth_watching(times: Mapping[str, Sequence[float]]) -> list[str]:
    whole = sorted(times["whole"])[len(times["whole"]) // 2]
    middle = {name: sorted(ms)[len(ms) // 2] for name, ms in times.items()}
    return [name for name, ms in middle.items() if ms >= whole / 20]


def _by_block(
    times: Mapping[str, Sequence[float]], names: Sequence[str], rule: Rule
) -> dict[str, Any]:
    whole, marked = summarise(times["whole"], rule), summarise(times["marked"], rule)
    sums = [sum(ms) for ms in zip(*(times[name] for name in names), strict=True)]
    sum_of_blocks = summarise(sums, rule)
    blocks = [{"name": name, **summarise(times[name], rule)} for name in names]
    total = sum(block["ms_p50"] for block in blocks)
    for block in blocks:
        block["share"] = block["ms_p50"] / total
    return {
        "marked": marked,
        "overhead": marked["ms_p50"] / whole["ms_p50"] - 1,
        "sum_of_blocks": sum_of_blocks,
        "outside_blocks": 1 - sum_of_blocks["ms_p50"] / marked["ms_p50"],
        "blocks": blocks,
    }


@contextmanager
def _marking(model: nn.Module, clock: Clock) -> Iterator[list[tuple[str, Any, Any]]]:
    """Marks before and after every call of a child; they are set while the context lasts."""
    marks: list[tuple[str, Any, Any]] = []
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


def _on(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Makes a GPU the current one, whose stream the events go to."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
