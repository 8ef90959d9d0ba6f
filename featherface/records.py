"""Append-only records: one JSON object a line, in a file that several processes may extend.

A line is written with a single call at the end of the file, under a lock, so that two writers at
once lose nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any

from featherface.errors import InputError
from featherface.files import locked, named, read_bytes, to_json

Fields = Mapping[str, type | UnionType]
"""The fields that a record must have, and of which type; it may have others."""


def append(path: str | Path, record: Mapping[str, Any], fields: Fields | None = None) -> None:
    """Add a record as one line at the end of a file, which is made where there is none.

    Raises:
        InputError: where the record lacks a field or has one of another type, where the file's
            last line is damaged, or where it cannot be written. The file is then as it was.
        TypeError, ValueError: for a record that JSON cannot hold, such as NaN.
    """
    path = Path(path)
    line = to_json(record, indent=None).encode()
    _parse(line, fields or {}, str(path))
    with named(path, "written"), locked(path), path.open("a+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if size and file.read(1) != b"\n":
            # Whole but for its end, as an editor leaves it: finish it. Else somebody must look.
            _parse(read_bytes(path).rpartition(b"\n")[2], {}, f"{path}, its last line")
            line = b"\n" + line
        written = os.write(file.fileno(), line)
        if written != len(line):
            file.truncate(size)
            raise OSError(f"{written} of {len(line)} bytes written")


def read(path: str | Path, fields: Fields | None = None) -> list[dict[str, Any]]:
    """Return all records of a file in the order they were added; none where there is no file.

    Raises:
        InputError: where the file cannot be read, or for the first line that is no record, by
            its number. Nothing is skipped.
    """
    path = Path(path)
    with named(path):
        try:
            path.stat()
        except FileNotFoundError:
            return []
    lines = read_bytes(path).split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [
        _parse(line, fields or {}, f"{path}, line {number}")
        for number, line in enumerate(lines, start=1)
    ]


def _parse(line: bytes, fields: Fields, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
        if not isinstance(record, dict):
            raise ValueError
    except (ValueError, RecursionError):
        text = line.decode(errors="replace")
        excerpt = text if len(text) <= 60 else text[:60] + "…"
        raise InputError(f"{where}: damaged, not a JSON object: {excerpt!r}") from None
    _check(record, fields, where)
    return record


def _check(record: Mapping[str, Any], fields: Fields, where: str) -> None:
    for name, kind in fields.items():
        if name not in record:
            raise InputError(f"{where}: a record without {name!r}")
        value = record[name]
        # To Python a bool is an int; to a reader of a table it is not.
        kinds = kind.__args__ if isinstance(kind, UnionType) else (kind,)
        if not isinstance(value, kind) or (isinstance(value, bool) and bool not in kinds):
            expected = kind.__name__ if isinstance(kind, type) else str(kind)
            raise InputError(f"{where}: {name} (={value!r}) must be of type {expected}")
