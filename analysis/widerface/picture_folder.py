"""The pictures to predict: a folder of events, and a name for each that cannot lead elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from analysis.widerface.ground_truth import read_subset
from featherface.errors import InputError

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jp2")
)
_LONGEST_NAME = 200  # bytes: what is left of 255 for the name of the file while it is written


@dataclass(frozen=True, order=True)
class Entry:
    """One picture of a folder."""

    event: str  # the folder it lies in, one level down; "" directly in the folder
    stem: str  # its name without the suffix
    suffix: str

    @property
    def picture(self) -> str:
        """EVENT/PICTURE.jpg."""
        return f"{self.event}/{self.stem}{self.suffix}" if self.event else self.stem + self.suffix

    @property
    def result(self) -> str:
        """EVENT/PICTURE.txt."""
        return f"{self.event}/{self.stem}.txt" if self.event else f"{self.stem}.txt"

    @property
    def unusable(self) -> str | None:
        """Why no results file can have this name, if none can."""
        if not (self.stem + self.event).isprintable() and not self._undecodable():
            return (
                "its name holds control characters, which would break the lines of a results file"
            )
        if len(os.fsencode(self.stem)) > _LONGEST_NAME:
            return f"its name is longer than {_LONGEST_NAME} bytes"
        return None

    def _undecodable(self) -> bool:
        # Bytes that are not UTF-8 reach Python as lone surrogates, which are not printable
        # but harmless: they are written as they came.
        kept = [c for c in self.stem + self.event if not "\udc80" <= c <= "\udcff"]
        return "".join(kept).isprintable()


def list_pictures(folder: str | Path, subset: str | Path | None = None) -> list[Entry]:
    """The pictures of a folder of events, sorted; also those directly in it.

    Names are those the folder lists, one level deep, so that none can leave it; links are
    followed to read a picture, never to name one. Hidden files and what has not the suffix of a
    picture are passed over.

    Args:
        folder: holds EVENT/PICTURE.jpg (the benchmark's `WIDER_val/images`), or pictures.
        subset: a text file with one EVENT/PICTURE.jpg a line: these alone.

    Raises:
        InputError: for a folder that cannot be read, holds no pictures, or holds them deeper
            than its events; for two pictures that one results file would stand for; for a
            subset that names a picture which is not there.
    """
    folder = Path(folder)
    entries: list[Entry] = []
    deeper: Path | None = None
    for item in _listed(folder):
        if item.is_dir():
            for inner in _listed(item):
                if inner.is_dir():
                    if deeper is None and any(_is_picture(path) for path in _listed(inner)):
                        deeper = item
                elif _is_picture(inner):
                    entries.append(Entry(item.name, inner.stem, inner.suffix))
        elif _is_picture(item):
            entries.append(Entry("", item.stem, item.suffix))
    if deeper is not None:
        raise InputError(
            f"{folder}: pictures lie deeper than EVENT/PICTURE in it; is {deeper} meant?"
        )
    if not entries:
        raise InputError(f"{folder}: holds no pictures, nor folders of them")
    _require_distinct(folder, entries)
    return sorted(entries if subset is None else _chosen(entries, Path(subset), folder))


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read: {error.strerror or error}") from error


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _require_distinct(folder: Path, entries: Iterable[Entry]) -> None:
    seen: dict[str, Entry] = {}
    for entry in entries:
        other = seen.setdefault(entry.result, entry)
        if other is not entry:
            raise InputError(
                f"{folder}: {other.picture} and {entry.picture} would have the same results file"
            )


def _chosen(entries: list[Entry], subset: Path, folder: Path) -> list[Entry]:
    # Looked up among the listed names: a line like ../../x names nothing.
    known = {entry.picture: entry for entry in entries}
    # As evaluating has it: a name may lack its ending.
    known = {entry.result.removesuffix(".txt"): entry for entry in entries} | known
    lines = [line.strip().replace("\\", "/") for line in read_subset(subset)]
    wanted = dict.fromkeys(lines)
    if not wanted:
        raise InputError(f"{subset}: names no pictures")
    missing = [name for name in wanted if name not in known]
    if missing:
        raise InputError(
            f"{subset}: {len(missing)} of its {len(wanted)} pictures are not in {folder}, "
            f"the first {missing[0]!r}"
        )
    return list(dict.fromkeys(known[name] for name in wanted))
