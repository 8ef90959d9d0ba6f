"""The design space: what it holds, each architecture once, as the configuration allows."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analysis.design_space.closed_form import Fields
from analysis.design_space.space import (
    FAMILY,
    FIELDS,
    KINDS,
    SPACE,
    VARIANTS,
    Grid,
    Space,
    config_from,
    described,
    legal,
)
from featherface import CONFIGS, ConfigError, FeatherFaceConfig, InputError

SMALL = Space(
    channels=(6, 8, 66),
    pyramid=KINDS["pyramid"],
    cells=(1, 2),
    attention=KINDS["attention"],
    reduction=(1, 7, 64),
    context=("none", "dcnv1", "ssh"),
    shuffle=KINDS["shuffle"],
    anchors=(1, 3),
)


def architectures(space: Space) -> list[dict[str, Any]]:
    """All that a grid enumerates, in its order."""
    grid = Grid(space)
    return grid.describe(np.flatnonzero(grid.allowed))


def by_construction(space: Space) -> set[tuple[Any, ...]]:
    """The same from every combination of values that `FeatherFaceConfig` accepts."""
    found = set()
    for values in itertools.product(*(getattr(space, name) for name in FIELDS)):
        try:
            config = FeatherFaceConfig(**dict(zip(FIELDS, values, strict=True)))
        except ConfigError:
            continue
        found.add(tuple(described(config).values()))
    return found


def test_every_architecture_once() -> None:
    enumerated = [tuple(values.values()) for values in architectures(SMALL)]
    assert len(enumerated) == len(set(enumerated))
    assert set(enumerated) == by_construction(SMALL)


def test_illegal_corners_are_the_configurations_own() -> None:
    channels = (*range(1, 13), 31, 32, 33, *range(62, 68))
    reductions = (1, 2, 4, 12, 31, 32, 33, 63, 64, 65, 66, 67)
    wrong = []
    for values in itertools.product(
        channels, KINDS["attention"], reductions, KINDS["context"], KINDS["shuffle"]
    ):
        names = ("channels", "attention", "reduction", "context", "shuffle")
        config = dict(zip(names, values, strict=True))
        if config["attention"] == "none":
            config["reduction"] = 1  # as Fields wants it where there is none
        allowed = bool(legal(Fields(pyramid="bifpn", cells=1, anchors=1, **config)))
        try:
            FeatherFaceConfig(**config)
            built = True
        except ConfigError:
            built = False
        if allowed != built:
            wrong.append((config, allowed, built))
    assert not wrong


def test_a_configuration_survives_its_description() -> None:
    for name, config in CONFIGS.items():
        again = config_from(described(config))
        assert not set(config.difference(again)) & set(FIELDS)
        assert VARIANTS[name] == described(again)


def test_what_an_architecture_does_not_have_is_none() -> None:
    assert described(CONFIGS["no-attention"])["reduction"] is None
    assert described(CONFIGS["retinaface"])["cells"] is None
    assert described(CONFIGS["v1"])["reduction"] == 48


def test_fixing_and_excluding() -> None:
    space = SPACE.narrowed({"channels": 74, "context": ["dcnv1", "ssh"]}, {"anchors": 2})
    assert space.channels == (74,)
    assert space.context == ("dcnv1", "ssh")
    assert space.anchors == (1, 3)
    assert space.cells == SPACE.cells
    assert SPACE.narrowed({"channels": 300}).channels == (300,)  # beyond the range


def test_fixing_what_not_all_have_leaves_those_who_do() -> None:
    assert FAMILY.narrowed({"reduction": 16}).attention == ("backbone", "pyramid", "both")
    assert FAMILY.narrowed({"cells": 2}).pyramid == ("bifpn",)
    with pytest.raises(
        InputError, match="empty: reduction is fixed, and attention 'none' has none"
    ):
        SPACE.narrowed({"reduction": 16, "attention": "none"})


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"channels": ()}, "the design space is empty: channels has no values"),
        ({"channels": (0,)}, "channels (=0) must be an integer from 1 to 4096"),
        ({"channels": (4097,)}, "channels (=4097) must be an integer from 1 to 4096"),
        ({"anchors": (True,)}, "anchors (=True) must be an integer from 1 to 64"),
        ({"cells": (1.5,)}, "cells (=1.5) must be an integer from 1 to 64"),
        ({"cells": ("3",)}, "cells (='3') must be an integer from 1 to 64"),
        ({"cells": (1, 2, 1)}, "cells (=1) is 2 times in the design space"),
        ({"shuffle": ("random",)}, "shuffle (='random') must be one of none, free, bottleneck"),
    ],
)
def test_bad_ranges_are_refused(ranges: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        replace(SPACE, **ranges)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("fixed", "excluded", "message"),
    [
        ({"width": 3}, {}, "unknown field 'width': it must be one of " + ", ".join(FIELDS)),
        ({}, {"shuffle_order": "interleave"}, "unknown field 'shuffle_order'"),
        ({"channels": -1}, {}, "channels (=-1) must be an integer from 1"),
        ({"context": "dcnv3"}, {}, "context (='dcnv3') must be one of none, plain, dcnv1"),
        ({"context": []}, {}, "the design space is empty: context has no values"),
        ({}, {"anchors": [1, 2, 3]}, "empty: anchors has no values but the excluded 1, 2, 3"),
        ({"channels": 74}, {"channels": 74}, "empty: channels has no values but the excluded 74"),
    ],
)
def test_bad_constraints_are_refused(
    fixed: dict[str, Any], excluded: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as error:
        SPACE.narrowed(fixed, excluded)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_space_too_large_to_enumerate_is_refused() -> None:
    with pytest.raises(InputError, match=r"11,760,000 combinations are more than the 10,000,000"):
        Grid(replace(SPACE, anchors=tuple(range(1, 31))))
