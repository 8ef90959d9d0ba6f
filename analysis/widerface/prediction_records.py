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
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analysis.widerface.history import first_error
from analysis.widerface.image_folder import bare
from analysis.widerface.prediction_files import COUNT_LIMIT, TOTAL_LIMIT
from analysis.widerface.prediction_text import ImageBoxes, Select
from featherface.errors import InputError
from featherface.files import check_readable, named

TEXTS = ("event", "picture")
NUMBERS = ("x", "y", "w", "h", "score")

LINE_LIMIT = 1 << 24
"""Bytes in a line of JSON (16 MiB, 200,000 boxes and more)."""
BOX_LIMIT = 1 << 24
"""Boxes of all images together (16.8 million)."""


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    event: str
    picture: str
    boxes: list[Annotated[list[float], Field(min_length=5, max_length=5)]]


def read_json_lines(path: Path, select: Select) -> Iterator[ImageBoxes]:
    """Yield the images of a .jsonl file, a line each, up to the first that is not a record."""
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
                try:
                    # Not pydantic's reader, which refuses the names that are not UTF-8.
                    record = _Record.model_validate(json.loads(line))
                except ValidationError as error:
                    raise InputError(f"{label}: {first_error(error)}") from None
                except (ValueError, RecursionError) as error:
                    raise InputError(f"{label}: not JSON: {error}") from None
                image = bare(record.picture)
                key = select(f"{record.event}/{image}", record.event, image)
                if key is not None:
                    rows = np.array(record.boxes, dtype=np.float64).reshape(-1, 5)
                    yield ImageBoxes(label, *key, key[1], len(rows), rows)
    raise InputError(f"{path}: more than {COUNT_LIMIT:,} lines")


def read_parquet(path: Path, select: Select) -> Iterator[ImageBoxes]:
    """Yield the images of a .parquet file, which needs pyarrow."""
    frame = _frame(path)
    rows = np.column_stack([_numbers(path, frame.pop(name)) for name in NUMBERS])
    empty = np.asarray(np.isnan(rows).all(axis=1))
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1) & ~empty)
    if len(bad):
        raise InputError(f"{path}: row {bad[0] + 1}: not finite: {rows[bad[0]].tolist()}")
    images = frame.groupby(list(TEXTS), sort=False, observed=True).indices
    for (event, image), chosen in images.items():
        label = f"{event}/{image}"
        key = select(label, event, bare(image))
        if key is not None:
            boxes = rows[chosen[~empty[chosen]]]
            yield ImageBoxes(f"{path}:{label}", *key, key[1], len(boxes), boxes)


def _frame(path: Path) -> Any:
    """Return the columns as a pandas.DataFrame."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise InputError(f"{path}: Parquet needs pyarrow: pip install pyarrow") from None
    check_readable(path, TOTAL_LIMIT)
    try:
        # Texts stay in dictionaries: a million rows of one long name take as much as one.
        file = parquet.ParquetFile(path, read_dictionary=list(TEXTS))
        absent = [name for name in (*TEXTS, *NUMBERS) if name not in file.schema_arrow.names]
        if absent:
            raise InputError(f"{path}: has no column {absent[0]}")
        count = file.metadata.num_rows
        groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
        size = sum(group.total_byte_size for group in groups)  # uncompressed
        if count > BOX_LIMIT or size > TOTAL_LIMIT:
            raise InputError(
                f"{path}: {count:,} rows of {size:,} bytes, more than "
                f"{BOX_LIMIT:,} rows or {TOTAL_LIMIT:,} bytes"
            )
        frame = file.read(columns=[*TEXTS, *NUMBERS]).to_pandas(ignore_metadata=True)
    except InputError:
        raise
    except Exception as error:  # Arrow's errors share no class of their own
        raise InputError(f"{path}: cannot be read as Parquet: {error}") from error
    for name in TEXTS:
        column = frame[name]
        categories = column.cat.categories if column.dtype == "category" else [None]
        if column.hasnans or not all(isinstance(text, str) for text in categories):
            raise InputError(f"{path}: column {name} holds no texts")
    return frame


def _numbers(path: Path, column: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(column, dtype=np.float64)
    except (ValueError, TypeError):
        raise InputError(f"{path}: column {column.name} holds no numbers") from None
