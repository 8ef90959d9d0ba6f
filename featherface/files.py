"""Files: read within a limit, written whole or not at all, every failure reported in one line."""

from __future__ import annotations

import errno
import glob
import json
import os
import stat
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from featherface.errors import InputError, printable

CACHE_VARIABLE = "FEATHERFACE_CACHE"

MAX_BYTES = 2**30
"""The largest file that is read as a whole unless a reader states another limit."""

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)

IMAGE_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "webp", "avif", "tif", "tiff", "gif"),
        *("ppm", "pgm", "pbm", "pnm", "tga", "jp2"),
    )
)


@contextmanager
def named(
    path: str | os.PathLike[str], action: str = "read", error: type[InputError] = InputError
) -> Iterator[None]:
    """Turn any failure of the operating system on this path into the line "cannot be read: …".

    Args:
        action: "read", "written" or "deleted", for the message.
        error: the class that is raised.
    """
    if not os.fspath(path):
        raise error("an empty path names no file")
    try:
        yield
    except OSError as failure:
        reason = failure.strerror or str(failure) or type(failure).__name__
        raise error(f"{printable(path)}: cannot be {action}: {reason}") from None
    except ValueError as failure:
        # A path with a null character, or with one that the file system's encoding does not have.
        if "null" not in str(failure) and not isinstance(failure, UnicodeEncodeError):
            raise
        raise error(f"{printable(path)}: cannot be {action}: {failure}") from None


def check_readable(
    path: str | os.PathLike[str],
    limit: int = MAX_BYTES,
    error: type[InputError] = InputError,
) -> int:
    """Return the size in bytes of a regular file that is not larger than the limit.

    Raises:
        InputError: (or `error`) where the path names nothing, a folder, a pipe or a device, of
            which reading might never end, or a larger file.
    """
    with named(path, error=error):
        found = Path(path).stat()
        if stat.S_ISDIR(found.st_mode):
            raise OSError("a folder, not a file")
        if not stat.S_ISREG(found.st_mode):
            raise OSError("not a regular file")
        if found.st_size > limit:
            raise OSError(
                f"{found.st_size:,} bytes, more than the {limit:,} that such a file may have"
            )
        return found.st_size


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check that a file or folder of this name can be made, before the work that it is for.

    A file is made for a moment in the nearest folder that is there: permissions alone do not tell
    of a read-only disk, nor of what even an administrator cannot write to.

    Raises:
        InputError: where it cannot be made.
    """
    with named(path, "written"):
        target = Path(os.path.realpath(path))
        there = next((each for each in (target, *target.parents) if each.exists()), target)
        folder = there.parent if there == target and not there.is_dir() else there
        if target.is_file():
            target.open("ab").close()
        part = part_of(folder / target.name)
        part.write_bytes(b"")
        part.unlink()


def read_bytes(
    path: str | os.PathLike[str],
    limit: int = MAX_BYTES,
    error: type[InputError] = InputError,
) -> bytes:
    """Return the content of a regular file of at most `limit` bytes. See `check_readable`."""
    check_readable(path, limit, error)
    with named(path, error=error), Path(path).open("rb") as file:
        content = file.read(limit + 1)
        if len(content) > limit:  # files of /proc state no size, and others grow
            raise OSError(f"more than {limit:,} bytes")
        return content


def read_text(
    path: str | os.PathLike[str],
    limit: int = MAX_BYTES,
    error: type[InputError] = InputError,
) -> str:
    """Return the content of a file as text, which must be UTF-8. See `read_bytes`."""
    content = read_bytes(path, limit, error)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise error(f"{printable(path)}: cannot be read: not UTF-8 text ({failure})") from None


def list_images(
    name: str | os.PathLike[str],
    *,
    recursive: bool = False,
    on_error: Callable[[OSError], None] | None = None,
) -> list[Path] | None:
    """Return the image files in a folder, or what a pattern such as "more/*.png" matches, sorted.

    `None` for a name that is neither: of a file, or of nothing. Hidden files and folders, whose
    names begin with a dot, are left out, as in patterns.

    Args:
        recursive: include folders in the folder.
        on_error: is given the error of a folder that cannot be read, which is then left out.

    Raises:
        InputError: for a folder that cannot be read, without `on_error`.
    """

    def refuse(failure: OSError) -> None:
        with named(failure.filename):
            raise failure

    if os.path.isdir(name):  # noqa: PTH112 - false for a name that no file can have
        found: list[Path] = []
        for folder, folders, files in os.walk(name, onerror=on_error or refuse):
            folders[:] = sorted(_shown(folders)) if recursive else []
            paths = (Path(folder, file) for file in sorted(_shown(files)))
            found += (path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES)
        return found
    pattern = os.fspath(name)
    if os.path.lexists(pattern) or not glob.has_magic(pattern):
        return None
    with named(pattern):
        return [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207


def _shown(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith(".")]


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file whole or not at all: beside it, then renamed.

    A symbolic link keeps pointing where it does, and its target is written. Devices and pipes,
    such as /dev/stdout, are written to directly.

    Raises:
        InputError: where the file cannot be written; a file that was there is unchanged.
    """
    with named(path, "written"):
        target = Path(path)
        _refuse_folder(target)
        # Before links are followed: /dev/stdout may lead to a pipe, which has no path.
        if target.exists() and not target.is_file():
            not_waiting = getattr(os, "O_NONBLOCK", 0)  # a pipe nobody reads: an error
            with os.fdopen(os.open(path, os.O_WRONLY | not_waiting), "wb") as device:
                if not_waiting:  # Windows has none, and sets no device so
                    os.set_blocking(device.fileno(), True)
                device.write(content)
            return
        if target.is_symlink():
            target = Path(os.path.realpath(target))
        if target.is_symlink():  # still, after all links were followed
            raise OSError("a symbolic link that leads to itself")
        target.parent.mkdir(parents=True, exist_ok=True)
        part = part_of(target)
        try:
            part.write_bytes(content)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """Return the name of a file that is being written, until it is whole.

    It is short, since the file's own may already have the length that the file system allows.
    """
    return path.with_name(f".part-{_hash(path)}-{os.getpid()}-{threading.get_ident()}")


