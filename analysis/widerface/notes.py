"""Notes of predicting beside its results: what made them, and which images have none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from featherface.errors import InputError
from featherface.files import read_bytes

PROTOCOL_FILE = "protocol.json"
UNREADABLE_FILE = "unreadable.json"


def read_protocol(folder: Path) -> dict[str, Any] | None:
    """Return `protocol`, `weights`, `runtime`, `device` and `versions`; None without a note.

    Raises:
        InputError: where the note cannot be read or says something else.
    """
    made = _read(folder / PROTOCOL_FILE)
    if made is not None and not (
        isinstance(made.get("protocol"), dict) and isinstance(made.get("versions", []), list)
    ):
        raise InputError(
            f"{folder / PROTOCOL_FILE}: not what `featherface widerface predict` writes"
        )
    return made


def read_unreadable(folder: Path) -> list[dict[str, str]]:
    """Return `picture` and `reason` of the images without results; none without a note.

    Raises:
        InputError: where the note cannot be read or says something else.
    """
    noted = (_read(folder / UNREADABLE_FILE) or {"unreadable": []}).get("unreadable")
    if not isinstance(noted, list) or not all(
        isinstance(each, dict) and isinstance(each.get("picture"), str) for each in noted
    ):
        raise InputError(f"{folder / UNREADABLE_FILE}: not a list of images and reasons")
    return noted


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        document = json.loads(read_bytes(path))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: not an object")
    return document
