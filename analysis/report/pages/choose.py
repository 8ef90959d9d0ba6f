"""If you build on FeatherFace: cost, accuracy and licence beside what else one would weigh."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

from analysis.report.diagram.svg import path, text
from analysis.report.formats import count, fixed
from analysis.report.pages import timing
from analysis.report.pages.accuracy import SECTIONS
from analysis.report.pages.records import VARIANTS, Record, Records
from analysis.report.table import Cell, Column, Table, code
from analysis.widerface.ground_truth import SUBSETS, VALIDATION_IMAGES
from featherface.weights.published import PUBLISHED, SHIPPED

_PERCENT = fixed(1, 0.01)


@dataclass(frozen=True)
class _Other:
    """Costs and licence that others publish of their own detector."""

    macs: int | None
    """At 640×640; scaled by area from the input that the source states."""
    cost: str
    """As published."""
    licence: str
    source: str


_YUNET = "https://github.com/ShiqiYu/libfacedetection.train/tree/02246e7"
_YUNET_LICENCE = "Apache-2.0 (LICENSE), BSD (README)"
_OTHERS: Mapping[str, _Other] = {
    "YuNet_n": _Other(149_000_000 * 4, "149 MFLOPs at 320×320", _YUNET_LICENCE, _YUNET),
    "YuNet_s": _Other(96_000_000 * 4, "96 MFLOPs at 320×320", _YUNET_LICENCE, _YUNET),
    "SCRFD-0.5GF": _Other(
        508_000_000 * 4 // 3,
        "0.508 GFLOPs at 640×480",
        "code MIT; weights for research",
        "https://github.com/deepinsight/insightface/tree/0c66ef5/detection/scrfd",
    ),
    "EResFD-1x": _Other(
        None, "not stated", "Apache-2.0", "https://github.com/clovaai/EResFD/tree/4e7e83b"
    ),
    "FDLite": _Other(
        None, "0.94 GFLOPs, input not stated", "not stated", "https://arxiv.org/abs/2406.19107"
    ),
}


def _rows(records: Records) -> Iterator[dict[str, Any]]:
    """Our five from the records, then the others as published; `hard` and the like may be None."""
    accuracy = records.lines["widerface.jsonl"]
    for name in VARIANTS:
        block = records.blocks[name]
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
    for row in accuracy:
        other = _OTHERS.get(row["detector"])
        if other and row["source"] == "published":
            yield {
                **row,
                "name": row["detector"],
                "macs": other.macs,
                "cost": other.cost,
                "variant": None,
                "licence": other.licence,
                "source": other.source,
            }


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
    return (
        f"`official` is not the smallest choice. **YuNet_n** has {other['params']:,} parameters to "
        f"its {ours['params']:,}, and is published with {_PERCENT(other['hard'])}\u00a0% on Hard, "
        f"above the {_PERCENT(ours['hard'])}\u00a0% measured here for `official`. On Easy and "
        f"Medium `official` is ahead, {ahead} to {behind}. Both are of the protocol “original "
        "size”; YuNet’s figures are its authors’, not measured by this project.\n"
    )


def table(records: Records) -> str:
    """Return one table of our five networks and of others."""

    def name(row: Record) -> Cell:
        if not row["source"]:
            return code(row["name"])
        return Cell(row["name"], f'<a href="{row["source"]}">{escape(row["name"])}</a>')

    def protocol(row: Record) -> str:
        if row["hard"] is None:
            return "–"
        who = "published" if row["source"] else "measured"
        return f"{SECTIONS[row['protocol']['name']][0]}, {who}"

    cpu, _ = timing.measured_last(records, "cpu")
    gpu, _ = timing.measured_last(records, "cuda")
    columns = (
        Column("detector", name, lambda cell: cell, left=True),
        Column("parameters", lambda row: row["params"] or row.get("params_stated"), _number),
        Column("cost of an image", "cost"),
        Column("CPU", partial(timing.fastest, cpu, "onnx"), timing.cell, unit="ms"),
        Column("GPU", partial(timing.fastest, gpu, "cuda-graph"), timing.cell, unit="ms"),
        *(Column(subset.title(), subset, _PERCENT, unit="%") for subset in SUBSETS),
        Column("protocol", protocol),
        Column("licence", "licence"),
    )
    caption = "Cost, accuracy on WIDER FACE val, and licence"
    return Table(caption, columns, list(_rows(records)), notes=_notes(records)).html()


def _number(value: int | str) -> str:
    return value if isinstance(value, str) else count(value)


def _notes(records: Records) -> tuple[str, ...]:
    (_, cpu), (_, gpu) = (timing.measured_last(records, kind) for kind in ("cpu", "cuda"))
    return (
        "MACs are of 640×640 pixels and count deformable kernels. Others’ FLOPs stand as "
        "published. YuNet’s are MACs: its table gives RetinaFace 245 MFLOPs at 320×320, where "
        f"{records.blocks['retinaface']['macs'] / 4e6:.1f} million MACs are counted here.",
        "Times are medians of one image of 640×640, float32, of the network alone: ONNX Runtime "
        f"on the CPU ({cpu}), a CUDA graph on the GPU ({gpu}). Others’ times were not measured.",
        "v1 has weights trained by this project, with AP on 488 images only (see the model card); "
        "v1-deformable has none.",
    )


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
    return (
        f'<figure class="ff-scatter"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="AP on Hard against MACs at 640×640: {escape(listed)}">{"".join(marks)}</svg>'
        "<figcaption>Upper left is better. Filled: measured by this project. Hollow: published by "
        "its authors, their FLOPs taken as MACs and scaled to 640×640.</figcaption></figure>\n"
    )
