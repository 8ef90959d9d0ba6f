"""The search: known answers, the order of matches, and what it says of itself."""

from __future__ import annotations

import json
import random
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from analysis.design_space.closed_form import (
    Fields,
    closed_form_macs,
    closed_form_parameters,
    parameters,
)
from analysis.design_space.facts import Fact
from analysis.design_space.search import search
from analysis.design_space.space import (
    FAMILY,
    MAX_COMBINATIONS,
    SPACE,
    Space,
    config_from,
    described,
)
from featherface import CONFIGS, InputError

DISTINCT = 886_944
DEFORMABLE = ("dcnv1", "dcnv2", "ssh-dcnv1", "ssh-dcnv2")

SMALL = replace(FAMILY, channels=(64, 66, 74), cells=(1, 2), reduction=(8, 16), anchors=(1, 2))


def fact(field: str, *values: Any) -> Fact:
    return Fact(field, values, "", "card", ())


def test_the_space_has_as_many_distinct_architectures_as_stated() -> None:
    assert search(params=0)["looked_at"] == DISTINCT


def test_the_cards_total_has_two_solutions_and_the_one_that_fits_is_not_deformable() -> None:
    result = search(487_103)
    assert [match["config"] for match in result["matches"]] == [
        {
            "channels": 64,
            "pyramid": "bifpn",
            "cells": 2,
            "attention": "backbone",
            "reduction": 32,
            "context": "dcnv2",
            "shuffle": "bottleneck",
            "anchors": 1,
        },
        described(CONFIGS["v1"]),
    ]
    assert [match["variants"] for match in result["matches"]] == [[], ["v1"]]
    fixed = {"channels": 74, "attention": "both"}
    assert [match["variants"] for match in search(487_103, fixed=fixed)["matches"]] == [["v1"]]


@pytest.mark.parametrize("reading", ["parameters", "weights and biases", "weights", "thop"])
def test_no_deformable_network_of_74_channels_and_two_attentions_has_the_cards_total(
    reading: str,
) -> None:
    fixed = {"channels": 74, "attention": "both", "context": DEFORMABLE}
    result = search(487_103, fixed=fixed, reading=reading)
    # 74 does not divide by four, so that SSH contexts fall out: contexts · shuffles · cells ·
    # anchors · reductions remain.
    assert result["looked_at"] == 2 * 2 * 8 * 3 * 9
    assert result["found"] == 0


@pytest.mark.parametrize(
    ("params", "variants"),
    [
        (592_371, [["official"]]),
        (489_015, [["no-attention"]]),
        (488_664, [[], [], []]),
        (523_121, [["v1-deformable"]]),
    ],
)
def test_known_totals(params: int, variants: list[list[str]]) -> None:
    assert [match["variants"] for match in search(params)["matches"]] == variants


def test_the_second_total_of_the_paper_is_official_with_52_channels_among_others() -> None:
    official = described(CONFIGS["official"])
    configs = [match["config"] for match in search(488_664)["matches"]]
    assert official | {"channels": 52, "shuffle": "free"} in configs


def test_under_thops_reading() -> None:
    result = search(488_661, reading="thop", fixed={"channels": 64})
    (match,) = result["matches"]
    assert match["variants"] == ["official"]
    assert (match["counted"], match["params"], match["params_difference"]) == (488_661, 592_371, 0)


def brute_force(space: Space, size: tuple[int, int]) -> list[tuple[dict[str, Any], int, int]]:
    found = search(params=0, within=10**9, space=space, size=size, limit=None)
    rows = []
    for i, match in enumerate(found["matches"]):
        if i % 20 == 0:
            config = config_from(match["config"])
            assert match["params"] == closed_form_parameters(config)
            assert match["macs"] == closed_form_macs(config, *size)
        rows.append((match["config"], match["params"], match["macs"]))
    assert found["looked_at"] == found["found"] == len(rows)
    return rows


