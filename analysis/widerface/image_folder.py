"""Names of the benchmark's images: in a folder of events, and in text files that list them."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

from featherface.errors import InputError
from featherface.files import IMAGE_SUFFIXES, named, read_bytes

_LONGEST_NAME = 240  # bytes: of 255, with room for ".txt"


def bare(name: str) -> str:
    """Return an image's name without the ending of an image file, in either case."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot and ending.lower() in ("jpg", "jpeg", "png") else name


def key_of(name: str) -> tuple[str, str]:
    """Return event and bare name of a path, also one of Windows, that ends in EVENT/IMAGE.jpg."""
    path = PurePosixPath(name.strip().replace("\\", "/"))
    return path.parent.name, bare(path.name)


def read_list(path: str | Path) -> list[tuple[str, str]]:
    """Return the `key_of` every line of a text file, in order and without repetitions.

    The lines are in the encoding of file names; other bytes are kept as Python keeps them there.

    Raises:
        InputError: where the file cannot be read, is not text or lists nothing.
    """
    content = read_bytes(path, 1 << 26).removeprefix(b"\xef\xbb\xbf")
    if b"\0" in content:
        raise InputError(f"{path}: cannot be read: not text")
    # Lines of bytes, as names may hold other characters at which text is split.
    decoded = (
        line.decode(sys.getfilesystemencoding(), "surrogateescape") for line in content.splitlines()
    )
    keys = dict.fromkeys(key_of(line) for line in decoded if line.strip())
    if not keys:
        raise InputError(f"{path}: the list of images is empty; a line is EVENT/IMAGE.jpg")
    return list(keys)


@dataclass(frozen=True, order=True)
class Entry:
    """One image of a folder."""

    event: str  # the folder it lies in, one level down; "" directly in the folder
    stem: str  # its name without the suffix
    suffix: str

    @property
    def image(self) -> str:
        """EVENT/IMAGE.jpg."""
        return f"{self.event}/{self.stem}{self.suffix}".removeprefix("/")

    @property
    def result(self) -> str:
        """EVENT/IMAGE.txt."""
        return f"{self.event}/{self.stem}.txt".removeprefix("/")

    @property
    def unusable(self) -> str | None:
        """The reason why no results file can have this name; None where one can."""
        # Bytes that are not UTF-8 reach Python as lone surrogates, which are not printable but
        # harmless: they are written as they came.
        decoded = [c for c in self.stem + self.event if not "\udc80" <= c <= "\udcff"]
        if not "".join(decoded).isprintable():
            return "control characters in its name would break the lines of a results file"
        if len(os.fsencode(self.stem)) > _LONGEST_NAME:
            return f"its name is longer than {_LONGEST_NAME} bytes"
        return None


def list_images(folder: str | Path, subset: str | Path | None = None) -> list[Entry]:
    """Return the images in the folders of a folder, and directly in it, sorted.

    Hidden files and what has not the suffix of an image are passed over; of what is left, those
    alone that the text file `subset` lists, one EVENT/IMAGE.jpg a line.

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
        if any(_is_image(path) for each in inside if each.is_dir() for path in _listed(each)):
            raise InputError(f"{folder}: images lie deeper than EVENT/IMAGE; is {item} meant?")
    if not entries:
        raise InputError(f"{folder}: holds no images, nor folders of them")
    entries.sort()
    for one, other in pairwise(entries):
        if one.result == other.result:
            pair = f"{one.image} and {other.image}"
            raise InputError(f"{folder}: {pair} would have the same results file")
    return entries if subset is None else sorted(_chosen(entries, Path(subset), folder))


def image_paths(folder: str | Path) -> dict[tuple[str, str], Path]:
    """Return the path of every image of a folder by event, "" beside the events, and name."""
    return {(each.event, each.stem): Path(folder) / each.image for each in list_images(folder)}


def _listed(folder: Path) -> list[Path]:
    with named(folder):
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()


def _chosen(entries: list[Entry], subset: Path, folder: Path) -> set[Entry]:
    # Looked up among the listed names: a line like ../../x names nothing outside of the folder.
    known = {(entry.event, bare(entry.stem + entry.suffix)): entry for entry in entries}
    wanted = read_list(subset)
    missing = [key for key in wanted if key not in known and ("", key[1]) not in known]
    if missing:
        some = f"{len(missing)} of its {len(wanted)} images"
        first = "/".join(missing[0]).lstrip("/")
        raise InputError(f"{subset}: {some} are not in {folder}, the first {first!r}")
    return {known.get((event, name)) or known["", name] for event, name in wanted}
