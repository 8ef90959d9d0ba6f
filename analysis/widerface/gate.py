"""Comparison of AP with what is expected of it, for CI, which must fail the day it falls."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from analysis.widerface import history
from analysis.widerface.ground_truth import SUBSETS
from featherface.errors import InputError
from featherface.files import read_bytes


def expect(
    what: str, evaluated: dict[str, Any], protocol: str, path: str | Path = history.HISTORY
) -> dict[str, Any]:
    """Return the AP expected of an evaluation: `easy`, `medium`, `hard` as fractions, `source`.

    Args:
        what: a detector of the history (`official`, say), a file that `featherface widerface
            evaluate --json` wrote, or three fractions with commas.
        evaluated: the record of the evaluation; what is expected must be of the same images.
        protocol: by which its predictions were made; what is expected must be of the same.
        path: the history. Of several rows the last measured one counts, else a published one.

    Raises:
        InputError: where nothing of that name is known for these images and this protocol.
    """
    if "," in what:
        return _expectation(what.split(","), "as given", f"expect (={what!r})")
    if Path(what).suffix == ".json":
        return _expectation(_recorded(Path(what), evaluated, protocol), what, what)
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
    source = f"{row.source} {row.date}, {row.by}"
    return _expectation((getattr(row, name) for name in SUBSETS), source, str(path))


def falls(evaluated: dict[str, Any], expected: dict[str, Any], tolerance: float) -> list[str]:
    """Return a line for each subset whose AP is more than `tolerance` below what is expected.

    Raises:
        InputError: for a tolerance below 0 or that is no number.
    """
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
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not the record of an evaluation: {error!r}") from error
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
    except (TypeError, ValueError) as error:
        raise InputError(f"{where} must be three AP from 0 to 1, as 0.92,0.90,0.78") from error
    return {**expected, "source": source}
