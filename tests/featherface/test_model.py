from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.export import Dim
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from featherface import (
    CONFIGS,
    Detector,
    FeatherFace,
    FeatherFaceConfig,
    InputError,
    export,
)
from featherface.blocks.context import SSH
from featherface.blocks.deformable import DeformConv2d
from featherface.blocks.pyramid import Fusion, downsample_to
from featherface.blocks.shuffle import ChannelShuffle
from featherface.config import BLOCKS, LEVELS, STRIDES
from featherface.images import preprocess
from featherface.model import plain_copy
from featherface.synthetic import draw_crowd

# Parameters by block and in total, as published reference implementations have them.
PARAMETERS = {
    "v1": ([213_072, 293 + 742 + 2_921, 113_610, 3 * 323, 3 * 49_432, 0, 7_200], 487_103),
    "v1-deformable": (
        [213_072, 3_956, 113_610, 969, 3 * (49_432 + 18 * (9 * 74 + 1)), 0, 7_200],
        523_121,
    ),
    "official": ([213_072, 11_528, 112_606, 2_040, 232_965, 13_920, 6_240], 592_371),
    "no-attention": ([213_072, 0, 77_916, 0, 192_555, 0, 5_472], 489_015),
    "retinaface": ([213_072, 0, 103_040, 0, 104_256, 0, 6_240], 426_608),
}

SIZES = [(32, 32), (33, 65), (97, 131), (64, 320)]


def size_of(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("variant", CONFIGS)
def test_the_children_are_the_blocks_of_the_card(variant: str) -> None:
    assert tuple(name for name, _ in FeatherFace(variant).named_children()) == BLOCKS


@pytest.mark.parametrize("variant", CONFIGS)
def test_parameters_are_exact(variant: str) -> None:
    model = FeatherFace(CONFIGS[variant])
    by_block, total = PARAMETERS[variant]
    assert [size_of(child) for child in model.children()] == by_block
    assert size_of(model) == total == sum(by_block)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("variant", CONFIGS)
def test_every_anchor_is_answered_at_any_size(variant: str, size: tuple[int, int]) -> None:
    cells = [-(-size[0] // s) * -(-size[1] // s) for s in STRIDES]
    model = FeatherFace(variant).eval()
    with torch.no_grad():
        outputs, named = model.intermediates(torch.randn(2, 3, *size))
    assert outputs._fields == ("boxes", "logits", "landmarks")
    assert [tuple(x.shape) for x in outputs] == [(2, 2 * sum(cells), n) for n in (4, 2, 10)]
    for block in BLOCKS[:-1]:
        for level, stride in zip(LEVELS, STRIDES, strict=True):
            found = named[f"{block}.{level}"]
            assert found.shape[-2:] == (-(-size[0] // stride), -(-size[1] // stride))


def test_640_by_640_has_16800_anchors() -> None:
    with torch.device("meta"):
        outputs = FeatherFace("v1")(torch.empty(1, 3, 640, 640))
    assert outputs.boxes.shape == (1, 2 * (80 * 80 + 40 * 40 + 20 * 20), 4)


def test_the_intermediates_are_those_of_the_forward_pass() -> None:
    torch.manual_seed(0)
    model = FeatherFace("official").eval()
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        plain = model(x)
        outputs, named = model.intermediates(x)
        assert all(torch.equal(a, b) for a, b in zip(plain, outputs, strict=True))
        for block, stage in (("first_attention", "backbone"), ("second_attention", "pyramid")):
            for level in LEVELS:
                channel = named[f"{block}.{level}.channel_gate"]
                spatial = named[f"{block}.{level}.spatial_gate"]
                before = named[f"{stage}.{level}"]
                gated = named[f"{block}.{level}.gated"]
                assert channel.shape == (*before.shape[:2], 1, 1)
                assert spatial.shape == (1, 1, *before.shape[-2:])
                assert torch.equal(gated, before * channel * spatial)
                assert torch.equal(named[f"{block}.{level}"], torch.relu(gated + before))
        for level in LEVELS:
            for branch in ("a", "b1", "b2", "c1", "c2"):
                place = f"context.{level}.{branch}"
                size = tuple(named[f"context.{level}"].shape[-2:])
                assert named[f"{place}.offset"].shape == (1, 18, *size)
                # Fresh networks sample the regular grid: no offset, and 2·sigmoid(0) = 1.
                assert torch.equal(named[f"{place}.offset"], torch.zeros(1, 18, *size))
                assert torch.equal(named[f"{place}.mask"], torch.ones(1, 9, *size))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 3, 31, 64), "31×64"),
        ((1, 3, 64, 8), "64×8"),
        ((3, 64, 64), r"\(3, 64, 64\)"),
        ((1, 1, 64, 64), r"\(1, 1, 64, 64\)"),
    ],
)
def test_an_unfit_input_is_named(shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FeatherFace("v1")(torch.zeros(shape))


@pytest.mark.parametrize("context", ["none", "plain", "dcnv1", "dcnv2", "ssh", "ssh-dcnv1"])
@pytest.mark.parametrize("attention", ["none", "backbone", "pyramid", "both"])
@pytest.mark.parametrize("pyramid", ["bifpn", "fpn"])
def test_every_kind_of_block_can_be_combined(context: str, attention: str, pyramid: str) -> None:
    for anchors, shuffle in ((1, "none"), (2, "free"), (3, "bottleneck")):
        config = FeatherFaceConfig(
            channels=24,
            pyramid=pyramid,  # type: ignore[arg-type]
            cells=1,
            attention=attention,  # type: ignore[arg-type]
            reduction=8,
            context=context,  # type: ignore[arg-type]
            shuffle=shuffle,  # type: ignore[arg-type]
            anchors=anchors,
        )
        with torch.device("meta"):
            outputs = FeatherFace(config).eval()(torch.empty(1, 3, 40, 72))
        assert outputs.boxes.shape == (1, anchors * (5 * 9 + 3 * 5 + 2 * 3), 4)


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    model = FeatherFace("official")
    for module in model.modules():
        if isinstance(module, DeformConv2d):  # zero masks' kernels pass nothing to their inputs
            torch.nn.init.normal_(module.offset.weight, std=0.01)
    outputs = model(torch.randn(2, 3, 64, 64))
    sum(x.square().sum() for x in outputs).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # The third weight of a fusion of two inputs takes part in the sum alone, so it has one too.
    assert without == []


def test_training_changes_the_running_statistics() -> None:
    model = FeatherFace("v1")
    model(torch.randn(2, 3, 64, 64))
    still = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d) and module.num_batches_tracked != 1
    ]
    assert still == []


