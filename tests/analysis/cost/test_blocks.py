"""Blocks and layers: what they cost, their shapes, and that parts add up."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from analysis.cost import measure
from analysis.cost.blocks import (
    describe_blocks,
    measure_blocks,
    measure_layers,
)
from featherface.config import (
    BLOCKS,
    CONFIGS,
    LEVELS,
    STRIDES,
    ConfigError,
    FeatherFaceConfig,
    SizeError,
)
from featherface.model import FeatherFace

SIZES = [(640, 640), (97, 131), (33, 640)]
# The layout that other programs read.
KEYS = [
    *("variant", "config", "input", "params", "macs", "macs_by_kind", "uncounted"),
    *("activation_bytes", "blocks", "conventions"),
]
BLOCK_KEYS = [
    *("name", "title", "params", "params_share", "macs", "macs_share", "macs_by_kind"),
    *("activation_bytes", "activation_share", "output_shapes", "parts"),
]
KINDS = ["conv", "linear", "deformable_kernel", "offset_and_mask_conv", "sampling"]
FLOAT32 = 4


def block(record: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in record["blocks"] if entry["name"] == name)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("variant", CONFIGS)
def test_blocks_add_up(variant: str, size: tuple[int, int]) -> None:
    record = measure_blocks(variant, *size)
    blocks = record["blocks"]
    assert tuple(entry["name"] for entry in blocks) == BLOCKS
    for figure in ("params", "macs", "activation_bytes"):
        assert sum(entry[figure] for entry in blocks) == record[figure], figure
    for share in ("params_share", "macs_share", "activation_share"):
        assert math.isclose(sum(entry[share] for entry in blocks), 1), share
    for kind, macs in record["macs_by_kind"].items():
        assert sum(entry["macs_by_kind"][kind] for entry in blocks) == macs, kind
    for entry in blocks:
        for figure in ("params", "macs"):
            parts = sum(part[figure] for part in entry["parts"])
            assert parts == entry[figure], (entry["name"], figure)


@pytest.mark.parametrize("size", [(97, 131), (33, 64)])
@pytest.mark.parametrize("variant", CONFIGS)
def test_shapes_are_those_of_the_real_network(variant: str, size: tuple[int, int]) -> None:
    with torch.no_grad():
        outputs, named = FeatherFace(variant).eval().intermediates(torch.zeros(1, 3, *size))
    expected = {
        name: {level: list(named[f"{name}.{level}"].shape) for level in LEVELS}
        for name in BLOCKS[:-1]
    } | {"heads": {name: list(x.shape) for name, x in outputs._asdict().items()}}
    record = measure_blocks(variant, *size)
    assert record["input"] == [1, 3, *size]
    assert {entry["name"]: entry["output_shapes"] for entry in record["blocks"]} == expected


@pytest.mark.parametrize("variant", CONFIGS)
def test_activation_bytes(variant: str) -> None:
    height, width = 97, 131
    config = CONFIGS[variant]
    cells = [math.ceil(height / s) * math.ceil(width / s) for s in STRIDES]
    backbone = sum(c * n for c, n in zip((64, 128, 256), cells, strict=True)) * FLOAT32
    others = config.channels * sum(cells) * FLOAT32
    record = measure_blocks(variant, height, width)
    assert {entry["name"]: entry["activation_bytes"] for entry in record["blocks"]} == {
        "backbone": backbone,
        "first_attention": backbone if config.first_attention_channels else 0,
        "pyramid": others,
        "second_attention": others if config.second_attention_channels else 0,
        "context": others if config.context != "none" else 0,
        "shuffle": others if config.shuffle != "none" else 0,
        "heads": sum(cells) * config.anchors * (4 + 2 + 10) * FLOAT32,
    }


def test_absent_blocks_cost_nothing_and_keep_their_shapes() -> None:
    record = measure_blocks("no-attention")
    for name, before in (("first_attention", "backbone"), ("second_attention", "pyramid")):
        absent = block(record, name)
        assert (absent["params"], absent["macs"], absent["activation_bytes"]) == (0, 0, 0)
        assert absent["parts"] == []
        assert absent["output_shapes"] == block(record, before)["output_shapes"]
        assert absent["title"].endswith(": none")


def test_blocks_of_official() -> None:
    positions = {"p3": 80**2, "p4": 40**2, "p5": 20**2}
    record = measure_blocks("official")
    assert record["macs"] == 1_243_802_176
    assert block(record, "heads")["macs"] == 64 * 2 * (2 + 4 + 10) * sum(positions.values())
    bottleneck = 64 * 32 + 32 * 9 + 32 * 64
    assert block(record, "shuffle")["macs"] == bottleneck * sum(positions.values())
    assert [part["macs"] for part in block(record, "shuffle")["parts"]] == [
        bottleneck * n for n in positions.values()
    ]
    # Each CBAM runs its MLP twice, on the means and on the maxima.
    assert [part["macs"] for part in block(record, "second_attention")["parts"]] == [
        2 * (64 * 4 + 4 * 64) + 2 * 49 * n for n in positions.values()
    ]
    assert block(record, "context")["macs_by_kind"]["deformable_kernel"] == 290_304_000
    assert block(record, "heads")["output_shapes"] == {
        "boxes": [1, 16_800, 4],
        "logits": [1, 16_800, 2],
        "landmarks": [1, 16_800, 10],
    }


def test_layout() -> None:
    record = measure_blocks("official", 64, 96)
    assert list(record) == KEYS
    assert list(record["macs_by_kind"]) == KINDS
    for entry in record["blocks"]:
        assert list(entry) == BLOCK_KEYS
        assert list(entry["macs_by_kind"]) == KINDS
    assert record["variant"] == "official"
    assert set(KINDS) < set(record["conventions"])
    assert json.loads(json.dumps(record)) == record


def test_unnamed_architecture() -> None:
    config = FeatherFaceConfig(channels=52, shuffle="free", cells=1)
    record = measure_blocks(config, 64, 64)
    assert record["variant"] is None
    assert FeatherFaceConfig(**record["config"]) == config
    assert block(record, "pyramid")["title"].endswith("BiFPN, 1 cell")


@pytest.mark.parametrize("variant", CONFIGS)
def test_layers_add_up(variant: str) -> None:
    layers = measure_layers(variant, 97, 131)
    for layer in layers:
        start = f"{layer['path']}." if layer["path"] else ""
        inside = [each for each in layers if each["path"].startswith(start)]
        children = [each for each in inside if each["depth"] == layer["depth"] + 1]
        for figure in ("params", "macs"):
            parts = layer[f"own_{figure}"] + sum(child[figure] for child in children)
            assert parts == layer[figure], (layer["path"], figure)


def test_layers_agree_with_blocks() -> None:
    layers = {layer["path"]: layer for layer in measure_layers("official", 97, 131)}
    record = measure_blocks("official", 97, 131)
    for entry in record["blocks"]:
        for figure in ("params", "macs", "macs_by_kind"):
            assert layers[entry["name"]][figure] == entry[figure], (entry["name"], figure)
        for part in entry["parts"]:
            assert {key: layers[part["path"]][key] for key in part} == part


def test_layers_of_official() -> None:
    layers = {layer["path"]: layer for layer in measure_layers("official", 64, 96)}
    assert list(layers) == [path for path, _ in FeatherFace("official").named_modules()]
    kernel = layers["context.levels.0.a.conv"]
    assert kernel["type"] == "DeformConv2d"
    assert kernel["own_params"] == 64 * 32 * 9
    assert kernel["own_macs"] == 64 * 32 * 9 * (8 * 12)
    assert kernel["params"] == 64 * 32 * 9 + (18 + 9) * (64 * 9 + 1)
    assert kernel["macs"] == (64 * 32 * 9 + (18 + 9) * 64 * 9) * (8 * 12)
    stem = layers["backbone.stem.conv"]
    assert (stem["calls"], stem["output_shapes"]) == (1, [[1, 8, 32, 48]])
    assert stem["output_bytes"] == 8 * 32 * 48 * FLOAT32
    mlp = layers["first_attention.levels.2.channel.reduce"]
    assert (mlp["calls"], mlp["macs"]) == (2, 2 * 256 * 16)
    container = layers["context.levels"]
    assert (container["calls"], container["output_shapes"]) == (0, [])
    assert json.loads(json.dumps(list(layers.values()))) == list(layers.values())


@pytest.mark.parametrize("measure", [measure_blocks, measure_layers])
def test_bad_input(measure: Any) -> None:
    with pytest.raises(ConfigError, match="variant \\(='v2'\\) must be one of v1, "):
        measure("v2")
    with pytest.raises(SizeError, match="height \\(=31\\) must be from 32 to"):
        measure("v1", 31, 640)


@pytest.mark.parametrize("measure", [measure_blocks, measure_layers])
def test_measuring_leaves_the_random_state(measure: Any) -> None:
    before = torch.get_rng_state()
    measure("official", 64, 64)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_a_network_runs_itself_is_a_block() -> None:
    class Net(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(super().forward(x), scale_factor=2, mode="bilinear")

    for network, sampled in ((Net(nn.Conv2d(3, 2, 1)), 2 * 16 * 16), (nn.Conv2d(3, 2, 1), 0)):
        record = describe_blocks(measure(network, torch.zeros(1, 3, 8, 8)), [1, 3, 8, 8])
        assert [b["macs_by_kind"]["sampling"] for b in record["blocks"]][-1] == 4 * sampled
        for kind, macs in record["macs_by_kind"].items():
            assert sum(b["macs_by_kind"][kind] for b in record["blocks"]) == macs, kind
        assert record["activation_bytes"] == 2 * 8 * 8 * FLOAT32
        assert sum(b["activation_share"] for b in record["blocks"]) == 1
