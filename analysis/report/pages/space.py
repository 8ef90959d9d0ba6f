"""Fragments about the architectures with a published number of parameters."""

from __future__ import annotations

from analysis.report.formats import count
from analysis.report.pages.figures import themed
from analysis.report.pages.html import fold
from analysis.report.pages.records import VARIANTS, Record, Records
from analysis.report.table import Cell, Column, Table
from analysis.report.tables import networks

_OPEN = "official"


def lead(records: Records) -> str:
    """Return the finding in a paragraph."""
    total, record = next(iter(records.totals.items()))
    return (
        f"With the card’s 74 channels and two attentions, its total of {total:,} parameters rules "
        "out the deformable convolutions it draws. The parameters of every network of the family "
        f"follow from a formula, so that all {record['looked_at']:,} architectures of the space "
        "below are counted, none sampled: that none of them has a total is a proof.\n"
    )


def bounds(records: Records) -> str:
    """Return the ranges of the space that is counted."""
    space = next(iter(records.totals.values()))["space"]
    ranges = {key: f"{min(space[key])} to {max(space[key])}" for key in ("channels", "cells")}
    deformable = sum("dcn" in context for context in space["context"])
    return (
        f"The space: {ranges['channels']} channels (even numbers), a BiFPN of {ranges['cells']} "
        f"cells, {min(space['anchors'])} to {max(space['anchors'])} anchors a cell; CBAM nowhere, "
        "behind the backbone, behind the pyramid or at both, with one of "
        f"{len(space['reduction'])} reductions; {len(space['context'])} kinds of context, "
        f"{deformable} of them deformable; a channel shuffle with or without a bottleneck.\n"
    )


def totals(records: Records) -> str:
    """Return a section for each total that somebody published."""
    counted = {
        found["reconciliation"]["thop_params"]: name for name, found in records.counters.items()
    }
    return "\n\n".join(
        _section(params, record, counted.get(params)) for params, record in records.totals.items()
    )


def _section(params: int, record: Record, counted: str | None) -> str:
    words = (
        f"**{record['found']}** of {record['looked_at']:,} architectures "
        f"{'has' if record['found'] == 1 else 'have'} that many."
    )
    if counted:
        words += f" It is what the counter thop says of `{counted}`."
    table = networks.matches(record).html() if record["matches"] else ""
    return f"### {params:,} parameters\n\n{words}\n\n{table}"


def facts(records: Records) -> str:
    """Return what the card states besides its totals, and which of it the printed total allows."""
    record = next(iter(records.totals.values()))
    best = max(record["matches"], key=lambda match: match["facts_agreeing"])["config"]

    def agrees(item: tuple[str, Record]) -> Cell:
        name, sign, word = (
            ("yes", "✓", "agrees") if best[item[0]] in item[1]["values"] else ("no", "✗", "differs")
        )
        mark = f'<span aria-hidden="true">{sign}</span>'
        return Cell(f"{sign} {word}", f'<span class="ff-{name}">{mark} {word}</span>')

    return Table(
        "The card’s facts, and the architecture with its total of "
        f"{count(record['asked']['params'])} parameters that agrees with most of them",
        (
            Column("setting", lambda item: item[0]),
            Column("the card says", lambda item: item[1]["statement"], width=1),
            Column("lines", lambda item: ", ".join(map(str, item[1]["lines"]))),
            Column("that is", lambda item: " or ".join(map(str, item[1]["values"]))),
            Column("the architecture has", lambda item: str(best[item[0]])),
            Column("comparison", agrees),
        ),
        list(record["facts"].items()),
    ).html()


def landscape(records: Records) -> str:
    """Return the figure of every architecture."""
    return themed(
        records.docs,
        "design-space",
        "Architectures by parameters and MACs, with the published totals marked",
        f"{records.landscape['inside']:,} of the {records.landscape['looked_at']:,} architectures "
        "of a larger space than the one above: networks with RetinaFace’s pyramid or without a "
        "shuffle are in it, too. The published totals are marked.",
    )


def sensitivity(records: Records) -> str:
    """Return a figure for each network of what one step along each setting changes."""
    return "".join(
        fold(
            f"<code>{name}</code>",
            themed(
                records.docs,
                f"sensitivity-{name}",
                f"Change of parameters and MACs of {name} with one step along each setting",
            ),
            open=name == _OPEN,
        )
        for name in (_OPEN, *(name for name in VARIANTS if name != _OPEN))
    )
