"""Images to predict: a folder of events, and for each a name that cannot lead elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from analysis.widerface.image_lists import bare, read_list
from featherface.errors import InputError
from featherface.files import named

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jp2")
)
_LONGEST_NAME = 240  # bytes: of 255, with room for ".txt"


@dataclass(frozen=True, order=True)
class Entry:
    """One image of a folder."""

    event: str  # the folder it lies in, one level down; "" directly in the folder
    stem: str  # its name without the suffix
    suffix: str

    @property
    def image(self) -> str:
        """EVENT/IMAGE.jpg."""
        return f"{self.event}/{self.stem}{self.suffix}" if self.event else self.stem + self.suffix

    @property
    def result(self) -> str:
        """EVENT/IMAGE.txt."""
        return f"{self.event}/{self.stem}.txt" if self.event else f"{self.stem}.txt"

    @property
    def unusable(self) -> str | None:
        """The reason why no results file can have this name; None where one can."""
        # Bytes that are not UTF-8 reach Python as lone surrogates, which are not printable but
        # harmless: they are written as they came.
        decoded = [c for c in self.stem + self.event if not "\udc80" <= c <= "\udcff"]
        if not "".join(decoded).isprintable():
            return (
                "its name holds control characters, which would break the lines of a results file"
            )
        if len(os.fsencode(self.stem)) > _LONGEST_NAME:
            return f"its name is longer than {_LONGEST_NAME} bytes"
        return None


def list_images(folder: str | Path, subset: str | Path | None = None) -> list[Entry]:
    """Return the images of a folder of events, sorted; also those directly in it.

    Names are those the folder lists, one level deep, so that none can leave it; links are
    followed to read an image, never to name one. Hidden files and what has not the suffix of an
    image are passed over.

    Args:
        folder: holds EVENT/IMAGE.jpg (the benchmark's `WIDER_val/images`), or images.
        subset: a text file with one EVENT/IMAGE.jpg a line: these alone.

    Raises:
        InputError: for a folder that cannot be read, holds no images, or holds them deeper than
            its events; for two images with one results file; for a subset that names an image
            which is not there.
    """
    folder = Path(folder)
    entries: list[Entry] = []
    for item in _listed(folder):
        inside = _listed(item) if item.is_dir() else []
        entries += [Entry(item.name, path.stem, path.suffix) for path in inside if _is_image(path)]
        if _is_image(item):
            entries.append(Entry("", item.stem, item.suffix))
        deeper = (path for path in inside if path.is_dir() and any(map(_is_image, _listed(path))))
        if next(deeper, None) is not None:
            raise InputError(
                f"{folder}: images lie deeper than EVENT/IMAGE in it; is {item} meant?"
            )
    if not entries:
        raise InputError(f"{folder}: holds no images, nor folders of them")
    by_result: dict[str, Entry] = {}
    for entry in entries:
        other = by_result.setdefault(entry.result, entry)
        if other is not entry:
            raise InputError(
                f"{folder}: {other.image} and {entry.image} would have the same results file"
            )
    return sorted(entries if subset is None else _chosen(entries, Path(subset), folder))


def _listed(folder: Path) -> list[Path]:
    with named(folder):
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def _chosen(entries: list[Entry], subset: Path, folder: Path) -> list[Entry]:
    # Looked up among the listed names: a line like ../../x names nothing outside of the folder.
    known = {(entry.event, bare(entry.stem + entry.suffix)): entry for entry in entries}
    chosen, missing = [], []
    for event, image in read_list(subset):
        entry = known.get((event, image), known.get(("", image)))
        if entry is None:
            missing.append(f"{event}/{image}".lstrip("/"))
        else:
            chosen.append(entry)
    if missing:
        raise InputError(
            f"{subset}: {len(missing)} of its {len(missing) + len(chosen)} images are not in "
            f"{folder}, the first {missing[0]!r}"
        )
    return list(dict.fromkeys(chosen))
