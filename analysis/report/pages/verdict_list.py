"""The page of verdicts: every claim as a row that opens, with an address of its own.

Without scripts it is a plain list. `docs/assets/verdicts.js` adds the filters.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import Any

from analysis.report.formats import MARKS, measured, shortened
from analysis.report.pages.html import MEANING, badge, facts
from analysis.report.pages.prose import inline
from analysis.report.pages.records import Record, Records, address_of
from analysis.report.table import Cell


def tally(records: Records, page: str) -> str:
    """Return the verdicts on published figures as one bar whose parts lead to the list.

    Args:
        records: to count.
        page: the address of the page of verdicts, as seen from the page this is for.
    """
    counts = Counter(record["verdict"] for record in records.verdicts if record["published"])
    parts = "".join(
        f'<li class="ff-{verdict}" style="flex-grow:{counts[verdict]}">'
        f'<a href="{page}?verdict={verdict}"><span class="ff-count">{counts[verdict]}</span> '
        f'<span class="ff-word"><span aria-hidden="true">{MARKS[verdict]}</span> {verdict}</span> '
        f'<span class="ff-meaning">{meaning}</span></a></li>'
        for verdict, meaning in MEANING.items()
    )
    return f'<ul class="ff-tally">{parts}</ul>\n'


def controls(records: Records) -> str:
    """Return the filters; hidden until the script that serves them runs."""
    verdicts = Counter(record["verdict"] for record in records.verdicts)
    sources = Counter(record["source"] for record in records.verdicts)
    return (
        '<form class="ff-filter" id="claim-filter" role="search" aria-label="Filter the claims" '
        "hidden>"
        '<div class="ff-search"><label for="claim-search">Search</label>'
        '<input id="claim-search" name="find" type="search" autocomplete="off" spellcheck="false" '
        'placeholder="offset, 22,080, shuffle …"></div>'
        '<div class="ff-sort"><label for="claim-sort">Sort by</label>'
        '<select id="claim-sort" name="sort"><option value="">source and line</option>'
        '<option value="verdict">verdict</option><option value="kind">kind</option>'
        '<option value="statement">statement</option></select></div>'
        + _choices("verdict", "Verdict", {v: (f"{MARKS[v]} {v}", verdicts[v]) for v in MEANING})
        + _choices(
            "source", "Source", {s["id"]: (s["id"], sources[s["id"]]) for s in records.sources}
        )
        + '<p class="ff-result"><output id="claim-count" aria-live="polite"></output> '
        '<button type="reset">Show all</button></p></form>\n'
    )


def _choices(name: str, title: str, options: dict[str, tuple[str, int]]) -> str:
    boxes = "".join(
        f'<label class="ff-choice ff-{value}"><input type="checkbox" name="{name}" value="{value}">'
        f'<span>{escape(label)} <span class="ff-count" data-count="{name}:{value}">{count}</span>'
        "</span></label>"
        for value, (label, count) in options.items()
    )
    return f'<fieldset class="ff-choices"><legend>{title}</legend>{boxes}</fieldset>'


def claims(records: Records) -> str:
    """Return every claim, in the order of its source, below a line of headings."""
    heads = "".join(
        f'<span class="ff-{css}">{title}</span>'
        for css, title in (
            ("badge-head", "Verdict"),
            ("statement", "Claim"),
            ("against", "Printed → measured"),
            ("source", "Source, lines"),
        )
    )
    return (
        f'<div class="ff-claim-head" aria-hidden="true">{heads}</div>'
        '<ol class="ff-claims" id="claims" data-search-exclude>'
        + "\n".join(_claim(record, records, at) for at, record in enumerate(records.verdicts))
        + '</ol><p class="ff-nothing" id="claim-nothing" hidden>No claim matches. '
        "<code>0.49M</code> finds “0.49 M”: spaces do not count.</p>\n"
    )


def _claim(record: Record, records: Records, position: int) -> str:
    address, verdict = address_of(record), record["verdict"]
    found = measured(record["measured"])
    unit = f" {record['unit']}" if record["unit"] and record["measured"] is not None else ""

    def html(text: str) -> Cell:
        return Cell("", text)

    details = {
        "As printed": html(_quote(records.quotes.get(address, [record["printed"]]))),
        "Measured": html(f"<b>{escape(found)}</b>{escape(unit)}"),
    }
    if record["readings"]:
        details["By another convention"] = html("<br>".join(map(inline, record["readings"])))
    if record["replications"]:
        details["Replications"] = html("<br>".join(map(_replication, record["replications"])))
    details["Why"] = html(inline(record["explanation"]))
    if record["missing"]:
        details["Missing here"] = html(inline(", ".join(record["missing"])))
    details["Convention"] = html(inline(record["convention"]))
    if record["measure"]:
        on = f" on <code>{record['variant']}</code>" if record["variant"] else ""
        details["Computed as"] = html(f"<code>{escape(record['measure'])}</code>{on}")
    details["Where it stands"] = html(_where(record, records))
    details["Address"] = html(f'<a href="#{address}">#{address}</a>')
    if not record["published"]:
        details["Published"] = html("no: a counter’s output, recorded by this project")
    return (
        f'<li data-at="{position}" data-verdict="{verdict}" data-source="{record["source"]}" '
        f'data-kind="{record["kind"]}"><details class="ff-claim" id="{address}">'
        f"<summary>{badge(verdict)}"
        f'<span class="ff-statement">{inline(record["statement"])}</span>'
        f'<span class="ff-against"><span class="ff-printed">'
        f"{escape(shortened(record['printed'], 26))}"
        f'</span> <span class="ff-is">{escape(shortened(found, 26))}</span></span>'
        f'<span class="ff-source">{record["source"]}{_lines(record)}</span></summary>'
        f"{facts(details)}</details></li>"
    )


def _replication(replication: Record) -> str:
    value = measured(replication["measured"])
    holds = "agrees" if replication["holds"] else "differs"
    return f"<b>{escape(value)}</b> ({holds}): {inline(replication['statement'])}"


def _quote(pieces: Any) -> str:
    return " · ".join(f"<q>{escape(piece)}</q>" for piece in dict.fromkeys(pieces))


def _lines(record: Record) -> str:
    lines = record["lines"]
    if not lines:
        return ""
    shown = ", ".join(map(str, lines[:3])) + (" …" if len(lines) > 3 else "")
    return f" <span>l. {shown}</span>"


def _where(record: Record, records: Records) -> str:
    source = next(s for s in records.sources if s["id"] == record["source"])
    if record["lines"]:
        word = "line" if len(record["lines"]) == 1 else "lines"
        place = f"{word} {', '.join(map(str, record['lines']))}"
    else:
        place = record["where"] or ""
    return f"{inline(place)} — {escape(source['title'])} ({escape(source['where'])})"
