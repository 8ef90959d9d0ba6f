"""The benchmark's text format: an image a file, or a section of one, parsed many at a time.

Line 1 is the image's name, line 2 how many boxes follow, then one `x y width height score` a
line. Numbers become what Python's `float` makes of them. Tolerated are any white space, line ends
of any system, a byte order mark, empty lines among the boxes, a name with its event or ".jpg", and
a file without any content. Anything else is an error that names file and line.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.widerface.image_folder import key_of
from featherface.errors import InputError

BATCH_BYTES = 1 << 20
"""Files are parsed together until they have so many bytes: few calls, little memory."""
SECTION_LIMIT = 100_000
"""Images in one file; 3,226 are needed."""

Select = Callable[[str, str, str | None], tuple[str, str] | None]
"""From a label, an event's name and an image's (None where a file is no .txt) to those of the
ground truth; None for what is not to be read."""


class ImageText(NamedTuple):
    """One file as it was read; `label` is what an error calls it."""

    label: str
    event: str
    image: str
    content: bytes


class ImageBoxes(NamedTuple):
    """One file as it was understood. `rows` is (N, 5): x, y, width, height, score."""

    label: str
    event: str
    image: str
    title: str
    """The image's name by line 1, without event and ending; empty for a file without content."""
    stated: int
    """Number of boxes that line 2 promises."""
    rows: NDArray[np.float64]


_TITLE = re.compile(rb"^[ \t]*(?:#[^\n]*|[^\n]*/[^\n]*)$", re.MULTILINE)
_COUNT = re.compile(rb"\s*(\d+)[ \t\r]*(?:\n|$)")


def sections(path: Path, content: bytes, select: Select) -> Iterator[ImageText]:
    """Yield the images of one file for all, as the WIDER challenge asks for.

    Each starts with a line "EVENT/IMAGE.jpg", perhaps with "#" before it, and perhaps a line with
    the number of its boxes.
    """
    content = _text(f"{path}", content)
    titles = list(islice(_TITLE.finditer(content), SECTION_LIMIT + 1))
    if len(titles) > SECTION_LIMIT:
        raise InputError(f"{path}: more than {SECTION_LIMIT:,} images")
    if not titles or content[: titles[0].start()].strip():
        raise InputError(f"{path}:1: no line EVENT/IMAGE.jpg, which starts an image")
    ends = [*(title.start() for title in titles[1:]), len(content)]
    seen = set()
    for title, end in zip(titles, ends, strict=True):
        name = title[0].decode("utf-8", "surrogateescape").strip().lstrip("# \t")
        label = f"{path}:{name}"
        key = select(label, *key_of(name))
        if key in seen:
            raise InputError(f"{label}: the image is there twice")
        if key is not None:
            seen.add(key)
            body = content[title.end() + 1 : end]
            counted = _COUNT.match(body)
            stated = counted[1] if counted else b"%d" % len(body.strip().splitlines())
            body = body[counted.end() :] if counted else body
            yield ImageText(
                label, *key, b"\n".join((name.encode("utf-8", "replace"), stated, body))
            )


def parse(files: Iterable[ImageText]) -> Iterator[ImageBoxes]:
    """Yield the boxes of every file, in the order of the files and of their lines.

    Raises:
        InputError: at the first file that is not in the format: the file, the line, the reason.
    """
    batch: list[tuple[ImageBoxes, bytes]] = []
    size = 0
    for file in files:
        batch.append(_split(file))
        size += len(file.content)
        if size >= BATCH_BYTES:
            yield from _batch(batch)
            batch, size = [], 0
    yield from _batch(batch)


def _batch(batch: list[tuple[ImageBoxes, bytes]]) -> Iterator[ImageBoxes]:
    parsed = _together([body for _, body in batch])
    if parsed is None:  # something in some file is unusual: find it, line by line
        parsed = [_one_by_one(head.label, body) for head, body in batch]
    for (head, _), rows in zip(batch, parsed, strict=True):
        yield head._replace(rows=rows)


