"""Pieces of pages: words, bars, figures, folds and facts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from analysis.report.table import Cell
from featherface.errors import InputError
from featherface.files import named, read_text

MEANING = {
    "confirmed": "holds as printed",
    "explained": "holds under another convention, which is named",
    "refuted": "holds under no convention",
    "untested": "cannot be tested; the reason is given",
}


def words(name: str, /, **values: Any) -> str:
    """Return the text of a file in words/ with values in its places, as `str.format` has it."""
    return read_text(Path(__file__).with_name("words") / name).format_map(values)


_MARKED = re.compile(
    r"(?P<ticks>`+)(?P<code>.+?)(?P=ticks)"
    r"|(?P<address>https?://[^\s<>()]*[^\s<>().,;])"
    r"|(?<![\w*])\*(?P<stressed>[^\s*](?:[^*]*[^\s*])?)\*(?![\w*])"
)


def inline(text: str) -> str:
    """Return one paragraph as HTML: `code`, *emphasis* and addresses marked up, the rest text."""
    out, at = [], 0
    for match in _MARKED.finditer(text):
        out.append(escape(text[at : match.start()]))
        if match["code"]:
            out.append(f"<code>{escape(match['code'].strip())}</code>")
        elif match["stressed"]:
            out.append(f"<em>{inline(match['stressed'])}</em>")
        else:
            address = escape(match["address"])
            out.append(f'<a href="{address}">{address}</a>')
        at = match.end()
    return "".join([*out, escape(text[at:])])


def prose(text: str) -> Cell:
    """Return a cell with a paragraph; see `inline`."""
    return Cell(text, inline(text))


def bars(title: str, rows: Sequence[tuple[str, Sequence[tuple[float, str, str]], str]]) -> str:
    """Return bars of segments on one scale, as an image whose text alternative has title and ends.

    A row is a name, segments (length, CSS class, hint) and what stands at the end.
    """
    most = max(sum(length for length, *_ in segments) for _, segments, _ in rows)
    label = f"{title}: {'; '.join(f'{name} {end}' for name, _, end in rows)}"
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
    return f'<div class="ff-bars" role="img" aria-label="{escape(label)}">{"".join(lines)}</div>'


def fold(summary: str, body: str, *, open: bool = False) -> str:
    """Return HTML that is shown when its summary, HTML as well, is clicked."""
    start = f'<details class="ff-fold" data-search-exclude{" open" * open}>'
    return f"{start}<summary>{summary}</summary>{body.strip()}</details>\n"


def facts(pairs: Mapping[str, str]) -> str:
    """Return names and values, which are HTML, one below the other."""
    items = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in pairs.items())
    return f'<dl class="ff-facts" data-search-exclude>{items}</dl>'


_VIEW = re.compile(rb'<svg[^>]*?viewBox="0 0 ([\d.]+) ([\d.]+)"', re.DOTALL)


def themed(docs: Path, name: str, alt: str, caption: str | None = None, up: str = "../") -> str:
    """Return a figure in two versions, of which a browser loads the one of the reader's scheme.

    They are NAME.svg and NAME-dark.svg in `docs`/figures; `caption` is HTML, `alt` if none is
    given, and `up` the way from the page to the root of the site.
    """
    caption = escape(alt) if caption is None else caption
    dark = f"{name}-dark" if (docs / "figures" / f"{name}-dark.svg").exists() else name
    images, links = "", ""
    for scheme, file in (("light", name), ("dark", dark)):
        images += image(docs, file, alt, f"ff-only-{scheme}", up)
        links += f' <a class="ff-only-{scheme}" href="{up}figures/{file}.svg" download>SVG</a>'
    return f'<figure class="ff-figure">{images}<figcaption>{caption}{links}</figcaption></figure>\n'


def image(docs: Path, name: str, alt: str, css: str = "", up: str = "../") -> str:
    """Return a figure that is the same in both schemes, without a caption; see `themed`."""
    size = _dimensions(docs / "figures" / f"{name}.svg")
    source = f'src="{up}figures/{name}.svg" alt="{escape(alt)}"'
    return f'<img class="{css}" {source} {size} loading="lazy">'


def _dimensions(path: Path) -> str:
    """Width and height as attributes: the browser keeps the room before the image is there."""
    with named(path), path.open("rb") as file:
        found = _VIEW.search(file.read(4096))
    if found is None:
        raise InputError(f"{path}: not an SVG with a viewBox")
    width, height = (round(float(size)) for size in found.groups())
    return f'width="{width}" height="{height}"'
