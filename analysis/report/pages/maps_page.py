"""The page of attention and offsets: the recorded maps, or the command that makes them."""

from __future__ import annotations

from html import escape

from analysis.report.pages.figures import themed
from analysis.report.pages.html import fold, missing
from analysis.report.pages.records import Record, Records
from analysis.report.plots.maps import finding
from analysis.report.tables import maps as tables

OPEN = "maps-effects"
"""The figure that is shown at once; the others are a click away, as each takes its time to load."""


def maps(records: Records) -> str:
    """Return the figures, and a table of ablations for each network."""
    recorded = records.maps
    if recorded is None:
        return missing(
            "The maps are computed with published weights, which are not part of the project.",
            "featherface maps --weights official image.jpg --out maps",
        )
    parts = ["## Gates and sampling points { #seen }"]
    figures = sorted(recorded["figures"], key=lambda figure: figure["name"] != OPEN)
    drawn = next(iter(recorded["maps"].values()))
    parts += [_figure(records, figure, drawn) for figure in figures]
    parts.append("## Ablations { #effects }")
    parts.append(
        "The same image with one part ablated at a time. IoU is the overlap with the box of the "
        "unchanged network."
    )
    parts += [
        f"### `{name}`\n\n{tables.effects(record).html()}"
        for name, record in recorded["maps"].items()
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


def _figure(records: Records, figure: Record, drawn: Record) -> str:
    name, title = str(figure["name"]), str(figure["title"])
    if not (records.docs / "figures" / f"{name}.svg").exists():
        return ""
    caption = escape(f"{title}. {finding(drawn, name.removeprefix('maps-'))}")
    picture = themed(records.docs, name, figure["alt"], caption).strip()
    if name == OPEN:
        return picture
    return fold(escape(title), f'{picture}<p class="ff-note">{escape(figure["alt"])}</p>')
