"""The calculator of parameters and MACs on the page of the design space."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from analysis.design_space.closed_form import Fields, block_macs, block_parameters
from analysis.design_space.formulas import DECIDES, formulas
from analysis.design_space.space import FIELDS, KINDS, OPTIONAL, SPACE, VARIANTS
from analysis.report import Record
from analysis.report.formats import count, signed
from analysis.report.pages.html import inline, words
from analysis.report.pages.records import Records, address_of
from analysis.report.table import Cell, Column, Table
from featherface.config import BLOCKS

SIZE = (640, 640)

_CLAIMS = (
    "card-total",
    "repository-thop-params",
    "repository-narrow-params",
    "repository-no-attention-params",
    "repository-released-params",
)
"""The claims of a total that one can try to hit."""


def calculator(records: Records) -> str:
    """Return the form, its results for what the card states, and what a script computes them by."""
    targets = [records.verdict(address) for address in _CLAIMS]
    published = [target["claimed"] for target in targets]
    start = card(records)
    blocks, total = _blocks(start)
    most = 1.25 * max(published)
    data = {
        "formulas": formulas(*SIZE),
        "decides": DECIDES,
        "optional": OPTIONAL,
        "variants": VARIANTS,
        "start": start,
        "targets": published,
        "most": most,
    }
    there = VARIANTS["v1"]
    changes = (f"`{name}` to {there[name]}" for name in start if start[name] != there[name])
    names = enumerate(block.replace("_", " ") for block in BLOCKS)
    return words(
        "space-calculator.md",
        controls=_controls(),
        presets="".join(f'<button type="button" value="{n}">{n}</button>' for n in VARIANTS),
        **total,
        more=total["params"] - published[0],
        card=published[0],
        changes=" and ".join(changes),
        segments="".join(f'<i class="b{at}"></i>' for at in range(len(BLOCKS))),
        marks="".join(f'<b style="left:{100 * one / most:.3f}%"></b>' for one in published),
        keys="".join(f'<li><i class="b{at}"></i>{name}</li>' for at, name in names),
        targets=_targets(targets, total).html(),
        blocks=_table(blocks, total).html(),
        data=json.dumps(data),
    )


def card(records: Records) -> Record:
    """Return what the card states: the architecture it draws, with the reduction it prints."""
    stated = next(iter(records.totals.values()))["facts"]
    return VARIANTS["v1-deformable"] | {"reduction": stated["reduction"]["values"][0]}


def _controls() -> str:
    """Return a slider for each number of many, and a list for what has a few values."""
    controls = []
    for name in FIELDS:
        values: tuple[Any, ...] = KINDS.get(name) or getattr(SPACE, name)
        if name in ("channels", "cells"):
            ends = f'min="{values[0]}" max="{values[-1]}" step="{values[1] - values[0]}"'
            field = f'<span></span><input type="range" name="{name}" {ends}>'
        else:
            options = "".join(f"<option>{value}</option>" for value in values)
            field = f'<select name="{name}">{options}</select>'
        controls.append(f"<label>{name} {field}</label>")
    return f'<div class="ff-calc-fields">{"".join(controls)}</div>'


def _blocks(config: Record) -> tuple[list[Record], Record]:
    """Return the numbers of each block of an architecture, and of the whole."""
    fields = Fields(**{name: np.asarray(value or 1) for name, value in config.items()})
    columns = {
        "params": block_parameters(fields),
        "macs": block_macs(fields, *SIZE),
        "thop": block_parameters(fields, "thop"),
    }
    rows: list[Record] = [
        {"title": block.replace("_", " ")}
        | {name: int(column[block]) for name, column in columns.items()}
        for block in BLOCKS
    ]
    return rows, {name: sum(row[name] for row in rows) for name in columns} | {"title": "total"}


def _table(rows: list[Record], total: Record) -> Table:
    return Table(
        "By block",
        (
            Column("block", "title"),
            Column("parameters", "params", count),
            Column("as thop counts", "thop", count),
            Column(f"MACs at {SIZE[0]}×{SIZE[1]}", "macs", count),
        ),
        rows,
        totals=(total,),
    )


def _targets(targets: list[Record], total: Record) -> Table:
    def claim(target: Record) -> Cell:
        address, statement = address_of(target), target["statement"]
        return Cell(statement, f'<a href="../verdicts/#{address}">{inline(statement)}</a>')

    return Table(
        "Published totals, and how far this architecture is from them",
        (
            Column("published", "claimed", count),
            Column("claim", claim, width=1),
            Column("parameters", lambda row: total["params"] - row["claimed"], signed()),
            Column("as thop counts", lambda row: total["thop"] - row["claimed"], signed()),
        ),
        targets,
    )
