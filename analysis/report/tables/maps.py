"""Tables of what attention and offsets do, for a terminal; records in, rich tables out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

Record = Mapping[str, Any]


def headline(record: Record) -> str:
    """Picture, weights and faces in a line, and where sampling points are shown."""
    picture, faces = record["picture"], record["faces"]
    found = f"{len(faces)} face{'' if len(faces) == 1 else 's'} above {record['score_threshold']:g}"
    size = f"{picture['width']}×{picture['height']}"
    high, wide = picture["input"]
    if (high, wide) != (picture["height"], picture["width"]):
        size += f", {wide}×{high} at the network"
    places = {
        "given": "the positions given",
        "faces": f"the best {len(record['positions'])} of them",
        "strongest anchor": "the best anchor's box, as there is no face "
        f"(it scores {record['strongest']['score']:.3f})",
    }[record["positions_from"]]
    line = f"{picture['name']} ({size}), {record['weights']}: {found}"
    return f"{line}; sampling points at {places}" if record["context"] else line


def tables(record: Record) -> Iterator[Table]:
    """Attention, context and effects; where the network lacks one, its table is left out."""
    if record["attention"]:
        yield attention(record)
    if record["context"]:
        yield context(record)
    yield effects(record)


def attention(record: Record) -> Table:
    """Gates inside and outside faces, and mean absolute activation before and after."""
    table = _table(
        "Attention: mean gates and activations (all, in faces / outside)",
        ("stage", "level"),
        ("spatial", "in / outside", "channel", "before", "in / outside"),
        ("after", "in / outside", "added", "in / outside"),
    )
    for row in record["attention"]:
        spatial = {w: v and v["mean"] for w, v in row["spatial"].items()}
        activation = row["activation"]
        table.add_row(
            row["stage"].removesuffix("_attention"),
            row["level"].upper(),
            *_three(spatial),
            f"{row['channel']['mean']:.3f}",
            *_three(activation["before"]),
            *_three(activation["after"]),
            *_three(row["gain"]),
        )
    return table


def context(record: Record) -> Table:
    """Reach, displacement and masks of each level and branch."""
    table = _table(
        "Deformable context: means in cells of the level (all, in faces / outside)",
        ("level", "branch"),
        ("displacement", "in / outside", "reach", "in / outside", "drift", "in / outside"),
        ("mask", "in / outside", "adaptive"),
    )
    for row in record["context"]:
        cells: list[str] = []
        for key in ("displacement", "reach", "drift", "mask"):
            means = {w: v and v["mean"] for w, v in (row[key] or {}).items()}
            cells += _three(means) if means else ("–", "–")
        table.add_row(row["level"].upper(), row["branch"], *cells, f"{row['adaptive']:.0%}")
    return table


def effects(record: Record) -> Table:
    """Scores, boxes and faces with each part held still."""
    count = len(record["faces"])
    table = _table(
        f"Held still: {count} face{'' if count == 1 else 's'}"
        + ("" if count else f", the best anchor scores {record['strongest']['score']:.3f}"),
        ("what",),
        ("found", "new", "mean score before", "after", "mean IoU", "best anchor"),
    )
    for row in record["effects"]:
        table.add_row(
            row["title"],
            f"{row['found']} of {count}",
            str(row["new"]),
            *(_number(row[key]) for key in ("mean_score_before", "mean_score", "mean_iou")),
            _number(row["best_score"]),
        )
    return table


def _table(title: str, left: tuple[str, ...], *right: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in left:
        table.add_column(name)
    for names in right:
        for name in names:
            table.add_column(name, justify="right")
    return table


def _three(means: Mapping[str, float | None]) -> tuple[str, str]:
    return _number(means["all"]), f"{_number(means['inside'])} / {_number(means['outside'])}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
