"""Devices, floating-point types, threads and free memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from featherface.errors import InputError

DTYPES = {name: getattr(torch, name) for name in ("float32", "bfloat16", "float16", "float64")}

MEMORY_FORMATS = {
    "contiguous": torch.contiguous_format,
    "channels-last": torch.channels_last,
}

_CONTROL_GROUP = Path("/sys/fs/cgroup")


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
