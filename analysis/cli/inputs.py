"""Images named on a command line: files, folders, patterns, and standard input."""

from __future__ import annotations

import glob
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from featherface.errors import InputError

if TYPE_CHECKING:
    from featherface.images import RGBArray

STDIN = Path("-")
MAX_STDIN_BYTES = 2**28
"""The longest image that is read from standard input."""


def find_images(
    arguments: Iterable[Path], unusable: list[str], *, recursive: bool = False
) -> list[Path]:
    """Return the images that arguments name, each once, in their order and sorted in a folder.

    A folder stands for the files in it that Pillow reads by their endings, a pattern such as
    `more/*.png` for what it matches (`**` for any number of folders), and "-" for standard input.

    Args:
        unusable: is given a line for each argument that names no image.
        recursive: include folders in folders.
    """
    images: dict[Path, None] = {}
    for argument in arguments:
        if argument == STDIN or not (found := list(_matches(argument, recursive=recursive))):
            found = [argument]
            if argument != STDIN and os.path.isdir(argument):  # noqa: PTH112
                unusable.append(f"{argument}: no images in this folder")
                continue
        images.update(dict.fromkeys(found))
    return list(images)


def _matches(argument: Path, *, recursive: bool) -> Iterator[Path]:
    # The functions of os.path are false for a name that no file can have; it is reported when the
    # image is read.
    if os.path.isdir(argument):  # noqa: PTH112
        from analysis.widerface.image_folder import SUFFIXES

        for folder, folders, files in os.walk(argument):
            folders[:] = sorted(folders) if recursive else []
            paths = (Path(folder, file) for file in sorted(files))
            yield from (path for path in paths if path.suffix.lower() in SUFFIXES)
    elif not os.path.lexists(argument) and glob.has_magic(str(argument)):
        yield from map(Path, sorted(glob.glob(str(argument), recursive=True)))  # noqa: PTH207


def read_stdin() -> RGBArray:
    """Return the image on standard input, see `featherface.images.read_picture`.

    Raises:
        InputError: where there is none, or more than `MAX_STDIN_BYTES`.
    """
    from featherface.images import read_picture

    if sys.stdin is None:
        raise InputError("standard input: closed")
    content = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
    if len(content) > MAX_STDIN_BYTES:
        raise InputError(f"standard input: more than the {MAX_STDIN_BYTES:,} bytes of an image")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "standard-input")
        path.write_bytes(content)
        return read_picture(path)