# What single parts compute.


def test_shuffle_orders_are_shufflenets_and_its_inverse() -> None:
    x = torch.arange(6.0).reshape(1, 6, 1, 1)
    interleaved = ChannelShuffle("interleave")(x)
    assert interleaved.flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert ChannelShuffle("deinterleave")(x).flatten().tolist() == [0, 2, 4, 1, 3, 5]
    assert torch.equal(ChannelShuffle("deinterleave")(interleaved), x)


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 1), (2, 3)])
def test_downsampling_pads_with_zeros_as_tensorflow_does(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x = -torch.rand(1, 1, *size) - 1  # negative: a zero of the padding wins where it is seen
    rows, columns = (-(-n // 2) for n in size)
    y = downsample_to(x, torch.empty(1, 1, rows, columns))
    top, left = size[0] % 2, size[1] % 2
    padded = torch.zeros(size[0] + top + 1, size[1] + left + 1)
    padded[top : top + size[0], left : left + size[1]] = x[0, 0]
    expected = [
        [padded[2 * r : 2 * r + 3, 2 * c : 2 * c + 3].max() for c in range(columns)]
        for r in range(rows)
    ]
    assert torch.equal(y[0, 0], torch.tensor(expected))


def test_a_fusion_weight_without_input_still_takes_part_in_the_sum() -> None:
    fusion = Fusion(3)
    with torch.no_grad():
        fusion.weight.copy_(torch.tensor([1.0, -5.0, 3.0]))
        y = fusion(torch.tensor(8.0), torch.tensor(100.0))
    assert y.item() == pytest.approx(8 * 1 / (1 + 0 + 3 + 1e-4))


def test_a_deformable_convolution_with_a_known_offset_is_a_shifted_one() -> None:
    torch.manual_seed(0)
    conv = DeformConv2d(2, 3, version=2)
    with torch.no_grad():
        conv.offset.bias.copy_(torch.tensor([1.0, 0.0] * 9))  # every tap one row down
        x = torch.randn(1, 2, 8, 8)
        y = conv(x, named := {})
        plain = torch.nn.functional.conv2d(x, conv.weight, padding=1)
    assert torch.equal(named["mask"], torch.ones(1, 9, 8, 8))
    torch.testing.assert_close(y[..., :-2, :], plain[..., 1:-1, :])


def test_ssh_names_the_offsets_of_its_branches() -> None:
    named: dict[str, torch.Tensor] = {}
    SSH(8, version=1, slope=0.1)(torch.randn(1, 8, 4, 4), named)
    assert sorted(named) == [f"{b}.offset" for b in ("a", "b1", "b2", "c1", "c2")]


# Compilers.


@pytest.mark.slow
@pytest.mark.parametrize("variant", CONFIGS)
def test_one_exported_program_serves_every_size(variant: str) -> None:
    torch.manual_seed(0)
    model = FeatherFace(variant).eval()
    dimensions = {0: Dim("batch", min=1, max=64)}
    # From 33 up: at 32 the coarsest level is a single cell, which export specialises to.
    dimensions |= {i: Dim(name, min=33, max=4096) for i, name in ((2, "height"), (3, "width"))}
    program = torch.export.export(
        model, (torch.randn(2, 3, 128, 160),), dynamic_shapes={"pictures": dimensions}
    )
    worst = {}
    for shape in [(1, 3, 97, 131), (3, 3, 33, 33), (1, 3, 64, 320)]:
        x = torch.randn(shape)
        with torch.no_grad():
            pairs = zip(program.module()(x), model(x), strict=True)
            worst[shape] = max(float((a - b).abs().max()) for a, b in pairs)
    assert max(worst.values()) < 1e-5, worst


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["v1", "official"])
def test_dynamo_traces_the_network_without_a_break(variant: str) -> None:
    torch.manual_seed(0)
    torch._dynamo.reset()
    model = FeatherFace(variant).eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        for size in [(64, 96), (97, 131)]:
            x = torch.randn(1, 3, *size)
            for a, b in zip(compiled(x), model(x), strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_autocast_on_a_gpu_stays_close_to_float32() -> None:
    model = FeatherFace("official").cuda().eval()
    x = torch.randn(1, 3, 128, 128, device="cuda")
    with torch.no_grad(), torch.autocast("cuda"):
        half = model(x)
    with torch.no_grad():
        full = model(x)
    for a, b in zip(half, full, strict=True):
        torch.testing.assert_close(a.float(), b, rtol=0.05, atol=0.05)


def test_a_configuration_can_be_given_by_name() -> None:
    assert FeatherFace("official").config is CONFIGS["official"]
    wider = replace(CONFIGS["official"], channels=52)
    assert FeatherFace(wider).config is wider


def test_computed_weights_are_copied_as_they_are(tmp_path: Path) -> None:
    model = FeatherFace("retinaface").eval()
    stem, heads = model.backbone.stem.conv, model.heads.boxes
    seen: list[int] = []
    prune.l1_unstructured(stem, "weight", 0.3)
    parametrizations.weight_norm(heads[0])
    weight_norm(heads[1])
    spectral_norm(heads[2])
    with torch.no_grad():
        stem.weight_orig *= 2  # the weights follow in the next pass
        heads[1].weight_g *= 2
    model.backbone.register_forward_hook(lambda *_: seen.append(1))
    copied = plain_copy(model)
    assert set(copied.state_dict()) == set(FeatherFace("retinaface").state_dict())
    x = torch.from_numpy(preprocess(draw_crowd()[:64, :96]).pixels)
    with torch.no_grad():
        expected = model(x)
        for a, b in zip(copied(x), expected, strict=True):
            assert torch.equal(a, b)
    export(model, tmp_path / "x.onnx")
    found = Detector(tmp_path / "x.onnx").network(x.numpy())
    np.testing.assert_allclose(found.boxes, expected.boxes[0].numpy(), rtol=0, atol=1e-4)
    assert parametrize.is_parametrized(heads[0])
    assert isinstance(type(heads[0]).weight, property)
    assert len(seen) >= 2  # what else belongs to the model is copied


def test_a_model_without_values_is_refused() -> None:
    with pytest.raises(InputError, match="on the meta device"):
        Detector(FeatherFace("retinaface").to("meta"))
