"""A folder of predictions: one run's results, each file whole or not there.

`EVENT/PICTURE.txt` in the benchmark's format: the picture's name, how many boxes, then
`x y width height score` a line. Beside the events, `protocol.json` says what made them, and
`unreadable.json`, where there is one, which pictures have no results and why.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from analysis.widerface.finding import Found
from analysis.widerface.picture_folder import Entry
from featherface.errors import InputError
from featherface.files import write_bytes, write_json

PROTOCOL_FILE = "protocol.json"
UNREADABLE_FILE = "unreadable.json"

_SAME = ("protocol", "weights", "runtime", "device")
"""What all results of a folder share; versions may change, and are all kept."""


def to_text(name: str, found: Found, *, whole_pixels: bool) -> bytes:
    """The contents of a results file.

    Numbers are the shortest that read back as the same float32. With `whole_pixels` corners are
    truncated towards zero first, as the authors' script writes them.
    """
    corners = np.trunc(found.boxes).astype(np.int64) if whole_pixels else found.boxes
    sides = corners[:, 2:] - corners[:, :2]
    rows = zip(*corners[:, :2].T, *sides.T, found.scores, strict=True)
    lines = [name, str(len(found.scores)), *(" ".join(map(str, row)) for row in rows)]
    # The bytes of a name that are not UTF-8 are written as they came.
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def is_whole(content: bytes) -> bool:
    """Whether a results file holds as many lines as it says."""
    lines = content.split(b"\n")
    return len(lines) > 2 and lines[-1] == b"" and lines[1] == str(len(lines) - 3).encode()


class ResultsFolder:
    """The folder that a run writes to, perhaps together with other processes.

    Args:
        path: is made where it is not there.

    Raises:
        InputError: where it cannot be made.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be made: {error.strerror or error}") from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While it lasts, no other run may write here.

        Raises:
            InputError: where another one does.
        """
        try:
            import fcntl
        except ImportError:  # not on this system
            yield
            return
        handle = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(f"{self.path}: another run is writing to it") from error
            yield
        finally:
            os.close(handle)

    def open_for(self, identity: dict[str, Any]) -> None:
        """Make this the folder of a run, or find that it already is.

        Args:
            identity: `protocol`, `weights`, `runtime`, `device` and `versions`, for JSON.

        Raises:
            InputError: where its results are of another protocol or of other weights, or of
                nobody knows what.
        """
        path = self.path / PROTOCOL_FILE
        versions = [identity["versions"]]
        if path.exists():
            before = _read(path)
            for key in _SAME:
                if before.get(key) != identity[key]:
                    raise InputError(
                        f"{self.path}: holds results of {_difference(key, before, identity)}; "
                        "give another folder"
                    )
            noted = before.get("versions", [])
            if not isinstance(noted, list):
                raise InputError(f"{path}: versions (={str(noted)[:60]}) must be a list")
            versions = [v for v in noted if v not in versions] + versions
        elif any(self.path.glob("*/*.txt")):
            raise InputError(
                f"{self.path}: holds results, but no {PROTOCOL_FILE} that says what made them; "
                "give another folder"
            )
        write_json(path, {**{key: identity[key] for key in _SAME}, "versions": versions})

    def remove_parts(self) -> None:
        """Remove what a killed run was writing; nothing else, and in the events' folders only."""
        for pattern in (".*.txt.part-*", "*/.*.txt.part-*", ".*.json.part-*"):
            for part in self.path.glob(pattern):
                part.unlink(missing_ok=True)

    def is_done(self, entry: Entry) -> bool:
        """Whether a picture's results are there, and whole."""
        try:
            return is_whole(self._place(entry).read_bytes())
        except FileNotFoundError:
            return False
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{self.path / entry.result}: cannot be read: {reason}") from error

    def write(self, entry: Entry, found: Found, *, whole_pixels: bool) -> None:
        """Write a picture's results.

        Raises:
            InputError: where they cannot be written.
        """
        text = to_text(entry.stem, found, whole_pixels=whole_pixels)
        write_bytes(self._place(entry), text)

    def write_unreadable(self, unreadable: list[dict[str, str]], tried: set[str] | None) -> None:
        """Say which pictures have no results: `{"unreadable": [{"picture", "reason"}, …]}`.

        Without any there is no such file.

        Args:
            unreadable: of this run.
            tried: the pictures of a run over a subset: what earlier ones say of others stays.
        """
        path = self.path / UNREADABLE_FILE
        if tried is not None and path.exists():
            before = _read(path).get("unreadable", [])
            if not isinstance(before, list) or not all(_is_unreadable(u) for u in before):
                raise InputError(f"{path}: not a list of pictures and reasons")
            unreadable = [*(u for u in before if u["picture"] not in tried), *unreadable]
        if unreadable:
            write_json(path, {"unreadable": sorted(unreadable, key=lambda u: u["picture"])})
        else:
            path.unlink(missing_ok=True)

    def _place(self, entry: Entry) -> Path:
        event = self.path / entry.event
        # The names come from a listing and cannot climb; a link that lies here already could.
        if event.is_symlink() and not event.resolve().is_relative_to(self.path.resolve()):
            raise InputError(f"{event}: leads out of the folder for the results")
        return self.path / entry.result


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: not an object that says what made the results")
    return document


def _is_unreadable(noted: object) -> bool:
    return isinstance(noted, dict) and isinstance(noted.get("picture"), str)


def _difference(key: str, before: dict[str, Any], now: dict[str, Any]) -> str:
    """Which field differs, as "protocol 1600, not original"."""
    old, new = before.get(key), now[key]
    if isinstance(old, dict) and isinstance(new, dict):
        field = next(f for f in {**new, **old} if old.get(f) != new.get(f))
        old, new = (_short(value.get(field)) for value in (old, new))
        key = f"{key} {field}" if field != "name" else key
    return f"{key} {old!s}, not {new!s}"


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text  # a sha256
