"""The history of AP and what changed in it, as tables for a terminal. Takes records alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from analysis.widerface.ground_truth import SUBSETS


def rows(records: Sequence[Mapping[str, Any]]) -> Table:
    """Rows of the history; see `analysis.widerface.history.Row`."""
    table = Table(title="AP on WIDER FACE val", title_justify="left", title_style="bold")
    table.add_column("detector")
    table.add_column("protocol")
    table.add_column("runtime")
    for name in ("pictures", "easy", "medium", "hard", "mean", "boxes"):
        table.add_column(name, justify="right")
    for record in records:
        partial = "" if record["images_sha256"] is None else " (subset)"
        table.add_row(
            record["detector"],
            record["protocol"]["name"],
            record["runtime"] or "",
            f"{record['images']:,}{partial}",
            *(_ap(record[name]) for name in (*SUBSETS, "mean")),
            "" if record["boxes"] is None else f"{record['boxes']:,}",
        )
    return table


def comparison(record: Mapping[str, Any], limit: int) -> Iterator[Table | str]:
    """What changed from A to B; see `analysis.widerface.comparison.compare`.

    Args:
        limit: show so many faces and images of each list.
    """
    scores = record["scores"]
    yield f"A: {record['a']}, read at score {scores['a']:g}"
    yield f"B: {record['b']}, read at score {scores['b']:g}"
    yield _subsets(record["subsets"])
    heights = [
        {
            **one,
            "name": f"{one['from']:g} up"
            if one["to"] is None
            else f"{one['from']:g}–{one['to']:g}",
        }
        for one in record["heights"]
    ]
    yield _side_by_side("AP by height of the face in pixels (Hard)", "height", heights)
    known = [one for one in record["events"] if one["difference"] is not None]
    events = [{**one, "name": one["event"]} for one in known]
    moved = sorted(events, key=lambda one: -abs(one["difference"]))[:limit]
    yield _side_by_side(f"The {len(moved)} events that moved most (AP on Hard)", "event", moved)
    yield _images(record["pictures"], limit)
    for key, who in (("gained", "B found, A did not"), ("lost", "A found, B did not")):
        yield _faces(record[key], f"Tallest of {len(record[key]):,} faces that {who}", limit)


def _subsets(subsets: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("By subset")
    table.add_column("")
    for name in ("AP of A", "AP of B", "difference", "both", "only A", "only B", "neither"):
        table.add_column(name, justify="right")
    table.add_column("false alarms A", justify="right")
    table.add_column("false alarms B", justify="right")
    for name, one in subsets.items():
        counts = [one[key] for key in ("both", "only_a", "only_b", "neither")]
        table.add_row(
            name,
            _ap(one["a"]),
            _ap(one["b"]),
            _signed(one["difference"]),
            *(f"{count:,}" for count in (*counts, *one["false_alarms"].values())),
        )
    return table


def _side_by_side(title: str, name: str, records: Sequence[Mapping[str, Any]]) -> Table:
    table = _table(title)
    table.add_column(name)
    for column in ("faces", "AP of A", "AP of B", "difference"):
        table.add_column(column, justify="right")
    for one in records:
        table.add_row(
            one["name"],
            f"{one['faces']:,}",
            _ap(one["a"]),
            _ap(one["b"]),
            _signed(one["difference"]),
        )
    return table


def _images(records: Sequence[Mapping[str, Any]], limit: int) -> Table:
    table = _table(f"{len(records):,} images where the number of found faces differs")
    table.add_column("picture")
    for column in ("faces", "found by A", "found by B"):
        table.add_column(column, justify="right")
    for one in records[:limit]:
        table.add_row(one["picture"], *(f"{one[key]:,}" for key in ("faces", "a", "b")))
    return table


def _faces(records: Sequence[Mapping[str, Any]], title: str, limit: int) -> Table:
    table = _table(title)
    for column in ("picture", "x, y, width, height", "subsets"):
        table.add_column(column)
    for one in records[:limit]:
        box = ", ".join(f"{value:g}" for value in one["box"])
        table.add_row(one["picture"], box, ", ".join(one["subsets"]) or "none")
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold")


def _ap(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}".replace("-", "−")
