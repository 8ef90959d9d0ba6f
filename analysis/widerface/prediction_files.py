"""Text files of predictions in a folder or an archive; archives are read in memory, not unpacked.

What is read is bounded: a few kilobytes may otherwise claim, or unpack to, more than any memory.
"""

from __future__ import annotations

import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, cast

from analysis.widerface.image_folder import bare
from analysis.widerface.prediction_text import ImageText, Select
from analysis.widerface.results_folder import PROTOCOL_FILE, UNREADABLE_FILE
from featherface.errors import InputError, first_sentence
from featherface.files import check_readable, named

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".zip")
FILE_LIMIT = 1 << 26
"""Bytes in the file of an image (64 MiB, a million boxes and more)."""
TOTAL_LIMIT = 1 << 30
"""Bytes in all files together, unpacked (1 GiB, twenty-five million boxes and more)."""
COUNT_LIMIT = 100_000
"""Files in a folder, members in an archive; 3,226 and 61 folders are needed."""
DEPTH_LIMIT = 16
"""Folders within folders."""
PATH_LIMIT = 4096
"""Characters of a path."""
HEADER_LIMIT = 1 << 18
"""Bytes of a tar member's header, with its long name; of a zip's list of members 64 times that."""

DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, struct.error),
    *(EOFError, ValueError, RuntimeError),
)
"""Exceptions by which the standard library says that an archive is damaged, or none."""

Members = Iterator[tuple[str, int, Callable[[], bytes]]]
"""Of each file: its path inside, its size, and what reads it."""


def read_folder(folder: Path, select: Select) -> Iterator[ImageText]:
    """Yield the files EVENT/IMAGE.txt anywhere below a folder, in the order of their paths."""
    yield from _chosen(f"{folder}", "", _files(folder, set(), 0), select)


def read_archive(path: Path, select: Select) -> Iterator[ImageText]:
    """Yield the members EVENT/IMAGE.txt, at any depth, of a tar (plain, gz, xz, bz2) or zip.

    Raises:
        InputError: where the archive is damaged, cut off, or unpacks to more than the limits.
    """
    check_readable(path, TOTAL_LIMIT)
    members = _zip_members if path.name.lower().endswith(".zip") else _tar_members
    try:
        with named(path):
            yield from _chosen(f"{path}", f"{path}:", members(path), select)
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(
            f"{path}: a damaged archive, or none: {first_sentence(error).rstrip(':')}"
        ) from None


def is_result(name: str) -> bool:
    """Return whether a file may hold results: it is not hidden, and no note of predicting."""
    return not name.startswith(".") and name not in (PROTOCOL_FILE, UNREADABLE_FILE, "")


def _chosen(source: str, prefix: str, members: Members, select: Select) -> Iterator[ImageText]:
    """Read what is selected. Hidden files, and what macOS adds to archives, are passed over."""
    total = 0
    for count, (path, size, read) in enumerate(members, start=1):
        total += size
        if count > COUNT_LIMIT:
            raise InputError(f"{source}: holds more than {COUNT_LIMIT:,} files")
        if total > TOTAL_LIMIT:
            raise InputError(f"{source}: holds more than {TOTAL_LIMIT:,} bytes, unpacked")
        if len(path) > PATH_LIMIT:
            raise InputError(f"{source}: a path of {len(path):,} characters")
        *folders, name = path.replace("\\", "/").split("/")
        if not is_result(name) or "__MACOSX" in folders:
            continue
        folder = next((each for each in reversed(folders) if each not in ("", ".")), "")
        image = bare(name[:-4]) if name.lower().endswith(".txt") else None
        key = select(prefix + path, folder, image)
        if key is None:
            continue
        if size > FILE_LIMIT:
            raise InputError(f"{prefix}{path}: {size:,} bytes, more than {FILE_LIMIT:,}")
        yield ImageText(prefix + path, *key, read())


def _files(folder: Path | str, seen: set[tuple[int, int]], depth: int) -> Members:
    """Yield files, depth first and by name; a folder that contains itself is entered once."""
    if depth > DEPTH_LIMIT:
        raise InputError(f"{folder}: more than {DEPTH_LIMIT} folders deep")
    with named(folder):
        status = os.stat(folder)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _files(entry.path, seen, depth + 1)
        elif entry.is_file() or entry.is_symlink():
            size = entry.stat().st_size if entry.is_file() else 0
            yield entry.path, size, partial(_content, entry.path)
        else:  # to open a pipe is to wait for whoever writes to it
            raise InputError(f"{entry.path}: neither a file nor a folder")


def _content(path: str) -> bytes:
    # As this happens thousands of times, the quickest way: one open, stat, read.
    with named(path), open(path, "rb", buffering=0) as file:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise InputError(f"{path}: neither a file nor a folder")
        return file.readall()


def _tar_members(path: Path) -> Members:
    with tarfile.open(path, tarinfo=_Member) as archive:
        file = cast("IO[bytes]", archive.fileobj)
        count = 0
        while (member := archive.next()) is not None:
            count += 1
            archive.members.clear()  # type: ignore[attr-defined]  # which it keeps for going back
            if member.isreg() and not member.issparse():
                read = partial(_slice, file, member.offset_data, member.size)
                yield member.name, member.size, read
            else:
                yield "", 0, bytes
        # tarfile takes a broken header, or none, for the end, which really is a block of zeros.
        file.seek(archive.offset)
        if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError(f"it breaks off after {count} members")


def _slice(file: IO[bytes], start: int, size: int) -> bytes:
    file.seek(start)
    content = file.read(size)
    if len(content) != size:
        raise EOFError("it breaks off in a member")
    return content


class _Member(tarfile.TarInfo):
    """A member whose header, which `tarfile` keeps in memory, is of limited size."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type not in tarfile.REGULAR_TYPES and self.size > HEADER_LIMIT:
            raise InputError(
                f"{archive.name!s}: a member's header has {self.size:,} bytes, too many"
            )
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return member


def _zip_members(path: Path) -> Members:
    _require_short_list(path)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith("/"):
                yield member.filename, member.file_size, partial(archive.read, member)


def _require_short_list(path: Path) -> None:
    """Refuse a zip whose list of members, all of which zipfile keeps in memory, is too long."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16) - 22))
        end = file.read()
    at = end.rfind(b"PK\x05\x06")
    size = int.from_bytes(end[at + 12 : at + 16], "little") if at >= 0 else 0
    if size > 64 * HEADER_LIMIT:
        raise InputError(f"{path}: the list of its members has {size:,} bytes; give it as a folder")
