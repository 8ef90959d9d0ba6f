"""Exported networks that are kept: one file for each network and set of versions.

Beside `KEY.onnx` lies `KEY.json` with the sha256 of its bytes, that of the network's state, and
the record of the comparison that it passed. A file that is truncated, altered, another network's,
or without that record is exported and compared again, silently. Each file is written beside its
place and renamed; as the same key gives the same bytes, two processes or threads may write at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import threading
from contextlib import suppress
from pathlib import Path

from featherface.model import FeatherFace
from featherface.runtimes import export
from featherface.runtimes.onnx_session import runtime_version

_VARIABLE = "FEATHERFACE_CACHE"

_KEPT = 32  # files; some 2.5 MB each


def folder() -> Path:
    """The folder `onnx` in the one that FEATHERFACE_CACHE names, or in the user's cache."""
    named = os.environ.get(_VARIABLE)
    if named:
        return Path(named) / "onnx"
    import pooch

    return Path(pooch.os_cache("featherface")) / "onnx"


def content(model: FeatherFace) -> bytes:
    """The exported network, compared with PyTorch on this machine by these versions.

    Raises:
        DisagreementError, ExportError: see `featherface.runtimes.export.export`.
        RuntimeUnavailableError: where ONNX Runtime is not installed or cannot run it.
    """
    path = folder() / f"{key(model)}.onnx"
    kept = _read(path, export.state_sha256(model))
    if kept is not None:
        return kept
    source = {"weights": "a model in memory", "weights_sha256": ""}
    made, record = export.exported(model, source)
    with suppress(OSError):  # a cache that cannot be written is no cache, and nothing worse
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, made)
        _write(path.with_suffix(".json"), json.dumps(record, indent=1).encode())
        _prune(path.parent)
    return made


def key(model: FeatherFace) -> str:
    """A name for the exported network: its variant, and a hash of all that decides its bytes.

    And of what decides whether they agree with PyTorch: ONNX Runtime and the machine.
    """
    decisive = {
        "state": export.state_sha256(model),
        "format": export.FORMAT,
        "versions": export.versions(),
        "onnxruntime": runtime_version(),
        "machine": [platform.system(), platform.machine()],
    }
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return f"{model.config.variant or 'network'}-{digest[:32]}"


def _read(path: Path, state: str) -> bytes | None:
    try:
        record = json.loads(path.with_suffix(".json").read_bytes())
        kept = path.read_bytes()
        intact = hashlib.sha256(kept).hexdigest() == record["sha256"] and record["check"]
        ours = record["state_sha256"] == state
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return kept if intact and ours else None


def _write(path: Path, made: bytes) -> None:
    part = path.with_name(f".{path.name}.part-{os.getpid()}-{threading.get_ident()}")
    try:
        part.write_bytes(made)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _prune(cache: Path) -> None:
    """Forget the oldest; every model in memory that somebody detects with leaves one."""
    files = sorted(cache.glob("*.onnx"), key=lambda file: file.stat().st_mtime)
    for old in files[:-_KEPT]:
        for file in (old.with_suffix(".json"), old):
            file.unlink(missing_ok=True)
