"""The machine, software and settings that a measurement was made with.

Everything unknown is `None`, never a guess.
"""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torchvision

_ROOT = Path(__file__).resolve().parents[1]
_CODE = ("featherface", "analysis")

COMMIT_VARIABLE = "FEATHERFACE_COMMIT"
"""Environment variable with the commit of a copy that has no `.git`."""

_GPU_STATE = ("clocks.sm", "clocks.mem", "clocks.max.sm", "power.limit", "temperature.gpu")


def stamp(device: torch.device, dtype: str, memory_format: str) -> dict[str, Any]:
    """Return the machine, versions and settings of a measurement made now.

    Returns:
        Plain values by name. `cuda`, `driver` and `gpu_state` (clocks in MHz, power limit in W,
        temperature in °C) are `None` on a CPU; `commit` where the code is not in a git
        repository, and `commit_dirty` says whether the code differed from it.
    """
    gpu = device.type == "cuda"
    commit, dirty = _commit()
    driver, *state = _nvidia_smi(device, "driver_version", *_GPU_STATE) if gpu else [None]
    return {
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if gpu else _processor(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "dtype": dtype,
        "memory_format": memory_format,
        "driver": driver,
        "cuda": torch.version.cuda if gpu else None,
        "cudnn": torch.backends.cudnn.version() if gpu else None,  # type: ignore[no-untyped-call]
        "tf32": _allows_tf32() if gpu else None,
        "gpu_state": dict(zip(_GPU_STATE, state, strict=True)) if gpu else None,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "commit": commit,
        "commit_dirty": dirty,
    }


@cache
def _processor() -> str:
    """Return the processor's name as its maker gives it, or as much as the system tells."""
    import cpuinfo  # starts processes when asked, so only when a CPU is stamped

    name = cpuinfo.get_cpu_info().get("brand_raw")
    return " ".join((name or platform.processor() or platform.machine()).split())


def _allows_tf32() -> bool:
    """Return whether a GPU's convolutions may round float32 to TF32."""
    conv = getattr(torch.backends.cudnn, "conv", None)  # from PyTorch 2.9
    return bool(conv.fp32_precision == "tf32" if conv else torch.backends.cudnn.allow_tf32)


def _nvidia_smi(device: torch.device, *names: str) -> list[str | None]:
    """Return what NVIDIA's driver says of a GPU; `None` for what it does not say."""
    answer = _output(
        "nvidia-smi",
        f"--id=GPU-{torch.cuda.get_device_properties(device).uuid}",  # its numbers differ from ours
        f"--query-gpu={','.join(names)}",
        "--format=csv,noheader,nounits",
    )
    values = [value.strip() for value in answer.split(",")] if answer else []
    if len(values) != len(names):
        return [None] * len(names)
    return [None if value.startswith(("[", "N/A")) else value for value in values]


@cache
def _commit() -> tuple[str | None, bool | None]:
    """Return the commit of this code, and whether the code differs from it."""
    if not (_ROOT / ".git").exists():  # installed, perhaps inside somebody else's repository
        return os.environ.get(COMMIT_VARIABLE) or None, None
    commit = _output("git", "-C", str(_ROOT), "rev-parse", "HEAD")
    changed = _output("git", "-C", str(_ROOT), "status", "--porcelain", "--", *_CODE)
    return commit or None, None if changed is None else bool(changed)


def _output(*command: str) -> str | None:
    """Return what a command prints; `None` where it is not installed or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
