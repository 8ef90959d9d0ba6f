"""The page of verdicts: every claim as a row that opens, with an address of its own.

Without scripts it is a plain list. `docs/assets/verdicts.js` adds the filters.
"""

from __future__ import annotations

import re
from collections import Counter
from html import escape

from analysis.claims.ledger import Source, load
from analysis.claims.measurements import expression
from analysis.claims.verdicts import beside, recorded
from analysis.report import Record
from analysis.report.formats import MARKS, measured, named, shortened
from analysis.report.pages.html import MEANING, facts, inline, words
from analysis.report.pages.records import Records, address_of
from analysis.report.table import Column, Table, strong


def tally(records: Records, page: str) -> str:
    """Return the verdicts on published figures as one bar; its parts lead to the list at `page`."""
    counts = Counter(record["verdict"] for record in records.published)
    parts = "".join(
        f'<li class="ff-{verdict}" style="flex-grow:{counts[verdict]}">'
        f'<a href="{page}?verdict={verdict}"><span class="ff-count">{counts[verdict]}</span> '
        f'<span class="ff-word"><span aria-hidden="true">{MARKS[verdict]}</span> {verdict}</span> '
        f'<span class="ff-meaning">{meaning}</span></a></li>'
        for verdict, meaning in MEANING.items()
    )
    return f'<ul class="ff-tally">{parts}</ul>'


def controls(records: Records) -> str:
    """Return the filters; hidden until the script that serves them runs."""
    verdicts = {verdict: f"{MARKS[verdict]} {verdict}" for verdict in MEANING}
    sources = {book.source.id: book.source.id for book in records.ledgers}
    return words(
        "verdict-controls.html",
        verdicts=_choices(records, "verdict", verdicts),
        sources=_choices(records, "source", sources),
    )


def _choices(records: Records, name: str, options: dict[str, str]) -> str:
    counts = Counter(record[name] for record in records["verdicts.json"])
    boxes = "".join(
        f'<label class="ff-choice ff-{value}"><input type="checkbox" name="{name}" value="{value}">'
        f'<span>{escape(label)} <span class="ff-count" data-count="{name}:{value}">'
        f"{counts[value]}</span></span></label>"
        for value, label in options.items()
    )
    return f'<fieldset class="ff-choices"><legend>{name.title()}</legend>{boxes}</fieldset>'


def claims(records: Records) -> str:
    """Return every claim, in the order of its source, below a line of headings."""
    rows = (_claim(records, record, at) for at, record in enumerate(records["verdicts.json"]))
    return words("verdict-claims.html", rows="\n".join(rows))


def _claim(records: Records, record: Record, position: int) -> str:
    address = address_of(record)
    (book,) = (book for book in records.ledgers if book.source.id == record["source"])
    (claim,) = (claim for claim in book.claims if claim.id == record["id"])
    printed = dict.fromkeys([claim.printed, *claim.operands])
    found = named(record["measured"], record["measure"])
    unit = f" {record['unit']}" if record["unit"] and record["measured"] is not None else ""
    details = {
        "As printed": " · ".join(f"<q>{escape(text)}</q>" for text in printed),
        "Measured": f"<b>{escape(measured(record['measured']))}</b>{escape(unit)}",
        "By another convention": "<br>".join(map(inline, record["readings"])),
        "Replications": "<br>".join(map(_replication, record["replications"])),
        "Why": inline(record["explanation"]),
        "Missing here": inline(", ".join(record["missing"])),
        "Convention": inline(record["convention"]),
        "Computed as": _computed(record),
        "Where it stands": _where(record, book.source, records["provenance.json"]["card_line"]),
        "Permanent link": f'<a href="#{address}">#{address}</a>',
        "To cite": _citation(record),
        "Published": ""
        if record["published"]
        else "no: a counter’s output, recorded by this project",
    }
    return words(
        "verdict-claim.html",
        record=record,
        at=position,
        mark=MARKS[record["verdict"]],
        address=address,
        statement=inline(record["statement"]),
        printed=escape(shortened(record["printed"], 26)),
        measured=escape(shortened(found, 40)),
        lines=_lines(record),
        facts=facts({name: value for name, value in details.items() if value or name == "Why"}),
    ).strip()


def _replication(replication: Record) -> str:
    value = measured(replication["measured"])
    holds = "agrees" if replication["holds"] else "differs"
    return f"<b>{escape(value)}</b> ({holds}): {inline(replication['statement'])}"


def _citation(record: Record) -> str:
    return escape(
        f"FeatherFace, measured. Claim {address_of(record)}: “{record['statement']}”: "
        f"{record['verdict']}, {named(record['measured'], record['measure'])} measured, "
        f"{record['printed']} printed."
    )


def _computed(record: Record) -> str:
    """The measurement, with links to the functions that it calls."""
    if not record["measure"]:
        return ""
    links = ", ".join(
        f'<a href="../use/python-analysis/#analysis.claims.measurements.{name}">{name}</a>'
        for name in sorted(expression(record["measure"]).functions())
    )
    on = f" on <code>{record['variant']}</code>" if record["variant"] else ""
    return f"<code>{escape(record['measure'])}</code>{on}. Source: {links}"


def _lines(record: Record) -> str:
    lines = record["lines"]
    more = " …" if len(lines) > 3 else ""
    return f" <span>l. {', '.join(map(str, lines[:3]))}{more}</span>" if lines else ""


def _where(record: Record, source: Source, card_line: str) -> str:
    """The place in the source, linked where it has an address."""
    title = f"{escape(source.title)} ({inline(source.where)})"
    if lines := record["lines"]:
        links = (f'<a href="{card_line.format(line=n)}">{n}</a>' for n in lines)
        return f"line{'s' * (len(lines) > 1)} {', '.join(links)} — {title}"
    place = record["where"]
    if found := _FILE.fullmatch(place):
        address = "https://github.com/{repository}/blob/{revision}/{path}".format_map(
            found.groupdict()
        )
        return f'<a href="{escape(address)}">{escape(place)}</a>'
    return f"{inline(place)} — {title}"


_FILE = re.compile(
    r"(?P<repository>[\w-]+/[\w.-]+), (?P<path>[\w./-]+), revision (?P<revision>\w+)"
)
"""A file of a repository on GitHub, as the ledgers cite it."""


def second_card(records: Records) -> str:
    """Return the claims of the worked example of a ledger, with their recorded verdicts."""
    path = records.docs / "ledgers" / "fork-readme.yaml"
    found = {row.id: row for row in recorded(beside(path))}
    rows = [(claim, found[claim.id]) for claim in load(path).claims]
    columns = (
        Column("claim", lambda row: row[0].statement),
        Column("printed", lambda row: row[0].printed),
        Column("measured", lambda row: measured(row[1].measured), left=True),
        Column("verdict", lambda row: strong(row[1].verdict)),
    )
    return Table("The fork's later README", columns, rows).html()
