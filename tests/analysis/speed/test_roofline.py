"""The roofline: bytes counted by hand, and where a block stands under made-up ceilings."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from analysis.cost import Cost
from analysis.cost.blocks import network_cost
from analysis.speed import roofline
from analysis.speed.roofline import above_roof, measure_ceilings, measure_roofline, place
from analysis.speed.setting import Setting
from analysis.speed.timing import Rule
from featherface import CONFIGS, FeatherFace

CEILINGS = {"gmacs_per_second": 100.0, "gigabytes_per_second": 10.0, "ridge_macs_per_byte": 10.0}
SHORT = Rule(seconds=0.0)


def traffic_of(*setting: Any) -> dict[str, Cost]:
    return {block.path: block for block in network_cost(*setting).children}


def test_the_heads_move_what_their_convolutions_read_and_write() -> None:
    config = CONFIGS["v1"]
    found = traffic_of(config, 64, 96, 2, torch.float32)["heads"]
    channels, cells = config.channels, (8 * 12, 4 * 6, 2 * 3)
    outputs = config.anchors * (2 + 4 + 10)
    weights = 3 * (channels + 1) * outputs  # three levels, with biases
    read = 2 * channels * sum(cells)
    written = 2 * outputs * sum(cells)
    # What the three convolutions of a level read, they read three times.
    convolutions = 3 * read + weights + written
    # Then values are laid out by position, and the levels are joined: each reads and writes all.
    assert found.bytes_moved == 4 * (convolutions + 2 * written + 2 * written)
    assert found.bytes_least == 4 * (read + weights + written)


@pytest.mark.parametrize("variant", CONFIGS)
def test_blocks_that_pass_on_their_input_move_nothing(variant: str) -> None:
    config = CONFIGS[variant]
    found = traffic_of(config, 64, 64, 1, torch.float32)
    assert (found["first_attention"].bytes_moved == 0) == (config.attention == "none")
    assert (found["shuffle"].bytes_moved == 0) == (config.shuffle == "none")
    for traffic in found.values():
        assert traffic.bytes_moved >= traffic.bytes_least


def test_a_permutation_reads_and_writes_every_value_once() -> None:
    found = traffic_of(CONFIGS["v1"], 64, 64, 1, torch.float32)["shuffle"]
    values = 74 * (8 * 8 + 4 * 4 + 2 * 2)
    assert found.bytes_moved == found.bytes_least == 4 * 2 * values


def test_half_the_width_is_half_the_bytes() -> None:
    wide, narrow = (
        traffic_of(CONFIGS["official"], 64, 64, 1, dtype)
        for dtype in (torch.float32, torch.float16)
    )
    for name in wide:
        # Batch normalisation counts nothing else, so it is exactly half.
        assert wide[name].bytes_least == 2 * narrow[name].bytes_least


def test_weights_are_read_once_whatever_the_batch() -> None:
    one, four = (traffic_of(CONFIGS["v1"], 64, 64, b, torch.float32)["heads"] for b in (1, 4))
    weights = 4 * sum(p.numel() for p in FeatherFace("v1").heads.parameters())
    assert four.bytes_least - weights == 4 * (one.bytes_least - weights)


def test_a_block_of_few_macs_a_byte_is_bound_by_memory() -> None:
    found = place(2_000_000, 1_000_000, 500_000, 1.0, CEILINGS)
    assert found["macs_per_byte"] == 2
    assert found["macs_per_byte_most"] == 4
    assert found["roof_gmacs_per_second"] == 20
    assert found["gmacs_per_second"] == pytest.approx(2)
    assert found["gigabytes_per_second"] == pytest.approx(1)
    assert found["share_of_roof"] == pytest.approx(0.1)
    assert found["bound"] == "memory"


def test_a_block_of_many_macs_a_byte_is_bound_by_compute() -> None:
    found = place(50_000_000, 1_000_000, 1_000_000, 1.0, CEILINGS)
    assert (found["roof_gmacs_per_second"], found["bound"]) == (100, "compute")
    assert found["share_of_roof"] == pytest.approx(0.5)


def test_a_block_without_macs_is_measured_in_bytes() -> None:
    found = place(0, 1_000_000, 1_000_000, 0.5, CEILINGS)
    assert (found["roof_gmacs_per_second"], found["bound"]) == (None, "memory")
    assert found["share_of_roof"] == pytest.approx(0.2)


def test_a_block_that_does_nothing_has_no_roof() -> None:
    found = place(0, 0, 0, 0.001, CEILINGS)
    assert found["bound"] is found["share_of_roof"] is found["macs_per_byte"] is None


def test_a_roofline_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "SIZES", {"cpu": (64, 128)})
    monkeypatch.setattr(roofline, "COPIES", {"cpu": (2**20,)})
    found: dict[str, Any] = measure_roofline(Setting("official", height=64, width=64), SHORT)
    macs = network_cost("official", 64, 64).macs
    assert sum(block["macs"] for block in found["blocks"]) == macs == found["whole"]["macs"]
    assert sum(block["bytes"] for block in found["blocks"]) == found["whole"]["bytes"]
    roof = found["ceilings"]
    best = max(p["gmacs_per_second"] for p in roof["matrix_products"])
    assert roof["gmacs_per_second"] == best


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_ceilings_are_of_the_settings_dtype(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "SIZES", {"cpu": (64,)})
    monkeypatch.setattr(roofline, "COPIES", {"cpu": (2**20,)})
    found = measure_ceilings(Setting(dtype=dtype), SHORT)
    assert found["copies"][0]["bytes"] == 2 * 2**20
    assert found["matrix_products"][0]["gmacs_per_second"] > 0


def test_the_best_library_and_size_make_the_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(roofline, "SIZES", {"cpu": (64, 128)})
    monkeypatch.setattr(roofline, "COPIES", {"cpu": (2**16, 2**20)})
    found = measure_ceilings(Setting(), SHORT)
    libraries = {each["library"] for each in found["matrix_products"]}
    assert {"torch", "onnxruntime"} <= libraries
    best = max(found["matrix_products"], key=lambda each: float(each["gmacs_per_second"]))
    assert found["product_by"] == f"{best['library']}, {best['side']}×{best['side']}"
    assert found["gigabytes_per_second_memory"] <= found["gigabytes_per_second"]


def test_onnx_runtime_multiplies_into_the_array_it_was_given() -> None:
    pytest.importorskip("onnxruntime")
    a, b = torch.rand(8, 8), torch.rand(8, 8)
    out = torch.zeros(8, 8)
    multiply = roofline._onnx_product(a.numpy(), b.numpy(), out.numpy())
    assert multiply is not None
    multiply()
    torch.testing.assert_close(out, a @ b)


def test_a_block_above_its_roof_is_a_doubt() -> None:
    fast = {"name": "heads", **place(200_000_000, 10**6, 10**6, 1.0, CEILINGS)}
    slow = {"name": "backbone", **place(20_000_000, 10**6, 10**6, 1.0, CEILINGS)}
    idle = {"name": "shuffle", **place(0, 0, 0, 0.001, CEILINGS)}
    assert above_roof([fast, slow, idle]) == [
        "heads reaches 200 % of its roof: the ceiling is not one"
    ]
