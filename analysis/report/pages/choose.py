"""If you build on FeatherFace: cost, accuracy and licence beside what else one would weigh."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import yaml

from analysis.report.diagram.svg import path, text
from analysis.report.formats import count, fixed
from analysis.report.pages import timing
from analysis.report.pages.accuracy import SECTIONS
from analysis.report.pages.html import words
from analysis.report.pages.records import VARIANTS, Record, Records
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
    accuracy = records["widerface.jsonl"]
    for name, block in ((name, records.blocks[name]) for name in VARIANTS):
        measured = [
            row
            for row in accuracy
            if (row["detector"], row["source"]) == (name, "measured")
            and row["images"] == VALIDATION_IMAGES
        ]
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
    for row in accuracy:
        other = detectors.get(row["detector"])
        if other and row["source"] == "published":
            macs = other["size"] and other["flops"] * area / math.prod(other["size"])
            yield {**row, **other, "name": row["detector"], "macs": macs, "variant": None}


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

    def protocol(row: Record) -> str | None:
        if row["hard"] is None:
            return None
        who = "published" if row["source"] else "measured"
        return f"{SECTIONS[row['protocol']['name']][0]}, {who}"

    (cpu_rows, cpu), (gpu_rows, gpu) = (
        timing.measured_last(records, kind) for kind in ("cpu", "cuda")
    )
    columns = (
        Column("detector", name),
        Column("parameters", lambda row: row["params"] or row.get("params_stated"), _number),
        Column("cost of an image", "cost"),
        timing.fastest("CPU", cpu_rows, "onnx", "ms"),
        timing.fastest("GPU", gpu_rows, "cuda-graph", "ms"),
        *(Column(subset.title(), subset, _PERCENT, unit="%") for subset in SUBSETS),
        Column("protocol", protocol),
        Column("licence", "licence"),
    )
    counted = records.blocks["retinaface"]["macs"] / 4e6
    notes = words("choose-notes.md", counted=counted, cpu=cpu, gpu=gpu).strip().split("\n\n")
    caption = "Cost, accuracy on WIDER FACE val, and licence"
    return Table(caption, columns, list(_rows(records)), notes=notes).html()


def _number(value: int | str) -> str:
    return value if isinstance(value, str) else count(value)


_WIDTH, _HEIGHT = 500, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 440, 26, 252
_GMAC, _AP = (0.3, 1.5), (0.72, 0.84)
"""The ranges of the axes; MACs are logarithmic."""


def _x(gmac: float) -> float:
    low, high = map(math.log, _GMAC)
    return _LEFT + (_RIGHT - _LEFT) * (math.log(gmac) - low) / (high - low)


def _y(ap: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * (ap - _AP[0]) / (_AP[1] - _AP[0])


def chart(records: Records) -> str:
    """Return AP on Hard against MACs, for rows of the protocol “original size”."""
    rows = [
        row
        for row in _rows(records)
        if row["macs"] and row["hard"] and row["protocol"]["name"] == "original"
    ]
    marks = [text(0, 12, "AP on Hard, %"), text(_WIDTH, 296, "GMAC at 640×640, logarithmic", "e")]
    for percent in range(72, 85, 2):
        marks.append(path(f"M{_LEFT} {_y(percent / 100):.1f}H{_WIDTH}", "grid"))
        marks.append(text(_LEFT - 8, _y(percent / 100) + 4, str(percent), "e"))
    for gmac in (0.4, 0.6, 0.8, 1.0, 1.2):
        marks.append(text(_x(gmac), _BOTTOM + 20, f"{gmac}", "i"))
    for row in rows:
        x, y = _x(row["macs"] / 1e9), _y(row["hard"])
        kind = "published" if row["source"] else "measured"
        marks.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="6"/>')
        marks.append(text(x + 11, y + 4, row["name"]))
    listed = "; ".join(
        f"{row['name']} {row['macs'] / 1e9:.3f} GMAC, {_PERCENT(row['hard'])} %" for row in rows
    )
    return words(
        "choose-chart.html",
        width=_WIDTH,
        height=_HEIGHT,
        label=escape(f"AP on Hard against MACs at 640×640: {listed}"),
        marks="".join(marks),
    )
