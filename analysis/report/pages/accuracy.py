"""WIDER FACE: every recorded average precision, with a table for each protocol."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from html import escape
from operator import attrgetter

import yaml

from analysis.report.formats import count, fixed
from analysis.report.pages.html import fold, themed, words
from analysis.report.pages.records import Records
from analysis.report.plots import findings
from analysis.report.table import Cell, Column, Table, code
from analysis.widerface.ground_truth import SUBSETS, VALIDATION_IMAGES
from analysis.widerface.history import Row, checked, trainings
from analysis.widerface.protocol import PROTOCOLS

_SHORTER, _LONGER = PROTOCOLS["1600"].longest or (0, 0)
_WORDS = yaml.safe_load(
    words("accuracy.yaml", original=PROTOCOLS["original"], shorter=_SHORTER, longer=_LONGER)
)
SECTIONS: dict[str, tuple[str, str]] = _WORDS["protocols"]
"""The protocols by name, in the order of the page: a title, and what is done."""


def lead(records: Records) -> str:
    """Return how near `official` comes to what its trainer recorded, on all images."""
    found = {
        row.source: row
        for row in _rows(records)
        if row.comparable == ("original", None) and row.detector == "official"
    }
    ours, theirs = (
        [100 * getattr(found[source], name) for name in SUBSETS]
        for source in ("measured", "published")
    )
    return words(
        "widerface-lead.md",
        ours=_listed(ours, ".4f"),
        images=found["measured"].images,
        theirs=_listed(theirs, "g"),
        most=max(abs(a - b) for a, b in zip(ours, theirs, strict=True)),
    )


def _listed(values: Sequence[float], spec: str) -> str:
    return " / ".join(f"{value:{spec}}" for value in values)


def _rows(records: Records) -> list[Row]:
    path, rows = records.docs / "results" / "widerface.jsonl", records["widerface.jsonl"]
    return [checked(dict(row), f"{path}, line {at}") for at, row in enumerate(rows, start=1)]


def results(records: Records) -> str:
    """Return a table for each protocol and set of images."""
    groups: dict[tuple[bool, str], list[Row]] = {}
    for row in _rows(records):
        groups.setdefault((row.images != VALIDATION_IMAGES, row.protocol.name), []).append(row)
    others = sorted({name for _, name in groups} - SECTIONS.keys())
    order = itertools.product((False, True), [*SECTIONS, *others])
    return "\n\n".join(_section(*group, groups[group]) for group in order if group in groups)


def _section(subset: bool, protocol: str, rows: Sequence[Row]) -> str:
    title, how = SECTIONS.get(protocol, (protocol[:1].upper() + protocol[1:], ""))
    if not subset:
        how = f"{how} On all {VALIDATION_IMAGES:,} validation images.".strip()
        return f"## {title}\n\n{how}\n\n{_table(title, rows).html()}"
    title = f"{title}, a subset"
    images = Column("images", attrgetter("images"), count)
    return (
        f"## {title}\n\n{how}\n\n"
        '<p class="ff-note"><strong>A subset.</strong> Comparable with rows of the same images '
        "only, and never evidence for a published figure.</p>\n\n"
        f"{_table(title, rows, images).html()}"
    )


def _table(title: str, rows: Sequence[Row], *more: Column) -> Table:
    percent = fixed(2, 0.01)
    return Table(
        f"Average precision. {title}. The mean is of the three subsets, where all are known",
        (
            Column("detector", _detector),
            Column(
                "parameters", lambda row: count(row.params) if row.params else row.params_stated
            ),
            *(Column(name, attrgetter(name), percent, unit="%") for name in SUBSETS),
            Column("mean", attrgetter("average"), percent, unit="%"),
            *more,
            Column("source", _source, width=1),
        ),
        sorted(rows, key=lambda row: (row.source != "measured", -row.average)),
    )


def _detector(row: Row) -> Cell:
    epoch = "" if row.epoch is None else f" epoch {row.epoch}"
    shown = code(row.detector).html if row.variant else escape(row.detector)
    return Cell(row.detector + epoch, shown + epoch)


def _source(row: Row) -> Cell:
    measured = f"measured, {row.runtime}, {row.date}"
    text = measured if row.source == "measured" else f"published: {row.by}"
    return Cell(text, note="; ".join(row.remarks))


def _finding(records: Records, name: str) -> str:
    """The finding of a figure; see `analysis.report.results` for the records that it draws."""
    _, kind, *variant = name.split("-", 2)
    if variant:
        rows = dict(trainings(_rows(records)))[variant[0]]
        return findings.training([row.model_dump(mode="json") for row in rows])
    recorded = records["widerface-breakdown.json"]
    whole = [record for record in recorded if record["images_sha256"] is None]
    detectors = (whole or recorded)[-1]["detectors"]
    of_detectors = {"curves": findings.curves, "height": findings.by_height}
    return of_detectors.get(kind, findings.by_event)(detectors)


def curves(records: Records) -> str:
    """Return the figures of the recorded curves."""
    shown = []
    for name, title in _WORDS["figures"].items():
        if (records.docs / "figures" / f"{name}.svg").exists():
            alt = f"{title}. {_finding(records, name)}"
            figure = themed(records.docs, name, alt)
            # The largest figure is loaded when somebody opens it.
            shown.append(fold(escape(alt), figure) if name == "widerface-events" else figure)
    return "\n".join(shown)
