"""A folder of predictions: one run's results, each file whole or not there.

`EVENT/IMAGE.txt` in the benchmark's format: the image's name, how many boxes, then
`x y width height score` a line. Beside the events, `protocol.json` says what made them, and
`unreadable.json`, where there is one, which images have no results and why. A killed run may leave
hidden files `.part-*`, which nothing reads. They stay: another process may be writing them.
"""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.widerface.image_folder import Entry
from featherface.errors import InputError
from featherface.files import locked, named, read_bytes, write_bytes, write_json

if TYPE_CHECKING:
    from analysis.widerface.finding import Found

PROTOCOL_FILE = "protocol.json"
UNREADABLE_FILE = "unreadable.json"

_SAME = ("protocol", "weights", "runtime", "device")
"""Fields that all results of a folder share; versions may change, and are all kept."""


def read_protocol(folder: Path) -> dict[str, Any] | None:
    """Return `protocol`, `weights`, `runtime`, `device` and `versions`; None without a note."""
    made = _read(folder / PROTOCOL_FILE)
    if made is None or (
        isinstance(made.get("protocol"), dict) and isinstance(made.get("versions", []), list)
    ):
        return made
    raise InputError(f"{folder / PROTOCOL_FILE}: not what `featherface widerface predict` writes")


def read_unreadable(folder: Path) -> list[dict[str, str]]:
    """Return `picture` and `reason` of the images without results; none without a note."""
    noted = (_read(folder / UNREADABLE_FILE) or {"unreadable": []}).get("unreadable")
    if isinstance(noted, list) and all(
        isinstance(each, dict) and isinstance(each.get("picture"), str) for each in noted
    ):
        return noted
    raise InputError(f"{folder / UNREADABLE_FILE}: not a list of images and reasons")


def _read(path: Path) -> dict[str, Any] | None:
    """Return the object in a note, or an `InputError`; None where there is no note."""
    if not path.is_file():
        return None
    content = read_bytes(path)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: not an object")
    return document


def to_text(name: str, found: Found, *, whole_pixels: bool) -> bytes:
    """Return the contents of a results file.

    Numbers are the shortest that read back as the same float32. With `whole_pixels` corners are
    truncated towards zero first, as the authors' script writes them.
    """
    corners = np.trunc(found.boxes).astype(np.int64) if whole_pixels else found.boxes
    sides = corners[:, 2:] - corners[:, :2]
    rows = zip(*corners[:, :2].T, *sides.T, found.scores, strict=True)
    lines = [name, str(len(found.scores)), *(" ".join(map(str, row)) for row in rows)]
    # The bytes of a name are written as they came.
    return ("\n".join(lines) + "\n").encode(sys.getfilesystemencoding(), "surrogateescape")


def is_whole(content: bytes) -> bool:
    """Return whether a results file holds as many lines as it says."""
    lines = content.split(b"\n")
    return len(lines) > 2 and lines[-1] == b"" and lines[1] == str(len(lines) - 3).encode()


class ResultsFolder:
    """The folder that a run writes to; made where it is missing, or an `InputError`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with named(path, "made"):
            self.path.mkdir(parents=True, exist_ok=True)

    def alone(self) -> AbstractContextManager[None]:
        """Keep other runs from writing here while it lasts; an `InputError` where one does."""
        return locked(self.path / PROTOCOL_FILE, wait=False)

    def open_for(self, identity: dict[str, Any]) -> None:
        """Make this the folder of a run.

        Raises:
            InputError: where its results differ in what `_SAME` names, or nothing says what made
                them.
        """
        versions = [identity["versions"]]
        read_unreadable(self.path)  # it is replaced at the end: refuse one that is another's
        before = read_protocol(self.path)
        if before is not None:
            for key in _SAME:
                if difference := _difference(key, before.get(key), identity[key]):
                    raise InputError(
                        f"{self.path}: holds results of {difference}; give another folder"
                    )
            versions = [v for v in before.get("versions", []) if v not in versions] + versions
        elif any(self.path.glob("*/*.txt")):
            raise InputError(
                f"{self.path}: holds results, but no {PROTOCOL_FILE} that says what made them; "
                "give another folder"
            )
        shared = {key: identity[key] for key in _SAME}
        write_json(self.path / PROTOCOL_FILE, {**shared, "versions": versions})

    def is_done(self, entry: Entry) -> bool:
        path = self._place(entry)
        with named(path):
            return path.exists() and is_whole(read_bytes(path))

    def write(self, entry: Entry, found: Found, *, whole_pixels: bool) -> None:
        write_bytes(self._place(entry), to_text(entry.stem, found, whole_pixels=whole_pixels))

    def write_unreadable(self, unreadable: list[dict[str, str]], tried: set[str] | None) -> None:
        """Write which images have no results; without any there is no such file.

        What earlier runs say of images not `tried` in this one, over a subset, stays.
        """
        path = self.path / UNREADABLE_FILE
        if tried is not None:
            before = read_unreadable(self.path)
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


def _difference(key: str, old: Any, new: Any) -> str | None:
    """Return which field differs, as "protocol 1600, not original"; one that is absent is null."""
    if isinstance(old, dict) and isinstance(new, dict):
        field = next((f for f in {**new, **old} if old.get(f) != new.get(f)), "name")
        old, new = old.get(field), new.get(field)
        key = f"{key} {field}" if field != "name" else key
    return None if old == new else f"{key} {old!s:.40}, not {new!s:.40}"
