"""Tables of average precision on WIDER FACE: an evaluation, the history, a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.report import Record
from analysis.report.formats import count, fixed, signed
from analysis.report.table import Column, Table
from analysis.widerface.ground_truth import SUBSETS

_AP = fixed(5)


def headline(record: Record, source: str) -> str:
    """Return one line: what was evaluated."""
    subset = record["subset"]
    part = f" (a subset, {subset['sha256'][:12]})" if subset else ""
    return f"{source}: {record['images']:,} images{part}, {record['boxes']:,} boxes"


def evaluation(record: Record) -> Table:
    """Return AP and faces by subset; see `average_precision.Evaluation.as_dict`."""
    return Table(
        "",
        (Column("subset", "name"), Column("faces", "faces", count), Column("AP", "ap", _AP)),
        [{"name": name, "faces": record["faces"][name], "ap": record[name]} for name in SUBSETS],
        totals=({"name": "mean", "ap": record["mean"]},),
    )


def heights(records: Sequence[Record]) -> Table:
    """Return AP by height of the face; see `breakdown.by_height`."""
    counts = (Column(name, name, count) for name in ("faces", "found"))
    columns = (Column("pixels", span), *counts, Column("AP", "ap", _AP))
    return Table("Hard, by height of the face", columns, records)


def events(records: Sequence[Record]) -> Table:
    """Return AP by event; see `breakdown.by_event`."""
    return Table(
        "By event",
        (
            Column("event", "event"),
            Column("images", "pictures", count),
            Column("boxes", "boxes", count),
            Column("faces", "faces.hard", count),
            *(Column(name, name, _AP) for name in SUBSETS),
        ),
        [record for record in records if record["pictures"]],
    )


def history(records: Sequence[Record]) -> Table:
    """Return rows of the history; see `history.Row`."""
    return Table(
        "AP on WIDER FACE val",
        (
            Column("detector", "detector"),
            Column("protocol", "protocol.name"),
            Column("runtime", "runtime"),
            Column("images", _images, str),
            *(Column(name, name, _AP) for name in (*SUBSETS, "mean")),
            Column("boxes", "boxes", count),
        ),
        records,
    )


def comparison(record: Record, limit: int) -> Iterator[Table | str]:
    """Yield what changed from A to B; see `comparison.compare`.

    Args:
        limit: show so many faces, images and events.
    """
    for name in ("a", "b"):
        yield f"{name.upper()}: {record[name]}, read at score {record['scores'][name]:g}"
    yield Table(
        "By subset",
        (
            Column("subset", "name"),
            *_DIFFERENCE,
            *(
                Column(key.replace("_", " "), key, count)
                for key in ("both", "only_a", "only_b", "neither")
            ),
            Column("false alarms A", "false_alarms.a", count),
            Column("false alarms B", "false_alarms.b", count),
        ),
        [{"name": name, **one} for name, one in record["subsets"].items()],
    )
    faces = Column("faces", "faces", count)
    title = "AP by height of the face (Hard)"
    yield Table(title, (Column("pixels", span), faces, *_DIFFERENCE), record["heights"])
    known = [one for one in record["events"] if one["difference"] is not None]
    moved = sorted(known, key=lambda one: -abs(one["difference"]))[:limit]
    title = f"The {len(moved)} events that moved most (AP on Hard)"
    yield Table(title, (Column("event", "event"), faces, *_DIFFERENCE), moved)
    image = Column("image", "picture")
    yield Table(
        f"{len(record['pictures']):,} images where the number of found faces differs",
        (image, faces, Column("found by A", "a", count), Column("found by B", "b", count)),
        record["pictures"][:limit],
    )
    for key, who in (("gained", "B found, A did not"), ("lost", "A found, B did not")):
        yield Table(
            f"Tallest of {len(record[key]):,} faces that {who}",
            (
                image,
                Column("x, y, width, height", lambda one: ", ".join(f"{v:g}" for v in one["box"])),
                Column("subsets", lambda one: ", ".join(one["subsets"]) or "none"),
            ),
            record[key][:limit],
        )


_DIFFERENCE = (
    Column("AP of A", "a", fixed(4)),
    Column("AP of B", "b", fixed(4)),
    Column("difference", "difference", signed(".4f")),
)


def span(bucket: Record) -> str:
    """Return the heights of a bucket as text: "30–50", or "400 up"."""
    end = " up" if bucket["to"] is None else f"–{bucket['to']:g}"
    return f"{bucket['from']:g}{end}"


def _images(record: Record) -> str:
    return f"{record['images']:,}{'' if record['images_sha256'] is None else ' (subset)'}"
