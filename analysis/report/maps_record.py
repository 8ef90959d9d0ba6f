"""The record and figures of attention and offsets, made on a machine that has the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from analysis.maps import Maps, load_for_maps, measure_maps, structure_record
from analysis.maps.ablations import comparison
from analysis.maps.alignment import alignment_records
from analysis.maps.observation import prepare
from analysis.report.plots.maps import draw_maps
from analysis.report.plots.maps.effects import draw_comparison, draw_images
from analysis.report.plots.style import SCHEMES
from featherface.config import CONFIGS

RECORDED = ("official", "no-attention", "v1")
"""The weights whose maps are recorded; the first is drawn."""


def recorded_maps(image: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return everything that the site says and shows of attention and offsets.

    Args:
        image: that may be shown; its file name is recorded, its folder is not.

    Returns:
        the record: `structure` of every variant (see `analysis.maps.structure_record`),
        `alignment` (see `analysis.maps.alignment`) and `maps` by name of the weights (see
        `analysis.maps.measure_maps`), `comparison` (see `analysis.maps.ablations.comparison`) of
        the first of them, and `images`: a summary for each image made of the portrait and each of
        the weights; and the figures as SVG by file name.

    Raises:
        InputError: where the weights are unavailable.
    """
    models = {weights: load_for_maps(weights) for weights in RECORDED}
    maps = {
        weights: measure_maps(model, image, weights=weights) for weights, model in models.items()
    }
    for measured in maps.values():
        measured.record["picture"]["name"] = image.name
    drawn_of, model = maps[RECORDED[0]], models[RECORDED[0]]
    images = {"portrait": drawn_of} | {
        name: measure_maps(model, pixels, weights=RECORDED[0])
        for name, pixels in made_of(image).items()
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
        f"maps-{name}{scheme.ending}.svg": svg
        for scheme in SCHEMES.values()
        for name, svg in [
            *draw_maps(drawn_of, "svg", scheme.name),
            ("images", draw_images(images, scheme)),
        ]
    }
    for state in states:
        drawn[f"maps-state-{state['id']}.svg"] = draw_comparison(state, drawn_of)
    return record, drawn


def portrait() -> Path:
    """Return the file of the portrait of Grace Hopper that comes with Matplotlib."""
    from matplotlib.cbook import get_sample_data

    return Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))


def made_of(image: Path) -> dict[str, Image.Image]:
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
    gates = [row["spatial"] for row in record["attention"]]
    reach = [row["reach"] for row in record["context"]]
    return {
        "name": name,
        "height": record["picture"]["height"],
        "width": record["picture"]["width"],
        "weights": record["weights"],
        "faces": len(record["faces"]),
        "gates_lower_in_faces": sum(
            row["inside"]["mean"] < row["outside"]["mean"] for row in gates if row["inside"]
        ),
        "gates": sum(row["inside"] is not None for row in gates),
        "reach_farther_in_faces": sum(
            row["inside"]["mean"] > row["outside"]["mean"] for row in reach if row["inside"]
        ),
        "convolutions": sum(row["inside"] is not None for row in reach),
        "effects": {
            effect["id"]: {key: effect[key] for key in ("found", "new", "mean_score", "mean_iou")}
            for effect in record["effects"]
            if effect["where"] == "everywhere"
        },
    }
