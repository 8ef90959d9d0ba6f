"""The page of attention and offsets: the recorded maps."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from analysis.report import Record
from analysis.report.pages.html import fold, image, themed, words
from analysis.report.pages.records import Records
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
    images = records["maps.json"]["images"]
    portrait, *_, small = images
    return words(
        "maps-lead.md",
        small=small,
        portrait=portrait,
        bypassed=sum(one["effects"]["cbam-bypass"]["found"] for one in images),
        faces=sum(one["faces"] for one in images),
    )


def maps(records: Records) -> str:
    """Return comparison, images, figures, and a table of ablations for each network."""
    recorded = records["maps.json"]
    by_weights, images = recorded["maps"], recorded["images"]
    drawn = next(iter(by_weights.values()))
    figures = {name: _figure(records.docs, drawn, name) for name in captions.names(drawn)}
    effects = figures.pop("effects")
    ablations = (
        f"### `{name}`\n\n{tables.effects(record).html()}" for name, record in by_weights.items()
    )
    return words(
        "maps.md",
        states=_states(records.docs, recorded["comparison"], images[0]["effects"]),
        links=", ".join(
            f'<a href="../figures/maps-state-{state}.svg" download>{title}</a>'
            for state, title in _STATES.items()
        ),
        images=themed(records.docs, "maps-images", *_words_of_images(images)),
        of_images=tables.images(images).html(),
        figures="\n\n".join(figures.values()),
        effects=effects,
        ablations="\n\n".join(ablations),
    )


def _states(docs: Path, states: Sequence[Record], kept: Record) -> str:
    """Return an image for each state, which a script lays over the first.

    `kept` has the effects of each ablation on the same image.
    """
    shown = []
    for state in states:
        name = _STATES[state["id"]]
        scores = ", ".join(f"{box['score']:.4f}" for box in state["faces"])
        several = len(state["faces"]) > 1
        boxes = f"{'boxes that score' if several else 'a box that scores'} {scores}"
        caption = f"{name.capitalize()}: {boxes if scores else 'no box'}"
        if scores and state["id"] in kept and kept[state["id"]]["found"] == 0:
            caption += f", {'none' if several else 'not'} on the face"
        shown.append(
            f'<figure data-state="{name}">{image(docs, "maps-state-" + state["id"], caption)}'
            f"<figcaption>{caption}.</figcaption></figure>"
        )
    return "".join(shown)


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


def _figure(docs: Path, drawn: Record, name: str) -> str:
    title, alternative, finding = captions.caption(drawn, name)
    summary = f"<b>{escape(title)}.</b> {escape(finding)}"
    return fold(summary, themed(docs, f"maps-{name}", alternative))
