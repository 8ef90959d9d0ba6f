"""Append-only records: one JSON object a line, in a file that several processes may extend.

A line is written with a single call at the end of the file, under a lock that the operating
system gives back when its holder dies. So two writers at once lose nothing, and no reader sees a
line that is half another's. What is in the file already is never touched.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import Any

from featherface.errors import InputError

Fields = Mapping[str, type | UnionType]
"""The fields that a record must have, and of which type; it may have others."""


def append(path: str | Path, record: Mapping[str, Any], fields: Fields | None = None) -> None:
    """Add a record as one line at the end of a file, which is made where there is none.

    Args:
        fields: what the record must have.

    Raises:
        InputError: where the record lacks a field or has one of another type; where the file's
            last line is damaged, which is left as it is; or where it cannot be written. The file
            is then as it was.
        TypeError, ValueError: for a record that JSON has no words for, such as NaN.
    """
    path = Path(path)
    _check(record, fields or {}, str(path))
    line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        file = os.open(path, flags, 0o666)
        try:
            with _locked(file):
                _write(file, line, path)
        finally:
            os.close(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


def read(path: str | Path, fields: Fields | None = None) -> list[dict[str, Any]]:
    """All records of a file in the order they were added; none where there is no file.

    Raises:
        InputError: where the file cannot be read, or for the first line that is no record, by
            its number. Nothing is skipped.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [
        _parse(line, fields or {}, f"{path}, line {number}")
        for number, line in enumerate(lines, start=1)
    ]


def _write(file: int, line: bytes, path: Path) -> None:
    size = os.fstat(file).st_size
    last = _last_line(file, size)
    if not last.endswith(b"\n") and last:
        # Whole but for its end, as an editor leaves it: finish it. Else somebody must look.
        _parse(last, {}, f"{path}, its last line")
        line = b"\n" + line
    written = os.write(file, line)
    if written != len(line):
        os.ftruncate(file, size)
        raise OSError(f"{written} of {len(line)} bytes written")


def _last_line(file: int, size: int) -> bytes:
    """The last line with its end, if it has one, read backwards in growing pieces."""
    reach = 4096
    while True:
        start = max(0, size - reach)
        os.lseek(file, start, os.SEEK_SET)
        tail = b""
        while len(tail) < size - start:
            piece = os.read(file, size - start - len(tail))
            if not piece:
                break
            tail += piece
        before = tail.rfind(b"\n", 0, max(0, len(tail) - 1))
        if start == 0 or before >= 0:
            return tail[before + 1 :]
        reach *= 4


def _parse(line: bytes, fields: Fields, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: damaged, not a JSON object: {_excerpt(line)}") from error
    if not isinstance(record, dict):
        raise InputError(f"{where}: damaged, not a JSON object: {_excerpt(line)}")
    _check(record, fields, where)
    return record


def _check(record: Mapping[str, Any], fields: Fields, where: str) -> None:
    for name, kind in fields.items():
        if name not in record:
            raise InputError(f"{where}: a record without {name!r}")
        value = record[name]
        # To Python a bool is an int; to a reader of a table it is not.
        stray_bool = isinstance(value, bool) and not _takes_bool(kind)
        if stray_bool or not isinstance(value, kind):
            named = kind.__name__ if isinstance(kind, type) else str(kind)
            raise InputError(f"{where}: {name} (={value!r}) must be of type {named}")


def _takes_bool(kind: type | UnionType) -> bool:
    return bool in (kind.__args__ if isinstance(kind, UnionType) else (kind,))


def _excerpt(line: bytes, most: int = 60) -> str:
    text = line.decode(errors="replace")
    return repr(text if len(text) <= most else text[:most] + "…")


@contextmanager
def _locked(file: int) -> Iterator[None]:
    """Hold the file alone, waiting for whoever holds it."""
    if sys.platform == "win32":
        import msvcrt

        # A lock on Windows forbids reading what it covers, so cover a byte that will never be.
        place = 1 << 30

        def lock(mode: int) -> None:
            os.lseek(file, place, os.SEEK_SET)
            msvcrt.locking(file, mode, 1)

        while True:
            try:
                lock(msvcrt.LK_NBLCK)
                break
            except PermissionError:
                time.sleep(0.01)
        try:
            yield
        finally:
            lock(msvcrt.LK_UNLCK)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
