"""Numbers and measured values as text: the one place that decides how they look."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from featherface.config import LEVELS

MISSING = "–"
"""Stands for a value that is not known."""

MARKS = {"confirmed": "✓", "explained": "≈", "refuted": "✗", "untested": "?"}
"""The sign of each verdict, which never stands without its word."""


def count(value: int) -> str:
    """Return an integer with its thousands grouped: 1234567 → "1,234,567"."""
    return f"{value:,}"


def fixed(digits: int, scale: float = 1.0) -> Callable[[float], str]:
    """Return a formatter of numbers divided by `scale`, with so many decimals."""
    return lambda value: f"{value / scale:,.{digits}f}"


def share(value: float) -> str:
    """Return a fraction as a percentage: 0.1234 → "12.3 %"."""
    return f"{100 * value:.1f} %"


def signed(spec: str = ",", scale: float = 1.0, unit: str = "") -> Callable[[float], str]:
    """Return a formatter of differences: `signed(".1f", 0.01, " %")(-0.1)` is "−10.0 %".

    Numbers are divided by `scale`; 1 leaves integers as they are.
    """

    def form(value: float) -> str:
        scaled = value if scale == 1 else value / scale
        return f"{scaled:+{spec}}{unit}".replace("-", "−")

    return form


def shape(sizes: Iterable[int]) -> str:
    """Return sizes joined: (64, 80, 80) → "64×80×80"."""
    return "×".join(map(str, sizes))


def shapes(by_name: Mapping[str, Sequence[int]]) -> str:
    """Return the shapes of a block's outputs without the batch; levels need no names."""
    if tuple(by_name) == LEVELS:
        return ", ".join(shape(sizes[1:]) for sizes in by_name.values())
    return ", ".join(f"{name} {shape(sizes[1:])}" for name, sizes in by_name.items())


def measured(value: Any) -> str:
    """Return a measured or claimed value as text: numbers grouped, truth as yes or no."""
    match value:
        case None:
            return "not measured"
        case bool():
            return "yes" if value else "no"
        case int():
            return count(value)
        case float():
            return f"{value:,.0f}" if value.is_integer() else f"{value:,.6g}"
        case list() | tuple():
            nested = any(isinstance(item, list | tuple) for item in value)
            return ("; " if nested else ", ").join(map(measured, value)) or "none"
    return str(value)


_NAMED = {
    "shape": "{}×{}×{}",
    "channels": "{}→{} channels",
    "kernel": "{}×{}",
    "cells": "{}×{} cells",
    "step": "stride {}",
    "stride": "stride {}",
    "padding": "padding {}",
    "groups": "{} groups",
    "anchor_sides": "{} and {} pixels",
    "landmark_points": "{} points of {}",
}
"""The text of what functions of a ledger measure, as a template of their values."""


def named(value: Any, measure: str) -> str:
    """Return a measured value with the names of its parts: [3, 8, 3, 3] → "3→8 channels, 3×3".

    Args:
        value: what `measure` gave, as it is recorded.
        measure: an expression of a ledger: a measurement, several in a tuple, or a sum of tuples.
    """
    if not isinstance(value, list) or not measure:
        return measured(value)
    templates = [_NAMED.get(name, "{}") for name in _functions(measure)]
    nested = all(isinstance(item, list) for item in value)
    if nested and len(templates) == 1:  # of several modules
        templates *= len(value)
    values = list(chain.from_iterable(value)) if nested else value
    if sum(template.count("{}") for template in templates) != len(values):
        return measured(value)
    rest = map(measured, values)
    texts = [template.format(*islice(rest, template.count("{}"))) for template in templates]
    return f"{texts[0]} each" if len(texts) > 1 and len(set(texts)) == 1 else ", ".join(texts)


def _functions(measure: str) -> list[str]:
    """Return the function of each part of a measurement; "" for what is calculated from several."""

    def parts(node: ast.expr) -> list[ast.expr]:
        match node:
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return parts(left) + parts(right)
            case ast.Tuple(elts=elements):
                return elements
        return [node]

    called = [getattr(part, "func", None) for part in parts(ast.parse(measure, mode="eval").body)]
    return [getattr(function, "id", "") for function in called]


def significant(value: float, sign: str = "", most: int = 9) -> str:
    """Return three significant digits, written out, with at most so many decimals."""
    decimals = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:{sign},.{min(decimals, most)}f}".replace("-", "−")


def extremes(items: Sequence[Any], key: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Return the item with the smallest and the one with the largest key."""
    return min(items, key=key), max(items, key=key)


def ranges(numbers: Sequence[int]) -> str:
    """Return runs of numbers: [3, 4, 5, 9] → "3–5, 9"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def some(items: Iterable[str], most: int = 5) -> str:
    """Return the first items and the number of the others; "none" where there are none."""
    listed = list(items)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more if listed else "none"


def event(folder: str) -> str:
    """Return the name of an event of WIDER FACE: "53--Car_Racing" → "Car Racing"."""
    return re.sub("--|_", " ", re.sub(r"^\d+--", "", folder))


def shortened(text: str, length: int) -> str:
    """Return a text, cut to a length and with an ellipsis where it is longer."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
