"""CBAM's gates on an image, and the activations before and after them.

FeatherFace puts a CBAM into a residual: its output is ReLU(x + x·gate), where the gate, channel
times position, is between 0 and 1. So it at most doubles a feature and never removes one; what the
ReLU removes does not depend on the gates.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.maps.geometry import Mask, inside_and_outside, rounded
from analysis.maps.observation import STAGES, Observation

Record = dict[str, Any]


def gate_records(observed: Observation) -> list[Record]:
    """Return a record for each attention and level of the network.

    Each holds, rounded to four significant digits:

    - `stage`, `level`, `rows`, `columns`, `channels`, and `cells_inside`: how many cells have
      their centre in a face;
    - `spatial`: summary of the spatial gate over all cells, and means inside and outside faces;
    - `channel`: the channel gates by falling value, and which channel each belongs to;
    - `activation`: mean absolute value `before` the attention, of the `gated` features, and
      `after` the residual and the ReLU, everywhere, inside and outside faces; `relu_alone` is
      what the ReLU would leave with the gates at 0;
    - `gain`: how much of the input the gates add, mean |gated| / mean |before|, likewise.
    """
    records = []
    for stage, source in STAGES.items():
        for grid in observed.prepared.grids:
            name = f"{stage}.{grid.level}"
            spatial = observed.arrays.get(f"{name}.spatial_gate")
            if spatial is None:
                continue
            inside = grid.inside(observed.boxes)
            before = observed.arrays[f"{source}.{grid.level}"]
            channel = observed.arrays[f"{name}.channel_gate"]
            order = np.argsort(-channel, kind="stable")
            activation = {
                "before": _mean_absolute(before, inside),
                "gated": _mean_absolute(observed.arrays[f"{name}.gated"], inside),
                "relu_alone": _mean_absolute(np.maximum(before, 0), inside),
                "after": _mean_absolute(observed.arrays[name], inside),
            }
            records.append(
                {
                    "stage": stage,
                    "level": grid.level,
                    "rows": grid.rows,
                    "columns": grid.columns,
                    "channels": len(channel),
                    "cells_inside": int(inside.sum()),
                    "spatial": inside_and_outside(spatial, inside),
                    "channel": {
                        "sorted": rounded(channel[order]),
                        "order": order.tolist(),
                        "mean": rounded(channel.mean(dtype=np.float64)),
                    },
                    "activation": activation,
                    "gain": {
                        where: _ratio(activation["gated"][where], value)
                        for where, value in activation["before"].items()
                    },
                }
            )
    return records


def _ratio(part: float | None, whole: float | None) -> float | None:
    return rounded(part / whole) if part is not None and whole else None


def _mean_absolute(features: np.ndarray, inside: Mask) -> dict[str, float | None]:
    size = np.abs(features).mean(axis=0, dtype=np.float64)
    summaries = inside_and_outside(size, inside)
    return {where: found["mean"] if found else None for where, found in summaries.items()}
