"""Names of images: event and name without ending, alone or in the lines of a text file."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from featherface.errors import InputError
from featherface.files import read_bytes

LIMIT = 1 << 26
"""Bytes that a list of images may have."""


def bare(name: str) -> str:
    """Return an image's name without the ending of an image file, in either case."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot and ending.lower() in ("jpg", "jpeg", "png") else name


def key_of(name: str) -> tuple[str, str]:
    """Return event and bare name of a path ending in EVENT/IMAGE.jpg; no event where it has none.

    The path may be absolute, start with "./" or be written as Windows does.
    """
    path = PurePosixPath(name.strip().replace("\\", "/"))
    return path.parent.name, bare(path.name)


def read_list(path: str | Path) -> list[tuple[str, str]]:
    """Return the `key_of` every line of a text file, in order and without repetitions.

    Bytes that are not UTF-8 are kept as Python keeps them in file names.

    Raises:
        InputError: where the file cannot be read, is not text or lists nothing.
    """
    content = read_bytes(path, LIMIT).removeprefix(b"\xef\xbb\xbf")
    if b"\0" in content:
        raise InputError(f"{path}: cannot be read: not UTF-8 text")
    lines = content.decode("utf-8", "surrogateescape").splitlines()
    keys = dict.fromkeys(key_of(line) for line in lines if line.strip())
    if not keys:
        raise InputError(f"{path}: the list of images is empty; a line is EVENT/IMAGE.jpg")
    return list(keys)
