"""Which block a claim is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.report.diagram.subjects import BLOCKS, claims_by_block
from featherface.config import BLOCKS as NETWORK_BLOCKS

RESULTS = Path(__file__).resolve().parents[4] / "docs" / "results"


def claim(id: str, measure: str, statement: str, **fields: Any) -> dict[str, Any]:
    kind = "parameters" if "'" in measure else "arithmetic"
    variant = "v1" if "'v1'" in measure else None
    return {
        "id": id,
        "source": "card",
        "kind": kind,
        "variant": variant,
        "measure": measure,
        "statement": statement,
        "claimed": 0,
    } | fields


STATED = [
    claim("first-params", "params('v1', 'first_attention')", "It has 22,080", claimed=22080),
    claim("second-params", "params('v1', 'second_attention')", "It has 22,080", claimed=22080),
    claim("heads-sum", "params('v1', 'heads.classes.0')", "Together 1,184", claimed=1184),
    claim("total", "params('v1', reduction=16)", "The network has 487,103", claimed=487103),
]


def about(*claims: dict[str, Any], of: str) -> set[str]:
    records = [{"variant": "v1", "params": 487103}]
    found = claims_by_block([*STATED, *claims], records)["v1"]
    return {block for block, own in found.items() if of in [c["id"] for c in own]}


@pytest.mark.parametrize(
    ("measure", "statement", "blocks"),
    [
        ("params('v1', 'backbone')", "It has so many", {"backbone"}),
        ("shape('v1', 'context.p4')", "Behind it P4 is so", {"context"}),
        ("channels('v1', 'heads.classes.*')", "From 74 to 2", {"heads"}),
        ("pyramid_passes_on('v1', 'p5', 'p3')", "Down and up", {"pyramid"}),
        ("shuffle_groups('v1')", "It has 2 groups", {"shuffle"}),
        ("anchor_sides('v1', 'p3')", "They are 8×8", {"heads"}),
        ("shape('v1', 'logits')[1]", "2 values", {"heads"}),
        ("setting('v1', 'reduction')", "By 16", {"first_attention", "second_attention"}),
        ("params('v1', context='dcnv1')", "The total as drawn", {"context"}),
        # measured on two, stated of one
        (
            "(shape('v1', 'backbone.p3')[0], shape('v1', 'first_attention.p3')[0])",
            "The attention of P3 takes and returns 32 channels",
            {"first_attention"},
        ),
        (
            "params('v1', 'context', 'shuffle')",
            "Context modules and shuffles",
            {"context", "shuffle"},
        ),
        # calculated from figures that are stated of blocks
        ("3 * 1184", "Three times that", {"heads"}),
        ("2 * 22080", "Twice that", {"first_attention", "second_attention"}),
        ("percent(22080, 487103)", "CBAMs behind the pyramid are 4.6 %", {"second_attention"}),
        # the total tells nothing, nor does a small number: the words do
        ("percent(0, 487103)", "The channel shuffle is 0 % of it", {"shuffle"}),
        ("percent(487103, 488700)", "99.7 % of the target", {""}),
        ("params('v1')", "The network without attention has so many", {""}),
        ("architectures('v1', 'context', total=1)", "There is such a network", {""}),
    ],
)
def test_what_a_claim_is_about(measure: str, statement: str, blocks: set[str]) -> None:
    assert about(claim("it", measure, statement), of="it") == blocks


def test_arithmetic_goes_to_the_network_whose_total_it_uses() -> None:
    records = [{"variant": "v1", "params": 487103}, {"variant": "official", "params": 592371}]
    sums = claim("sum", "percent(213072, 592371)", "The backbone is 36.0 %")
    found = claims_by_block([*STATED, sums], records)
    assert found["official"]["backbone"] == [sums]
    assert sums not in found["v1"]["backbone"]


def test_no_claim_is_lost_and_the_blocks_are_the_networks() -> None:
    verdicts = json.loads((RESULTS / "verdicts.json").read_text(encoding="utf-8"))
    records = json.loads((RESULTS / "blocks.json").read_text(encoding="utf-8"))
    found = claims_by_block(verdicts, records)
    names = {(c["source"], c["id"]) for of in found.values() for own in of.values() for c in own}
    assert names == {(c["source"], c["id"]) for c in verdicts}
    assert tuple(BLOCKS) == NETWORK_BLOCKS
