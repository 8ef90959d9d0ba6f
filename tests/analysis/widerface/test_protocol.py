"""Sizes of the views, and what a result says of its protocol."""

from __future__ import annotations

import json

import pytest

from analysis.widerface.protocol import PROTOCOLS, named
from featherface.errors import InputError


def test_the_official_thresholds_are_those_of_all() -> None:
    assert {(p.score_threshold, p.nms_threshold) for p in PROTOCOLS.values()} == {(0.02, 0.4)}


@pytest.mark.parametrize("name", ["original", "exact"])
def test_the_original_size_is_one_view(name: str) -> None:
    assert PROTOCOLS[name].sizes(683, 1024) == [(683, 1024)]


@pytest.mark.parametrize(
    ("image", "size"),
    [
        ((1000, 1024), (1600, 1638)),  # 1.6 enlarges to 1638.4
        ((683, 1024), (1434, 2150)),  # 1600/683 would make it 2,399 wide
        ((2048, 1024), (2150, 1075)),
        ((1600, 2150), (1600, 2150)),
        ((3000, 2500), (1920, 1600)),  # also makes smaller
    ],
)
def test_1600_or_what_keeps_the_longer_side_at_2150(
    image: tuple[int, int], size: tuple[int, int]
) -> None:
    assert PROTOCOLS["1600"].sizes(*image) == [size]


def test_five_scales_are_in_proportion() -> None:
    # The longer side is at most 1,200 where the shorter would be 800: 0.5859375 of 2048.
    assert PROTOCOLS["multi-scale"].sizes(1024, 2048) == [
        (375, 750),
        (600, 1200),
        (825, 1650),
        (1050, 2100),
        (1275, 2550),
    ]
    assert PROTOCOLS["multi-scale"].sizes(800, 1000)[1] == (800, 1000)


def test_other_thresholds_show_in_the_name() -> None:
    assert named("original") == PROTOCOLS["original"]
    assert named("original", score=0.02) == PROTOCOLS["original"]
    assert named("1600", score=0.5).name == "1600 with score > 0.5, NMS 0.4"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("single",), "protocol (='single') must be one of original, exact, 1600, multi-scale"),
        (("original", 1), "score (=1)"),
        (("original", -0.1), "score (=-0.1)"),
        (("original", float("nan")), "score (=nan)"),
        (("original", None, 1.5), "nms (=1.5)"),
    ],
)
def test_bad_arguments_are_one_line(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(InputError) as error:
        named(*arguments)  # type: ignore[arg-type]
    assert message in str(error.value)


def test_records_are_json_and_differ() -> None:
    records = [json.dumps(protocol.record()) for protocol in PROTOCOLS.values()]
    assert len(set(records)) == len(PROTOCOLS)
    assert json.loads(records[0])["shorter_sides"] == "original"
