"""Summaries of maps, rounded so that a record does not depend on the last bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.maps.geometry import Mask

DIGITS = 4
"""Significant digits of what is measured on an image: sums of two machines differ in the 7th."""

QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


def rounded(value: Any) -> Any:
    """Return a number or an array of numbers with `DIGITS` significant digits, for JSON."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim:
        return [rounded(item) for item in array]
    return float(f"{float(array):.{DIGITS}g}")


def summary(values: npt.ArrayLike) -> dict[str, float] | None:
    """Return mean, extremes and quantiles; None without values."""
    array = np.asarray(values, dtype=np.float64).ravel()
    if not array.size:
        return None
    quantiles = np.quantile(array, list(QUANTILES.values()))
    return {
        "mean": rounded(array.mean()),
        "min": rounded(array.min()),
        "max": rounded(array.max()),
        **{name: rounded(value) for name, value in zip(QUANTILES, quantiles, strict=True)},
    }


def inside_and_outside(values: np.ndarray, inside: Mask) -> dict[str, dict[str, float] | None]:
    """Return summaries of a map (…, rows, columns): all of it, inside of faces and outside.

    None where no cell has its centre in a face (small faces on a coarse level), or none outside.
    """
    return {
        "all": summary(values),
        "inside": summary(values[..., inside]),
        "outside": summary(values[..., ~inside]),
    }
