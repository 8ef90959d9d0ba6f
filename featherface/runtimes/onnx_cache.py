"""Exported networks that are kept: one file for each network and set of versions.

Beside `KEY.onnx` lies `KEY.json` with the sha256 of its bytes, that of the network's state, and
the record of the comparison that it passed. A file that is truncated, altered, another network's,
or without that record is exported and compared again, silently. Each file is written beside its
place and renamed; as the same key gives the same bytes, two processes or threads may write at once.
"""

from __future__ import annotations

import hashlib
import json
import platform
from contextlib import suppress
from pathlib import Path

from featherface.errors import InputError
from featherface.files import cache_folder, write_bytes, write_json
from featherface.model import FeatherFace
from featherface.runtimes import export
from featherface.runtimes.onnx_session import runtime_version

_KEPT = 32  # files; some 2.5 MB each


def content(model: FeatherFace) -> bytes:
    """The exported network, compared with PyTorch on this machine by these versions.

    Raises:
        DisagreementError, ExportError: see `featherface.runtimes.export.export`.
        RuntimeUnavailableError: where ONNX Runtime is not installed or cannot run it.
    """
    folder = cache_folder()
    path = folder / "onnx" / f"{key(model)}.onnx" if folder else None
    kept = _read(path, export.state_sha256(model)) if path else None
    if kept is not None:
        return kept
    source = {"weights": "a model in memory", "weights_sha256": ""}
    made, record = export.exported(model, source)
    if path:
        with suppress(InputError, OSError):  # a cache that cannot be written is done without
            write_bytes(path, made)
            write_json(path.with_suffix(".json"), record)
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


def _prune(cache: Path) -> None:
    """Forget the oldest; every model in memory that somebody detects with leaves one."""
    files = sorted(cache.glob("*.onnx"), key=lambda file: file.stat().st_mtime)
    for old in files[:-_KEPT]:
        for file in (old.with_suffix(".json"), old):
            file.unlink(missing_ok=True)
