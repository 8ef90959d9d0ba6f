"""The search for architectures with given totals.

All architectures of a space are counted, none is sampled: "found none" is then a proof, for that
space. Memory does not grow with the space, except for a few dozen bytes per match.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.design_space.closed_form import Fields
from analysis.design_space.closed_form import macs as count_macs
from analysis.design_space.closed_form import parameters as count_parameters
from analysis.design_space.space import (
    LARGEST_TOTAL,
    OPTIONAL,
    SPACE,
    Grid,
    Space,
    config_from,
    fields_of,
    integer,
    legal,
    values_of,
    variants_of,
)
from featherface.config import ConfigError
from featherface.errors import InputError


@dataclass(frozen=True)
class Fact:
    """A source's statement on one field of an architecture."""

    field: str
    values: tuple[Any, ...]  # the values that agree with the statement
    statement: str = ""
    source: str = ""
    lines: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", values_of(self.field, self.values))

    def agrees(self, values: Mapping[str, Any]) -> bool:
        """Return whether a described architecture is as stated; it must have the field."""
        return values[self.field] in self.values


@dataclass(frozen=True)
class Match:
    """An architecture with the totals asked for, or nearly."""

    config: dict[str, Any]  # see `described`
    variants: tuple[str, ...]  # the names it goes by, if any
    params: int
    counted: int  # the parameters under the reading asked for
    macs: int
    params_difference: int | None  # of `counted` from what was asked for; None where it was not
    macs_difference: int | None
    facts: dict[str, bool]  # per fact, by its field: whether this architecture agrees

    @property
    def difference(self) -> int:
        """From the number of parameters asked for, or else of MACs."""
        if self.params_difference is None:
            assert self.macs_difference is not None
            return self.macs_difference
        return self.params_difference

    @property
    def agreeing(self) -> int:
        """The number of facts that this architecture agrees with."""
        return sum(self.facts.values())

    def record(self) -> dict[str, Any]:
        """As it goes into JSON."""
        return {**asdict(self), "variants": list(self.variants), "facts_agreeing": self.agreeing}


@dataclass(frozen=True)
class SearchResult:
    """The matches of a search, and the size of what was searched."""

    params: int | None
    macs: int | None
    within: int
    within_macs: int
    reading: str
    size: tuple[int, int]  # height, width
    space: Space  # after fixing and excluding
    facts: tuple[Fact, ...]
    looked_at: int  # distinct architectures
    seconds: float
    found: int
    matches: tuple[Match, ...]  # best first; at most as many as the limit asked for

    def record(self) -> dict[str, Any]:
        """As it goes into JSON."""
        return {
            "asked": {
                "params": self.params,
                "macs": self.macs,
                "within": self.within,
                "within_macs": self.within_macs,
                "reading": self.reading,
                "height": self.size[0],
                "width": self.size[1],
            },
            "space": self.space.record(),
            "facts": {
                f.field: {
                    "values": list(f.values),
                    "statement": f.statement,
                    "source": f.source,
                    "lines": list(f.lines),
                }
                for f in self.facts
            },
            "looked_at": self.looked_at,
            "seconds": self.seconds,
            "found": self.found,
            "shown": len(self.matches),
            "matches": [match.record() for match in self.matches],
        }


