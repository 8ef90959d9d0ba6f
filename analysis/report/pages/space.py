"""Which architectures have a published number of parameters."""

from __future__ import annotations

from typing import Any

from analysis.report.pages.figures import themed
from analysis.report.pages.html import Column, Html, table
from analysis.report.pages.records import VARIANTS, Records

_TITLES = {
    "channels": "channels",
    "pyramid": "pyramid",
    "cells": "cells",
    "attention": "attention",
    "reduction": "reduction",
    "context": "context",
    "shuffle": "shuffle",
    "anchors": "anchors",
}


def totals(records: Records) -> str:
    """A section for each total that somebody published."""
    counted = {
        found["reconciliation"]["thop_params"]: name for name, found in records.counters.items()
    }
    return "\n\n".join(
        _section(params, record, counted.get(params)) for params, record in records.totals.items()
    )


def _section(params: int, record: Any, counted: str | None) -> str:
    facts = record["facts"]
    words = (
        f"**{record['found']}** of {record['looked_at']:,} architectures "
        f"{'has' if record['found'] == 1 else 'have'} that many."
    )
    if counted:
        words += f" It is what the counter thop says of `{counted}`."
    if not record["matches"]:
        return f"### {params:,} parameters\n\n{words}\n"
    rows = []
    for match in record["matches"]:
        config = match["config"]
        agreeing = match["facts_agreeing"]
        rows.append(
            (
                Html(", ".join(f"<code>{name}</code>" for name in match["variants"]) or "no name"),
                *(config[field] for field in _TITLES),
                f"{match['macs'] / 1e9:.3f}",
                f"{agreeing} of {len(facts)}",
            )
        )
    words_of = {"pyramid", "attention", "context", "shuffle"}
    columns = (
        Column("Network", number=False),
        *(Column(title, number=field not in words_of) for field, title in _TITLES.items()),
        Column("Cost", "GMAC"),
        Column("facts of the card"),
    )
    caption = f"Every architecture of the family with {params:,} parameters"
    return f"### {params:,} parameters\n\n{words}\n\n{table(caption, columns, rows)}"


def facts(records: Records) -> str:
    """What the card states besides its totals, and which of it the printed total allows."""
    record = next(iter(records.totals.values()))
    best = max(record["matches"], key=lambda match: match["facts_agreeing"])
    rows = []
    for field, fact in record["facts"].items():
        value = best["config"][field]
        rows.append(
            (
                _TITLES[field],
                fact["statement"],
                ", ".join(map(str, fact["lines"])),
                " or ".join(map(str, fact["values"])),
                str(value),
                Html(
                    '<span class="ff-yes"><span aria-hidden="true">✓</span> agrees</span>'
                    if value in fact["values"]
                    else '<span class="ff-no"><span aria-hidden="true">✗</span> differs</span>'
                ),
            )
        )
    columns = (
        Column("Setting", number=False),
        Column("The card says", prose=True),
        Column("lines"),
        Column("that is", number=False),
        Column("the network with its total has", number=False),
        Column("", number=False),
    )
    asked = record["asked"]["params"]
    return table(f"The card’s facts, and the best network of {asked:,} parameters", columns, rows)


def sensitivity(records: Records) -> str:
    """What one step along each setting changes: a figure for each network, the first one open."""
    return "\n".join(
        f'<details class="ff-fold"{" open" if name == _OPEN else ""}>'
        f"<summary><code>{name}</code></summary>"
        + themed(
            records.docs,
            f"sensitivity-{name}",
            f"How parameters and MACs of {name} change with one step along each setting",
        ).strip()
        + "</details>"
        for name in (_OPEN, *(name for name in VARIANTS if name != _OPEN))
        if (records.docs / "figures" / f"sensitivity-{name}.svg").exists()
    )


_OPEN = "official"
