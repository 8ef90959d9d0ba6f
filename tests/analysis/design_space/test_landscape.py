"""The histogram of the space: every architecture in the cell it belongs to."""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import replace

from analysis.design_space.closed_form import closed_form_macs
from analysis.design_space.landscape import landscape
from analysis.design_space.search import search
from analysis.design_space.space import FAMILY
from featherface import CONFIGS

SMALL = replace(FAMILY, channels=(32, 64, 74), cells=(2, 3), reduction=(16,), anchors=(1, 2))
RANGES = {"params_range": (300_000, 600_000), "macs_range": (10_000_000, 50_000_000)}


def cell(edges: list[float], value: int) -> int | None:
    if not edges[0] <= value <= edges[-1]:
        return None
    return min(bisect_right(edges, value), len(edges) - 1) - 1


def test_counts_are_those_of_the_architectures() -> None:
    size = (96, 101)
    record = landscape(SMALL, size, bins=(7, 5), **RANGES)
    every = search(0, within=10**9, space=SMALL, size=size, limit=None)
    expected = {kind: [[0] * 7 for _ in range(5)] for kind in SMALL.context}
    inside = 0
    for match in every["matches"]:
        row = cell(record["macs_edges"], match["macs"])
        column = cell(record["params_edges"], match["params"])
        if row is not None and column is not None:
            expected[match["config"]["context"]][row][column] += 1
            inside += 1
    assert record["counts"] == expected
    assert record["looked_at"] == every["looked_at"] > record["inside"] == inside > 100


def test_the_record_says_where_the_variants_are() -> None:
    record = json.loads(json.dumps(landscape(SMALL, (64, 64), **RANGES)))
    assert [v["variant"] for v in record["variants"]] == list(CONFIGS)
    for v in record["variants"]:
        assert v["macs"] == closed_form_macs(CONFIGS[v["variant"]], 64, 64)
    assert (record["height"], record["width"]) == (64, 64)


def test_every_variant_lies_inside_by_default() -> None:
    record = landscape(SMALL)
    for v in record["variants"]:
        assert record["params_edges"][0] < v["params"] < record["params_edges"][-1]
        assert record["macs_edges"][0] < v["macs"] < record["macs_edges"][-1]
