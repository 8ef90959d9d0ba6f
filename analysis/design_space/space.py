"""The design space of the family as data, and the search for architectures with given totals.

A `Space` is a range of values for each field; its architectures are the combinations that
`FeatherFaceConfig` can build, each counted once: without a CBAM there is no reduction to choose
and without a BiFPN no number of cells. Settings without parameters and MACs, such as the order of
the channel shuffle, are no part of it.

The enumeration goes through a space in blocks of bounded size, so that memory does not grow with
it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import prod
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from analysis.design_space.closed_form import Fields
from analysis.design_space.closed_form import macs as count_macs
from analysis.design_space.closed_form import parameters as count_parameters
from featherface import config as architecture
from featherface.config import BACKBONE_CHANNELS, CONFIGS, FeatherFaceConfig
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

_LARGEST = 2**31 - 1  # of a number in a space
LARGEST_TOTAL = 2**62  # of parameters or MACs: their differences fit 64 bits, too


def values_of(field: str, given: Any) -> tuple[Any, ...]:
    """One value of a field, or several, as a tuple of values the field can have."""
    if field not in FIELDS:
        raise InputError(f"unknown field {field!r}: it must be one of {', '.join(FIELDS)}")
    several = isinstance(given, Iterable) and not isinstance(given, str)
    return tuple(_value(field, value) for value in (given if several else (given,)))


def _value(field: str, value: Any) -> int | str:
    if field in KINDS:
        if value not in KINDS[field]:
            raise InputError(f"{field} (={value!r}) must be one of {', '.join(KINDS[field])}")
        return str(value)
    number = integer(field, value)
    if not 1 <= number <= _LARGEST:
        raise InputError(f"{field} (={number}) must be from 1 to {_LARGEST}")
    return number


def integer(name: str, value: Any) -> int:
    """An integer, whether Python's or NumPy's; `InputError` for anything else."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise InputError(f"{name} (={value!r}) must be an integer")
    return int(value)


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
        """This space with some fields fixed to a value (or to several) and some values excluded.

        A fixed value takes the place of the field's range, whether it lies in it or not. Fixing
        the reduction or the cells leaves only what has some: a CBAM, a BiFPN.

        Raises:
            InputError: for an unknown field, a value the field cannot have, or where nothing is
                left.
        """
        fixed = {name: values_of(name, value) for name, value in (fixed or {}).items()}
        excluded = {name: values_of(name, value) for name, value in (excluded or {}).items()}
        ranges = {name: fixed.get(name, getattr(self, name)) for name in FIELDS}
        for name, (kind, value) in OPTIONAL.items():
            if name in fixed:
                ranges[kind] = tuple(v for v in ranges[kind] if v != value)
                if not ranges[kind]:
                    raise InputError(
                        f"the design space is empty: {name} is fixed, and {kind} {value!r} has none"
                    )
        for name, values in excluded.items():
            ranges[name] = tuple(v for v in ranges[name] if v not in values)
            if not ranges[name]:
                raise InputError(
                    f"the design space is empty: {name} has no values but the excluded "
                    f"{', '.join(map(str, values))}"
                )
        return Space(**ranges)

    def record(self) -> dict[str, list[Any]]:
        """The ranges, as they go into JSON."""
        return {name: list(getattr(self, name)) for name in FIELDS}


FIELDS: tuple[str, ...] = tuple(f.name for f in fields(Space))
"""The settings of an architecture that parameters and MACs depend on."""

SPACE = Space()
"""The space that every statement about FeatherFace's totals speaks of, unless it names another."""

FAMILY = replace(SPACE, pyramid=KINDS["pyramid"], shuffle=KINDS["shuffle"])
"""`SPACE` and the networks with RetinaFace's pyramid or without a shuffle."""


def described(config: FeatherFaceConfig) -> dict[str, Any]:
    """An architecture as a dict of its `FIELDS`; what it does not have is `None`."""
    values = {name: getattr(config, name) for name in FIELDS}
    for name, (kind, none) in OPTIONAL.items():
        if values[kind] == none:
            values[name] = None
    return values


def config_from(values: Mapping[str, Any]) -> FeatherFaceConfig:
    """The configuration of a described architecture, all other settings at their defaults."""
    return FeatherFaceConfig(**{k: v for k, v in values.items() if v is not None})


