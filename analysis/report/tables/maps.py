"""Tables of what attention and offsets do on an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from analysis.report import Record
from analysis.report.formats import MISSING, count, fixed
from analysis.report.table import Column, Table


def headline(record: Record) -> str:
    """Return image, weights and faces in a line, and where sampling points are shown."""
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
    """Yield attention, context and effects; a table of what the network lacks is left out."""
    if record["attention"]:
        yield attention(record)
    if record["context"]:
        yield context(record)
    yield effects(record)


def attention(record: Record) -> Table:
    """Return gates inside and outside faces, and mean absolute activations before and after."""
    return Table(
        "Attention: mean gates and activations (all, in faces / outside)",
        (
            Column("stage", lambda row: row["stage"].removesuffix("_attention")),
            _LEVEL,
            *_means("spatial", lambda row: row["spatial"]),
            Column("channel", "channel.mean", fixed(3)),
            *_means("before", lambda row: row["activation"]["before"]),
            *_means("after", lambda row: row["activation"]["after"]),
            *_means("added", lambda row: row["gain"]),
        ),
        record["attention"],
    )


def context(record: Record) -> Table:
    """Return reach, displacement and masks of each level and branch."""
    return Table(
        "Deformable context: means in cells of the level (all, in faces / outside)",
        (
            _LEVEL,
            Column("branch", "branch"),
            *_means("displacement", lambda row: row["displacement"]),
            *_means("reach", lambda row: row["reach"]),
            *_means("drift", lambda row: row["drift"]),
            *_means("mask", lambda row: row["mask"] or {}),
            Column("adaptive", "adaptive", lambda value: f"{100 * value:.0f} %"),
        ),
        record["context"],
    )


def effects(record: Record) -> Table:
    """Return scores, boxes and faces with each part ablated."""
    faces = len(record["faces"])
    strongest = f", the best anchor scores {record['strongest']['score']:.3f}" if not faces else ""
    return Table(
        f"{record['weights']} on {record['picture']['name']}, one part ablated at a time: "
        f"{faces} face{'s' * (faces != 1)}{strongest}",
        (
            Column("ablated", "title"),
            Column("where", "where"),
            Column("faces kept", lambda row: f"{row['found']} of {faces}"),
            Column("new", "new", str),
            Column("score before", "mean_score_before", fixed(4)),
            Column("after", "mean_score", fixed(4)),
            Column("IoU", "mean_iou", fixed(3)),
            Column("best anchor", "best_score", fixed(4)),
        ),
        record["effects"],
    )


def images(records: Sequence[Record]) -> Table:
    """Return what gates, offsets and ablations do on several images, a row an image."""

    def kept(key: str) -> Callable[[Record], str]:
        return lambda row: f"{row['effects'][key]['found']} of {row['faces']}"

    return Table(
        f"{records[0]['weights']}: faces kept with a part ablated, and how gates and reach differ "
        "inside faces",
        (
            Column("image", "name"),
            Column("faces", "faces", count),
            Column("offsets 0", kept("offsets-zero"), str),
            Column("masks 1", kept("masks-one"), str),
            Column("gates 0", kept("gates-zero"), str),
            Column("attention bypassed", kept("cbam-bypass"), str),
            Column(
                "mean gate lower in faces",
                lambda row: f"{row['gates_lower_in_faces']} of {row['gates']} maps",
                str,
            ),
            Column(
                "points reach farther in faces",
                lambda row: f"{row['reach_farther_in_faces']} of {row['convolutions']}",
                str,
            ),
        ),
        records,
    )


_LEVEL = Column("level", lambda row: row["level"].upper())


def _means(title: str, values: Callable[[Record], Record]) -> tuple[Column, Column]:
    """Return columns of the mean everywhere, and of those in faces and outside."""

    def mean(row: Record, where: str) -> Any:
        found = values(row).get(where)
        return found["mean"] if isinstance(found, Mapping) else found

    def both(row: Record) -> str:
        means = (mean(row, where) for where in ("inside", "outside"))
        return " / ".join(MISSING if value is None else fixed(3)(value) for value in means)

    return (
        Column(title, lambda row: mean(row, "all"), fixed(3)),
        Column("in / outside", both, str),
    )
