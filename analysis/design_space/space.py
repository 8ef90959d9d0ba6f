"""The design space of the family as data: ranges of values, and the combinations in them.

A `Space` is a range of values for each field; its architectures are the combinations that
`FeatherFaceConfig` can build, each counted once: without a CBAM there is no reduction to choose
and without a BiFPN no number of cells. Settings without parameters and MACs, such as the order of
the channel shuffle, are no part of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from math import prod
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from analysis.design_space.closed_form import Fields
from featherface import config as architecture
from featherface.config import BACKBONE_CHANNELS, CONFIGS, MOST, FeatherFaceConfig
from featherface.errors import InputError

KINDS: dict[str, tuple[str, ...]] = {
    "pyramid": get_args(architecture.Pyramid),
    "attention": get_args(architecture.Attention),
    "context": get_args(architecture.Context),
    "shuffle": get_args(architecture.Shuffle),
}
"""The fields that are a choice among kinds, with every kind there is."""

OPTIONAL = {"reduction": ("attention", "none"), "cells": ("pyramid", "fpn")}
"""The fields that not every architecture has, each with the kind that is without it."""

MAX_COMBINATIONS = 10_000_000
"""The largest space that is enumerated; it takes about a second and 600 MB of memory."""


def values_of(field: str, given: Any) -> tuple[Any, ...]:
    """Return one value of a field, or several, as a tuple.

    Raises:
        InputError: for an unknown field, or a value that the field cannot have.
    """
    if field not in FIELDS:
        raise InputError(f"unknown field {field!r}: it must be one of {', '.join(FIELDS)}")
    several = isinstance(given, Iterable) and not isinstance(given, str)
    values = []
    for value in given if several else (given,):
        if field in KINDS:
            if value not in KINDS[field]:
                raise InputError(
                    f"{field} (={value!r:.40}) must be one of {', '.join(KINDS[field])}"
                )
        elif type(value) is not int or not 1 <= value <= MOST[field]:
            raise InputError(f"{field} (={value!r:.40}) must be an integer from 1 to {MOST[field]}")
        values.append(value)
    return tuple(values)


@dataclass(frozen=True)
class Space:
    """Ranges of values, one a field; widen or narrow one with `dataclasses.replace`.

    Raises:
        InputError: for an empty range, a value twice in a range, or one no field can have.
    """

    channels: tuple[int, ...] = tuple(range(8, 256 + 1, 2))
    pyramid: tuple[str, ...] = ("bifpn",)
    cells: tuple[int, ...] = tuple(range(1, 8 + 1))
    attention: tuple[str, ...] = KINDS["attention"]
    reduction: tuple[int, ...] = (2, 4, 8, 12, 16, 24, 32, 48, 64)
    context: tuple[str, ...] = KINDS["context"]
    shuffle: tuple[str, ...] = ("free", "bottleneck")
    anchors: tuple[int, ...] = (1, 2, 3)

    def __post_init__(self) -> None:
        for name in FIELDS:
            values = values_of(name, getattr(self, name))
            if not values:
                raise InputError(f"the design space is empty: {name} has no values")
            value, times = Counter(values).most_common(1)[0]
            if times > 1:
                raise InputError(f"{name} (={value!r}) is {times} times in the design space")
            object.__setattr__(self, name, values)

    def narrowed(
        self,
        fixed: Mapping[str, Any] | None = None,
        excluded: Mapping[str, Any] | None = None,
    ) -> Space:
        """Return this space with some fields fixed to a value or several, and values excluded.

        A fixed value takes the place of the field's range, whether it lies in it or not. Fixing
        the reduction or the cells leaves only what has some: a CBAM, a BiFPN.

        Raises:
            InputError: for an unknown field, a value the field cannot have, or where nothing is
                left.
        """
        fixed = {name: values_of(name, value) for name, value in (fixed or {}).items()}
        ranges = self.record() | fixed

        def drop(name: str, values: tuple[Any, ...], reason: str) -> None:
            ranges[name] = tuple(v for v in ranges[name] if v not in values)
            if not ranges[name]:
                raise InputError(f"the design space is empty: {reason}")

        for name, (kind, value) in OPTIONAL.items():
            if name in fixed:
                drop(kind, (value,), f"{name} is fixed, and {kind} {value!r} has none")
        for name, value in (excluded or {}).items():
            values = values_of(name, value)
            listed = ", ".join(map(str, values))
            drop(name, values, f"{name} has no values but the excluded {listed}")
        return Space(**ranges)

    def record(self) -> dict[str, Any]:
        """Return the ranges by field."""
        return {name: getattr(self, name) for name in FIELDS}


FIELDS: tuple[str, ...] = tuple(f.name for f in fields(Space))
"""The settings of an architecture that parameters and MACs depend on."""

SPACE = Space()
"""The space that every statement about FeatherFace's totals speaks of, unless it names another."""

