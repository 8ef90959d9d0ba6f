"""What attention and offsets do: the recorded maps, or what it takes to make them."""

from __future__ import annotations

from html import escape

from analysis.report.pages.figures import themed
from analysis.report.pages.html import Column, missing, number, table
from analysis.report.pages.records import Record, Records
from analysis.report.plots.maps import finding

OPEN = "maps-effects"
"""The figure that is shown at once; the others are a click away, as each takes its time to load."""


def maps(records: Records) -> str:
    """What taking a part away does, as a table for each network, and then the figures."""
    recorded = records.maps
    if recorded is None:
        return missing(
            "The maps are computed with published weights, which are not part of the project.",
            "featherface maps --weights official picture.jpg --out maps",
        )
    parts = ["## Seen { #seen }"]
    figures = sorted(recorded["figures"], key=lambda figure: figure["name"] != OPEN)
    drawn = next(iter(recorded["maps"].values()))
    parts += [_figure(records, figure, drawn) for figure in figures]
    parts.append("## Taken away { #effects }")
    parts.append(
        "The same picture with one part neutralised at a time: what becomes of the face. IoU is "
        "the overlap with the box that the untouched network draws."
    )
    parts += [_effects(name, record) for name, record in recorded["maps"].items()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _figure(records: Records, figure: Record, drawn: Record) -> str:
    name, title = str(figure["name"]), str(figure["title"])
    if not (records.docs / "figures" / f"{name}.svg").exists():
        return ""
    caption = escape(f"{title}. {finding(drawn, name.removeprefix('maps-'))}")
    picture = themed(records.docs, name, figure["alt"], caption).strip()
    if name == OPEN:
        return picture
    summary = f"<summary>{escape(title)}</summary>"
    words = f'<p class="ff-note">{escape(figure["alt"])}</p>'
    return f'<details class="ff-fold">{summary}{picture}{words}</details>'


def _effects(name: str, record: Record) -> str:
    faces = len(record["faces"])
    rows = [
        (
            effect["title"],
            effect["where"],
            f"{effect['found']} of {faces}",
            effect["new"],
            number(effect["mean_score_before"], 4),
            number(effect["mean_score"], 4),
            number(effect["mean_iou"], 3),
        )
        for effect in record["effects"]
    ]
    columns = (
        Column("Without it", prose=True),
        Column("where", number=False),
        Column("Faces kept"),
        Column("new"),
        Column("Score before"),
        Column("after"),
        Column("IoU"),
    )
    picture = record["picture"]["name"]
    body = table(f"{name} on {picture}, one part neutralised at a time", columns, rows)
    return f"### `{name}`\n\n{body}"
