"""Fragments about the architectures with a published number of parameters."""

from __future__ import annotations

from analysis.report import Record
from analysis.report.formats import count
from analysis.report.pages.html import fold, themed, words
from analysis.report.pages.records import VARIANTS, Records
from analysis.report.plots import findings
from analysis.report.table import Cell, Column, Table
from analysis.report.tables import networks

_OPEN = "official"


def lead(records: Records) -> str:
    """Return the finding in a paragraph."""
    total, record = next(iter(records.totals.items()))
    return words("space-lead.md", total=total, **record)


def bounds(records: Records) -> str:
    """Return the ranges of the space that is counted."""
    return f"The space: {networks.space(next(iter(records.totals.values()))['space'])}.\n"


def totals(records: Records) -> str:
    """Return a section for each total that somebody published."""
    counted = {
        found["reconciliation"]["thop_params"]: name
        for name, found in records["counters.json"].items()
    }
    sections = []
    for params, record in records.totals.items():
        have = "has" if record["found"] == 1 else "have"
        number = f"**{record['found']}** of {record['looked_at']:,} architectures {have} that many."
        if params in counted:
            number += f" It is what the counter thop says of `{counted[params]}`."
        table = networks.matches(record).html() if record["matches"] else ""
        sections.append(f"### {params:,} parameters\n\n{number}\n\n{table}")
    return "\n\n".join(sections)


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
        "Architectures by parameters and MACs, with the published totals marked: "
        f"{', '.join(map(count, records.totals))} parameters",
        "{inside:,} of the {looked_at:,} architectures of a space that also has networks with "
        "RetinaFace’s pyramid or without a shuffle. The published totals are marked.".format_map(
            records["design_space.json"]["landscape"]
        ),
    )


def sensitivity(records: Records) -> str:
    """Return a figure for each network of what one step along each setting changes."""
    out = []
    for name in sorted(VARIANTS, key=lambda name: name != _OPEN):
        finding = findings.sensitivity(records["design_space.json"]["sensitivity"][name])
        title = f"Change of parameters and MACs of {name} with one step along each setting"
        alt = f"{title}. {finding}"
        figure = themed(records.docs, f"sensitivity-{name}", alt)
        out.append(fold(f"<code>{name}</code>", figure, open=name == _OPEN))
    return "".join(out)
