"""Figures of a portrait: the faces found, and attention and offsets with their record."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from PIL import Image

from analysis.maps import Maps, load_for_maps, measure_maps, structure_record
from analysis.maps.ablations import comparison
from analysis.maps.alignment import alignment_records
from analysis.maps.observation import prepare
from analysis.report.plots.maps import figures
from analysis.report.plots.maps.effects import faces_found, one_state
from analysis.report.plots.style import SCHEMES, render
from featherface import Detector
from featherface.config import CONFIGS
from featherface.faces import Face

RECORDED = ("official", "no-attention", "v1")
"""The weights whose maps are recorded; the first is drawn."""

_STYLE = (
    ".face{fill:none;stroke:#ffd84d;stroke-width:4}"
    ".point{fill:#ffd84d;stroke:#1b1f24;stroke-width:1}"
    ".label{fill:#ffd84d}"
    "text{font:600 20px system-ui,sans-serif;fill:#1b1f24}"
)


def portrait() -> Path:
    """Return the file of the portrait of Grace Hopper that comes with Matplotlib."""
    from matplotlib.cbook import get_sample_data

    return Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))


def found_faces() -> str:
    """Return the portrait with boxes, scores and landmarks of the faces found, in whole pixels."""
    path = portrait()
    with Image.open(path) as image:
        width, height = image.size
    faces = Detector("v1", runtime="torch", device="cpu")(path)
    photo = base64.b64encode(path.read_bytes()).decode()
    label = f"A portrait. {len(faces)} face is found: its box, its score and five landmarks."
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="{label}"><style>{_STYLE}</style>'
        f'<image width="{width}" height="{height}" href="data:image/jpeg;base64,{photo}"/>'
        f"{''.join(map(_drawn, faces))}</svg>\n"
    )


def _drawn(face: Face) -> str:
    left, top, right, bottom = map(round, face.box)
    points = "".join(
        f'<circle class="point" cx="{x:.0f}" cy="{y:.0f}" r="4"/>' for x, y in face.landmarks
    )
    return (
        f'<rect class="face" x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"/>'
        f'{points}<rect class="label" x="{left - 2}" y="{top - 28}" width="68" height="28"/>'
        f'<text x="{left + 5}" y="{top - 7}">{face.score:.3f}</text>'
    )


def recorded_maps() -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the record of attention and offsets, and its figures as SVG by file name.

    Raises:
        InputError: where the weights are unavailable.
    """
    image = portrait()
    models = {weights: load_for_maps(weights) for weights in RECORDED}
    maps = {
        weights: measure_maps(model, image, weights=weights) for weights, model in models.items()
    }
    for measured in maps.values():
        measured.record["picture"]["name"] = image.name
    drawn_of, model = maps[RECORDED[0]], models[RECORDED[0]]
    images = {"portrait": drawn_of} | {
        name: measure_maps(model, pixels, weights=RECORDED[0])
        for name, pixels in _made_of_copies(image).items()
    }
    x, y = drawn_of.record["positions"][0]
    states = comparison(model, prepare(model, image), (x, y))
    record = {
        "structure": {variant: structure_record(config) for variant, config in CONFIGS.items()},
        "alignment": {
            weights: alignment_records(model, prepare(model, image))
            for weights, model in models.items()
        },
        "maps": {weights: measured.record for weights, measured in maps.items()},
        "comparison": states,
        "images": [_summary(name, measured) for name, measured in images.items()],
    }
    drawn = {
        f"maps-{name}{scheme.ending}.svg": render(figure)
        for scheme in SCHEMES.values()
        for name, figure in [
            *figures(drawn_of, scheme.name),
            ("images", faces_found(images, scheme)),
        ]
    }
    for state in states:
        drawn[f"maps-state-{state['id']}.svg"] = render(one_state(state, drawn_of))
    return record, drawn


def _made_of_copies(image: Path) -> dict[str, Image.Image]:
    """Return a crowd and a sheet of small faces, made of copies of a portrait."""
    with Image.open(image) as opened:
        face = opened.convert("RGB")
    return {
        "crowd": _sheet(face, [(160, 4)] * 3),
        "small faces": _sheet(face, [(128, 5), (64, 10), (40, 16), (32, 20), (20, 32)]),
    }


def _sheet(face: Image.Image, rows: list[tuple[int, int]]) -> Image.Image:
    """Return copies of an image in rows of a width in pixels and a number."""
    heights = [round(width * face.height / face.width) for width, _ in rows]
    sheet = Image.new("RGB", (max(width * count for width, count in rows), sum(heights)))
    top = 0
    for (width, count), height in zip(rows, heights, strict=True):
        small = face.resize((width, height), Image.Resampling.LANCZOS)
        for column in range(count):
            sheet.paste(small, (column * width, top))
        top += height
    return sheet


def _summary(name: str, maps: Maps) -> dict[str, Any]:
    record = maps.record
    gates = [row["spatial"] for row in record["attention"] if row["spatial"]["inside"]]
    reach = [row["reach"] for row in record["context"] if row["reach"]["inside"]]
    return {
        "name": name,
        "height": record["picture"]["height"],
        "width": record["picture"]["width"],
        "weights": record["weights"],
        "faces": len(record["faces"]),
        "gates_lower_in_faces": sum(g["inside"]["mean"] < g["outside"]["mean"] for g in gates),
        "gates": len(gates),
        "reach_farther_in_faces": sum(r["inside"]["mean"] > r["outside"]["mean"] for r in reach),
        "convolutions": len(reach),
        "effects": {
            effect["id"]: {key: effect[key] for key in ("found", "new", "mean_score", "mean_iou")}
            for effect in record["effects"]
            if effect["where"] == "everywhere"
        },
    }
