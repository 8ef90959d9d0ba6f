"""Predictions as records: JSON lines, one picture a line, and Parquet, one box a row.

JSON lines: `{"event": "0--Parade", "picture": "0_Parade_marchingband_1_465", "boxes": [[x, y,
width, height, score], ...]}`. Parquet: the columns event, picture, x, y, w, h, score; a picture
without boxes is one row whose numbers are null. In both the order of a picture's boxes counts, as
it does in the text files; in Parquet a picture's rows need not stand together. Numbers are in
pixels; ".jpg" may follow the picture's name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.widerface.ground_truth import GroundTruth, bare
from analysis.widerface.prediction_text import PictureBoxes
from featherface.errors import InputError

if TYPE_CHECKING:
    from analysis.widerface.predictions import Predictions

NUMBERS = ("x", "y", "w", "h", "score")

Wanted = Callable[[str, str], bool]


def read_json_lines(path: Path, wanted: Wanted, extra: list[str]) -> Iterator[PictureBoxes]:
    """The pictures of a .jsonl file, a line each.

    Raises:
        InputError: at the first line that is not a record: the file, the line, the reason.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                event, picture, rows = _record(f"{path}:{number}", line)
                if wanted(event, picture):
                    label = f"{path}:{number}"
                    yield PictureBoxes(label, event, picture, picture, len(rows), rows)
                else:
                    extra.append(f"{event}/{picture}")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def _record(label: str, line: bytes) -> tuple[str, str, NDArray[np.float64]]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{label}: not JSON: {error}") from error
    try:
        event, picture, boxes = record["event"], record["picture"], record["boxes"]
    except (KeyError, TypeError):
        raise InputError(f"{label}: a record has event, picture and boxes") from None
    if not (isinstance(event, str) and isinstance(picture, str) and isinstance(boxes, list)):
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
        raise InputError(f"{label}: a box of {picture} is not finite")
    return event, bare(picture), rows


def read_parquet(path: Path, wanted: Wanted, extra: list[str]) -> Iterator[PictureBoxes]:
    """The pictures of a .parquet file.

    Raises:
        InputError: where pyarrow is not installed, the file is damaged, a column is missing or of
            another kind, or a number is not finite.
    """
    table = _table(path)
    rows = np.column_stack([_numbers(path, table, name) for name in NUMBERS])
    empty = np.isnan(rows).all(axis=1)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1) & ~empty)
    if len(bad):
        raise InputError(f"{path}: row {bad[0] + 1}: not finite: {rows[bad[0]].tolist()}")
    events, event_of = _texts(path, table, "event")
    names, name_of = _texts(path, table, "picture")
    del table
    keys, key_of = np.unique(
        event_of.astype(np.int64) * max(len(names), 1) + name_of, return_inverse=True
    )
    order = np.argsort(key_of, kind="stable")
    ends = np.cumsum(np.bincount(key_of, minlength=len(keys)))
    for key, chosen in zip(keys.tolist(), np.split(order, ends[:-1]), strict=True):
        event, name = events[key // len(names)], bare(names[key % len(names)])
        boxes = rows[chosen[~empty[chosen]]]
        if wanted(event, name):
            label = f"{path}:{event}/{names[key % len(names)]}"
            yield PictureBoxes(label, event, name, name, len(boxes), boxes)
        else:
            extra.append(f"{event}/{name}")


def _table(path: Path) -> Any:
    parquet = _pyarrow(path)
    try:
        schema = parquet.read_schema(path)
        for name in ("event", "picture", *NUMBERS):
            if name not in schema.names:
                raise InputError(f"{path}: has no column {name}")
        return parquet.read_table(path, columns=["event", "picture", *NUMBERS])
    except InputError:
        raise
    except Exception as error:  # Arrow's errors share no class of their own
        raise InputError(f"{path}: cannot be read as Parquet: {error}") from error


def _pyarrow(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(f"{path}: Parquet needs pyarrow: pip install pyarrow") from error
    return parquet


def _numbers(path: Path, table: Any, name: str) -> NDArray[np.float64]:
    column = table.column(name)
    try:
        return np.asarray(column.to_numpy(), dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: column {name} holds no numbers ({column.type})") from error


def _texts(path: Path, table: Any, name: str) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct texts of a column, and which of them each row has."""
    import pyarrow

    column = table.column(name)
    try:
        if column.null_count:
            raise ValueError("a null")
        whole = column.cast(pyarrow.string()).combine_chunks().dictionary_encode()
        if isinstance(whole, pyarrow.ChunkedArray):
            whole = whole.combine_chunks()
        return whole.dictionary.to_pylist(), whole.indices.to_numpy().astype(np.int64)
    except (ValueError, TypeError, NotImplementedError, pyarrow.ArrowException) as error:
        raise InputError(f"{path}: column {name} holds no texts ({error})") from error


def write_json_lines(path: Path, predictions: Predictions, ground_truth: GroundTruth) -> None:
    """Write the known pictures of predictions; reading it gives the same numbers."""
    from featherface.files import write_text

    lines = []
    for (event, picture), rows in _pictures(predictions, ground_truth):
        record = {"event": event, "picture": picture, "boxes": rows.tolist()}
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    write_text(path, "".join(lines))


def write_parquet(path: Path, predictions: Predictions, ground_truth: GroundTruth) -> None:
    """Write the known pictures of predictions; reading it gives the same numbers.

    Raises:
        InputError: where pyarrow is not installed or the file cannot be written.
    """
    import io

    from featherface.files import write_bytes

    parquet = _pyarrow(path)
    import pyarrow

    columns: dict[str, Any] = {"event": [], "picture": []}
    blocks = []
    for (event, picture), rows in _pictures(predictions, ground_truth):
        block = rows if len(rows) else np.full((1, 5), np.nan)
        columns["event"] += [event] * len(block)
        columns["picture"] += [picture] * len(block)
        blocks.append(block)
    values = np.concatenate([np.empty((0, 5)), *blocks])
    for name, column in zip(NUMBERS, values.T, strict=True):
        columns[name] = pyarrow.array(column, mask=np.isnan(column))
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), buffer, compression="zstd")
    write_bytes(path, buffer.getvalue())


def _pictures(
    predictions: Predictions, ground_truth: GroundTruth
) -> Iterator[tuple[tuple[str, str], NDArray[np.float64]]]:
    ends = predictions.offsets
    for m, picture in enumerate(predictions.picture.tolist()):
        if picture >= 0:
            yield ground_truth.key(picture), predictions.rows[ends[m] : ends[m + 1]]
