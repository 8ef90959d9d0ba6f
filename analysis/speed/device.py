"""What a time was measured on: the device, the software, the settings, the commit.

A measured time without its machine says nothing. Everything unknown is `None`, never a guess.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torchvision

from featherface.errors import InputError

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}

MEMORY_FORMATS = {
    "contiguous": torch.contiguous_format,
    "channels-last": torch.channels_last,
}

_ROOT = Path(__file__).resolve().parents[2]
_CODE = ("featherface", "analysis")


def device_of(name: str) -> torch.device:
    """The device of a name: cpu, cuda or cuda:N.

    Raises:
        InputError: for another name, or a GPU that is not there.
    """
    if name == "cpu":
        return torch.device("cpu")
    found = re.fullmatch(r"cuda(?::(\d{1,3}))?", name)
    if not found:
        raise InputError(f"device (={name!r}) must be cpu, cuda or cuda:N")
    if not torch.cuda.is_available():
        raise InputError(f"device (={name!r}): PyTorch sees no CUDA device here")
    index, count = int(found[1] or 0), torch.cuda.device_count()
    if index >= count:
        raise InputError(f"device (={name!r}): the last CUDA device here is cuda:{count - 1}")
    return torch.device("cuda", index)


def dtype_of(name: str) -> torch.dtype:
    """The floating-point type of a name in `DTYPES`.

    Raises:
        InputError: for another name.
    """
    if name not in DTYPES:
        raise InputError(f"dtype (={name!r}) must be one of {', '.join(DTYPES)}")
    return DTYPES[name]


@contextmanager
def using_threads(threads: int | None) -> Iterator[int]:
    """Have PyTorch compute an operator on so many threads; yields the number.

    Args:
        threads: `None` leaves it as it is.

    Raises:
        InputError: for a number below 1 or above the logical processors here.
    """
    before = torch.get_num_threads()
    if threads is not None:
        most = os.cpu_count() or 1
        if not 1 <= threads <= most:
            raise InputError(f"threads (={threads}) must be from 1 to {most}, the processors here")
        torch.set_num_threads(threads)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def stamp(device: torch.device, dtype: str, memory_format: str) -> dict[str, Any]:
    """What the times measured now, here, with these settings belong to.

    Returns:
        Plain values by name. `cuda` and `driver` are `None` on a CPU; `commit` where the code is
        not in a git repository, and `commit_dirty` says whether the code differed from it.
    """
    gpu = device.type == "cuda"
    commit, dirty = _commit()
    return {
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if gpu else _processor(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "dtype": dtype,
        "memory_format": memory_format,
        "driver": _driver() if gpu else None,
        "cuda": torch.version.cuda if gpu else None,
        "cudnn": torch.backends.cudnn.version() if gpu else None,  # type: ignore[no-untyped-call]
        "tf32": bool(torch.backends.cudnn.allow_tf32) if gpu else None,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "commit": commit,
        "commit_dirty": dirty,
    }


def memory_free(device: torch.device) -> int | None:
    """Bytes that a process may still take on the device; `None` where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return _least(_system_memory(), _control_group_memory())


@cache
def _processor() -> str:
    """The processor's name as its maker gives it, or as much as the system tells."""
    name: str | None = None
    if sys.platform == "linux":
        found = re.search(r"^model name\s*:\s*(.+)$", _text("/proc/cpuinfo") or "", re.MULTILINE)
        name = found[1] if found else None
    elif sys.platform == "darwin":
        name = _output("sysctl", "-n", "machdep.cpu.brand_string")
    elif sys.platform == "win32":
        import winreg

        place = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
            name = str(winreg.QueryValueEx(key, "ProcessorNameString")[0])
    return " ".join((name or platform.processor() or platform.machine()).split())


def _driver() -> str | None:
    """NVIDIA's driver; one serves all GPUs of a machine."""
    versions = _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return versions.splitlines()[0].strip() if versions else None


@cache
def _commit() -> tuple[str | None, bool | None]:
    """The commit of this code, and whether the code differs from it."""
    if not (_ROOT / ".git").exists():  # installed, perhaps inside somebody else's repository
        return None, None
    commit = _output("git", "-C", str(_ROOT), "rev-parse", "HEAD")
    changed = _output("git", "-C", str(_ROOT), "status", "--porcelain", "--", *_CODE)
    return commit or None, None if changed is None else bool(changed)


def _system_memory() -> int | None:
    if sys.platform == "linux":
        found = re.search(r"^MemAvailable:\s*(\d+) kB$", _text("/proc/meminfo") or "", re.MULTILINE)
        return int(found[1]) * 1024 if found else None
    if sys.platform == "win32":
        import ctypes

        class Status(ctypes.Structure):
            _fields_ = [
                ("length", ctypes.c_ulong),
                ("load", ctypes.c_ulong),
                *((name, ctypes.c_ulonglong) for name in "abcdefg"),
            ]

        status = Status(ctypes.sizeof(Status))
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return int(status.b)  # of a: all, b: free, in bytes
    # Elsewhere all of the memory, which is more than is free.
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _control_group_memory() -> int | None:
    """What a container leaves its processes, where it says (control groups version 2)."""
    most, used = (_text(f"/sys/fs/cgroup/memory.{kind}") for kind in ("max", "current"))
    if not most or not used or not most.strip().isdigit():
        return None
    return max(0, int(most) - int(used))


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _output(*command: str) -> str | None:
    """What a command prints; `None` where it is not installed or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
