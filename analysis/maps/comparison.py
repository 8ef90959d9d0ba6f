"""A network as it is beside the same with a part ablated: faces and sampling points of each."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from analysis.maps.ablations import ablate, ablations
from analysis.maps.observation import Prepared, observe
from analysis.maps.offsets import point_records
from featherface.model import FeatherFace

COMPARED = ("offsets-zero", "masks-one", "gates-zero", "cbam-bypass")
"""The ablations that are compared with the network as it is."""


def comparison(
    model: FeatherFace, prepared: Prepared, position: tuple[float, float]
) -> list[dict[str, Any]]:
    """Return the states of a network on an image: as it is, and with each part ablated.

    Returns:
        for each `id` ("as-is" or that of the ablation), `faces` with `box` and `score`, and
        `points`: the sampling points at the position, see `analysis.maps.offsets.point_records`.
    """
    known = {ablation.id: ablation for ablation in ablations(model.config)}
    states = []
    for name in ("as-is", *(name for name in COMPARED if name in known)):
        with ablate(model, known[name]) if name in known else nullcontext():
            observed = observe(model, prepared)
        states.append(
            {
                "id": name,
                "faces": [
                    {"box": [round(v, 2) for v in face["box"]], "score": round(face["score"], 4)}
                    for face in observed.faces
                ],
                "points": point_records(observed, [position]),
            }
        )
    return states
