"""The page that lists the notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from analysis.report.pages.notebooks import Page
from analysis.report.pages.prose import inline


def notebook_list(pages: Sequence[Page]) -> str:
    """Every notebook with its first paragraph; or that there is none."""
    if not pages:
        return (
            '<div class="ff-missing"><p><strong>No notebook yet.</strong> Those in '
            "<code>notebooks/</code> appear here with their outputs.</p></div>\n"
        )
    items = "".join(
        f'<li><a href="{page.name}/"><b>{escape(page.title)}</b></a>'
        f"<p>{inline(page.summary)}</p><p><code>notebooks/{page.name}.ipynb</code></p></li>"
        for page in pages
    )
    return f'<ol class="ff-notebooks">{items}</ol>\n'
