"""If you build on FeatherFace: cost, accuracy and licence beside what else one would weigh."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import yaml

from analysis.report import Record
from analysis.report.formats import count, fixed
from analysis.report.pages import timing
from analysis.report.pages.accuracy import SECTIONS
from analysis.report.pages.html import themed, words
from analysis.report.pages.records import VARIANTS, Records
from analysis.report.table import Cell, Column, Table, code
from analysis.widerface.ground_truth import SUBSETS, VALIDATION_IMAGES
from featherface.files import read_text
from featherface.weights.published import PUBLISHED, SHIPPED

_PERCENT = fixed(1, 0.01)


def others() -> dict[str, Record]:
    """Return what others publish of their detectors, by name; see `detectors.yaml`."""
    found: dict[str, Record] = yaml.safe_load(read_text(Path(__file__).with_name("detectors.yaml")))
    return found


def _rows(records: Records) -> Iterator[dict[str, Any]]:
    """Our five from the records, then the others as published; `hard` and the like may be None."""
    for name, block in ((name, records.blocks[name]) for name in VARIANTS):
        measured = [row for row in _measured(records, name) if row["images"] == VALIDATION_IMAGES]
        yield {
            **(measured[-1] if measured else dict.fromkeys(SUBSETS)),
            "name": name,
            "params": block["params"],
            "macs": block["macs"],
            "cost": f"{block['macs'] / 1e9:.3f} GMAC",
            "variant": name,
            "licence": _licence(name),
            "source": "",
        }
    area = math.prod(records.blocks["official"]["input"][-2:])
    detectors = others()
    for row in records["widerface.jsonl"]:
        other = detectors.get(row["detector"])
        if other and row["source"] == "published":
            macs = other["size"] and other["flops"] * area / math.prod(other["size"])
            yield {**row, **other, "name": row["detector"], "macs": macs, "variant": None}


def _measured(records: Records, name: str) -> list[Record]:
    about = (name, "measured")
    rows = records["widerface.jsonl"]
    return [row for row in rows if (row["detector"], row["source"]) == about]


def _licence(weights: str) -> str:
    if weights in SHIPPED:
        return "MIT; data for research"
    return PUBLISHED[weights].licence if weights in PUBLISHED else "no weights"


def lead(records: Records) -> str:
    """Return the finding in a paragraph."""
    rows = {row["name"]: row for row in _rows(records)}
    ours, other = rows["official"], rows["YuNet_n"]
    ahead, behind = (
        " and ".join(f"{_PERCENT(row[subset])}\u00a0%" for subset in ("easy", "medium"))
        for row in (ours, other)
    )
    return words(
        "choose-lead.md",
        other=other["params"],
        ours=ours["params"],
        other_hard=_PERCENT(other["hard"]),
        our_hard=_PERCENT(ours["hard"]),
        ahead=ahead,
        behind=behind,
    )


def table(records: Records) -> str:
    """Return one table of our five networks and of others."""

    def name(row: Record) -> Cell:
        if not row["source"]:
            return code(row["name"])
        return Cell(row["name"], f'<a href="{row["source"]}">{escape(row["name"])}</a>')

    def params(row: Record) -> str | None:
        return count(row["params"]) if row["params"] else row.get("params_stated")

    def protocol(row: Record) -> str | None:
        if row["hard"] is None:
            return None
        who = "published" if row["source"] else "measured"
        return f"{SECTIONS[row['protocol']['name']][0]}, {who}"

    cpu, gpu = (timing.measured_last(records, device) for device in ("cpu", "cuda"))
    columns = (
        Column("detector", name),
        Column("parameters", params, str),
        Column("cost of an image", "cost"),
        timing.fastest("CPU", cpu, "onnx", "ms"),
        timing.fastest("GPU", gpu, "cuda-graph", "ms"),
        *(Column(subset.title(), subset, _PERCENT, unit="%") for subset in SUBSETS),
        Column("protocol", protocol),
        Column("licence", "licence"),
    )
    notes = words(
        "choose-notes.md",
        counted=records.blocks["retinaface"]["macs"] / 4e6,
        cpu=timing.machine_of(cpu),
        gpu=timing.machine_of(gpu),
        images=_measured(records, "v1")[-1]["images"],
    )
    caption = "Cost, accuracy on WIDER FACE val, and licence"
    return Table(caption, columns, list(_rows(records)), notes=notes.strip().split("\n\n")).html()


def charted(records: Records) -> list[Record]:
    """Return the rows of the chart: those of the protocol “original size” with MACs and AP."""
    return [
        row
        for row in _rows(records)
        if row["macs"] and row["hard"] and row["protocol"]["name"] == "original"
    ]


def chart(records: Records) -> str:
    """Return AP on Hard against MACs."""
    listed = "; ".join(
        f"{row['name']} {row['macs'] / 1e9:.3f} GMAC, {_PERCENT(row['hard'])} %"
        for row in charted(records)
    )
    return themed(
        records.docs,
        "choose",
        f"AP on Hard against MACs at 640×640: {listed}",
        "Upper left is better. Filled: measured by this project. Hollow: published by its authors, "
        "their FLOPs taken as MACs and scaled to 640×640.",
        up="../../",
    )
