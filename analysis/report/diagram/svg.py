"""Colours, style rules and elements of the architecture diagram as SVG.

Colours are CSS variables, so that one drawing serves light and dark pages. Nothing is told by
colour alone: verdicts have signs, layers that predict offsets hollow squares, deformable kernels a
broken bar, and a block that a network lacks a dashed frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from analysis.report.formats import MARKS

COLOURS: Mapping[str, tuple[str, str]] = {
    "ground": ("#ffffff", "#0d1117"),
    "panel": ("#f4f5f8", "#242a35"),
    "active": ("#e4ecf8", "#2f3b52"),
    "text": ("#1b1f24", "#e8ebf0"),
    "muted": ("#545d68", "#aab4c2"),
    "frame": ("#7b8592", "#7f8b9c"),
    "flow": ("#7b8592", "#8592a5"),
    "params": ("#0b4f93", "#86bdff"),
    "macs": ("#a84b08", "#f3a869"),
    "confirmed": ("#176a35", "#6fd08c"),
    "explained": ("#7d5700", "#e3bd4f"),
    "refuted": ("#b3251c", "#ff9a90"),
    "untested": ("#545d68", "#aab4c2"),
}
"""For light and for dark pages."""

_OF_THE_SITE = ("ground", "panel", "text", "muted", *MARKS)  # its own take their place on its pages

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
_RULES = "\n" + Path(__file__).with_name("drawing.css").read_text(encoding="utf-8")


def page_style() -> str:
    """Return the style of drawings in a page of Material for MkDocs, in the page's scheme."""
    light, dark = _variables(0, on_the_site=True), _variables(1, on_the_site=True)
    marks = "".join(f".fa-{v}{{color:var(--fa-{v})}}" for v in MARKS)
    return (
        f".fa{{--fa-font:{_FONT};{light}}}[data-md-color-scheme=slate] .fa{{{dark}}}{marks}{_RULES}"
    )


def file_style() -> str:
    """Return the style of a drawing in a file of its own, in the reader's system's scheme."""
    light, dark = _variables(0, on_the_site=False), _variables(1, on_the_site=False)
    return (
        f"svg{{--fa-font:{_FONT};{light}}}"
        f"@media (prefers-color-scheme:dark){{svg{{{dark}}}}}{_RULES}"
    )


def _variables(scheme: int, *, on_the_site: bool) -> str:
    declared = []
    for name, colours in COLOURS.items():
        own, site = colours[scheme], on_the_site and name in _OF_THE_SITE
        declared.append(f"--fa-{name}:" + (f"var(--ff-{name},{own})" if site else own))
    return ";".join(declared)


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """Return a line of text; `kind` are classes of `drawing.css`."""
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{n(x)}" y="{n(y)}"{style}>{escape(words)}</text>'


def path(data: str, kind: str, width: float | None = None) -> str:
    """Return a stroked path, as wide as the style gives it where no width is given."""
    stroke = f' style="stroke-width:{n(width)}"' if width else ""
    return f'<path class="{kind}" d="{data}"{stroke}/>' if data else ""


def rect(x: float, y: float, width: float, height: float, kind: str, radius: float) -> str:
    """Return a rectangle with rounded corners."""
    return (
        f'<rect class="{kind}" x="{n(x)}" y="{n(y)}" width="{n(width)}" '
        f'height="{n(height)}" rx="{n(radius)}"/>'
    )


def group(children: Iterable[str], kind: str = "") -> str:
    """Return a group that screen readers skip, as a label says the same."""
    style = f' class="{kind}"' if kind else ""
    return f'<g aria-hidden="true"{style}>{"".join(_layered(children))}</g>'


_PATH = re.compile(r'<path class="(\w+)" d="([^"]*)"( style="[^"]*")?/>')
_LAYERS = ("flow", "head", "halo", "square", "hollow", "gate", "cross")  # what covers what


def _layered(children: Iterable[str]) -> Iterator[str]:
    """Yield the elements in the order in which they cover each other, paths of a class as one."""
    paths: dict[tuple[int, str, str], list[str]] = {}
    rest: list[str] = []
    for child in children:
        for kind, data, width in _PATH.findall(child):
            layer = _LAYERS.index(kind) if kind in _LAYERS else len(_LAYERS)
            paths.setdefault((layer, width, kind), []).append(data)
        rest.append(_PATH.sub("", child))
    yield from (child for child in rest if child.startswith("<rect"))
    for (_, width, kind), data in sorted(paths.items(), key=lambda item: item[0][:2]):
        yield f'<path class="{kind}" d="{"".join(data)}"{width}/>'
    yield from (child for child in rest if child and not child.startswith("<rect"))


def n(number: float) -> str:
    """Return a coordinate, to a tenth."""
    return f"{number:.1f}".removesuffix(".0")
