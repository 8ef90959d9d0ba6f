"""The little Markdown that records and docstrings contain, as HTML."""

from __future__ import annotations

import re
from html import escape

_CODE = re.compile(r"(`+)(.+?)\1")
_ADDRESS = re.compile(r"https?://[^\s<>()]*[^\s<>().,;]")


def inline(text: str) -> str:
    """One paragraph: `code` in backticks and addresses become what they are; all else is text."""
    out, at = [], 0
    for match in _CODE.finditer(text):
        out += [_plain(text[at : match.start()]), f"<code>{escape(match[2].strip())}</code>"]
        at = match.end()
    return "".join([*out, _plain(text[at:])])


def _plain(text: str) -> str:
    out, at = [], 0
    for match in _ADDRESS.finditer(text):
        address = escape(match[0])
        out += [escape(text[at : match.start()]), f'<a href="{address}">{address}</a>']
        at = match.end()
    return "".join([*out, escape(text[at:])])
