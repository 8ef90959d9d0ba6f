"""The record and figures of attention and offsets, made on a machine that has the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.maps import load_for_maps, measure_maps, structure_record
from analysis.maps.alignment import alignment_records
from analysis.maps.observation import prepare
from analysis.report.plots.maps import draw_maps
from featherface.config import CONFIGS

RECORDED = ("official", "no-attention")
"""The weights whose maps are recorded; the first is drawn."""


def recorded_maps(image: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return everything that the site says and shows of attention and offsets.

    Args:
        image: that may be shown; its file name is recorded, its folder is not.

    Returns:
        the record: `structure` of every variant (see `analysis.maps.structure_record`),
        `alignment` (see `analysis.maps.alignment`) and `maps` by name of the weights (see
        `analysis.maps.measure_maps`); and the figures as SVG by file name: `maps-NAME.svg` and
        `maps-NAME-dark.svg`.

    Raises:
        InputError: where the weights are unavailable.
    """
    models = {weights: load_for_maps(weights) for weights in RECORDED}
    maps = {
        weights: measure_maps(model, image, weights=weights) for weights, model in models.items()
    }
    for measured in maps.values():
        measured.record["picture"]["name"] = image.name
    record = {
        "structure": {variant: structure_record(config) for variant, config in CONFIGS.items()},
        "alignment": {
            weights: alignment_records(model, prepare(model, image))
            for weights, model in models.items()
        },
        "maps": {weights: measured.record for weights, measured in maps.items()},
    }
    drawn = {
        f"maps-{name}{ending}.svg": svg
        for ending, theme in (("", "light"), ("-dark", "dark"))
        for name, svg in draw_maps(maps[RECORDED[0]], "svg", theme)  # type: ignore[arg-type]
    }
    return record, drawn


def portrait() -> Path:
    """Return the file of the portrait of Grace Hopper that comes with Matplotlib."""
    from matplotlib.cbook import get_sample_data

    return Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))