def test_matches_are_those_within_reach() -> None:
    size = (97, 64)
    rows = brute_force(SMALL, size)
    params, macs = rows[len(rows) // 2][1:]

    def configs(**asked: Any) -> list[str]:
        matches = search(space=SMALL, size=size, limit=None, **asked)["matches"]
        return sorted(str(m["config"]) for m in matches)

    def expected(test: Any) -> list[str]:
        return sorted(str(config) for config, p, m in rows if test(p, m))

    assert configs(params=params) == expected(lambda p, m: p == params)
    near = expected(lambda p, m: abs(p - params) <= 900)
    assert len(near) > 3
    assert configs(params=params, within=900) == near
    assert configs(macs=macs) == expected(lambda p, m: m == macs)
    assert configs(macs=macs, within=10**5) == expected(lambda p, m: abs(m - macs) <= 10**5)
    both = expected(lambda p, m: abs(p - params) <= 5000 and abs(m - macs) <= 10**5)
    assert 0 < len(both) < len(near) + len(rows)
    assert configs(params=params, macs=macs, within=5000, within_macs=10**5) == both


def test_order_by_facts_then_distance_then_place() -> None:
    facts = [
        fact("channels", 74),
        fact("attention", "both"),
        fact("reduction", 16),
        fact("context", *DEFORMABLE),
    ]
    result = search(487_103, within=2_000, facts=facts, space=SMALL)
    keys = [(-m["facts_agreeing"], abs(m["params_difference"])) for m in result["matches"]]
    assert keys == sorted(keys)
    assert len({agreeing for agreeing, _ in keys}) > 2
    for match in result["matches"]:
        assert match["facts"] == {
            "channels": match["config"]["channels"] == 74,
            "attention": match["config"]["attention"] == "both",
            "reduction": match["config"]["reduction"] == 16,
            "context": "dcn" in match["config"]["context"],
        }
    # Equal architectures but for the order of the ranges: the tie is broken by the order.
    free_first = search(487_103, space=replace(SPACE, shuffle=("none", "free")))
    assert [m["config"]["shuffle"] for m in free_first["matches"]] == ["none", "free"]
    none_first = search(487_103, space=replace(SPACE, shuffle=("free", "none")))
    assert [m["config"]["shuffle"] for m in none_first["matches"]] == ["free", "none"]


def test_a_fact_about_what_is_not_there_is_not_agreed_with() -> None:
    fixed = {"attention": "none", "pyramid": "fpn"}
    facts = [fact("reduction", 1), fact("cells", 1)]
    result = search(426_608, fixed=fixed, facts=facts, space=FAMILY)
    assert result["matches"][0]["facts"] == {"reduction": False, "cells": False}
    # … nor counted when matches are put in order.
    mixed = replace(SMALL, reduction=(1, 8), channels=(64,))
    keys = [
        -m["facts_agreeing"] for m in search(0, within=10**7, facts=facts, space=mixed)["matches"]
    ]
    assert keys == sorted(keys)


def test_the_limit_hides_matches_but_counts_them() -> None:
    every = search(487_103, within=500, limit=None)
    some = search(487_103, within=500, limit=3)
    assert some["found"] == every["found"] == len(every["matches"]) > 3
    assert some["matches"] == every["matches"][:3]
    assert search(487_103, limit=0)["matches"] == []


def test_fixed_and_excluded_fields() -> None:
    narrowed = search(487_103, excluded={"context": DEFORMABLE})
    assert [match["variants"] for match in narrowed["matches"]] == [["v1"]]
    assert narrowed["looked_at"] < DISTINCT
    assert search(426_608, fixed={"pyramid": "fpn", "shuffle": "none"})["matches"][0][
        "variants"
    ] == ["retinaface"]


def test_macs_depend_on_the_size() -> None:
    official = CONFIGS["official"]
    for size in ((640, 640), (33, 479)):
        result = search(macs=closed_form_macs(official, *size), size=size)
        assert ["official"] in [match["variants"] for match in result["matches"]]


def test_what_was_asked_and_looked_at_goes_into_json() -> None:
    facts = [Fact("channels", (74,), "74 channels", "card", (45, 219))]
    record = json.loads(json.dumps(search(487_103, facts=facts)))
    assert record["looked_at"] == DISTINCT
    assert record["found"] == record["shown"] == 2
    assert record["seconds"] > 0
    assert record["asked"] == {
        "params": 487_103,
        "macs": None,
        "within": 0,
        "within_macs": 0,
        "reading": "parameters",
        "height": 640,
        "width": 640,
    }
    assert record["facts"]["channels"] == {
        "values": [74],
        "statement": "74 channels",
        "source": "card",
        "lines": [45, 219],
    }
    assert record["space"]["cells"] == list(range(1, 9))
    best = record["matches"][0]
    assert best["variants"] == ["v1"]
    assert best["facts"] == {"channels": True}
    assert best["facts_agreeing"] == 1
    assert best["params_difference"] == 0
    assert best["macs_difference"] is None


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "a search needs a number of parameters or of MACs"),
        ({"params": -1}, "params (=-1) must be from 0 to"),
        ({"params": 10**30}, f"params (={10**30}) must be from 0 to"),
        ({"macs": -5}, "macs (=-5) must be from 0 to"),
        ({"params": 1, "within": -1}, "within (=-1) must be from 0 to"),
        ({"macs": 1, "within_macs": -2}, "within_macs (=-2) must be from 0 to"),
        ({"params": 1, "reading": "neurons"}, "unknown reading 'neurons'"),
        ({"params": 1, "fixed": {"colour": 3}}, "unknown field 'colour'"),
        ({"params": 1, "excluded": {"anchors": (1, 2, 3)}}, "the design space is empty: anchors"),
        ({"params": 1, "size": (16, 640)}, "height (=16) must be from 32"),
        (
            {"params": 1, "fixed": {"channels": 74, "context": "ssh"}},
            "the design space is empty: channels (=74) must be divisible by 4",
        ),
        (
            {"params": 1, "fixed": {"reduction": 128, "attention": "both"}},
            "the design space is empty: reduction (=128) must not exceed",
        ),
    ],
)
def test_bad_questions_are_refused_in_one_line(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        search(**asked)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_the_largest_space_stays_within_two_gigabytes() -> None:
    wide = Space(
        channels=tuple(range(4, 420, 2)),
        pyramid=("bifpn", "fpn"),
        cells=tuple(range(1, 14)),
        reduction=(2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64),
        anchors=tuple(range(1, 7)),
    )
    tracemalloc.start()
    try:
        # All of them match, and are put in order.
        result = search(1_000_000, 10**9, within=10**12, space=wide, limit=10)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result["found"] == result["looked_at"] > MAX_COMBINATIONS / 2
    assert peak < 2 * 10**9


@pytest.mark.slow
def test_drawn_architectures_are_found_again() -> None:
    rng = random.Random(0)
    for _ in range(40):
        values = {
            "channels": rng.choice([c for c in SPACE.channels if c % 4 == 0 and c >= 64]),
            "pyramid": "bifpn",
            **{
                name: rng.choice(getattr(SPACE, name))
                for name in ("cells", "attention", "reduction", "context", "shuffle", "anchors")
            },
        }
        config = config_from(values)
        total = int(parameters(Fields.of(config)))
        assert described(config) in [m["config"] for m in search(total, limit=None)["matches"]]
