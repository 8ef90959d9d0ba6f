"""The little Markdown that records and docstrings contain, as HTML."""

from __future__ import annotations

import re
from html import escape

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