def remove_parts(path: Path) -> None:
    """Delete what killed processes left of a file half written; call it under the file's lock."""
    for part in path.parent.glob(f".part-{_hash(path)}-*"):
        if part.is_file():
            with named(part, "deleted"):
                part.unlink()


def _hash(path: Path) -> int:
    return zlib.crc32(os.fsencode(path.name))


def write_text(path: str | os.PathLike[str], content: str) -> None:
    """Write text as UTF-8 with Unix line ends. See `write_bytes`."""
    write_bytes(path, content.encode())


def write_json(path: str | os.PathLike[str], document: Any) -> None:
    """Write a document as JSON that diffs well. See `write_bytes`."""
    write_text(path, to_json(document))


def to_json(document: Any, *, indent: int | None = 1) -> str:
    """Return a document as JSON: keys in the order given, no NaN or infinity.

    A file name that is not UTF-8 is escaped, so that the text can be encoded; reading the JSON
    gives the name back as Python has it.
    """
    text = json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode() + "\n"


def cache_folder() -> Path | None:
    """Return the folder of downloads and exported networks, or `None` where none is known.

    It is the one that FEATHERFACE_CACHE names, or the user's cache, which needs a home.
    """
    if os.environ.get(CACHE_VARIABLE):
        return Path(os.environ[CACHE_VARIABLE])
    if os.environ.get("HOME") == "":
        return None
    import pooch

    try:
        folder = Path(pooch.os_cache("featherface"))
    except RuntimeError:  # neither HOME nor an entry for the user
        return None
    return folder if folder.is_absolute() else None


@contextmanager
def locked(path: str | os.PathLike[str], *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a file, waiting for the process or thread that holds it.

    The lock is the file `.NAME.lock` beside it, which stays: to delete it while another process
    waits for it would let two hold it.

    Raises:
        InputError: where the lock cannot be made, as on a file system without locks, or without
            `wait` where it is held.
    """
    with named(path, "written"):
        path = Path(path)
        _refuse_folder(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"), mode=0o666)
        try:
            lock.acquire(blocking=wait)
        except Timeout:
            raise OSError("another process is writing it") from None
        except (NotImplementedError, OSError) as failure:
            if isinstance(failure, OSError) and failure.errno not in _NO_LOCKS:
                raise
            raise OSError("the file system has no locks") from None
    try:
        yield
    finally:
        lock.release()


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder, not a file")
