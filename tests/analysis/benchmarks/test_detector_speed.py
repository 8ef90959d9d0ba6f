"""The benchmark of the detector: what it refuses, and that fresh weights do in every way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from analysis.benchmarks import detector_speed
from analysis.benchmarks.detector_speed import AUTHORS, FRESH, OURS
from analysis.speed.random_network import make_random_network
from analysis.speed.timing import Rule
from featherface import CONFIGS, InputError

SHORT = Rule(seconds=0.0)


def test_bad_input_is_found_before_anything_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector_speed, "_network", lambda *_: pytest.fail("timed"))
    with pytest.raises(InputError, match=r"missing\.jpg"):
        detector_speed.measure(picture=tmp_path / "missing.jpg", rule=SHORT)
    with pytest.raises(InputError, match="'v2'"):
        detector_speed.measure(["official", "v2"], rule=SHORT)
    with pytest.raises(InputError, match="31"):
        detector_speed.measure(size=(31, 640), rule=SHORT)


@pytest.mark.parametrize("variant", ["official", "v1"])
def test_fresh_weights_are_timed_in_every_way(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = make_random_network(CONFIGS[variant]), FRESH
    monkeypatch.setattr(detector_speed, "_model", lambda _: fresh)
    ways = detector_speed._network(variant, (64, 64), SHORT, torch.device("cpu"))["ways"]
    assert set(ways) == {AUTHORS, OURS, "onnx", "openvino"}
    for way in ways.values():
        assert way.get("n", 0) >= 3 or way["not_measured"].startswith("openvino is not installed")


def test_the_environment_is_that_of_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    ceilings = {"gmacs_per_second": 1.0, "product_by": "torch"}
    monkeypatch.setattr(detector_speed, "measure_ceilings", lambda *_: ceilings)
    monkeypatch.setattr(detector_speed, "_pictures", lambda *_: {})
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(detector_speed, "stamp", lambda *_: torch.backends.cudnn.allow_tf32)
    assert detector_speed.measure([], rule=SHORT)["environment"] is False


def test_a_way_above_the_ceiling_is_a_doubt() -> None:
    ways = {"ours": {"ms_p50": 20.0}, "onnx": {"ms_p50": 8.0}, "other": {"not_measured": "why"}}
    network = {"variant": "v1", "macs": 10**9, "ways": ways}
    found = detector_speed.under_ceiling([network], ceiling=100.0)
    assert found == ["v1, onnx: 125 % of the measured ceiling"]
    assert ways["ours"] == {"ms_p50": 20.0, "gmacs_per_second": 50.0, "share_of_ceiling": 0.5}
