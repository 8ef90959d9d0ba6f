"""Results files: written whole or not at all, the same bytes for the same content."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from featherface.errors import InputError


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write beside the file, then rename: nobody ever sees half of it.

    Raises:
        InputError: where the file cannot be written; a file that was there is unchanged.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if part.exists():
            part.unlink()


def write_text(path: str | Path, content: str) -> None:
    """Write text as UTF-8 with Unix line ends. See `write_bytes`."""
    write_bytes(path, content.encode())


def write_json(path: str | Path, document: Any) -> None:
    """Write a document as JSON that diffs well. See `write_bytes`."""
    write_text(path, to_json(document))


def to_json(document: Any) -> str:
    """A document as JSON: indented, keys in the order given, no NaN or infinity."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
