"""A cache of exported networks: one file for each network and set of versions.

Beside `KEY.onnx` lies `KEY.json` with the record of the comparison that it passed. A file that is
truncated, altered, another network's, or without that record is exported and compared again. As
the same key gives the same bytes, two processes or threads may write at once.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from contextlib import suppress
from pathlib import Path

from featherface.errors import InputError
from featherface.files import cache_folder, write_bytes, write_json
from featherface.model import FeatherFace
from featherface.runtimes import export
from featherface.runtimes.onnx_session import import_onnxruntime

_KEPT = 32  # files; some 2.5 MB each
_OURS = re.compile(r"[\w-]+-[0-9a-f]{32}\.onnx")


def content(model: FeatherFace, lanes: int = 1, *, anew: bool = False) -> bytes:
    """Return the exported network, compared with PyTorch by these versions when it was made.

    Args:
        lanes: see `runtimes.onnx_graph.build_graph`.
        anew: make it also where the cache has one.

    Raises:
        DisagreementError, ExportError, RuntimeUnavailableError: as `runtimes.export.export`.
    """
    state = export.state_sha256(model)
    folder = cache_folder()
    path = folder / "onnx" / _file_name(model, state, lanes) if folder else None
    kept = _read(path, state) if path and not anew else None
    if kept is not None:
        return kept
    source = {"weights": "a model in memory", "weights_sha256": ""}
    made, record = export.exported(model, source, lanes=lanes)
    if path:
        with suppress(InputError, OSError):  # a cache that cannot be written is not used
            write_bytes(path, made)
            write_json(path.with_suffix(".json"), record)
            _prune(path.parent)
    return made


def _file_name(model: FeatherFace, state: str, lanes: int) -> str:
    """From all that decides the file's bytes and whether they agree with PyTorch."""
    decisive = {
        "state": state,
        "modules": repr(model),
        "lanes": lanes,
        "format": export.FORMAT,
        "versions": export.versions(),
        "graph": export.GRAPH,
        "onnxruntime": str(import_onnxruntime().__version__),
        "machine": [platform.system(), platform.machine()],
    }
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return f"{model.config.variant or 'network'}-{digest[:32]}.onnx"


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
    """Delete the oldest files that are named as `_file_name` does; every model leaves one."""
    ours = (file for file in cache.glob("*.onnx") if _OURS.fullmatch(file.name))
    files = sorted(ours, key=lambda file: file.stat().st_mtime)
    for old in files[:-_KEPT]:
        for file in (old.with_suffix(".json"), old):
            file.unlink(missing_ok=True)
