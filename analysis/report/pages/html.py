"""The pieces that pages are put together from: numbers, tables, bars, figures, verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from analysis.report.formats import MARKS

MEANING = {
    "confirmed": "holds as printed",
    "explained": "holds under another reading that is named",
    "refuted": "does not hold under any reading",
    "untested": "cannot be tested here, and why is said",
}

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """A column of a table: numbers stand right, with tabular figures."""

    title: str
    unit: str = ""
    number: bool = True
    prose: bool = False
    """Whether it holds sentences, and needs room."""


@dataclass(frozen=True)
class Html:
    """Text that is HTML already."""

    text: str


Cell = str | int | float | Html | None


def number(value: float | None, digits: int = 0) -> str:
    """A number with thin groups of thousands; a dash for what is not known."""
    return MISSING if value is None else f"{value:,.{digits}f}"


def show(value: Any) -> str:
    """A measured value as text: numbers grouped, lists joined, truth as yes or no."""
    if value is None:
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) else f"{value:,.6g}"
    if isinstance(value, list | tuple):
        nested = any(isinstance(item, list | tuple) for item in value)
        return ("; " if nested else ", ").join(map(show, value)) or "none"
    return str(value)


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell]],
    *,
    total: bool = False,
) -> str:
    """A table with a caption, which scrolls by itself where it is wider than the screen.

    Args:
        caption: what it shows; plain text.
        columns: their titles and units.
        rows: a cell each; the first is the row's heading.
        total: whether the last row adds up the others.
    """
    head = "".join(
        f'<th scope="col"{_number(column)}>{escape(column.title)}'
        + (f' <span class="ff-unit">{escape(column.unit)}</span>' if column.unit else "")
        + "</th>"
        for column in columns
    )
    lines = [list(row) for row in rows]
    body = []
    for index, line in enumerate(lines):
        cells = "".join(
            f"<td{_number(column)}>{_cell(value)}</td>"
            for column, value in zip(columns[1:], line[1:], strict=True)
        )
        css = ' class="ff-total"' if total and index == len(lines) - 1 else ""
        first = f'<th scope="row"{_number(columns[0])}>{_cell(line[0])}</th>'
        body.append(f"<tr{css}>{first}{cells}</tr>")
    return (
        f'<div class="ff-table" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f'<table class="ff"><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>\n"
    )


def _number(column: Column) -> str:
    if column.prose:
        return ' class="ff-prose"'
    return ' class="ff-n"' if column.number else ""


def _cell(value: Cell) -> str:
    if isinstance(value, Html):
        return value.text
    if value is None:
        return MISSING
    if isinstance(value, int | float):
        return f"{value:,}"
    return escape(value)


def share(part: float) -> Html:
    """A share of the whole: the number, and a bar of that length behind it."""
    return Html(f'<span class="ff-share" style="--share:{part:.4f}">{part:.1%}</span>')


def badge(verdict: str) -> str:
    """A verdict as sign, word and colour."""
    return (
        f'<span class="ff-badge ff-{verdict}"><span aria-hidden="true">{MARKS[verdict]}</span> '
        f"{verdict}</span>"
    )


def bars(
    label: str, rows: Sequence[tuple[str, Sequence[tuple[float, str, str]], str]], most: float
) -> str:
    """Bars of segments on one scale. They are a picture: `label` says it all in words.

    Args:
        label: the text alternative.
        rows: a name, segments (length, CSS class, hint) and what stands at the end.
        most: the length that fills the width.
    """
    lines = []
    for name, segments, end in rows:
        drawn = "".join(
            f'<i class="{css}" style="width:{100 * length / most:.3f}%" title="{escape(hint)}"></i>'
            for length, css, hint in segments
            if length
        )
        lines.append(
            f'<div class="ff-bar-row"><span class="ff-bar-name">{escape(name)}</span>'
            f'<span class="ff-bar">{drawn}</span>'
            f'<span class="ff-bar-end">{escape(end)}</span></div>'
        )
    return f'<div class="ff-bars" role="img" aria-label="{escape(label)}">{"".join(lines)}</div>\n'


def missing(what: str, command: str) -> str:
    """Says what has not been measured, and the command that would."""
    return (
        f'<div class="ff-missing"><p><strong>Not measured.</strong> {what}</p>'
        f"<pre><code>{escape(command)}</code></pre></div>\n"
    )


def facts(pairs: Mapping[str, str | Html]) -> str:
    """Names and values, one below the other."""
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{_cell(value)}</dd></div>"
        for name, value in pairs.items()
    )
    return f'<dl class="ff-facts">{items}</dl>'
