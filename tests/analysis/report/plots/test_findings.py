"""Findings say what the largest and the smallest numbers of a record are."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.report.plots import findings


def blocks(**ms: float) -> dict[str, Any]:
    timed = [{"name": name, "ms_p50": value} for name, value in ms.items()]
    return {"variant": "v1", "runtime": "torch", "blocks": timed}


def step(to: str, params: int | None, macs: int | None) -> dict[str, Any]:
    return {
        "field": "context",
        "from": "plain",
        "to": to,
        "params_change": params,
        "macs_change": macs,
    }


def roof(name: str, reached: float, density: float | None = 1.0) -> dict[str, Any]:
    return {"name": name, "share_of_roof": reached, "macs_per_byte": density}


DETECTORS = {
    "good": {
        "ap": {"easy": 0.9, "medium": 0.9, "hard": 0.8},
        "heights": [
            {"from": 0, "to": 10, "faces": 99, "ap": 0.0},
            {"from": 10, "to": 20, "faces": 100, "ap": 0.25},
            {"from": 20, "to": None, "faces": 900, "ap": 0.75},
        ],
        "events": [
            {"event": "0--Parade", "hard": 0.5},
            {"event": "13--Interview", "hard": None},
            {"event": "53--Car_Racing", "hard": 0.9},
        ],
    },
    "bad": {"ap": {"easy": 0.85, "medium": 0.8, "hard": 0.5}},
}
FITS = {"ms_p50": {"per_megapixel": 104.25}, "peak_bytes": {"per_megapixel": 3 * 2**20}}


@pytest.mark.parametrize(
    ("finding", "words"),
    [
        (
            findings.by_block(
                [blocks(context=3, heads=1), blocks(context=9, heads=1), blocks(heads=5, context=1)]
            ),
            "Context takes the most time in 2 of 3 bars, up to 90.0 % in v1.",
        ),
        (
            findings.operators(
                {"operators": [{"operator": "aten::mul", "block": "first_attention", "share": 0.5}]}
            ),
            "mul in first attention takes the most time: 50.0 %.",
        ),
        (
            findings.roofline(
                {"blocks": [roof("heads", 0.1), roof("context", 0.2), roof("shuffle", 0, None)]}
            ),
            "Context comes closest to its ceiling, with 20.0 % of it; the farthest below is heads, "
            "with 10.0 %.",
        ),
        (
            findings.growth({"fits": {"sizes": FITS}}),
            "A larger image takes 104 ms and 3 MiB more per megapixel.",
        ),
        (findings.growth({"fits": {"sizes": dict.fromkeys(FITS)}}), ""),
        (
            findings.sensitivity([step("none", -148_296, -4_140_000), step("ssh", None, None)]),
            "The largest change: context plain → none, −148 thousand parameters and −4 million "
            "MACs.",
        ),
        (
            findings.curves(DETECTORS),
            "The detectors differ most on Hard: from an AP of 0.5000 (bad) to 0.8000 (good).",
        ),
        (
            findings.by_height(DETECTORS),
            "good has an AP of 0.25 on faces of 10–20 pixels and of 0.75 on those of 20 up.",
        ),
        (
            findings.by_event(DETECTORS),
            "good is worst on Parade with an AP of 0.50 on Hard, and best on Car Racing with 0.90.",
        ),
        (
            findings.training(
                [
                    {"epoch": None, "detector": "official", "hard": 0.75},
                    {"epoch": 10, "detector": "a", "hard": 0.5},
                ]
            ),
            "AP on Hard goes from 0.500 at epoch 10 to 0.750 with official.",
        ),
    ],
)
def test_findings(finding: str, words: str) -> None:
    assert finding == words
