"""Reader for MATLAB 5 files as WIDER FACE's ground truth uses them: cells, text and numbers.

`scipy.io.loadmat` crashes the interpreter on some damaged files. Here every length is compared
with the bytes that are there, so that any damage is an error. Read are rows and columns of cells,
rows of text and real matrices of little-endian files (MathWorks, "MAT-File Format", level 5).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from featherface.errors import InputError
from featherface.files import read_bytes

Value: TypeAlias = "str | NDArray[Any] | list[Value]"
"""A text, a matrix, or a row or column of cells."""

LIMIT = 1 << 25
"""Bytes that a file may have, packed and unpacked (32 MiB); the benchmark's have less than 10."""

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _CHAR, _NUMERIC = 1, 4, range(6, 16)
_COMPLEX = 0x800
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
_NUMBERS |= {12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 16: "utf-8", 4: "utf-16-le", 17: "utf-16-le"}


def read_mat(path: Path, names: Collection[str]) -> dict[str, Value]:
    """Return the named variables of a file, those that it has.

    Raises:
        InputError: where there is no such file, it is of another kind, damaged, or too large.
    """
    content = memoryview(read_bytes(path, LIMIT))
    if bytes(content[_HEADER - 4 : _HEADER]) != b"\0\1IM":  # version and byte order
        raise InputError(f"{path}: not a little-endian .mat file of MATLAB 5 to 7.2 (save -v7)")
    found: dict[str, Value] = {}
    elements = _Elements(content[_HEADER:])
    left = LIMIT
    try:
        while elements.remain:
            kind, data = elements.take(padded=False)
            if kind == _COMPRESSED:
                unpacked = _inflate(data, left)
                left -= len(unpacked)
                kind, data = _Elements(unpacked).take()
            if kind != _MATRIX:
                raise ValueError("no variable where one should start")
            variable = _Elements(data)
            _flags, _shape, (_kind, name) = (variable.take() for _ in range(3))
            text = bytes(name).decode("latin-1")
            if text in names:
                found[text] = _value(data)
    except (ValueError, OverflowError, RecursionError, zlib.error) as error:
        raise InputError(f"{path}: a damaged .mat file: {error}") from None
    return found


def _inflate(packed: memoryview, limit: int) -> memoryview:
    stream = zlib.decompressobj()
    unpacked = stream.decompress(packed, max(limit, 1))
    if stream.unconsumed_tail:
        raise ValueError(f"it unpacks to more than {LIMIT:,} bytes")
    if not stream.eof:
        raise ValueError("a variable breaks off")
    return memoryview(unpacked)


class _Elements:
    """Elements one after the other, each with its type and its length in front."""

    def __init__(self, content: memoryview) -> None:
        self._content, self._at = content, 0

    @property
    def remain(self) -> bool:
        return self._at < len(self._content)

    def take(self, *, padded: bool = True) -> tuple[int, memoryview]:
        start = self._at + 8
        if start > len(self._content):
            raise ValueError("it breaks off")
        kind, length = struct.unpack_from("<II", self._content, self._at)
        self._at = start + length + (-length % 8 if padded else 0)
        if kind >> 16:  # up to four bytes stand in the second half of the tag
            kind, length = kind & 0xFFFF, kind >> 16
            if length > 4:
                raise ValueError(f"a short element of {length} bytes")
            self._at, start = start, start - 4
        if start + length > len(self._content):
            raise ValueError("it breaks off")
        return kind, self._content[start : start + length]

    def numbers(self) -> NDArray[Any]:
        kind, data = self.take()
        if kind not in _NUMBERS:
            raise ValueError(f"type {kind} where numbers should be")
        return np.frombuffer(data, f"<{_NUMBERS[kind]}")


def _value(data: memoryview) -> Value:
    if not data:
        return np.empty((0, 0))
    elements = _Elements(data)
    flags, shape = elements.numbers(), elements.numbers().tolist()
    elements.take()  # its name, which cells lack
    if not len(flags) or flags.dtype.kind != "u" or len(shape) != 2 or min(shape) < 0:
        raise ValueError("a matrix without type or size")
    kind, rows, columns = int(flags[0]) & 0xFF, *map(int, shape)
    if kind == _CELL and min(rows, columns) <= 1:
        cells = [elements.take() for _ in range(rows * columns)]
        if any(cell_kind != _MATRIX for cell_kind, _ in cells):
            raise ValueError("no cell where one should start")
        return [_value(cell) for _, cell in cells]
    if kind == _CHAR and rows <= 1:
        text_kind, text = elements.take()
        if text_kind not in _TEXTS:
            raise ValueError(f"type {text_kind} where text should be")
        return bytes(text).decode(_TEXTS[text_kind])
    if kind in _NUMERIC and not int(flags[0]) & _COMPLEX:
        return elements.numbers().reshape((rows, columns), order="F")
    raise ValueError(f"a matrix of kind {kind}, {rows}×{columns}")