_NO_ROWS = np.empty((0, 5))
_MAX_DIGITS = 18  # of a number of boxes; Python refuses to read thousands of them


def _split(file: ImageText) -> tuple[ImageBoxes, bytes]:
    """Return what a file's first two lines say, without rows yet, and the rest of it."""
    label, event, image, content = file
    if not content.strip():
        return ImageBoxes(label, event, image, "", 0, _NO_ROWS), b""
    first, _, rest = _text(label, content).partition(b"\n")
    second, _, body = rest.partition(b"\n")
    title = first.decode("utf-8", errors="replace").strip()
    name = key_of(title)[1]
    if not title or (_is_number(title.split()[0]) and name != image):
        raise InputError(f"{label}:1: {title[:60]!r} where the image's name should be")
    if not second.strip().isdigit() or len(second) > _MAX_DIGITS:
        raise InputError(f"{label}:2: {_shown(second)} is no number of boxes")
    return ImageBoxes(label, event, image, name, int(second), _NO_ROWS), body


def _text(label: str, content: bytes) -> bytes:
    """Return a text with Unix line ends and without a byte order mark."""
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\0" in content.partition(b"\n")[0]:
        raise InputError(f"{label}:1: null bytes, as in UTF-16, where UTF-8 text should be")
    return content.removeprefix(b"\xef\xbb\xbf")


# What each byte is: white space as in bytes.split, part of a plain number, or anything else.
_SPACE, _PLAIN, _OTHER = 0, 1, 2
_KIND = np.full(256, _OTHER, dtype=np.uint8)
_KIND[list(b" \t\n\r\v\f")] = _SPACE
_KIND[list(b"0123456789+-.eE")] = _PLAIN


def _together(bodies: list[bytes]) -> list[NDArray[np.float64]] | None:
    """Return the rows of each body; None where a line is not five plain, finite numbers.

    Numbers are split and converted by one call, which would not notice where a line ends, nor
    that "1-2" is no number. So tokens are counted per line first, and numbers against tokens.
    """
    ends = np.cumsum([len(body) + 1 for body in bodies])
    text = b"\n".join((b"", *bodies, b""))
    characters = np.frombuffer(text, dtype=np.uint8)
    kind = _KIND[characters]
    if kind.max() == _OTHER:
        return None
    # The text starts and ends in white space. A token may end where a line does.
    token_ends = np.flatnonzero(kind[:-1] > kind[1:]) + 1
    line_ends = np.flatnonzero(characters == ord("\n"))
    per_line = np.diff(np.searchsorted(token_ends, line_ends, side="right"), prepend=0)
    if ((per_line != 0) & (per_line != 5)).any():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            values = np.fromstring(text, dtype=np.float64, sep=" ")
        except (DeprecationWarning, ValueError):  # something stops the conversion
            return None
    if len(values) != len(token_ends) or not np.isfinite(values).all():
        return None
    rows = values.reshape(-1, 5)
    return np.split(rows, np.searchsorted(token_ends, ends[:-1], side="right") // 5)


def _one_by_one(label: str, body: bytes) -> NDArray[np.float64]:
    rows = []
    for number, line in enumerate(body.split(b"\n"), start=3):
        tokens = line.split()
        if not tokens:
            continue
        where = f"{label}:{number}"
        if len(tokens) != 5:
            raise InputError(f"{where}: {len(tokens)} values, not five: {_shown(line)}")
        if not all(map(_is_number, tokens)):
            raise InputError(f"{where}: not five numbers: {_shown(line)}")
        rows.append([float(token) for token in tokens])
        if not all(map(math.isfinite, rows[-1])):
            raise InputError(f"{where}: not finite: {_shown(line)}")
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


def _shown(line: bytes) -> str:
    return repr(line.decode("utf-8", errors="replace").strip()[:60])


def _is_number(text: str | bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
