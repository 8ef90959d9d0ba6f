"""A network as an ONNX graph: what the modules compute in evaluation mode, written node by node.

Written rather than traced: a trace fixes what PyTorch happens to call, this says what is meant,
for any batch, height and width, in a fraction of a second and without PyTorch's exporter. Every
rewriting below is exact in real numbers and differs in rounding alone;
`featherface.runtimes.export`
compares every graph with PyTorch before anyone gets it.

- Batch normalisation becomes part of the convolution before it (folded in float64).
- Convolutions over the same input are one: offsets and masks, the three heads of a level.
- 2·sigmoid of a mask: the 2 goes into the kernel, which is linear in the mask.
- softmax over two classes is the sigmoid of the difference of their logits.
- A channel shuffle is a permutation, taken by the columns of the 1×1 convolution behind it.
- A deformable convolution to at most half the channels is projected first, see `Writer.deform`
  in `onnx_writer`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import nn

from featherface.blocks.attention import CBAM
from featherface.blocks.backbone import Backbone, DepthwiseSeparable
from featherface.blocks.context import SSH, ContextConv, ContextModules
from featherface.blocks.deform_kernel import TAPS
from featherface.blocks.deformable import DeformConv2d
from featherface.blocks.heads import BOX, LANDMARKS, Heads
from featherface.blocks.pyramid import FPN, BiFPN, BiFPNCell, Fusion, Lateral, SeparableConv
from featherface.blocks.shuffle import BottleneckShuffle, ChannelShuffle, Shuffle
from featherface.config import LEVELS
from featherface.model import FeatherFace
from featherface.runtimes.onnx_writer import Array, Order, Writer, array_of, reordered, tap_offsets

OPSET = 19
"""The first with DeformConv."""

_IR_VERSION = 9  # the one that came with opset 19


def build_graph(model: FeatherFace) -> onnx.ModelProto:
    """The network as an ONNX model, unchecked and without metadata.

    Input `pictures` (batch, 3, height, width), as `FeatherFace.forward` takes them. Outputs
    `boxes` (batch, anchors, 4), encoded; `scores` (batch, anchors), the probability of a face;
    `landmarks` (batch, anchors, 10), encoded.
    """
    w = Writer()
    levels = _backbone(w, model.backbone)
    levels = _attention(w, "first_attention", model.first_attention.levels, levels)
    levels = _pyramid(w, model.pyramid, levels)
    levels = _attention(w, "second_attention", model.second_attention.levels, levels)
    levels = _context(w, model.context, levels)
    levels, order = _shuffle(w, model.shuffle, model.config.channels, levels)
    _heads(w, model.heads, levels, order)
    size = ["batch", "anchors"]
    graph = helper.make_graph(
        w.nodes,
        "featherface",
        [_value("pictures", ["batch", 3, "height", "width"])],
        [
            _value("boxes", [*size, BOX]),
            _value("scores", size),
            _value("landmarks", [*size, LANDMARKS]),
        ],
        w.initializers,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION
    )


def _value(name: str, shape: Sequence[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _backbone(w: Writer, backbone: Backbone) -> list[str]:
    x = w.conv_norm("pictures", "backbone.stem", backbone.stem)
    levels = []
    for i, stage in enumerate(backbone.stages):
        assert isinstance(stage, nn.Sequential)
        for j, layer in enumerate(stage):
            assert isinstance(layer, DepthwiseSeparable)
            name = f"backbone.stages.{i}.{j}"
            x = w.conv_norm(x, f"{name}.depthwise", layer.depthwise)
            x = w.conv_norm(x, f"{name}.pointwise", layer.pointwise)
        levels.append(x)
    return levels


def _attention(w: Writer, block: str, cbams: nn.ModuleList, levels: list[str]) -> list[str]:
    if not cbams:
        return levels
    return [
        _cbam(w, f"{block}.{level}", cbam, x)
        for level, cbam, x in zip(LEVELS, cbams, levels, strict=True)
    ]


def _cbam(w: Writer, name: str, module: nn.Module, x: str) -> str:
    assert isinstance(module, CBAM)
    channel, spatial = module.channel, module.spatial
    pooled = [w.op(kind, [x], f"{name}.{kind}") for kind in ("GlobalAveragePool", "GlobalMaxPool")]
    # As 1×1 convolutions of a 1×1 picture: no flattening, no transposed weights.
    hidden = [
        w.op(
            "Relu",
            [_linear(w, f"{p}.reduce", channel.reduce, p)],
            f"{p}.relu",
        )
        for p in pooled
    ]
    # The second layer is linear, so that the two hidden layers are added before it.
    weight, bias = array_of(channel.expand.weight), 2 * array_of(channel.expand.bias)
    both = w.op("Add", hidden, f"{name}.hidden")
    gate = w.conv(both, f"{name}.expand", weight[:, :, None, None], bias)
    gate = w.op("Sigmoid", [gate], f"{name}.channel_gate")
    by_channel = w.op("Mul", [x, gate], f"{name}.by_channel")
    axis = w.integers(1)
    places = [
        w.op(kind, [by_channel, axis], f"{name}.{kind}", keepdims=1)
        for kind in ("ReduceMax", "ReduceMean")
    ]
    both = w.op("Concat", places, f"{name}.places", axis=1)
    gate = w.module(both, f"{name}.spatial", spatial.conv, spatial.norm)
    gate = w.op("Sigmoid", [gate], f"{name}.spatial_gate")
    gated = w.op("Mul", [by_channel, gate], f"{name}.gated")
    return w.op("Relu", [w.op("Add", [gated, x], f"{name}.sum")], name)


def _linear(w: Writer, name: str, linear: nn.Linear, x: str) -> str:
    return w.conv(x, name, array_of(linear.weight)[:, :, None, None], array_of(linear.bias))


def _pyramid(w: Writer, pyramid: BiFPN | FPN, levels: list[str]) -> list[str]:
    if isinstance(pyramid, BiFPN):
        for i, cell in enumerate(pyramid.cells):
            assert isinstance(cell, BiFPNCell)
            levels = _cell(w, f"pyramid.cells.{i}", cell, levels)
        return levels
    name = "pyramid"
    p3, p4, p5 = (
        w.conv_norm(x, f"{name}.laterals.{i}", f)  # type: ignore[arg-type]
        for i, (f, x) in enumerate(zip(pyramid.laterals, levels, strict=True))
    )
    up = _upsample(w, f"{name}.p5_up", p5, p4)
    p4 = w.conv_norm(w.op("Add", [p4, up], f"{name}.p4"), f"{name}.merge_p4", pyramid.merge_p4)
    up = _upsample(w, f"{name}.p4_up", p4, p3)
    p3 = w.conv_norm(w.op("Add", [p3, up], f"{name}.p3"), f"{name}.merge_p3", pyramid.merge_p3)
    return [p3, p4, p5]


def _cell(w: Writer, name: str, cell: BiFPNCell, levels: list[str]) -> list[str]:
    def lateral(x: str, kind: str, index: int) -> str:
        module = getattr(cell, kind)[index]
        assert isinstance(module, Lateral)
        return w.module(x, f"{name}.{kind}.{index}", module.conv, module.norm)

    def merge(kind: str, *inputs: str) -> str:
        fused = _fusion(w, f"{name}.fuse_{kind}", getattr(cell, f"fuse_{kind}"), inputs)
        module = getattr(cell, f"conv_{kind}")
        assert isinstance(module, SeparableConv)
        swish = w.op("Mul", [fused, w.op("Sigmoid", [fused], f"{fused}.gate")], f"{fused}.swish")
        x = w.module(swish, f"{name}.conv_{kind}.depthwise", module.depthwise)
        return w.module(x, f"{name}.conv_{kind}.pointwise", module.pointwise, module.norm)

    p3, p4, p5 = levels
    p4_up, p5_up = p4, p5
    if cell.laterals:
        p3, p4, p5 = (lateral(x, "laterals", i) for i, x in enumerate(levels))
        p4_up, p5_up = (lateral(x, "bottom_up_laterals", i) for i, x in enumerate(levels[1:]))
    p4_down = merge("p4_down", p4, _upsample(w, f"{name}.p5_up", p5, p4))
    p3_out = merge("p3_out", p3, _upsample(w, f"{name}.p4_up", p4_down, p3))
    p4_out = merge("p4_out", p4_up, p4_down, _downsample(w, f"{name}.p3_down", p3_out))
    p5_out = merge("p5_out", p5_up, _downsample(w, f"{name}.p4_down", p4_out))
    return [p3_out, p4_out, p5_out]


def _fusion(w: Writer, name: str, fusion: Fusion, inputs: Sequence[str]) -> str:
    weights = np.maximum(array_of(fusion.weight), 0)
    weights = weights / (weights.sum() + 1e-4)
    terms = [
        w.op("Mul", [x, w.constant(weight, f"{name}.weight.{i}")], f"{name}.term.{i}")
        for i, (x, weight) in enumerate(zip(inputs, weights, strict=False))
    ]
    y = terms[0]
    for i, term in enumerate(terms[1:], 1):
        y = w.op("Add", [y, term], f"{name}.sum.{i}")
    return y


def _upsample(w: Writer, name: str, x: str, target: str) -> str:
    """Nearest neighbour to the target's height and width, as PyTorch rounds: ⌊place · in / out⌋."""
    size = w.op("Shape", [target], f"{name}.target", start=2)
    batch = w.op("Shape", [x], f"{name}.batch", start=0, end=2)
    sizes = w.op("Concat", [batch, size], f"{name}.sizes", axis=0)
    return w.op(
        "Resize",
        [x, "", "", sizes],
        name,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _downsample(w: Writer, name: str, x: str) -> str:
    """As `pyramid.downsample_to`: zeros before the first row (column) only where it is odd."""
    size = w.op("Shape", [x], f"{name}.size", start=2)
    odd = w.op("Mod", [size, w.integers(2)], f"{name}.odd")
    none, one = w.integers(0, 0), w.integers(0, 0, 1, 1)
    pads = w.op("Concat", [none, odd, one], f"{name}.pads", axis=0)
    padded = w.op("Pad", [x, pads], f"{name}.padded")
    return w.op("MaxPool", [padded], name, kernel_shape=[3, 3], strides=[2, 2])


def _context(w: Writer, context: ContextModules, levels: list[str]) -> list[str]:
    outputs = []
    for level, module, x in zip(LEVELS, context.levels, levels, strict=False):
        name = f"context.{level}"
        if isinstance(module, ContextConv):
            outputs += _context_convs(w, name, {"conv": module}, x)
            continue
        assert isinstance(module, SSH)
        a, b1 = _context_convs(w, name, {"a": module.a, "b1": module.b1}, x)
        b2, c1 = _context_convs(w, name, {"b2": module.b2, "c1": module.c1}, b1)
        (c2,) = _context_convs(w, name, {"c2": module.c2}, c1)
        joined = w.op("Concat", [a, b2, c2], f"{name}.joined", axis=1)
        outputs.append(w.op("Relu", [joined], name))
    return outputs or levels


def _context_convs(w: Writer, name: str, modules: dict[str, ContextConv], x: str) -> list[str]:
    """Context convolutions over the same input; one convolution predicts all they need."""
    names = [f"{name}.{branch}" for branch in modules]
    deformable = [m.conv for m in modules.values() if isinstance(m.conv, DeformConv2d)]
    if not deformable:
        return [
            w.activation(w.module(x, n, m.conv, m.norm), m.act)  # type: ignore[arg-type]
            for n, m in zip(names, modules.values(), strict=True)
        ]
    offsets = [conv.offset for conv in deformable]
    masks = [conv.mask for conv in deformable if conv.mask is not None]
    bias = np.concatenate([array_of(c.bias) for c in (*offsets, *masks) if c.bias is not None])
    bias[: 2 * TAPS * len(offsets)] += np.concatenate([tap_offsets(c) for c in deformable])
    weight = np.concatenate([array_of(c.weight) for c in (*offsets, *masks)])
    together = w.conv(x, f"{name}.{'.'.join(modules)}.predicted", weight, bias)
    together = w.bounded(together)
    parts = [f"{n}.offset" for n in names] + [f"{n}.mask" for n in names[: len(masks)]]
    sizes = [conv.out_channels for conv in (*offsets, *masks)]
    if len(parts) == 1:
        parts = [together]
    else:
        w.nodes.append(
            helper.make_node(
                "Split", [together, w.integers(*sizes)], parts, name=f"{together}.parts", axis=1
            )
        )
    gates: list[str | None] = [
        w.op("Sigmoid", [mask], f"{mask}.gate") for mask in parts[len(offsets) :]
    ]
    gates = gates or [None] * len(names)
    return [
        w.deform(x, n, module, offset, gate)
        for n, module, offset, gate in zip(
            names, modules.values(), parts[: len(offsets)], gates, strict=True
        )
    ]


def _shuffle(
    w: Writer, shuffle: Shuffle, channels: int, levels: list[str]
) -> tuple[list[str], Order | None]:
    """The levels, and the permutation of their channels that is still to be done."""
    if not shuffle.levels:
        return levels, None
    first = shuffle.levels[0]
    if isinstance(first, ChannelShuffle):
        return levels, _permutation(first, channels)
    outputs = []
    for level, module, x in zip(LEVELS, shuffle.levels, levels, strict=True):
        assert isinstance(module, BottleneckShuffle)
        name = f"shuffle.{level}"
        order = _permutation(module.permute, channels)
        y = w.conv_norm(x, f"{name}.reduce", module.reduce, order)
        y = w.conv_norm(y, f"{name}.depthwise", module.depthwise)
        outputs.append(w.conv_norm(y, f"{name}.expand", module.expand))
    return outputs, None


def _permutation(shuffle: ChannelShuffle, channels: int) -> Order:
    """Which channel each channel of the output is."""
    numbers = torch.arange(channels, device="cpu").reshape(1, channels, 1, 1)
    return shuffle(numbers).reshape(-1).numpy()  # type: ignore[no-any-return]


def _heads(w: Writer, heads: Heads, levels: list[str], shuffle: Order | None) -> None:
    rows = []
    for i, (level, x) in enumerate(zip(LEVELS, levels, strict=True)):
        boxes, classes, landmarks = (
            _per_anchor(convs[i], size)
            for convs, size in (
                (heads.boxes, BOX),
                (heads.classes, 2),
                (heads.landmarks, LANDMARKS),
            )
        )
        face = classes[:, 1:] - classes[:, :1]
        joined = np.concatenate([boxes, face, landmarks], axis=1)  # (anchors, 15, channels + 1)
        flat = joined.reshape(-1, joined.shape[-1])
        weight = flat[:, :-1, None, None]
        if shuffle is not None:
            weight = reordered(weight, shuffle)
        y = w.conv(x, f"heads.{level}", weight, flat[:, -1])
        y = w.op("Transpose", [y], f"heads.{level}.rows", perm=[0, 2, 3, 1])
        shape = w.integers(0, -1, joined.shape[1])
        rows.append(w.op("Reshape", [y, shape], f"heads.{level}.anchors"))
    every = w.op("Concat", rows, "heads.anchors", axis=1)
    parts = ["boxes", "logits", "landmarks"]
    split = w.integers(BOX, 1, LANDMARKS)
    w.nodes.append(helper.make_node("Split", [every, split], parts, name="heads.parts", axis=2))
    w.op("Squeeze", [w.op("Sigmoid", ["logits"], "heads.scores"), w.integers(2)], "scores")


def _per_anchor(conv: nn.Module, size: int) -> Array:
    """Weight and bias of a head as (anchors, size, channels + 1)."""
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    weight = array_of(conv.weight)
    both = np.concatenate([weight.reshape(len(weight), -1), array_of(conv.bias)[:, None]], axis=1)
    return both.reshape(-1, size, both.shape[-1])
