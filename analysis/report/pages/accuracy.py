"""WIDER FACE: every recorded average precision, by protocol, never mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from analysis.report.pages.figures import themed
from analysis.report.pages.html import Column, Html, missing, table
from analysis.report.pages.records import Record, Records
from analysis.widerface.ground_truth import SUBSETS, VALIDATION_IMAGES

PROTOCOLS = {
    "original": (
        "Original size",
        "Each image once, at its size; score > 0.02, NMS 0.4; corners cut to whole pixels, as "
        "RetinaFace's script does it.",
    ),
    "exact": ("Original size, exact boxes", "The same with boxes as the network computes them."),
    "authors": ("As the authors’ script", "Original size, boxes cut to whole pixels."),
    "1600": ("Resized to 1600", "The shorter side 1600 pixels, the longer at most 2150."),
    "multi-scale": ("Several scales", "Several sizes, each also mirrored, and box voting."),
    "vga": ("VGA", "Resized into 640×480."),
    "not stated": (
        "Protocol not stated",
        "How the pictures went through the detector is not said.",
    ),
}
"""The protocols by name, in the order of the page: a title, and what is done."""

FIGURES = {
    "widerface-curves": "Precision against recall on Easy, Medium and Hard",
    "widerface-curves-subset": "Precision against recall on Easy, Medium and Hard, on a subset",
    "widerface-height": "Average precision by height of the face",
    "widerface-events": "Average precision by event",
    "widerface-training": "Average precision over the epochs of a training, on a subset",
}
"""Shown where they exist under docs/figures, with what each shows."""


def results(records: Records) -> str:
    """A table for each protocol and set of pictures."""
    rows = records.lines.get("widerface.jsonl", [])
    if not rows:
        return missing(
            "No average precision has been recorded yet.",
            "featherface widerface evaluate --predictions DIR --ground-truth DIR",
        )
    groups: dict[tuple[str, bool], list[Record]] = {}
    for row in rows:
        groups.setdefault((_protocol(row), row.get("images") == VALIDATION_IMAGES), []).append(row)
    order = list(PROTOCOLS)
    parts = []
    for (name, whole), group in sorted(
        groups.items(), key=lambda item: (not item[0][1], _rank(order, item[0][0]), item[0][0])
    ):
        pictures = f"all {VALIDATION_IMAGES:,} validation images" if whole else "a subset of images"
        title, words = PROTOCOLS.get(name, (name[:1].upper() + name[1:], ""))
        warning = (
            ""
            if whole
            else '<p class="ff-note"><strong>A subset.</strong> Comparable with rows of the same '
            "pictures only, and never evidence for a published figure.</p>\n\n"
        )
        heading = title if whole else f"{title}, a subset"
        words = f"{words} On {pictures}.".strip()
        parts.append(f"## {heading}\n\n{words}\n\n{warning}{_table(title, group, whole)}")
    return "\n\n".join(parts)


def _protocol(row: Record) -> str:
    protocol = row.get("protocol")
    name = protocol.get("name") if isinstance(protocol, Mapping) else protocol
    return str(name or "not stated")


def _rank(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def _table(title: str, rows: Sequence[Record], whole: bool) -> str:
    ordered = sorted(rows, key=lambda row: (str(row.get("source")) != "measured", -_best(row)))
    lines = [
        (
            Html(_who(row)),
            _params(row),
            *(_percent(row.get(key)) for key in SUBSETS),
            _percent(_mean(row)),
            *(() if whole else (row.get("images"),)),
            Html(_source(row)),
        )
        for row in ordered
    ]
    columns = (
        Column("Detector", number=False),
        Column("Parameters"),
        Column("Easy", "%"),
        Column("Medium", "%"),
        Column("Hard", "%"),
        Column("Mean", "%"),
        *(() if whole else (Column("Pictures"),)),
        Column("Source", prose=True),
    )
    caption = f"Average precision. {title}. The mean is of the three, where all are known"
    return table(caption, columns, lines)


def _mean(row: Record) -> float | None:
    """As recorded; calculated where it was not."""
    if row.get("mean") is not None:
        return float(row["mean"])
    known = [row.get(key) for key in SUBSETS]
    return None if None in known else sum(map(float, known)) / len(known)  # type: ignore[arg-type]


def _best(row: Record) -> float:
    return _mean(row) or 0


def _who(row: Record) -> str:
    name = escape(str(row.get("detector") or row.get("variant") or "–"))
    epoch = f" epoch {row['epoch']}" if row.get("epoch") is not None else ""
    return (f"<code>{name}</code>" if row.get("variant") else name) + epoch


def _params(row: Record) -> str:
    if row.get("params") is not None:
        return f"{row['params']:,}"
    return str(row["params_stated"]) if row.get("params_stated") else "–"


def _percent(value: Any) -> str:
    return "–" if value is None else f"{100 * value:.2f}"


def _source(row: Record) -> str:
    remarks = "; ".join(map(str, row.get("remarks") or ()))
    if row.get("source") == "measured":
        runtime = row.get("runtime")
        words = "<b>measured</b>" + (f", {escape(str(runtime))}" if runtime else "")
        words += f", {escape(str(row['date']))}" if row.get("date") else ""
    else:
        words = f"published: {escape(str(row.get('by') or 'by whom is not said'))}"
    return words + (f" ({escape(remarks)})" if remarks else "")


def curves(records: Records) -> str:
    """The figures that there are."""
    found = [
        themed(records.docs, name, alt, escape(alt))
        for name, alt in FIGURES.items()
        if (records.docs / "figures" / f"{name}.svg").exists()
    ]
    return "\n".join(found) or missing(
        "The curves are drawn from predictions, which need the weights and WIDER FACE’s pictures.",
        "featherface widerface predict --weights official --images WIDER_val/images --out found\n"
        "featherface widerface evaluate --predictions found --ground-truth ground_truth",
    )
