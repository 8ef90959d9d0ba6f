"""Docstrings of the Google style, as HTML."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from html import escape

from analysis.report.pages.prose import inline

SECTIONS = ("Args", "Returns", "Raises", "Yields", "Attributes", "Note", "Example", "Examples")
_HEADING = re.compile(rf"^({'|'.join(SECTIONS)}):\s*$")
_ITEM = re.compile(r"^(\*{0,2}[\w.]+(?:, \*{0,2}[\w.]+)*)(?:\s*\([^)]*\))?:\s*(.*)$", re.DOTALL)

Link = Callable[[str], str]


def render(docstring: str, link: Link = lambda html: html) -> str:
    """A docstring as HTML.

    Args:
        docstring: as it stands in the source.
        link: is given each piece of HTML, to turn names in `<code>` into links.
    """
    out: list[str] = []
    for title, lines in _sections(inspect.cleandoc(docstring)):
        text = textwrap.dedent("\n".join(lines)).strip("\n")
        if not text.strip():
            continue
        if title in ("Args", "Raises", "Attributes"):
            items = "".join(_item(item, link) for item in _hanging(text))
            out.append(f'<p class="api-part">{title}</p><dl class="api-items">{items}</dl>')
        elif title in ("Example", "Examples"):
            out.append(f'<p class="api-part">{title}</p><pre><code>{escape(text)}</code></pre>')
        else:
            if title:
                out.append(f'<p class="api-part">{title}</p>')
            out.append(_blocks(text, link))
    return "".join(out)


def _sections(text: str) -> list[tuple[str, list[str]]]:
    sections: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines():
        heading = _HEADING.match(line)
        if heading:
            sections.append((heading[1], []))
        elif sections[-1][0] and line and not line.startswith(" "):
            sections.append(("", [line]))
        else:
            sections[-1][1].append(line)
    return sections


def _hanging(text: str) -> list[str]:
    """The items of a list whose continuation lines are indented."""
    items: list[str] = []
    for line in text.splitlines():
        if line.startswith(" ") or not line.strip():
            if items:
                items[-1] += f"\n{line}"
        else:
            items.append(line)
    return items


def _item(item: str, link: Link) -> str:
    match = _ITEM.match(item)
    if not match:
        return f"<dd>{link(inline(_one_line(item)))}</dd>"
    name = link(f"<code>{escape(match[1])}</code>")
    return f"<dt>{name}</dt><dd>{link(inline(_one_line(match[2])))}</dd>"


def _blocks(text: str, link: Link) -> str:
    """Paragraphs, lists and indented code."""
    out = []
    for block in re.split(r"\n\s*\n", text):
        lines = block.splitlines()
        if all(line.startswith("    ") for line in lines):
            out.append(f"<pre><code>{escape(textwrap.dedent(block))}</code></pre>")
        elif lines[0].startswith(("- ", "* ")):
            items = re.split(r"\n(?=[-*] )", block)
            listed = "".join(f"<li>{link(inline(_one_line(item[2:])))}</li>" for item in items)
            out.append(f"<ul>{listed}</ul>")
        else:
            out.append(f"<p>{link(inline(_one_line(block)))}</p>")
    return "".join(out)


def _one_line(text: str) -> str:
    return " ".join(text.split())
