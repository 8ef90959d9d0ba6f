"""Predictions as records: JSON lines, one image a line, and Parquet, one box a row.

JSON lines: `{"event": "0--Parade", "picture": "0_Parade_marchingband_1_465", "boxes": [[x, y,
width, height, score], ...]}`. Parquet: the columns event, picture, x, y, w, h, score; an image
without boxes is one row whose numbers are null. In both the order of an image's boxes counts, as
it does in the text files; in Parquet an image's rows need not stand together. Numbers are in
pixels; ".jpg" may follow the image's name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.widerface.image_lists import bare
from analysis.widerface.prediction_files import COUNT_LIMIT, TOTAL_LIMIT, Select
from analysis.widerface.prediction_text import ImageBoxes
from featherface.errors import InputError
from featherface.files import check_readable, named

TEXTS = ("event", "picture")
NUMBERS = ("x", "y", "w", "h", "score")

LINE_LIMIT = 1 << 24
"""Bytes in a line of JSON (16 MiB, 200,000 boxes and more)."""
BOX_LIMIT = 1 << 24
"""Boxes of all images together (16.8 million)."""


def read_json_lines(path: Path, select: Select) -> Iterator[ImageBoxes]:
    """Yield the images of a .jsonl file, a line each.

    Raises:
        InputError: at the first line that is not a record: the file, the line, the reason.
    """
    check_readable(path, TOTAL_LIMIT)
    with named(path), path.open("rb") as file:
        for number in range(1, COUNT_LIMIT + 2):
            line = file.readline(LINE_LIMIT + 1)
            label = f"{path}:{number}"
            if not line:
                return
            if len(line) > LINE_LIMIT:
                raise InputError(f"{label}: a line of more than {LINE_LIMIT:,} bytes")
            if line.strip():
                event, image, rows = _record(label, line)
                key = select(f"{event}/{image}", event, image)
                if key is not None:
                    yield ImageBoxes(label, *key, key[1], len(rows), rows)
    raise InputError(f"{path}: more than {COUNT_LIMIT:,} lines")


def _record(label: str, line: bytes) -> tuple[str, str, NDArray[np.float64]]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{label}: not JSON: {error}") from error
    try:
        event, image, boxes = record["event"], record["picture"], record["boxes"]
    except (KeyError, TypeError):
        raise InputError(f"{label}: a record has event, picture and boxes") from None
    if not (isinstance(event, str) and isinstance(image, str) and isinstance(boxes, list)):
        raise InputError(f"{label}: event and picture are text, boxes is a list")
    for box in boxes:
        if (
            not isinstance(box, list)
            or len(box) != 5
            or not all(type(v) in (int, float) for v in box)
        ):
            raise InputError(f"{label}: {box!r:.60} is no [x, y, width, height, score]")
    try:
        rows = np.array(boxes, dtype=np.float64).reshape(-1, 5)
    except OverflowError:
        rows = np.full((1, 5), np.inf)
    if not np.isfinite(rows).all():
        raise InputError(f"{label}: a box of {image} is not finite")
    return event, bare(image), rows


def read_parquet(path: Path, select: Select) -> Iterator[ImageBoxes]:
    """Yield the images of a .parquet file.

    Raises:
        InputError: where pyarrow is not installed, the file is damaged or too large, a column is
            missing or of another kind, or a number is not finite.
    """
    table = _table(path)
    rows = np.column_stack([_numbers(path, table, name) for name in NUMBERS])
    empty = np.asarray(np.isnan(rows).all(axis=1))
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1) & ~empty)
    if len(bad):
        raise InputError(f"{path}: row {bad[0] + 1}: not finite: {rows[bad[0]].tolist()}")
    texts = table.select(TEXTS).to_pandas()
    del table
    for (event, image), chosen in texts.groupby(
        list(TEXTS), sort=False, observed=True
    ).indices.items():
        label = f"{event}/{image}"
        key = select(label, event, bare(image))
        if key is not None:
            boxes = rows[chosen[~empty[chosen]]]
            yield ImageBoxes(f"{path}:{label}", *key, key[1], len(boxes), boxes)


def _table(path: Path) -> Any:
    try:
        from pyarrow import parquet, types
    except ImportError as error:
        raise InputError(f"{path}: Parquet needs pyarrow: pip install pyarrow") from error
    check_readable(path, TOTAL_LIMIT)
    try:
        # Texts stay in dictionaries: a million rows of one long name take as much as one.
        file = parquet.ParquetFile(path, read_dictionary=list(TEXTS))
        absent = [name for name in (*TEXTS, *NUMBERS) if name not in file.schema_arrow.names]
        if absent:
            raise InputError(f"{path}: has no column {absent[0]}")
        groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
        size = sum(
            group.column(index).total_uncompressed_size
            for group in groups
            for index in range(group.num_columns)
        )
        if file.metadata.num_rows > BOX_LIMIT or size > TOTAL_LIMIT:
            raise InputError(
                f"{path}: {file.metadata.num_rows:,} rows of {size:,} bytes, more than "
                f"{BOX_LIMIT:,} rows or {TOTAL_LIMIT:,} bytes"
            )
        table = file.read(columns=[*TEXTS, *NUMBERS])
    except InputError:
        raise
    except Exception as error:  # Arrow's errors share no class of their own
        raise InputError(f"{path}: cannot be read as Parquet: {error}") from error
    for name in TEXTS:
        if table.column(name).null_count or not types.is_dictionary(table.column(name).type):
            raise InputError(f"{path}: column {name} holds no texts")
    return table


def _numbers(path: Path, table: Any, name: str) -> NDArray[np.float64]:
    column = table.column(name)
    try:
        return np.asarray(column.to_numpy(), dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: column {name} holds no numbers ({column.type})") from error
