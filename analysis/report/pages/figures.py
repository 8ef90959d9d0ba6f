"""Figures under docs/figures on a page: for both colour schemes, with their dimensions."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

from featherface.errors import InputError
from featherface.files import named

_VIEW = re.compile(rb'<svg[^>]*?viewBox="0 0 ([\d.]+) ([\d.]+)"', re.DOTALL)


def themed(docs: Path, name: str, alt: str, caption: str = "", up: str = "../") -> str:
    """Return a figure in two versions, of which a browser loads the one of the reader's scheme.

    Args:
        docs: the folder of pages.
        name: of the figure, without `.svg`; `NAME-dark.svg` is its version for the dark scheme.
        alt: the text alternative.
        caption: stands below; HTML.
        up: the way from the page to the root of the site.
    """
    folder = docs / "figures"
    dark = f"{name}-dark" if (folder / f"{name}-dark.svg").exists() else name
    images = "".join(
        image(docs, file, alt, f"ff-only-{scheme}", up)
        for scheme, file in (("light", name), ("dark", dark))
    )
    caption += f' <a href="{up}figures/{name}.svg" download>SVG</a>'
    return f'<figure class="ff-figure">{images}<figcaption>{caption}</figcaption></figure>\n'


def image(docs: Path, name: str, alt: str, css: str = "", up: str = "../") -> str:
    """Return a figure that is the same in both schemes, without a caption; see `themed`."""
    size = _dimensions(docs / "figures" / f"{name}.svg")
    return (
        f'<img class="{css}" src="{up}figures/{name}.svg" alt="{escape(alt)}" {size} '
        'loading="lazy">'
    )


def _dimensions(path: Path) -> str:
    """Width and height as attributes: the browser keeps the room before the image is there."""
    with named(path), path.open("rb") as file:
        found = _VIEW.search(file.read(4096))
    if found is None:
        raise InputError(f"{path}: not an SVG with a viewBox")
    width, height = (round(float(size)) for size in found.groups())
    return f'width="{width}" height="{height}"'
