"""Sensitivity: each step is to a network that exists and costs what is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from analysis.design_space.closed_form import closed_form_macs, closed_form_parameters
from analysis.design_space.sensitivity import sensitivity
from analysis.design_space.space import FIELDS, config_from, described
from featherface import CONFIGS, ConfigError, FeatherFaceConfig, InputError


def steps(config: FeatherFaceConfig, field: str) -> list[dict[str, Any]]:
    return [r for r in sensitivity(config) if r["field"] == field]


@pytest.mark.parametrize("variant", CONFIGS)
def test_every_step_is_one_field_away_and_costs_what_its_network_costs(variant: str) -> None:
    here = CONFIGS[variant]
    params, macs = closed_form_parameters(here), closed_form_macs(here, 320, 199)
    records = sensitivity(here, size=(320, 199))
    assert {r["field"] for r in records} == set(FIELDS)
    for r in records:
        assert (r["variant"], r["height"], r["width"]) == (variant, 320, 199)
        assert r["from"] == described(here)[r["field"]] != r["to"] or r["to"] is None
        if r["reason"]:
            assert r["config"] is r["params"] is r["macs_change"] is None
            continue
        there = replace(here, **{r["field"]: r["to"]})
        assert r["config"] == described(there)
        assert r["params"] == closed_form_parameters(there) == params + r["params_change"]
        assert r["macs"] == closed_form_macs(there, 320, 199) == macs + r["macs_change"]


def test_numbers_step_to_the_next_network_that_exists() -> None:
    # An SSH context wants channels divisible by four.
    assert [r["to"] for r in steps(CONFIGS["official"], "channels")] == [60, 68]
    assert [r["to"] for r in steps(CONFIGS["v1"], "channels")] == [72, 76]
    assert [r["to"] for r in steps(CONFIGS["v1"], "reduction")] == [32, 64]
    # The next reduction up would exceed the 64 channels of the first level.
    last = replace(CONFIGS["v1"], reduction=64)
    assert [r["to"] for r in steps(last, "reduction")] == [48]
    assert [r["to"] for r in steps(replace(CONFIGS["v1"], cells=8), "cells")] == [7]
    # A value between those of the range.
    assert [r["to"] for r in steps(replace(CONFIGS["v1"], reduction=20), "reduction")] == [16, 24]


def test_known_steps() -> None:
    changes = {r["to"]: r["params_change"] for r in steps(CONFIGS["v1"], "context")}
    assert changes["dcnv1"] == 523_121 - 487_103
    assert changes["none"] == -148_296
    assert changes["dcnv2"] == 3 * (27 * 74 * 9 + 27)
    assert [r["params_change"] for r in steps(CONFIGS["v1"], "anchors")] == [-3600, 3600]


def test_a_step_that_leads_nowhere_says_why() -> None:
    reasons = {r["to"]: r["reason"] for r in steps(CONFIGS["v1"], "context")}
    for kind in ("ssh", "ssh-dcnv1", "ssh-dcnv2"):
        with pytest.raises(ConfigError) as error:
            replace(CONFIGS["v1"], context=kind)
        assert reasons[kind] == str(error.value)
    (nothing,) = steps(CONFIGS["retinaface"], "cells")
    assert (nothing["from"], nothing["to"]) == (None, None)
    assert nothing["reason"] == "pyramid 'fpn' has no cells"
    (nothing,) = steps(CONFIGS["no-attention"], "reduction")
    assert nothing["reason"] == "attention 'none' has no reduction"


def test_a_new_kind_brings_its_field_with_it() -> None:
    to_both = steps(CONFIGS["no-attention"], "attention")[-1]
    assert to_both["config"]["reduction"] == CONFIGS["no-attention"].reduction
    (to_bifpn,) = steps(CONFIGS["retinaface"], "pyramid")
    assert config_from(to_bifpn["config"]).cells == CONFIGS["retinaface"].cells


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="width"):
        sensitivity(CONFIGS["v1"], size=(640, 8))
