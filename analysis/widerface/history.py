"""The history of average precision on WIDER FACE: one row an evaluation, only ever added to.

What was measured here and what others published are rows of the same form. Rows can be compared
where protocol and images are the same; `expect` finds one for CI, which must fail the day AP falls.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from analysis.widerface.ground_truth import SUBSETS, VALIDATION_IMAGES
from featherface import records
from featherface.errors import InputError, among
from featherface.files import read_bytes

HISTORY = Path(__file__).resolve().parents[2] / "docs" / "results" / "widerface.jsonl"
"""The project's own history."""

_SHA256 = r"^[0-9a-f]{64}$"


class Protocol(BaseModel):
    """A protocol of detection; rows of different ones are never compared."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    """One of `protocol.PROTOCOLS`; of what others published also `vga` (resized into 640×480) or
    `not stated`."""
    score_threshold: float | None = None
    nms_threshold: float | None = None


class Row(BaseModel):
    """One evaluation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    """When it was measured or, of what was published, when it was entered here."""
    source: Literal["measured", "published"]
    by: str = Field(min_length=1)
    """Who says so: `featherface`, or whose publication it is and where."""
    detector: str = Field(min_length=1)
    """Name in tables."""
    variant: str | None = None
    """Its name among `featherface.CONFIGS`, if it has one."""
    checkpoint: str | None = None
    checkpoint_sha256: str | None = Field(default=None, pattern=_SHA256)
    params: int | None = Field(default=None, gt=0)
    params_stated: str | None = None
    """The number of parameters as a publication prints it, where it is not exact."""
    protocol: Protocol
    runtime: str | None = None
    images: int = Field(gt=0, le=VALIDATION_IMAGES)
    images_sha256: str | None = Field(default=None, pattern=_SHA256)
    """Of the list of images, where they are not all of the validation set."""
    easy: float | None = Field(default=None, ge=0, le=1)
    medium: float | None = Field(default=None, ge=0, le=1)
    hard: float | None = Field(default=None, ge=0, le=1)
    mean: float | None = Field(default=None, ge=0, le=1)
    boxes: int | None = Field(default=None, ge=0)
    epoch: int | None = Field(default=None, ge=0)
    """Of the training that the checkpoint is from, where it is known."""
    versions: dict[str, str] | None = None
    device: str | None = None
    remarks: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.images == VALIDATION_IMAGES) != (self.images_sha256 is None):
            raise ValueError(
                f"images_sha256 goes with fewer than {VALIDATION_IMAGES:,} images, and only with "
                "them: name the subset"
            )
        if self.source == "measured":
            needed = ("checkpoint_sha256", "boxes", "runtime", "versions", "device", *SUBSETS)
            missing = [name for name in needed if getattr(self, name) is None]
            if missing:
                raise ValueError(f"a measured row without {', '.join(missing)}")
        if self.mean is None and None in (self.easy, self.medium, self.hard):
            raise ValueError("neither a mean nor all of easy, medium and hard")
        return self

    @property
    def average(self) -> float:
        """The mean of the three subsets, as given or, where it is not, computed."""
        if self.mean is not None:
            return self.mean
        return float(sum(getattr(self, name) for name in SUBSETS)) / len(SUBSETS)

    @property
    def comparable(self) -> tuple[str, str | None]:
        """Rows with the same of this may stand in one table: protocol and images."""
        return self.protocol.name, self.images_sha256


def title(protocol: str, images: int) -> str:
    """Return the title of a figure of AP."""
    partial = "" if images == VALIDATION_IMAGES else "a subset of "
    return f"WIDER FACE val, {partial}{images:,} images, protocol {protocol}"


def append(row: Row, path: str | Path = HISTORY) -> None:
    """Add a row at the end; see `featherface.records.append`."""
    records.append(path, row.model_dump(mode="json"))


def read(path: str | Path = HISTORY) -> list[Row]:
    """Return all rows, oldest first; none where there is no file.

    Raises:
        InputError: for the first line that is not a row, by its number.
    """
    return [
        checked(record, f"{path}, line {number}")
        for number, record in enumerate(records.read(path), start=1)
    ]


def checked(fields: dict[str, Any], where: str) -> Row:
    """Return the row with these fields, or an `InputError` that starts with `where`."""
    try:
        return Row.model_validate(fields)
    except ValidationError as error:
        raise InputError(f"{where}: {first_error(error)}") from None


def first_error(error: ValidationError) -> str:
    """Return the first field that pydantic refuses, if it is one, and the reason."""
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    reason = first["msg"].removeprefix("Value error, ")
    return f"{field}: {reason}" if field else reason


