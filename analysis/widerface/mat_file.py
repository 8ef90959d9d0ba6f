"""A .mat file's elements, uncompressed and checked.

scipy reads a compressed element while it unpacks it, and so meets damaged bytes before their
checksum is known; some of them crash it. Here elements are unpacked whole first. The format is that
of MATLAB 5 (MathWorks, "MAT-File Format"): a header of 128 bytes, then elements, each with its type
and its length in front.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from featherface.errors import InputError

HEADER = 128
MATRIX, COMPRESSED = 14, 15
LIMIT = 1 << 28
"""A file unpacks to at most so many bytes (256 MiB); the benchmark's take less than 10 MiB."""


def unpack(path: Path) -> bytes:
    """The same file without compression.

    Raises:
        InputError: where there is no such file, it is another kind, cut off, or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; it is part of WIDER FACE's ground truth")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    order = {b"IM": "<", b"MI": ">"}.get(content[HEADER - 2 : HEADER])
    if order is None:
        raise InputError(f"{path}: not a .mat file (of MATLAB 5 to 7)")
    parts, at, left = [content[:HEADER]], HEADER, LIMIT
    while at < len(content):
        start = at + 8
        if start > len(content):
            raise InputError(f"{path}: breaks off after {len(content):,} bytes")
        kind, length = struct.unpack(f"{order}II", content[at:start])
        if kind not in (MATRIX, COMPRESSED):
            raise InputError(f"{path}: damaged at byte {at:,}: no variable starts there")
        at = start + length
        if at > len(content):
            raise InputError(f"{path}: breaks off after {len(content):,} bytes")
        if kind == MATRIX:  # no checksum, but always begun by 8 bytes of array flags
            if content[start : start + 8] != struct.pack(f"{order}II", 6, 8):
                raise InputError(f"{path}: damaged at byte {start:,}: no variable starts there")
            parts.append(content[start - 8 : at])
            continue
        unpacked = _inflate(path, content[start:at], left)
        left -= len(unpacked)
        parts.append(unpacked)
    return b"".join(parts)


def _inflate(path: Path, packed: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(packed, max(limit, 1))
    except zlib.error as error:
        raise InputError(f"{path}: damaged: {error}") from error
    if stream.unconsumed_tail:
        raise InputError(f"{path}: unpacks to more than {LIMIT:,} bytes")
    if not stream.eof:
        raise InputError(f"{path}: damaged: a variable breaks off")
    return unpacked
