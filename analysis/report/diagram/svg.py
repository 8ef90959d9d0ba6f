"""Colours, style rules and elements of the architecture diagram as SVG.

Colours are CSS variables, so that one drawing serves light and dark pages. Text has a contrast of
at least 4.5, lines and marks of at least 3 (WCAG 2.2, AA) on both backgrounds. Nothing is told by
colour alone: verdicts have signs, layers that predict offsets hollow squares, deformable kernels a
broken bar, and a block that a network lacks a dashed frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
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

_SITE = {  # the site's own colours, where a page has them
    "ground": "paper",
    "panel": "sunk",
    "text": "ink",
    "muted": "soft",
    "confirmed": "confirmed",
    "explained": "explained",
    "refuted": "refuted",
    "untested": "untested",
}

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"

_RULES = """
.fa-svg{font-family:var(--md-text-font-family,var(--fa-font));font-variant-numeric:tabular-nums;fill:var(--fa-text)}
.fa-svg text{font-size:12.5px}
.fa-svg .s{font-size:12.2px}
.fa-svg .t{font-size:14px;font-weight:700}
.fa-svg .h{font-size:19px;font-weight:700}
.fa-svg .m{fill:var(--fa-muted)}
.fa-svg .p{fill:var(--fa-params)}
.fa-svg .c{fill:var(--fa-macs)}
.fa-svg .b{font-weight:700}
.fa-svg .e{text-anchor:end}
.fa-svg .i{text-anchor:middle}
.fa-svg .cv{fill:var(--fa-confirmed)}
.fa-svg .ev{fill:var(--fa-explained)}
.fa-svg .rv{fill:var(--fa-refuted)}
.fa-svg .uv{fill:var(--fa-untested)}
.fa-svg .panel{fill:var(--fa-panel)}
.fa-svg .absent .panel{fill:none;stroke:var(--fa-frame);stroke-dasharray:3 4}
.fa-svg .flow,.fa-svg .cross{fill:none;stroke:var(--fa-flow);stroke-width:1.4}
.fa-svg .absent .flow{stroke-dasharray:3 4}
.fa-svg .head{fill:var(--fa-flow)}
.fa-svg .halo{fill:var(--fa-panel)}
.fa-svg .gate{fill:var(--fa-panel);stroke:var(--fa-flow);stroke-width:1.4}
.fa-svg .square{fill:none;stroke:var(--fa-params);stroke-width:4;stroke-dasharray:4 1}
.fa-svg .hollow{fill:none;stroke:var(--fa-panel);stroke-width:2;stroke-dasharray:2 3;
stroke-dashoffset:-1}
.fa-svg .bp{stroke:var(--fa-params);stroke-width:5}
.fa-svg .bc{stroke:var(--fa-macs);stroke-width:5}
.fa-svg .bd{stroke:var(--fa-macs);stroke-width:5;stroke-dasharray:2 1.5}
.fa-svg a{cursor:pointer;text-decoration:none}
.fa-svg a:focus{outline:none}
.fa-svg a:hover .panel,.fa-svg a:focus .panel,.fa-svg a.on .panel{fill:var(--fa-active)}
.fa-svg a:hover .halo,.fa-svg a:focus .halo,.fa-svg a.on .halo,
.fa-svg a:hover .gate,.fa-svg a:focus .gate,.fa-svg a.on .gate{fill:var(--fa-active)}
.fa-svg a:hover .hollow,.fa-svg a:focus .hollow,.fa-svg a.on .hollow{stroke:var(--fa-active)}
.fa-svg a:focus-visible .panel{stroke:var(--fa-params);stroke-width:2;stroke-dasharray:none}
"""


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
_ABOVE = ("flow", "head", "halo", "square", "hollow", "gate", "cross")  # what covers what


def _layered(children: Iterable[str]) -> Iterator[str]:
    """Yield the elements in the order in which they cover each other, paths of a class as one."""
    paths: dict[tuple[str, str], list[str]] = {}
    rest: list[str] = []
    for child in children:
        for kind, data, width in _PATH.findall(child):
            paths.setdefault((kind, width), []).append(data)
        rest.append(_PATH.sub("", child))
    yield from (child for child in rest if child.startswith("<rect"))
    for kind, width in sorted(paths, key=lambda key: (_rank(key[0]), key[1])):
        yield f'<path class="{kind}" d="{"".join(paths[kind, width])}"{width}/>'
    yield from (child for child in rest if child and not child.startswith("<rect"))


def _rank(kind: str) -> int:
    return _ABOVE.index(kind) if kind in _ABOVE else len(_ABOVE)


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
