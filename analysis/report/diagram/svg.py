"""Colours, style rules and elements of the architecture diagram as SVG.

Colours are CSS variables, so that one drawing serves light and dark pages. Nothing is told by
colour alone: verdicts have signs, layers that predict offsets hollow squares, deformable kernels a
broken bar, and a block that a network lacks a dashed frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from analysis.report.formats import MARKS

PALETTE: Mapping[str, Mapping[str, str]] = {
    "light": {
        "ground": "#ffffff",
        "panel": "#f4f5f8",
        "active": "#e4ecf8",
        "text": "#1b1f24",
        "muted": "#545d68",
        "frame": "#7b8592",
        "flow": "#7b8592",
        "params": "#0b4f93",
        "macs": "#a84b08",
        "confirmed": "#176a35",
        "explained": "#7d5700",
        "refuted": "#b3251c",
        "untested": "#545d68",
    },
    "dark": {
        "ground": "#0d1117",
        "panel": "#242a35",
        "active": "#2f3b52",
        "text": "#e8ebf0",
        "muted": "#aab4c2",
        "frame": "#7f8b9c",
        "flow": "#8592a5",
        "params": "#86bdff",
        "macs": "#f3a869",
        "confirmed": "#6fd08c",
        "explained": "#e3bd4f",
        "refuted": "#ff9a90",
        "untested": "#aab4c2",
    },
}

_SITE = {"ground": "paper", "panel": "sunk", "text": "ink", "muted": "soft"} | {v: v for v in MARKS}
"""The site's own colours, where a page has them."""

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"

_RULES = "\n" + Path(__file__).with_name("drawing.css").read_text(encoding="utf-8")


def page_style() -> str:
    """Return the style of drawings in a page of Material for MkDocs, in the page's scheme."""

    def colours(scheme: str) -> str:
        own = PALETTE[scheme].items()
        site = {name: f"var(--ff-{_SITE[name]},{c})" if name in _SITE else c for name, c in own}
        return _variables(site)

    marks = "".join(f".fa-{v}{{color:var(--fa-{v})}}" for v in MARKS)
    return (
        f".fa{{--fa-font:{FONT};{colours('light')}}}"
        f"[data-md-color-scheme=slate] .fa{{{colours('dark')}}}{marks}{_RULES}"
    )


def file_style() -> str:
    """Return the style of a drawing in a file of its own, in the reader's system's scheme."""
    return (
        f"svg{{--fa-font:{FONT};{_variables(PALETTE['light'])}}}"
        f"@media (prefers-color-scheme:dark){{svg{{{_variables(PALETTE['dark'])}}}}}{_RULES}"
    )


def _variables(colours: Mapping[str, str]) -> str:
    return ";".join(f"--fa-{name}:{colour}" for name, colour in colours.items())


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """Return a line of text; `kind` are classes of the rules above."""
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{n(x)}" y="{n(y)}"{style}>{escape(words)}</text>'


def path(data: str, kind: str, width: float | None = None) -> str:
    """Return a stroked path."""
    stroke = f' style="stroke-width:{n(width)}"' if width else ""
    return f'<path class="{kind}" d="{data}"{stroke}/>' if data else ""


def rect(x: float, y: float, width: float, height: float, kind: str, radius: float = 0) -> str:
    """Return a rectangle, its corners rounded by `radius`."""
    corner = f' rx="{n(radius)}"' if radius else ""
    return (
        f'<rect class="{kind}" x="{n(x)}" y="{n(y)}" width="{n(width)}" '
        f'height="{n(height)}"{corner}/>'
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


def link(href: str, label: str, data: str, children: Iterable[str], *, absent: bool) -> str:
    """Return a block that one can point at, focus and follow."""
    style = "fa-block absent" if absent else "fa-block"
    return (
        f'<a href={quoteattr(href)} class="{style}" data-block={quoteattr(data)} '
        f"aria-label={quoteattr(label)}>{group(children)}</a>"
    )


def n(number: float) -> str:
    """Return a coordinate, to a tenth."""
    return f"{number:.1f}".removesuffix(".0")
