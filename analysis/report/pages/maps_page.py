"""The page of attention and offsets: the recorded maps, or the command that makes them."""

from __future__ import annotations

from html import escape

from analysis.report.pages.figures import image, themed
from analysis.report.pages.html import fold, missing
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
    portrait, *_, small = records.maps["images"]
    gates, masks = (small["effects"][key]["found"] for key in ("gates-zero", "masks-one"))
    zero = portrait["effects"]["gates-zero"]["mean_score"]
    faces = sum(one["faces"] for one in records.maps["images"])
    bypassed = sum(one["effects"]["cbam-bypass"]["found"] for one in records.maps["images"])
    return (
        f"What gates and masks do depends on the size of the face. Of the {small['faces']} faces "
        f"found on a sheet of small ones `official` keeps {gates} with all gates at zero and "
        f"{masks} with all masks at one; the face of the portrait keeps a score of {zero:.4f} "
        f"without gates. With both attentions bypassed {bypassed} of all {faces} faces are found, "
        "because that removes their ReLU as well.\n"
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
        _comparison(records),
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


def _comparison(records: Records) -> str:
    """Return an image for each state, which a script lays over the first."""
    assert records.maps is not None
    shown = []
    for state in records.maps["comparison"]:
        name, faces = _STATES[state["id"]], state["faces"]
        found = ", ".join(f"{face['score']:.4f}" for face in faces) or "none"
        words = f"{name.capitalize()}: faces found with a score of {found}"
        shown.append(
            f'<figure data-state="{name}">'
            f"{image(records.docs, 'maps-state-' + state['id'], words)}"
            f"<figcaption>{words}.</figcaption></figure>"
        )
    return (
        "Drag the line, or move it with the arrow keys. Boxes are the faces found by `official`; "
        "dots are the nine points that branch a of P5 samples at the centre of the face, and "
        "crosses the regular grid.\n\n"
        f'<div class="ff-compare" id="compare-states">{"".join(shown)}</div>'
    )


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
    words = captions.caption(drawn, name)
    below = escape(f"{words.title}. {words.finding}")
    figure = themed(records.docs, f"maps-{name}", words.alternative, below).strip()
    return fold(escape(words.title), f'{figure}<p class="ff-note">{escape(words.alternative)}</p>')