def search(
    params: int | None = None,
    macs: int | None = None,
    within: int = 0,
    fixed: Mapping[str, Any] | None = None,
    excluded: Mapping[str, Any] | None = None,
    facts: Sequence[Fact] = (),
    space: Space = SPACE,
    size: tuple[int, int] = (640, 640),
    limit: int | None = 1000,
    within_macs: int | None = None,
    reading: str = "parameters",
) -> SearchResult:
    """Return every architecture of a space with that many parameters, MACs, or both.

    Args:
        params: parameters asked for.
        macs: MACs asked for, for a picture of `size`.
        within: how far from either an architecture may lie and still match.
        fixed, excluded: values by field, one or several; see `Space.narrowed`.
        facts: what else is known; those who agree with more of it come first.
        space: the ranges of the fields.
        size: height and width of the picture that MACs are counted for.
        limit: how many matches to describe; all are counted. `None` describes all.
        within_macs: how far MACs may lie, where it is not `within`.
        reading: what counts as a parameter, one of `analysis.design_space.closed_form.READINGS`.

    Returns:
        The matches, ordered by the number of facts they agree with, then by how near their
        parameters and then their MACs are, then by their place in the space.

    Raises:
        InputError: where nothing is asked for, a number is negative, a field, value or reading
            does not exist, or no architecture is left.
    """
    started = time.perf_counter()
    if params is None and macs is None:
        raise InputError("a search needs a number of parameters or of MACs")
    params = None if params is None else _total("params", params)
    macs = None if macs is None else _total("macs", macs)
    within = _total("within", within)
    within_macs = within if within_macs is None else _total("within_macs", within_macs)
    if limit is not None:
        limit = _total("limit", limit)
    if len({fact.field for fact in facts}) < len(facts):
        raise InputError("two facts speak of the same field")
    height, width = size
    space = space.narrowed(fixed, excluded)
    grid = Grid(space)
    grid.check_range(height, width)

    looked_at = 0
    found: list[tuple[NDArray[Any], ...]] = []
    for first, shape, combinations in grid.blocks(_BLOCK):
        near = legal(combinations)
        looked_at += int(np.count_nonzero(np.broadcast_to(near, shape)))
        keys: list[NDArray[Any]] = []  # what matches are ordered by, the last the first
        if macs is not None:
            keys.append(np.abs(count_macs(combinations, height, width) - macs))
            near = near & (keys[-1] <= within_macs)
        if params is not None:
            keys.append(np.abs(count_parameters(combinations, reading) - params))
            near = near & (keys[-1] <= within)
        place = np.nonzero(np.broadcast_to(near, shape))
        if place[0].size:
            keys.append(-_agreements(combinations, facts))
            keys.insert(0, first + np.arange(prod(shape)).reshape(shape))
            found.append(tuple(np.broadcast_to(key, shape)[place] for key in keys))
    if not looked_at:
        raise InputError(f"the design space is empty: {_why_illegal(grid)}")

    numbers = np.zeros(0, np.int64)
    if found:
        columns = [np.concatenate(column) for column in zip(*found, strict=True)]
        numbers = columns[0][np.lexsort(columns)]
    return SearchResult(
        params=params,
        macs=macs,
        within=within,
        within_macs=within_macs,
        reading=reading,
        size=(height, width),
        space=space,
        facts=tuple(facts),
        looked_at=looked_at,
        matches=_matches(grid, numbers[:limit], params, macs, reading, facts, (height, width)),
        found=len(numbers),
        seconds=time.perf_counter() - started,
    )


_BLOCK = 1 << 20  # combinations at a time: a few arrays of 8 MB each


def _matches(
    grid: Grid,
    numbers: NDArray[np.int64],
    params: int | None,
    macs: int | None,
    reading: str,
    facts: Sequence[Fact],
    size: tuple[int, int],
) -> tuple[Match, ...]:
    fields = fields_of(grid.take(numbers))
    rows = zip(
        grid.describe(numbers),
        count_parameters(fields).tolist(),
        count_parameters(fields, reading).tolist(),
        count_macs(fields, *size).tolist(),
        strict=True,
    )
    return tuple(
        Match(
            config=values,
            variants=variants_of(values),
            params=parameters,
            counted=counted,
            macs=multiplications,
            params_difference=None if params is None else counted - params,
            macs_difference=None if macs is None else multiplications - macs,
            facts={fact.field: fact.agrees(values) for fact in facts},
        )
        for values, parameters, counted, multiplications in rows
    )


def _agreements(combinations: Fields, facts: Sequence[Fact]) -> NDArray[np.int64]:
    total = np.zeros((), np.int64)
    for fact in facts:
        agrees = np.isin(getattr(combinations, fact.field), fact.values)
        for field, (kind, none) in OPTIONAL.items():
            if fact.field == field:
                agrees = agrees & ~np.isin(getattr(combinations, kind), [none])
        total = total + agrees
    return total


def _why_illegal(grid: Grid) -> str:
    try:
        config_from(grid.describe(np.zeros(1, np.int64))[0])
    except ConfigError as error:
        return str(error)
    raise AssertionError("the space excludes an architecture that can be built")


def _total(name: str, value: Any) -> int:
    number = integer(name, value)
    if not 0 <= number <= LARGEST_TOTAL:
        raise InputError(f"{name} (={number}) must be from 0 to {LARGEST_TOTAL}")
    return number
