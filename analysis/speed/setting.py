"""A network with its input, and how it is run: on which device, in which type, with threads."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any, get_args

import psutil
import torch
from torch import nn

from analysis.cost import Cost, measure
from analysis.cost.blocks import network_cost
from analysis.cost.foreign import foreign_code
from analysis.cost.subject import Input, is_computed_in, load_model, make_inputs, with_settings
from analysis.environment import stamp
from analysis.speed.random_network import DESCRIPTION, make_random_network
from featherface.blocks.deform_kernel import DeformKernel, deform_kernel
from featherface.config import CONFIGS, FeatherFaceConfig, check_size
from featherface.errors import InputError
from featherface.runtimes.cuda_graph import full_float32, on_device

DTYPES = {name: getattr(torch, name) for name in ("float32", "bfloat16", "float16", "float64")}

MEMORY_FORMATS = {
    "contiguous": torch.contiguous_format,
    "channels-last": torch.channels_last,
}

_CONTROL_GROUP = Path("/sys/fs/cgroup")

RUNTIMES = ("torch", "compile", "cuda-graph", "onnx", "openvino")
"""PyTorch as the network is written, `torch.compile`, CUDA graphs; on the CPU ONNX Runtime and
OpenVINO."""

BYTES_A_PIXEL = 125
"""Memory that a pass of a variant may take in float32: on record are up to 120 (`official`)."""

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
        if self.runtime == "cuda-graph" and self.kernel == "torchvision":
            raise InputError("runtime 'cuda-graph' cannot record torchvision's kernel")
        if self.flush_l2 and not on_gpu:
            raise InputError(f"only GPUs have an L2 cache to flush, not device {self.device!r}")
        plain = (self.dtype, self.memory_format) == ("float32", "contiguous")
        if self.runtime in ("onnx", "openvino") and (on_gpu or not plain):
            raise InputError(
                f"runtime {self.runtime!r} is timed on the CPU, in float32, contiguous"
            )

    @property
    def plain(self) -> Setting:
        """The network `official` on the same device, in the same dtype and with as many threads."""
        return Setting(device=self.device, dtype=self.dtype, threads=self.threads)

    @property
    def config(self) -> FeatherFaceConfig:
        """The variant's architecture."""
        return with_settings(CONFIGS[self.variant], self.arguments)

    @property
    def shapes(self) -> tuple[Input, ...]:
        """The network's inputs, the batch first in those that begin as the first does.

        Those with four dimensions or more that are as high and wide as the first are images.
        """
        given = self.inputs or (Input((1, 3, self.height, self.width)),)
        first = given[0].shape

        def sized(shape: tuple[int, ...]) -> tuple[int, ...]:
            batch = self.batch if shape[0] == first[0] else shape[0]
            if len(shape) < 4 or shape[-2:] != first[-2:]:
                return (batch, *shape[1:])
            return (batch, *shape[1:-2], self.height, self.width)

        return tuple(replace(each, shape=sized(each.shape)) for each in given)

    @property
    def pixels(self) -> int:
        """The pixels of all images, or the values of another kind of first input."""
        shape = self.shapes[0].shape
        return prod(shape) // (shape[1] if len(shape) >= 4 else 1)

    def check_memory(self) -> None:
        """Refuse images of a variant that the free memory has no room for.

        Raises:
            InputError: with the estimate.
        """
        if self.model is not None:
            return  # nobody knows what it takes
        needed = BYTES_A_PIXEL * self.pixels * DTYPES[self.dtype].itemsize / 4
        free = memory_free(device_of(self.device))
        if needed > free:
            raise InputError(
                f"{self.pixels:,} pixels need about {needed / 2**30:.1f} GiB of memory; "
                f"{free / 2**30:.1f} GiB are free"
            )

    def network(self, dtype: torch.dtype) -> nn.Module:
        """Return the network on the CPU, with random weights; floats are of the dtype."""
        if self.model is None:
            return make_random_network(self.config).to(dtype)
        with torch.inference_mode(False):
            network = load_model(self.model, self.arguments)
        # In the caller's inference mode: weights that a network made in one change in it alone.
        for x in (*network.parameters(), *network.buffers()):
            if is_computed_in(x.dtype):
                x.data = x.data.to(dtype)
        return network

    def cost(self) -> Cost:
        """Return the cost of a pass, by module."""
        dtype = DTYPES[self.dtype]
        if self.model is None:
            return network_cost(self.config, self.height, self.width, self.batch, dtype)
        network = self.network(dtype)
        return measure(network, make_inputs(network, self.shapes))

    @property
    def autocast(self) -> bool:
        """True where the network is float32 and its operators are cast as they run."""
        return self.device != "cpu" and self.dtype in ("float16", "bfloat16")

    @contextmanager
    def on_device(self) -> Iterator[torch.device]:
        """Use the device with the setting's threads and kernel, without gradients."""
        device = device_of(self.device)
        with using_threads(self.threads), on_device(device), self.computing():
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
            "variant": None if self.model or self.arguments else self.variant,
            **of_model,
            **({"settings": dict(self.arguments)} if self.arguments else {}),
            "runtime": self.runtime,
            "input": shapes[0],
            "weights": "as the factory makes them" if self.model else DESCRIPTION,
            "flush_l2": self.flush_l2,
            "environment": stamp(device_of(self.device), self.dtype, self.memory_format),
        }

    def explained(self) -> AbstractContextManager[None]:
        """Run the network; whatever it raises becomes one line.

        Raises:
            InputError: for an operator that has no kernel for the dtype, too little memory, or
                whatever the code of a model raises.
        """
        shapes = " and ".join("×".join(map(str, each.shape)) for each in self.shapes)
        return foreign_code(
            InputError,
            f"{self.model or self.variant} with dtype {self.dtype}, runtime {self.runtime}, "
            f"input {shapes} on {self.device} cannot be run",
        )


def device_of(name: str) -> torch.device:
    """Return the device of a name: cpu, cuda or cuda:N.

    Raises:
        InputError: for another name, or a GPU that is not there.
    """
    if name == "cpu":
        return torch.device("cpu")
    found = re.fullmatch(r"cuda(?::(\d{1,3}))?", name)
    if not found:
        raise InputError(f"device (={name!r}) must be cpu, cuda or cuda:N")
    index, count = int(found[1] or 0), torch.cuda.device_count()
    if index >= count:
        raise InputError(f"device (={name!r}): PyTorch finds {count} CUDA devices here")
    return torch.device("cuda", index)


@contextmanager
def using_threads(threads: int | None) -> Iterator[None]:
    """Set the threads of PyTorch's operators; `None` leaves them.

    Raises:
        InputError: for a number below 1 or above the logical processors here.
    """
    before = torch.get_num_threads()
    most = os.cpu_count() or 1
    if threads is not None and not 1 <= threads <= most:
        raise InputError(f"threads (={threads}) must be from 1 to {most}, the processors here")
    torch.set_num_threads(before if threads is None else threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def memory_free(device: torch.device) -> int:
    """Return how many bytes a process may still take on the device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    try:  # a container may leave less: control groups, version 2
        most, used = (
            (_CONTROL_GROUP / f"memory.{kind}").read_text("ascii").strip()
            for kind in ("max", "current")
        )
    except OSError:
        return free
    return min(free, max(0, int(most) - int(used))) if most.isdigit() else free
