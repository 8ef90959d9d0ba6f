"""The record and figures of attention and offsets, made on a machine that has the weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis.maps import load_for_maps, measure_maps, structure_record
from analysis.maps.alignment import alignment_records
from analysis.maps.observation import prepare
from analysis.report.plots.maps import draw_maps
from featherface.config import CONFIGS

Record = dict[str, Any]

RECORDED = ("official", "no-attention")
"""The weights whose maps are recorded; the first is drawn."""


def recorded_maps(
    picture: Path, track: Callable[..., Any] = lambda items: items
) -> tuple[Record, dict[str, bytes]]:
    """Return everything that the site says and shows of attention and offsets.

    Args:
        picture: the image that may be shown; its file name is recorded, its folder is not.
        track: wraps the ablations, to show progress.

    Returns:
        the record: `structure` of every variant (see `analysis.maps.structure_record`),
        `alignment` (see `analysis.maps.alignment`), `maps` by name of the weights (see
        `analysis.maps.measure_maps`), and `figures`, a list of `name`, `title` and `alt`; and the
        figures as SVG by file name: `maps-NAME.svg` and `maps-NAME-dark.svg`.

    Raises:
        InputError: where the weights are unavailable.
    """
    maps: Record = {}
    alignment: Record = {}
    drawn: dict[str, bytes] = {}
    for weights in RECORDED:
        model = load_for_maps(weights)
        measured = measure_maps(model, picture, weights=weights, track=track)
        measured.record["picture"]["name"] = picture.name
        maps[weights] = measured.record
        alignment[weights] = alignment_records(model, prepare(model, picture))
        if weights == RECORDED[0]:
            for ending, theme in (("", "light"), ("-dark", "dark")):
                for name, svg in draw_maps(
                    measured.record,
                    measured.arrays,
                    measured.picture,
                    "svg",
                    theme,  # type: ignore[arg-type]
                ):
                    drawn[f"maps-{name}{ending}.svg"] = svg
    record = {
        "structure": {variant: structure_record(config) for variant, config in CONFIGS.items()},
        "alignment": alignment,
        "maps": maps,
        "figures": [
            {"name": name.removesuffix(".svg"), **_words(name, maps[RECORDED[0]])}
            for name in drawn
            if not name.endswith("-dark.svg")
        ],
    }
    return record, drawn


def portrait() -> Path:
    """Return the file of the portrait of Grace Hopper that comes with Matplotlib."""
    from matplotlib.cbook import get_sample_data

    return Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))


def _words(file: str, record: Record) -> dict[str, str]:
    """Title and text alternative of a figure, with the numbers it shows."""
    kind = file.removeprefix("maps-").removesuffix(".svg").split("-")[0]
    titles = {
        "page": "All on one page",
        "gates": "Spatial gates",
        "channels": "Channel gates",
        "gains": "What the gates add",
        "points": "Where one cell looks",
        "offsets": "Offsets",
        "reach": "Reach of the sampling points",
        "effects": "Held still",
    }
    count = len(record["faces"])
    faces = f"{count} face" + ("" if count == 1 else "s")
    gates = "; ".join(
        f"{r['stage'].replace('_', ' ')} {r['level'].upper()} "
        f"{_mean(r['spatial'], 'inside')} in faces, {_mean(r['spatial'], 'outside')} outside"
        for r in record["attention"]
    )
    gains = "; ".join(
        f"{r['stage'].replace('_', ' ')} {r['level'].upper()} {r['gain']['inside']} in faces, "
        f"{r['gain']['outside']} outside"
        for r in record["attention"]
    )
    channels = "; ".join(
        f"{r['stage'].replace('_', ' ')} {r['level'].upper()} {r['channel']['mean']}"
        for r in record["attention"]
    )
    reach = "; ".join(
        f"{r['level'].upper()} {r['branch']} {_mean(r['reach'], 'inside')} cells in faces, "
        f"{_mean(r['reach'], 'outside')} outside"
        for r in record["context"]
    )
    moved = "; ".join(
        f"{r['level'].upper()} {r['branch']} {_mean(r['displacement'], 'all')} cells"
        for r in record["context"]
    )
    effects = "; ".join(
        f"{e['title']}: {e['found']} of {count} found, {e['new']} new, mean score {e['mean_score']}"
        for e in record["effects"]
        if e["where"] == "everywhere"
    )
    alts = {
        "page": f"The picture with {faces}, and for P3, P4 and P5 the spatial gates, the sampling "
        "points at the best face and the mean displacement of the taps.",
        "gates": f"Spatial gates over the picture. Means: {gates}.",
        "channels": f"Channel gates as bars by falling value. Means: {channels}.",
        "gains": f"Mean activation the gates add, as a share of their input: {gains}.",
        "points": "The nine sampling points of each branch and level at the best face, on the "
        "picture, beside the regular grid.",
        "offsets": f"Displacement of the taps over the picture. Means: {moved}.",
        "reach": f"Distance of sampling points from their cell. Means: {reach}.",
        "effects": f"What is found with a part held still. {effects}.",
    }
    return {"title": titles[kind], "alt": alts[kind]}


def _mean(summaries: Record, where: str) -> str:
    return "none" if summaries[where] is None else f"{summaries[where]['mean']:.2f}"
