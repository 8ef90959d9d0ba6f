"""What attention and offsets do: the recorded maps, or what it takes to make them."""

from __future__ import annotations

from html import escape

from analysis.site.figures import themed
from analysis.site.html import missing
from analysis.site.records import Records


def maps(records: Records) -> str:
    """Every `docs/figures/maps-*.svg`, with what the record says of it."""
    folder = records.docs / "figures"
    names = [
        path.stem.removesuffix("-light")
        for path in sorted(folder.glob("maps-*.svg"))
        if not path.stem.endswith("-dark")
    ]
    if not names:
        return missing(
            "The maps are computed with published weights, which are not part of the project.",
            "featherface maps --weights official picture.jpg --out maps",
        )
    return "\n".join(
        themed(records.docs, name, _alt(name), escape(_alt(name))) for name in dict.fromkeys(names)
    )


def _alt(name: str) -> str:
    return name.removeprefix("maps-").replace("-", " ").capitalize()