def latest(rows: Iterable[Row]) -> list[Row]:
    """Return the last of the rows about the same weights, protocol, images, runtime and source."""
    last: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        about = (row.source, row.by, row.detector, row.checkpoint_sha256, row.runtime)
        last[(*about, *row.comparable)] = row
    return list(last.values())


def expect(
    what: str, evaluated: dict[str, Any], protocol: str, path: str | Path = HISTORY
) -> dict[str, Any]:
    """Return the AP expected of an evaluation: `easy`, `medium`, `hard` as fractions, `source`.

    `what` is a detector of the history, of whose rows the last measured one counts, else a
    published one; or else a file that `featherface widerface evaluate --json` wrote; or three
    fractions with commas. It must be of the same images and protocol.

    Raises:
        InputError: where nothing of that name is known for these images and this protocol.
    """
    if "," in what or re.fullmatch(r"[-+.\d;%\s]+", what):  # or what was to be three numbers
        return _expectation(what.split(","), "as given", f"expect (={what!r})")
    is_file = Path(what).suffix == ".json"
    history = [] if is_file else latest(read(path))
    named = any(what in (row.detector, row.checkpoint) for row in history)
    if is_file or (not named and os.path.isfile(what)):  # noqa: PTH113 - false for an impossible name
        return _expectation(_recorded(Path(what), evaluated, protocol), what, what)
    images = evaluated["subset"]["sha256"] if evaluated["subset"] else None
    comparable = [
        row
        for row in history
        if (*row.comparable, row.images) == (protocol, images, evaluated["images"])
        and None not in (row.easy, row.medium, row.hard)
    ]
    rows = [row for row in comparable if what in (row.detector, row.checkpoint)]
    if not rows:
        known = dict.fromkeys(row.detector for row in comparable)
        raise InputError(
            f"{path}: no AP of {what!r} on these {evaluated['images']:,} images under the protocol "
            f"{protocol!r}, {among(what, known) if known else 'nor of any other detector'}; "
            "`featherface widerface track` adds one"
        )
    row = ([row for row in rows if row.source == "measured"] or rows)[-1]
    source = f"{row.source} {row.date}, {row.by}"
    return _expectation((getattr(row, name) for name in SUBSETS), source, str(path))


def falls(evaluated: dict[str, Any], expected: dict[str, Any], tolerance: float) -> list[str]:
    """Return a line for each subset whose AP is more than `tolerance` below what is expected."""
    if not tolerance >= 0 or math.isinf(tolerance):
        raise InputError(f"tolerance (={tolerance}) must be a number from 0 up")
    return [
        f"{name}: AP is {'undefined' if evaluated[name] is None else f'{evaluated[name]:.6f}'}, "
        f"expected {expected[name]:.6f} - {tolerance:g} ({expected['source']})"
        for name in SUBSETS
        if evaluated[name] is None or evaluated[name] < expected[name] - tolerance
    ]


def _recorded(path: Path, evaluated: dict[str, Any], protocol: str) -> list[Any]:
    content = read_bytes(path)
    try:
        record = json.loads(content)
        values, images = [record[name] for name in SUBSETS], (record["images"], record["subset"])
        made = record.get("predicted_by") or {"protocol": {"name": protocol}}
        stated = made["protocol"]["name"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise InputError(
            f"{path}: not the record of an evaluation, which `widerface evaluate --json` writes"
        ) from None
    if images != (evaluated["images"], evaluated["subset"]):
        raise InputError(f"{path}: an evaluation of other images")
    if stated != protocol:
        raise InputError(
            f"{path}: of predictions under the protocol {stated!r}, not {protocol!r} as these"
        )
    return values


def _expectation(values: Iterable[Any], source: str, where: str) -> dict[str, Any]:
    try:
        expected = dict(zip(SUBSETS, map(float, values), strict=True))
        if not all(0 <= value <= 1 for value in expected.values()):
            raise ValueError("not within 0 to 1")
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where} must be three AP from 0 to 1, as 0.92,0.90,0.78") from None
    return {**expected, "source": source}


def trainings(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Yield variants with the checkpoints of their training, the last one among them."""
    series: dict[tuple[Any, ...], list[Row]] = {}
    for row in latest(rows):
        if row.source == "measured" and row.variant:
            series.setdefault((row.variant, row.runtime, *row.comparable), []).append(row)
    for (variant, *_), checkpoints in series.items():
        if any(row.epoch is not None for row in checkpoints):
            yield variant, checkpoints
