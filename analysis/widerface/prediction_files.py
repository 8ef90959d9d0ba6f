"""The text files of a folder or an archive; archives are read in memory and never unpacked."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from analysis.widerface.ground_truth import bare
from analysis.widerface.prediction_text import PictureText
from featherface.errors import InputError

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".zip")
FILE_LIMIT = 1 << 26
"""A picture's file has at most so many bytes (64 MiB, a million boxes and more)."""
TOTAL_LIMIT = 1 << 31
"""An archive holds at most so many bytes when unpacked (2 GiB, fifty million boxes and more)."""
COUNT_LIMIT = 1_000_000
"""An archive has at most so many members."""

OF_OURS = ("protocol.json", "unreadable.json")
"""What predicting leaves beside its results; see `results_folder`."""

Wanted = Callable[[str, str], bool]
"""Whether to read the file of (event, picture)."""
Members = Iterator[tuple[str, tuple[str, str], bytes]]
"""Of each member that is wanted: its name, event and picture, content."""


def read_folder(folder: Path, wanted: Wanted, extra: list[str]) -> Iterator[PictureText]:
    """The files EVENT/PICTURE.txt anywhere below a folder, in the order of their paths.

    Args:
        extra: receives the paths of what is not wanted.

    Raises:
        InputError: where one cannot be read or is too large.
    """
    for path in _files(folder, set()):
        name = _wanted_name(path.replace(os.sep, "/"), wanted, extra)
        if name is None:
            continue
        try:
            # As this happens thousands of times, the quickest way: one open, stat, read.
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                status = os.fstat(file.fileno())
                if stat.S_ISREG(status.st_mode):
                    _check_size(path, status.st_size)
                content = file.readall()
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
        yield PictureText(path, *name, content)


def _files(folder: Path | str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Paths of files, depth first and by name; a folder that contains itself is entered once."""
    try:
        status = os.stat(folder)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read: {error.strerror or error}") from error
    for entry in listed:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _files(entry.path, seen)
        elif entry.is_file() or entry.is_symlink():
            yield entry.path
        else:  # to open a pipe is to wait for whoever writes to it
            raise InputError(f"{entry.path}: neither a file nor a folder")


def read_archive(path: Path, wanted: Wanted, extra: list[str]) -> Iterator[PictureText]:
    """The members EVENT/PICTURE.txt, at any depth, of a tar (plain, gz, xz, bz2) or zip.

    Nothing is written to disk, so that a member's name can lead nowhere. A member that is there
    twice counts as it was added last, as when it is unpacked.

    Raises:
        InputError: where the archive is damaged, cut off, or unpacks to more than the limits.
    """
    members = _zip_members if path.name.lower().endswith(".zip") else _tar_members
    try:
        for label, name, content in members(path, wanted, extra):
            yield PictureText(f"{path}:{label}", *name, content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path}: cannot be read as an archive: {reason}") from error
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        lzma.LZMAError,
        zlib.error,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: a damaged archive, or none: {error}") from error


def _tar_members(path: Path, wanted: Wanted, extra: list[str]) -> Members:
    total = count = 0
    with _unpacked(path) as file, tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            total, count = _check_total(path, total + member.size, count + 1)
            name = _wanted_name(member.name, wanted, extra) if member.isfile() else None
            if name is not None:
                _check_size(f"{path}:{member.name}", member.size)
                content = archive.extractfile(member)
                assert content is not None  # it is, for anything but a file or link
                yield member.name, name, content.read()
        # tarfile takes a broken header, or none, for the end, which really is a block of zeros.
        file.seek(archive.offset)
        if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError(f"it breaks off after {count} members")


class _Bounded:
    """A tar's bytes, a limited number at once.

    A header may say that a long name follows, of as many bytes as it likes, and tarfile then reads
    them into memory: a few kilobytes of xz can be gigabytes of those.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > FILE_LIMIT + tarfile.BLOCKSIZE:
            raise InputError(f"{self._path}: a member's header has {size:,} bytes")
        return self._file.read(size)


_COMPRESSED: tuple[tuple[bytes, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ", lzma.open),
    (b"\x5d\x00\x00", lzma.open),
)


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    """A tar without its compression, whichever that is by its first bytes."""
    with path.open("rb") as packed:
        start = packed.read(6)
        packed.seek(0)
        file: Any = packed
        for magic, opened in _COMPRESSED:
            if start.startswith(magic):
                file = opened(packed)
        with file:
            yield cast("IO[bytes]", _Bounded(file, path))


def _zip_members(path: Path, wanted: Wanted, extra: list[str]) -> Members:
    total = count = 0
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            total, count = _check_total(path, total + member.file_size, count + 1)
            name = None if member.is_dir() else _wanted_name(member.filename, wanted, extra)
            if name is not None:
                _check_size(f"{path}:{member.filename}", member.file_size)
                content = archive.read(member)  # never more than it states
                yield member.filename, name, content


def _wanted_name(path: str, wanted: Wanted, extra: list[str]) -> tuple[str, str] | None:
    """Event and picture of a file's path; None where it is not wanted, and then noted as extra.

    Hidden files and what macOS adds to archives are nobody's predictions, and so are the records
    that predicting leaves beside its results.
    """
    parts = path.replace("\\", "/").split("/")
    name, folders = parts[-1], parts[:-1]
    if name.startswith(".") or name in OF_OURS or "__MACOSX" in folders:
        return None
    event = next((each for each in reversed(folders) if each not in ("", ".")), "")
    if name.endswith(".txt"):
        picture = bare(name.removesuffix(".txt"))
        if wanted(event, picture):
            return event, picture
    extra.append(path)
    return None


def _check_size(label: str, size: int) -> None:
    if size > FILE_LIMIT:
        raise InputError(f"{label}: {size:,} bytes; a picture's boxes have at most {FILE_LIMIT:,}")


def _check_total(path: Path, total: int, count: int) -> tuple[int, int]:
    if total > TOTAL_LIMIT:
        raise InputError(f"{path}: unpacks to more than {TOTAL_LIMIT:,} bytes; give it as a folder")
    if count > COUNT_LIMIT:
        raise InputError(f"{path}: has more than {COUNT_LIMIT:,} members; give it as a folder")
    return total, count
