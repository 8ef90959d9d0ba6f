"""Pieces of pages: verdicts, bars, folds, facts, and what is not measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from analysis.report.formats import MARKS

MEANING = {
    "confirmed": "holds as printed",
    "explained": "holds under another convention, which is named",
    "refuted": "holds under no convention",
    "untested": "cannot be tested; the reason is given",
}


def badge(verdict: str) -> str:
    """Return a verdict as sign, word and colour."""
    return (
        f'<span class="ff-badge ff-{verdict}"><span aria-hidden="true">{MARKS[verdict]}</span> '
        f"{verdict}</span>"
    )


def bars(
    label: str, rows: Sequence[tuple[str, Sequence[tuple[float, str, str]], str]], most: float
) -> str:
    """Return bars of segments on one scale, as an image whose text alternative is `label`.

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


def fold(summary: str, body: str, *, open: bool = False) -> str:
    """Return HTML that is shown when its summary, HTML as well, is clicked."""
    start = f'<details class="ff-fold" data-search-exclude{" open" * open}>'
    return f"{start}<summary>{summary}</summary>{body.strip()}</details>\n"


def missing(words: str, command: str) -> str:
    """Return a note on what has not been measured, with the command that measures it."""
    return (
        f'<div class="ff-missing"><p><strong>Not measured.</strong> {words}</p>'
        f"<pre><code>{escape(command)}</code></pre></div>\n"
    )


def facts(pairs: Mapping[str, str]) -> str:
    """Return names and values, which are HTML, one below the other."""
    items = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in pairs.items())
    return f'<dl class="ff-facts" data-search-exclude>{items}</dl>'