FAMILY = replace(SPACE, pyramid=KINDS["pyramid"], shuffle=KINDS["shuffle"])
"""`SPACE` and the networks with RetinaFace's pyramid or without a shuffle."""


def described(config: FeatherFaceConfig) -> dict[str, Any]:
    """Return an architecture as a dict of its `FIELDS`; what it does not have is `None`."""
    values = {name: getattr(config, name) for name in FIELDS}
    for name, (kind, none) in OPTIONAL.items():
        if values[kind] == none:
            values[name] = None
    return values


def config_from(values: Mapping[str, Any]) -> FeatherFaceConfig:
    """Return the configuration of a described architecture, other settings at their defaults."""
    return FeatherFaceConfig(**{k: v for k, v in values.items() if v is not None})


VARIANTS = {name: described(config) for name, config in CONFIGS.items()}
"""The named variants as described architectures."""


def legal(fields: Fields) -> NDArray[np.bool_]:
    """Return where a network can be built, as `FeatherFaceConfig` decides."""
    channels = np.asarray(fields.channels)
    ssh = np.isin(fields.context, [k for k in KINDS["context"] if k.startswith("ssh")])
    first = np.isin(fields.attention, ["backbone", "both"])
    second = np.isin(fields.attention, ["pyramid", "both"])
    return np.asarray(
        (~ssh | (channels % 4 == 0))
        & (np.isin(fields.shuffle, ["none"]) | (channels % 2 == 0))
        & (~first | (np.asarray(fields.reduction) <= min(BACKBONE_CHANNELS)))
        & (~second | (np.asarray(fields.reduction) <= channels))
    )


_AXES = (
    ("channels",),
    ("pyramid", "cells"),
    ("attention", "reduction"),
    ("context",),
    ("shuffle",),
    ("anchors",),
)


class Grid:
    """The combinations of a space, numbered in the order of its ranges.

    The fields lie along six axes; a field that exists only with a certain kind shares its axis
    with that kind, which leaves out what would be the same architecture twice.

    Attributes:
        shape: the number of values along each axis.
        columns: the values of each field, as arrays that broadcast to that shape; 0 stands for a
            reduction or cells that the architecture does not have.
        fields: the same as the closed form takes them, with 1 in place of 0.
        allowed: which combinations can be built, in that shape.

    Raises:
        InputError: for more than `MAX_COMBINATIONS`.
    """

    def __init__(self, space: Space) -> None:
        values = space.record()
        for name, (kind, without) in OPTIONAL.items():
            pairs = [
                (choice, number)
                for choice in values[kind]
                for number in ((0,) if choice == without else values[name])
            ]
            values[kind], values[name] = zip(*pairs, strict=True)
        self.shape = tuple(len(values[names[0]]) for names in _AXES)
        if prod(self.shape) > MAX_COMBINATIONS:
            raise InputError(
                f"{prod(self.shape):,} combinations are more than the {MAX_COMBINATIONS:,} that "
                "are searched; give fewer values"
            )
        self.columns: dict[str, NDArray[Any]] = {}
        for axis, names in enumerate(_AXES):
            others = [i for i in range(len(_AXES)) if i != axis]
            self.columns |= {name: np.expand_dims(values[name], others) for name in names}
        ones = {name: np.maximum(self.columns[name], 1) for name in OPTIONAL}
        self.fields = Fields(**self.columns | ones)
        self.allowed = np.broadcast_to(legal(self.fields), self.shape)

    def describe(self, numbers: NDArray[np.int64]) -> list[dict[str, Any]]:
        """Return the combinations with these numbers, each as `described`."""
        places = np.unravel_index(numbers, self.shape)
        columns = {
            name: np.broadcast_to(column, self.shape)[places].tolist()
            for name, column in self.columns.items()
        }
        return [{name: columns[name][i] or None for name in FIELDS} for i in range(len(numbers))]
