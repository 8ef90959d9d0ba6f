"""The page of attention and offsets: the recorded maps, or the command that makes them."""

from __future__ import annotations

from html import escape

from analysis.report.pages.figures import themed
from analysis.report.pages.html import fold, missing
from analysis.report.pages.records import Record, Records
from analysis.report.plots.maps import captions
from analysis.report.tables import maps as tables

OPEN = "effects"
"""The figure that is shown at once; the others are a click away, as each takes its time to load."""


def maps(records: Records) -> str:
    """Return the figures, and a table of ablations for each network."""
    if records.maps is None:
        return missing(
            "The maps are computed with published weights, which are not part of the project.",
            "featherface maps --weights official image.jpg --out maps",
        )
    drawn = next(iter(records.maps["maps"].values()))
    names = sorted(captions.names(drawn), key=lambda name: name != OPEN)
    parts = [
        "## Gates and sampling points { #figures }",
        *(_figure(records, drawn, name) for name in names),
        "## Ablations { #effects }",
        "The same image with one part ablated at a time. IoU is the overlap with the box of the "
        "unchanged network.",
        *(
            f"### `{name}`\n\n{tables.effects(record).html()}"
            for name, record in records.maps["maps"].items()
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def lead(records: Records) -> str:
    """Return the finding in a paragraph: the face's score with a part ablated."""
    if records.maps is None:
        return ""
    effects = {effect["id"]: effect for effect in records.maps["maps"]["official"]["effects"]}
    plain, gates = effects["plain"], effects["gates-zero"]
    return (
        "On the portrait below the offsets matter more than the gates: with offsets at zero and "
        f"masks at one the face’s score falls from {plain['mean_score_before']:.4f} to "
        f"{plain['mean_score']:.4f}; with all gates at zero it is {gates['mean_score']:.4f}. "
        "Bypassing both attentions loses the face, because that removes their ReLU as well.\n"
    )


def _figure(records: Records, drawn: Record, name: str) -> str:
    if not (records.docs / "figures" / f"maps-{name}.svg").exists():
        return ""
    words = captions.caption(drawn, name)
    below = escape(f"{words.title}. {words.finding}")
    figure = themed(records.docs, f"maps-{name}", words.alternative, below).strip()
    if name == OPEN:
        return figure
    return fold(escape(words.title), f'{figure}<p class="ff-note">{escape(words.alternative)}</p>')
