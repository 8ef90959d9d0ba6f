"""The records that the numbers and figures of a page are made from."""

from __future__ import annotations

import re
from collections.abc import Mapping

FIGURES: Mapping[str, str | None] = {
    "architecture": "blocks.json",
    "design-space": "design_space.json",
    "sensitivity": "design_space.json",
    "latency": "latency.jsonl",
    "operators": "operators.jsonl",
    "roofline": "roofline.jsonl",
    "growth": "growth.jsonl",
    "maps": "maps.json",
    "widerface-training": "widerface.jsonl",
    "widerface": "widerface-breakdown.json",
    "faces": None,
}
"""The file that a figure is drawn from, by the start of its name; the first that fits counts.

None for what `featherface report` finds with the weights in the package while it draws.
"""


def drawn_from(fragment: str) -> set[str]:
    """Return the files that the figures of a fragment are drawn from."""
    names = re.findall(r"figures/([\w-]+)\.svg", fragment)
    return {file for file in map(file_of_figure, names) if file is not None}


def file_of_figure(name: str) -> str | None:
    """Return the file that a figure is drawn from; see `FIGURES`."""
    return next(file for start, file in FIGURES.items() if name.startswith(start))


def line(page: str, files: Mapping[str, set[str]], up: str = "") -> str:
    """Return a line that names the records behind the numbers of a page.

    Args:
        page: Markdown with the names of the fragments that it includes.
        files: by fragment, those that it was made from.
        up: the way from the page's folder to that of all pages.
    """
    included = re.findall(r'^--8<-- "([^"]+)"$', page, re.MULTILINE)
    names = sorted(set().union(*(files.get(name, set()) for name in included)))
    links = ", ".join(f"[{name}]({up}results/{name})" for name in names)
    return (
        f"Numbers and figures on this page are made from the records {links}. "
        f"[What no record holds]({up}method.md#stated) is listed with its source.\n"
    )
