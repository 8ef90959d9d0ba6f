"""WIDER FACE: every recorded average precision, with a table for each protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from analysis.report.formats import MISSING, count, fixed
from analysis.report.pages.figures import themed
from analysis.report.pages.html import missing
from analysis.report.pages.records import Record, Records
from analysis.report.table import Cell, Column, Table, code
from analysis.widerface.ground_truth import SUBSETS, VALIDATION_IMAGES

PROTOCOLS = {
    "original": (
        "Original size",
        "Each image once, at its size; score > 0.02, NMS 0.4; corners cut to whole pixels, as "
        "RetinaFace’s script does it.",
    ),
    "exact": ("Original size, exact boxes", "The same with boxes as the network computes them."),
    "authors": ("As the authors’ script", "Original size, boxes cut to whole pixels."),
    "1600": ("Resized to 1600", "The shorter side 1600 pixels, the longer at most 2150."),
    "multi-scale": ("Several scales", "Several sizes, each also mirrored, and box voting."),
    "vga": ("VGA", "Resized into 640×480."),
    "not stated": (
        "Protocol not stated",
        "The source does not say how images were resized.",
    ),
}
"""The protocols by name, in the order of the page: a title, and what is done."""

FIGURES = {
    "widerface-curves": "Precision against recall on Easy, Medium and Hard",
    "widerface-height": "Average precision by height of the face",
    "widerface-events": "Average precision by event",
    "widerface-training": "Average precision over the epochs of a training, on a subset",
}
"""Shown where they exist under docs/figures, with what each shows."""


def results(records: Records) -> str:
    """Return a table for each protocol and set of images."""
    rows = records.lines.get("widerface.jsonl", [])
    if not rows:
        return missing(
            "No average precision has been recorded yet.",
            "featherface widerface track official --images DIR --ground-truth DIR",
        )
    groups: dict[tuple[bool, str], list[Record]] = {}
    for row in rows:
        whole = row.get("images") == VALIDATION_IMAGES
        groups.setdefault((not whole, _protocol(row)), []).append(row)
    order = list(PROTOCOLS)

    def place(group: tuple[bool, str]) -> tuple[bool, int, str]:
        subset, name = group
        return subset, order.index(name) if name in order else len(order), name

    return "\n\n".join(_section(*group, groups[group]) for group in sorted(groups, key=place))


def _section(subset: bool, protocol: str, rows: Sequence[Record]) -> str:
    title, words = PROTOCOLS.get(protocol, (protocol[:1].upper() + protocol[1:], ""))
    if not subset:
        words = f"{words} On all {VALIDATION_IMAGES:,} validation images.".strip()
        return f"## {title}\n\n{words}\n\n{_table(title, rows).html()}"
    return (
        f"## {title}, a subset\n\n{words} On a subset of the images.\n\n"
        '<p class="ff-note"><strong>A subset.</strong> Comparable with rows of the same images '
        "only, and never evidence for a published figure.</p>\n\n"
        f"{_table(f'{title}, a subset', rows, Column('images', 'images', count)).html()}"
    )


def _protocol(row: Record) -> str:
    protocol = row.get("protocol")
    name = protocol.get("name") if isinstance(protocol, Mapping) else protocol
    return str(name or "not stated")


def _table(title: str, rows: Sequence[Record], *more: Column) -> Table:
    percent = fixed(2, 0.01)
    return Table(
        f"Average precision. {title}. The mean is of the three subsets, where all are known",
        (
            Column("detector", _who),
            Column("parameters", _params),
            *(Column(name, name, percent, unit="%") for name in SUBSETS),
            Column("mean", _mean, percent, unit="%"),
            *more,
            Column("source", _source, width=1),
        ),
        sorted(rows, key=lambda row: (row.get("source") != "measured", -(_mean(row) or 0))),
    )


def _mean(row: Record) -> float | None:
    """As recorded; calculated where it was not."""
    if row.get("mean") is not None:
        return float(row["mean"])
    known = [row[name] for name in SUBSETS if row.get(name) is not None]
    return sum(known) / len(known) if len(known) == len(SUBSETS) else None


def _who(row: Record) -> Cell:
    name = str(row.get("detector") or row.get("variant") or MISSING)
    epoch = f" epoch {row['epoch']}" if row.get("epoch") is not None else ""
    shown = code(name).html if row.get("variant") else escape(name)
    return Cell(name + epoch, shown + epoch)


def _params(row: Record) -> str:
    if row.get("params") is not None:
        return count(row["params"])
    return str(row.get("params_stated") or MISSING)


def _source(row: Record) -> Cell:
    if row.get("source") == "measured":
        words = ["measured", *(str(row[key]) for key in ("runtime", "date") if row.get(key))]
        text = ", ".join(words)
    else:
        text = f"published: {row.get('by') or 'the source is not stated'}"
    remarks = "; ".join(map(str, row.get("remarks") or ()))
    return Cell(text, note=remarks)


def curves(records: Records) -> str:
    """Return the figures of the recorded curves."""
    found = [
        themed(records.docs, name, alt, escape(alt))
        for name, alt in FIGURES.items()
        if (records.docs / "figures" / f"{name}.svg").exists()
    ]
    return "\n".join(found) or missing(
        "The curves are drawn from predictions, which need the weights and WIDER FACE’s images.",
        "featherface widerface predict --weights official --images WIDER_val/images --out found\n"
        "featherface widerface evaluate --predictions found --ground-truth ground_truth",
    )
