"""The page of attention and offsets: the recorded maps, or the command that makes them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from analysis.report.pages.html import fold, image, missing, themed, words
from analysis.report.pages.records import Record, Records
from analysis.report.plots.maps import captions
from analysis.report.tables import maps as tables

_STATES = {
    "as-is": "as it is",
    "offsets-zero": "offsets at zero",
    "masks-one": "masks at one",
    "gates-zero": "gates at zero",
    "cbam-bypass": "attention bypassed",
}


def lead(records: Records) -> str:
    """Return the finding in a paragraph: what ablating gates and masks does to small faces."""
    if records.maps is None:
        return ""
    images = records.maps["images"]
    portrait, *_, small = images
    return words(
        "maps-lead.md",
        small=small["faces"],
        gates=small["effects"]["gates-zero"]["found"],
        masks=small["effects"]["masks-one"]["found"],
        score=portrait["effects"]["gates-zero"]["mean_score"],
        bypassed=sum(one["effects"]["cbam-bypass"]["found"] for one in images),
        faces=sum(one["faces"] for one in images),
    )


def maps(records: Records) -> str:
    """Return comparison, images, figures, and a table of ablations for each network."""
    if records.maps is None:
        return missing(
            "The maps are computed with published weights, which are not part of the project.",
            "featherface maps --weights official image.jpg --out maps",
        )
    drawn = next(iter(records.maps["maps"].values()))
    images = records.maps["images"]
    parts = [
        "## Before and after { #compare }",
        _comparison(records.docs, records.maps["comparison"]),
        "## Three images { #images }",
        themed(records.docs, "maps-images", *_words_of_images(images)),
        tables.images(images).html(),
        "## Gates and sampling points { #figures }",
        *(_figure(records, drawn, name) for name in captions.names(drawn) if name != "effects"),
        "## Ablations { #effects }",
        "The portrait with one part ablated at a time. IoU is the overlap with the box of the "
        "unchanged network.",
        _figure(records, drawn, "effects"),
        *(
            f"### `{name}`\n\n{tables.effects(record).html()}"
            for name, record in records.maps["maps"].items()
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _comparison(docs: Path, states: Sequence[Record]) -> str:
    """Return an image for each state, which a script lays over the first."""
    shown = []
    for state in states:
        name = _STATES[state["id"]]
        scores = ", ".join(f"{face['score']:.4f}" for face in state["faces"]) or "none"
        caption = f"{name.capitalize()}: faces found with a score of {scores}"
        shown.append(
            f'<figure data-state="{name}">{image(docs, "maps-state-" + state["id"], caption)}'
            f"<figcaption>{caption}.</figcaption></figure>"
        )
    return words("maps-comparison.html", figures="".join(shown)).strip()


def _words_of_images(images: list[Record]) -> tuple[str, str]:
    listed = ", ".join(
        f"{one['name']} {one['width']}×{one['height']}, {one['faces']} found" for one in images
    )
    small = images[-1]
    kept = {key: effect["found"] for key, effect in small["effects"].items()}
    caption = (
        f"The portrait, and two images made of copies of it. Of the {small['faces']} faces on "
        f"the third {kept['offsets-zero']} are found with offsets at zero, {kept['gates-zero']} "
        f"with gates at zero and {kept['masks-one']} with masks at one."
    )
    return f"The images with the faces found: {listed}.", caption


def _figure(records: Records, drawn: Record, name: str) -> str:
    if not (records.docs / "figures" / f"maps-{name}.svg").exists():
        return ""
    title, alternative, finding = captions.caption(drawn, name)
    figure = themed(
        records.docs, f"maps-{name}", alternative, escape(f"{title}. {finding}")
    ).strip()
    return fold(escape(title), f'{figure}<p class="ff-note">{escape(alternative)}</p>')
