"""An evaluation on WIDER FACE as tables for a terminal. Takes its record alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from analysis.widerface.ground_truth import SUBSETS


def headline(record: Mapping[str, Any], source: str) -> str:
    """What was evaluated, in a line."""
    subset = record["subset"]
    images = f"{record['images']:,} images"
    if subset is not None:
        images += f" (a subset, {subset['sha256'][:12]})"
    return f"{source}: {images}, {record['boxes']:,} boxes"


def evaluation(record: Mapping[str, Any]) -> Table:
    """AP and faces by subset; see `analysis.widerface.average_precision.Evaluation.as_dict`."""
    table = Table()
    table.add_column("subset")
    table.add_column("faces", justify="right")
    table.add_column("AP", justify="right")
    for name in SUBSETS:
        table.add_row(name, f"{record['faces'][name]:,}", _ap(record[name]))
    table.add_section()
    table.add_row("mean", "", _ap(record["mean"]))
    return table


def heights(records: Sequence[Mapping[str, Any]]) -> Table:
    """AP by height of the face; see `analysis.widerface.breakdown.by_height`."""
    table = Table(title="Hard, by height of the face", title_justify="left", title_style="bold")
    for name in ("pixels", "faces", "found", "AP"):
        table.add_column(name, justify="right")
    for record in records:
        span = f"{record['from']:g}" + ("+" if record["to"] is None else f"–{record['to']:g}")
        table.add_row(span, f"{record['faces']:,}", f"{record['found']:,}", _ap(record["ap"]))
    return table


def events(records: Sequence[Mapping[str, Any]]) -> Table:
    """AP by event; see `analysis.widerface.breakdown.by_event`."""
    table = Table(title="By event", title_justify="left", title_style="bold")
    table.add_column("event")
    for name in ("pictures", "boxes", "faces", *SUBSETS):
        table.add_column(name, justify="right")
    for record in records:
        if record["pictures"]:
            table.add_row(
                record["event"],
                f"{record['pictures']:,}",
                f"{record['boxes']:,}",
                f"{record['faces']['hard']:,}",
                *(_ap(record[name]) for name in SUBSETS),
            )
    return table


def _ap(value: float | None) -> str:
    return "–" if value is None else f"{value:.5f}"
