"""Gates, offsets and ablations of one network on one image, as a record and its arrays."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.maps.ablations import SAME_FACE, Ablation, effect_records
from analysis.maps.gates import gate_records
from analysis.maps.observation import (
    FaceRecord,
    Observation,
    box_and_score,
    gated_channels,
    observe,
    prepare,
)
from analysis.maps.offsets import branches, offset_records, point_records
from featherface.config import CONFIGS, LEVELS, FeatherFaceConfig
from featherface.errors import InputError
from featherface.images import Picture, RGBArray
from featherface.model import FeatherFace, load
from featherface.weights.published import PUBLISHED, SHIPPED

Record = dict[str, Any]

POSITIONS = 3
"""Sampling points are shown at so many of the best faces, unless positions are given."""


@dataclass(frozen=True)
class Maps:
    """The result of `measure_maps`."""

    record: Record
    arrays: dict[str, npt.NDArray[Any]]  # gates, offsets and masks, see `maps_arrays`
    picture: RGBArray


def measure_maps(
    model: FeatherFace,
    picture: Picture,
    *,
    weights: str,
    size: int | tuple[int, int] | None = None,
    score_threshold: float = 0.5,
    at: Sequence[tuple[float, float]] = (),
    track: Callable[[Iterable[Ablation]], Iterable[Ablation]] = lambda items: items,
) -> Maps:
    """Return gates, offsets and masks of a network on an image, and the effects of ablating them.

    Args:
        model: in evaluation mode, as `featherface.load` returns it.
        picture: see `featherface.images.read_picture`.
        weights: their name in the record.
        size: see `featherface.Detector`.
        score_threshold: what scores more is a face.
        at: positions (x, y) in pixels of the original image, whose sampling points are
            recorded; the centres of the best `POSITIONS` faces where there are none, or, where
            there is no face either, the centre of the best anchor's box.
        track: wraps the ablations, to show progress.

    Returns:
        the record holds `picture`, `weights`, `variant`, `structure` (see `structure_record`),
        `levels` (the grids), `faces`, `positions` and `positions_from` ("given", "faces" or
        "strongest anchor"), `attention` (`analysis.maps.gates.gate_records`), `context` and
        `points` (`analysis.maps.offsets`), and `effects` (`analysis.maps.ablations`).

    Raises:
        InputError: for an image or positions that cannot be used.
    """
    prepared = prepare(model, picture, size)
    height, width = prepared.picture.shape[:2]
    for x, y in at:
        if not (0 <= x <= width and 0 <= y <= height):
            raise InputError(
                f"--at (={x:g},{y:g}) is not on {prepared.name}, which is {width}×{height} pixels"
            )
    observed = observe(model, prepared, score_threshold)
    if at:
        positions, source = [(float(x), float(y)) for x, y in at], "given"
    elif observed.faces:
        positions, source = [_centre(f, observed) for f in observed.faces[:POSITIONS]], "faces"
    else:
        positions, source = [_centre(observed.strongest, observed)], "strongest anchor"
    size_of = {"height": height, "width": width, "input": list(prepared.input_size)}
    record = {
        "picture": {"name": prepared.name, **size_of},
        "weights": weights,
        "variant": model.config.variant,
        "structure": structure_record(model.config),
        "score_threshold": score_threshold,
        "levels": [
            asdict(grid) | {"cell": grid.cell, "extent": grid.extent} for grid in prepared.grids
        ],
        "faces": [_face(face) for face in observed.faces],
        "strongest": _face(observed.strongest),
        "positions": [[round(x, 2), round(y, 2)] for x, y in positions],
        "positions_from": source,
        "attention": gate_records(observed),
        "context": offset_records(observed),
        "points": point_records(observed, positions),
        "same_face_iou": SAME_FACE,
        "effects": effect_records(model, prepared, observed.faces, score_threshold, track),
    }
    return Maps(record, maps_arrays(observed), prepared.picture)


def load_for_maps(weights: str | Path) -> FeatherFace:
    """Return `featherface.load(weights)`, checked to have gates or offsets.

    Raises:
        InputError: for weights that are unavailable or unusable, or have neither gates nor offsets;
            where that is known from the name, nothing is downloaded first.
    """
    name = str(weights)
    if name in PUBLISHED:
        _require_maps(CONFIGS[PUBLISHED[name].variant], name)
    model = load(weights)
    _require_maps(model.config, name)
    return model


def _require_maps(config: FeatherFaceConfig, weights: str) -> None:
    if config.attention == "none" and not branches(config):
        raise InputError(
            f"{weights}: a network with neither attention nor deformable convolutions "
            f"({config.variant or 'of no name'}) has no gates and no offsets to show"
        )


def structure_record(config: FeatherFaceConfig) -> Record:
    """Return the gates and offsets that a network has, known without weights.

    `attention`: for each stage the channels that P3, P4 and P5 gate and the width that the channel
    gate reduces them to; `deformable`: version, branches, and taps a cell of all branches.
    """
    names = branches(config)
    return {
        "attention": {
            stage: [
                {"level": level, "channels": count, "reduced": count // config.reduction}
                for level, count in zip(LEVELS, channels, strict=True)
            ]
            for stage, channels in gated_channels(config).items()
        },
        "deformable": {
            "version": int(config.context[-1]),
            "branches": list(names),
            "taps": 9 * len(names),
            "masks": config.context.endswith("dcnv2"),
        }
        if names
        else None,
        "weights": [p.name for p in PUBLISHED.values() if CONFIGS[p.variant] == config]
        + [name for name in SHIPPED if CONFIGS[name] == config],
    }


def maps_arrays(observed: Observation) -> dict[str, npt.NDArray[Any]]:
    """Return gates, offsets and masks by name (see `Observation`), and the positions of cells.

    `LEVEL.x` and `LEVEL.y` are the centres of columns and rows in pixels of the original
    image; `boxes` (n, 4) and `scores` (n,) the faces. All float32.
    """
    kinds = ("_gate", ".offset", ".mask")
    arrays = {name: array for name, array in observed.arrays.items() if name.endswith(kinds)}
    for grid in observed.prepared.grids:
        arrays[f"{grid.level}.x"] = np.array([grid.place(0, j)[0] for j in range(grid.columns)])
        arrays[f"{grid.level}.y"] = np.array([grid.place(i, 0)[1] for i in range(grid.rows)])
    arrays["boxes"] = np.array(observed.boxes).reshape(-1, 4)
    arrays["scores"] = np.array([face["score"] for face in observed.faces])
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def npz(arrays: dict[str, Any]) -> bytes:
    """Return the content of an `.npz` file, the same bytes for the same arrays."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # dates its parts 1980
    return content.getvalue()


def _face(face: FaceRecord) -> FaceRecord:
    landmarks = [[round(x, 2), round(y, 2)] for x, y in face["landmarks"]]
    return box_and_score(face) | {"landmarks": landmarks}


def _centre(face: FaceRecord, observed: Observation) -> tuple[float, float]:
    """The centre of a face's box, moved onto the image where it is outside."""
    height, width = observed.prepared.picture.shape[:2]
    x1, y1, x2, y2 = face["box"]
    x, y = np.clip(((x1 + x2) / 2, (y1 + y2) / 2), 0, (width, height)).tolist()
    return x, y
