"""The history of average precision on WIDER FACE: one row an evaluation, only ever added to.

What was measured here and what others published are rows of the same form, so that one table can
show both. What must not be compared is kept apart by two fields: the protocol under which
pictures went through the detector, and the pictures themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from featherface import records
from featherface.errors import InputError

HISTORY = Path(__file__).resolve().parents[2] / "docs" / "results" / "widerface.jsonl"
"""The project's own history."""

VALIDATION_PICTURES = 3226
"""Pictures in the validation set; AP on fewer is another quantity."""

SUBSETS = ("easy", "medium", "hard")

_SHA256 = r"^[0-9a-f]{64}$"


class Protocol(BaseModel):
    """How pictures went through a detector; rows of different protocols are never compared."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    """`original` (the size of the picture, once), `1600` (shorter side 1600, longer up to 2150),
    `multi-scale` (several sizes and their mirror images), `vga` (into 640×480), or `not stated`."""
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
    """What a table calls it."""
    variant: str | None = None
    """Its name among `featherface.CONFIGS`, if it has one."""
    checkpoint: str | None = None
    checkpoint_sha256: str | None = Field(default=None, pattern=_SHA256)
    params: int | None = Field(default=None, gt=0)
    params_stated: str | None = None
    """The number of parameters as a publication prints it, where it is not exact."""
    protocol: Protocol
    runtime: str | None = None
    images: int = Field(gt=0, le=VALIDATION_PICTURES)
    images_sha256: str | None = Field(default=None, pattern=_SHA256)
    """Of the list of pictures, where they are not all of the validation set."""
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
        if (self.images == VALIDATION_PICTURES) != (self.images_sha256 is None):
            raise ValueError("images_sha256 goes with fewer than all pictures, and only with them")
        given = [getattr(self, name) for name in SUBSETS]
        if self.source == "measured":
            needed = {
                "checkpoint_sha256": self.checkpoint_sha256,
                "boxes": self.boxes,
                "runtime": self.runtime,
                "versions": self.versions,
                "device": self.device,
                **dict(zip(SUBSETS, given, strict=True)),
            }
            missing = [name for name, value in needed.items() if value is None]
            if missing:
                raise ValueError(f"a measured row without {', '.join(missing)}")
        if self.mean is None and None in given:
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
        """Rows with the same of this may stand in one table: protocol and pictures."""
        return self.protocol.name, self.images_sha256


def title(protocol: str, images: int) -> str:
    """What a figure of AP is headed with."""
    partial = "" if images == VALIDATION_PICTURES else "a subset of "
    return f"WIDER FACE val, {partial}{images:,} pictures, protocol {protocol}"


def append(row: Row, path: str | Path = HISTORY) -> None:
    """Add a row at the end; two processes that do so at once lose nothing.

    Raises:
        InputError: where it cannot be written, or where the file's last line is damaged.
    """
    records.append(path, row.model_dump(mode="json"))


def read(path: str | Path = HISTORY) -> list[Row]:
    """All rows, oldest first; none where there is no file.

    Raises:
        InputError: for the first line that is not a row, by its number.
    """
    return [
        _row(record, f"{path}, line {number}")
        for number, record in enumerate(records.read(path), start=1)
    ]


def latest(rows: Iterable[Row]) -> list[Row]:
    """Of rows about the same weights, protocol, pictures, runtime and source the last one.

    In the order in which these were first seen.
    """
    last: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        about = (row.source, row.by, row.detector, row.checkpoint_sha256, row.runtime)
        last[(*about, *row.comparable)] = row
    return list(last.values())


def _row(record: dict[str, Any], where: str) -> Row:
    try:
        return Row.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(f"{where}: {field + ': ' if field else ''}{first['msg']}") from error