def variants_of(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The named variants that are this described architecture."""
    return tuple(name for name, variant in _VARIANTS.items() if variant == values)


_VARIANTS = {name: described(config) for name, config in CONFIGS.items()}


def legal(fields: Fields, inputs: Sequence[int] = BACKBONE_CHANNELS) -> NDArray[np.bool_]:
    """Return where a network can be built, as `FeatherFaceConfig` decides.

    Args:
        fields: arrays that broadcast against each other.
        inputs: channels of the three levels that the first attention reduces.
    """
    channels = np.asarray(fields.channels)
    ssh = np.isin(fields.context, [k for k in KINDS["context"] if k.startswith("ssh")])
    reduced = np.where(
        np.isin(fields.attention, ["pyramid", "both"]), channels, np.iinfo(np.int64).max
    )
    first = np.isin(fields.attention, ["backbone", "both"])
    reduced = np.where(first, np.minimum(reduced, min(inputs)), reduced)
    return np.asarray(
        (~ssh | (channels % 4 == 0))
        & (np.isin(fields.shuffle, ["none"]) | (channels % 2 == 0))
        & (np.asarray(fields.reduction) <= reduced)
    )


# --- enumeration ---------------------------------------------------------------------------------


_AXES = (
    ("channels",),
    ("pyramid", "cells"),
    ("attention", "reduction"),
    ("context",),
    ("shuffle",),
    ("anchors",),
)
_AXIS = {name: axis for axis, names in enumerate(_AXES) for name in names}


class Grid:
    """The combinations of a space, numbered in the order of its ranges.

    The fields lie along six axes; a field that exists only with a certain kind shares its axis
    with that kind, which leaves out what would be the same architecture twice.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        # A 0 stands for a reduction or cells that the architecture does not have.
        pyramids = [
            (kind, n) for kind in space.pyramid for n in ((0,) if kind == "fpn" else space.cells)
        ]
        attentions = [
            (kind, n)
            for kind in space.attention
            for n in ((0,) if kind == "none" else space.reduction)
        ]
        self.columns: dict[str, NDArray[Any]] = {
            "channels": np.asarray(space.channels),
            "pyramid": np.asarray([kind for kind, _ in pyramids]),
            "cells": np.asarray([cells for _, cells in pyramids]),
            "attention": np.asarray([kind for kind, _ in attentions]),
            "reduction": np.asarray([reduction for _, reduction in attentions]),
            "context": np.asarray(space.context),
            "shuffle": np.asarray(space.shuffle),
            "anchors": np.asarray(space.anchors),
        }
        self.shape = tuple(len(self.columns[names[0]]) for names in _AXES)

    def blocks(self, size: int) -> Iterator[tuple[int, tuple[int, ...], Fields]]:
        """The combinations in their order, at most `size` at a time.

        Yields:
            the number of the first, the shape of the block, and its fields, which broadcast to
            that shape.
        """

        def along(name: str, cut: Sequence[slice]) -> NDArray[Any]:
            axis = _AXIS[name]
            return self.columns[name][cut[axis]].reshape(
                [-1 if i == axis else 1 for i in range(len(_AXES))]
            )

        steps, rest = [], prod(self.shape)
        for length in self.shape:
            rest //= length
            steps.append(min(length, max(1, size // rest)))
        starts = (range(0, n, step) for n, step in zip(self.shape, steps, strict=True))
        first = 0
        for corner in itertools.product(*starts):
            cut = [slice(c, c + step) for c, step in zip(corner, steps, strict=True)]
            shape = tuple(min(n, s.stop) - s.start for n, s in zip(self.shape, cut, strict=True))
            yield first, shape, fields_of({name: along(name, cut) for name in FIELDS})
            first += prod(shape)

    def take(self, numbers: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """The fields of the combinations with these numbers, one array a field."""
        places = np.unravel_index(numbers, self.shape)
        return {name: self.columns[name][places[_AXIS[name]]] for name in FIELDS}

    def describe(self, numbers: NDArray[np.int64]) -> list[dict[str, Any]]:
        """The combinations with these numbers, each as `described`."""
        columns = [column.tolist() for column in self.take(numbers).values()]
        described = [dict(zip(FIELDS, row, strict=True)) for row in zip(*columns, strict=True)]
        for values in described:
            values |= {name: values[name] or None for name in OPTIONAL}
        return described

    def check_range(self, height: int, width: int) -> None:
        """Make sure that no count in this space leaves 64 bits.

        Raises:
            InputError: where one would, or where no network takes a picture of that size.
        """
        space = self.space
        largest = Fields(
            channels=np.asarray(float(max(space.channels))),
            pyramid=np.asarray(space.pyramid)[:, None, None],
            cells=np.asarray(float(max(space.cells))),
            attention="both",
            reduction=np.asarray(float(min(space.reduction))),
            context=np.asarray(space.context)[:, None],
            shuffle=np.asarray(space.shuffle),
            anchors=np.asarray(float(max(space.anchors))),
        )
        for what, count in (
            ("parameters", count_parameters(largest)),
            ("MACs", count_macs(largest, height, width)),
        ):
            if count.max() > LARGEST_TOTAL:
                raise InputError(
                    f"the design space is too wide: up to {count.max():.1e} {what} at "
                    f"{height}×{width} do not fit into 64 bits"
                )


def fields_of(values: Mapping[str, NDArray[Any]]) -> Fields:
    """Columns of a `Grid` as the closed form takes them: a number to divide by in place of 0."""
    return Fields(**{k: np.maximum(v, 1) if k in OPTIONAL else v for k, v in values.items()})
