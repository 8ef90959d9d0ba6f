"""Comparison of AP with what is expected of it, for CI, which must fail the day it falls."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.widerface import history
from analysis.widerface.ground_truth import SUBSETS
from featherface.errors import InputError
from featherface.files import read_bytes


@dataclass(frozen=True)
class Expectation:
    """AP that an evaluation should reach, as fractions, and who says so."""

    easy: float
    medium: float
    hard: float
    source: str


def expect(
    what: str, evaluated: dict[str, Any], protocol: str, path: str | Path = history.HISTORY
) -> Expectation:
    """Return what is expected of an evaluation.

    Args:
        what: a detector of the history (`official`, say), a file that `featherface widerface
            evaluate --json` wrote, or three fractions with commas.
        evaluated: the record of the evaluation; what is expected must be of the same images.
        protocol: by which its predictions were made. A row, or a record, of another one is no
            expectation.
        path: the history. Of several rows the last measured one counts, else a published one.

    Raises:
        InputError: where nothing of that name is known for these images and this protocol.
    """
    if "," in what:
        return _from_numbers(what)
    if Path(what).suffix == ".json":
        return _from_record(Path(what), evaluated, protocol)
    images = evaluated["subset"]["sha256"] if evaluated["subset"] else None
    rows = [
        row
        for row in history.latest(history.read(path))
        if what in (row.detector, row.checkpoint)
        and row.comparable == (protocol, images)
        and None not in (row.easy, row.medium, row.hard)
    ]
    if not rows:
        which = "all images" if images is None else f"these {evaluated['images']} images"
        raise InputError(
            f"{path}: no AP of {what!r} on {which} under the protocol {protocol!r}; "
            "`featherface widerface track` adds one"
        )
    row = ([row for row in rows if row.source == "measured"] or rows)[-1]
    easy, medium, hard = (float(getattr(row, name)) for name in SUBSETS)
    return Expectation(easy, medium, hard, f"{row.source} {row.date}, {row.by}")


def falls(evaluated: dict[str, Any], expected: Expectation, tolerance: float) -> list[str]:
    """Return a line for each subset whose AP is more than `tolerance` below what is expected.

    Raises:
        InputError: for a tolerance below 0 or that is no number.
    """
    if not tolerance >= 0 or math.isinf(tolerance):
        raise InputError(f"tolerance (={tolerance}) must be a number from 0 up")
    lines = []
    for name in SUBSETS:
        is_now, should_be = evaluated[name], getattr(expected, name)
        if is_now is None or is_now < should_be - tolerance:
            now = "undefined" if is_now is None else f"{is_now:.6f}"
            lines.append(
                f"{name}: AP is {now}, expected {should_be:.6f} - {tolerance:g} ({expected.source})"
            )
    return lines


def _from_numbers(what: str) -> Expectation:
    try:
        easy, medium, hard = map(float, what.split(","))
    except ValueError as error:
        raise InputError(f"expect (={what!r}) must be three AP, as 0.92,0.90,0.78") from error
    return _checked(Expectation(easy, medium, hard, "as given"), f"expect (={what!r})")


def _from_record(path: Path, evaluated: dict[str, Any], protocol: str) -> Expectation:
    try:
        record = json.loads(read_bytes(path))
        easy, medium, hard = (float(record[name]) for name in SUBSETS)
        images = record["images"], record["subset"]
        made = record.get("predicted_by") or {"protocol": {"name": protocol}}
        stated = made["protocol"]["name"]
    except InputError:
        raise
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not the record of an evaluation: {error!r}") from error
    if images != (evaluated["images"], evaluated["subset"]):
        raise InputError(f"{path}: an evaluation of other images")
    if stated != protocol:
        raise InputError(
            f"{path}: of predictions under the protocol {stated!r}, not {protocol!r} as these"
        )
    return _checked(Expectation(easy, medium, hard, str(path)), str(path))


def _checked(expected: Expectation, where: str) -> Expectation:
    for name in SUBSETS:
        if not 0 <= getattr(expected, name) <= 1:
            raise InputError(f"{where}: {name} is not an AP between 0 and 1")
    return expected
