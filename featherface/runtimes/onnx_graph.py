"""A network as an ONNX graph: what the modules compute in evaluation mode, written node by node.

Written here, as `torch.onnx.export(dynamo=True)` with a translation for DeformConv takes 13 s
instead of 0.1 s and its `official` runs 1.3 times as long, as exactly.

Every rewriting is exact in real numbers and differs in rounding alone; every graph is compared
with PyTorch before anyone gets it (`featherface.runtimes.export`).

- Batch normalisation becomes part of the convolution before it (folded in float64).
- Convolutions over the same input are one: offsets and masks, the three heads of a level.
- 2·sigmoid of a mask: the 2 goes into the kernel, which is linear in the mask.
- softmax over two classes is the sigmoid of the difference of their logits.
- A channel shuffle is a permutation, done by the columns of the 1×1 convolution behind it.
- A deformable convolution to at most half the channels is projected first, see `_deform`.
- Where asked for, maps get copies of their first channel, which nothing reads: ONNX Runtime is
  slower at other numbers of channels than the multiples of `runtimes.onnx_session.LANES`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from featherface.blocks.backbone import Backbone
from featherface.blocks.context import SSH, ContextConv, ContextModules
from featherface.blocks.convolution import ConvNorm, fold_norms
from featherface.blocks.deform_kernel import KERNEL, OUTSIDE, TAPS
from featherface.blocks.deformable import DeformConv2d
from featherface.blocks.heads import BOX, CLASSES, LANDMARKS, Heads
from featherface.blocks.pyramid import FPN, BiFPN, Fusion
from featherface.blocks.shuffle import BottleneckShuffle, ChannelShuffle, Shuffle
from featherface.config import LEVELS
from featherface.model import FeatherFace

OPSET = 19
"""The first with DeformConv."""

_IR_VERSION = 9  # the one that came with opset 19


@torch.no_grad()
def build_graph(model: FeatherFace, lanes: int = 1) -> onnx.ModelProto:
    """Return the network as an ONNX model, unchecked and without metadata.

    Input `pictures` (batch, 3, height, width), as `FeatherFace.forward` takes them. Outputs
    `boxes` (batch, anchors, 4), encoded; `scores` (batch, anchors), the probability of a face;
    `landmarks` (batch, anchors, 10), encoded.

    Args:
        lanes: maps between blocks get copies of a channel up to a multiple of it.
    """
    model = copy.deepcopy(model).cpu().double().eval()
    fold_norms(model)
    graph = _Graph(lanes)
    levels = _backbone(graph, model.backbone)
    levels = _attention(graph, "first_attention", model.first_attention.levels, levels)
    levels = _pyramid(graph, model.pyramid, levels)
    levels = _attention(graph, "second_attention", model.second_attention.levels, levels)
    levels = _context(graph, model.context, levels)
    levels, order = _shuffle(graph, model.shuffle, model.config.channels, levels)
    _heads(graph, model.heads, levels, order)
    size: list[str | int] = ["batch", "anchors"]
    outputs = {"boxes": [*size, BOX], "scores": size, "landmarks": [*size, LANDMARKS]}
    proto = helper.make_graph(
        graph.nodes,
        "featherface",
        [_value("pictures", ["batch", 3, "height", "width"])],
        [_value(name, shape) for name, shape in outputs.items()],
        list(graph.constants.values()),
    )
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(proto, opset_imports=[opset], ir_version=_IR_VERSION)


def _value(name: str, shape: Sequence[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


class _Graph:
    """Nodes and constants so far; the methods append and return the name of what they compute."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.widths: dict[str, int] = {"pictures": 3}
        """Channels of each map, with the copies."""
        self.borders: dict[str, str] = {}

    def op(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        name = name or f"{kind}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        self.widths[name] = self.widths.get(inputs[0], 0)
        return name

    def split(self, x: str, names: list[str], sizes: Sequence[int], axis: int) -> None:
        node = helper.make_node("Split", [x, self.integers(*sizes)], names, f"{x}.parts", axis=axis)
        self.nodes.append(node)

    def constant(self, name: str, value: Tensor) -> str:
        self.constants[name] = numpy_helper.from_array(value.float().numpy(), name)
        return name

    def integers(self, *values: int) -> str:
        name = "integers." + ".".join(map(str, values))
        self.constants[name] = numpy_helper.from_array(np.array(values, np.int64), name)
        return name

    def conv(
        self,
        x: str,
        name: str,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: int = 1,
        groups: int = 1,
        widened: bool = True,
    ) -> str:
        """A convolution with "same" padding; `widened` adds copies of its first channel."""
        side = weight.shape[-1]
        if groups == 1:
            weight = _read(weight, self.widths[x])
        if widened:
            weight, bias = self.widen(weight), None if bias is None else self.widen(bias)
        y = self.op(
            "Conv",
            x,
            self.constant(f"{name}.weight", weight),
            *([] if bias is None else [self.constant(f"{name}.bias", bias)]),
            name=name,
            kernel_shape=[side, side],
            strides=[stride, stride],
            pads=[side // 2] * 4,
            group=groups if groups == 1 else len(weight),
        )
        self.widths[y] = len(weight)
        return y

    def module(
        self,
        x: str,
        name: str,
        conv: nn.Module,
        order: Tensor | None = None,
        widened: bool = True,
    ) -> str:
        """`conv`; `order` says which of its inputs each channel of x is."""
        assert isinstance(conv, nn.Conv2d)
        weight = conv.weight if order is None else _reordered(conv.weight, order)
        return self.conv(x, name, weight, conv.bias, conv.stride[0], conv.groups, widened)

    def widen(self, rows: Tensor) -> Tensor:
        """Append copies of the first row."""
        copies = -len(rows) % self.lanes
        return torch.cat([rows, rows[:1].expand(copies, *rows.shape[1:])])

    def activation(self, x: str, act: nn.Module) -> str:
        if isinstance(act, nn.Identity):
            return x
        if not isinstance(act, nn.LeakyReLU):
            raise NotImplementedError(f"{x}: no ONNX for an activation {type(act).__name__}")
        if act.negative_slope == 0:
            return self.op("Relu", x)
        return self.op("LeakyRelu", x, alpha=act.negative_slope)

    def conv_norm(self, x: str, name: str, module: ConvNorm, order: Tensor | None = None) -> str:
        return self.activation(self.module(x, name, module.conv, order), module.act)


def _reordered(weight: Tensor, order: Tensor) -> Tensor:
    reordered = torch.empty_like(weight)
    reordered[:, order] = weight
    return reordered


def _read(weight: Tensor, width: int) -> Tensor:
    """Append columns of zeros, for the copies among the `width` channels that are read."""
    outputs, inputs, *side = weight.shape
    return torch.cat([weight, weight.new_zeros(outputs, width - inputs, *side)], dim=1)


def _backbone(graph: _Graph, backbone: Backbone) -> list[str]:
    x = graph.conv_norm("pictures", "backbone.stem", backbone.stem)
    levels = []
    for i, stage in enumerate(backbone.stages):
        for name, module in stage.named_modules():
            if isinstance(module, ConvNorm):
                x = graph.conv_norm(x, f"backbone.stages.{i}.{name}", module)
        levels.append(x)
    return levels


def _attention(graph: _Graph, block: str, cbams: nn.ModuleList, levels: list[str]) -> list[str]:
    gated = [
        _cbam(graph, f"{block}.{level}", cbam, x)
        for level, cbam, x in zip(LEVELS, cbams, levels, strict=False)
    ]
    return gated or levels


def _cbam(graph: _Graph, name: str, cbam: Any, x: str) -> str:
    # The gate's linear layers are 1×1 convolutions of a 1×1 image. The second one is linear, so
    # that what it gets from both poolings is added before it.
    reduce, expand = cbam.channel.reduce, cbam.channel.expand
    hidden = []
    for pooling in ("GlobalAveragePool", "GlobalMaxPool"):
        pooled = graph.op(pooling, x)
        weight = reduce.weight[:, :, None, None]
        reduced = graph.conv(pooled, f"{name}.{pooling}.reduce", weight, reduce.bias, widened=False)
        hidden.append(graph.op("Relu", reduced))
    both = graph.op("Add", *hidden)
    gate = graph.conv(both, f"{name}.expand", expand.weight[:, :, None, None], 2 * expand.bias)
    by_channel = graph.op("Mul", x, graph.op("Sigmoid", gate, name=f"{name}.channel_gate"))
    largest = graph.op("ReduceMax", by_channel, graph.integers(1), keepdims=1)
    channels = len(expand.weight)
    mean = expand.weight.new_full((1, channels, 1, 1), 1 / channels)  # of all but the copies
    means = graph.conv(by_channel, f"{name}.mean", mean, widened=False)
    joined = graph.op("Concat", largest, means, axis=1)
    graph.widths[joined] = 2
    gate = graph.module(joined, f"{name}.spatial", cbam.spatial.conv, widened=False)
    gated = graph.op("Mul", by_channel, graph.op("Sigmoid", gate, name=f"{name}.spatial_gate"))
    return graph.op("Relu", graph.op("Add", gated, x), name=name)


def _pyramid(graph: _Graph, pyramid: BiFPN | FPN, levels: list[str]) -> list[str]:
    if isinstance(pyramid, BiFPN):
        for i, cell in enumerate(pyramid.cells):
            levels = _cell(graph, f"pyramid.cells.{i}", cell, levels)
        return levels
    p3, p4, p5 = (
        graph.conv_norm(x, f"pyramid.laterals.{i}", lateral)  # type: ignore[arg-type]
        for i, (lateral, x) in enumerate(zip(pyramid.laterals, levels, strict=True))
    )
    p4 = graph.op("Add", p4, _upsample(graph, p5, p4))
    p4 = graph.conv_norm(p4, "pyramid.merge_p4", pyramid.merge_p4)
    p3 = graph.op("Add", p3, _upsample(graph, p4, p3))
    p3 = graph.conv_norm(p3, "pyramid.merge_p3", pyramid.merge_p3)
    return [p3, p4, p5]


def _cell(graph: _Graph, name: str, cell: Any, levels: list[str]) -> list[str]:
    def laterals(kind: str, levels: list[str]) -> list[str]:
        modules = getattr(cell, kind)
        return [
            graph.module(x, f"{name}.{kind}.{i}", module.conv)
            for i, (module, x) in enumerate(zip(modules, levels, strict=True))
        ]

    def merge(kind: str, *inputs: str) -> str:
        fused = _fusion(graph, f"{name}.fuse_{kind}", getattr(cell, f"fuse_{kind}"), inputs)
        swish = graph.op("Mul", fused, graph.op("Sigmoid", fused))
        module = getattr(cell, f"conv_{kind}")
        x = graph.module(swish, f"{name}.conv_{kind}.depthwise", module.depthwise)
        return graph.module(x, f"{name}.conv_{kind}.pointwise", module.pointwise)

    p3, p4, p5 = levels
    p4_up, p5_up = p4, p5
    if cell.laterals:
        p3, p4, p5 = laterals("laterals", levels)
        p4_up, p5_up = laterals("bottom_up_laterals", levels[1:])
    p4_down = merge("p4_down", p4, _upsample(graph, p5, p4))
    p3_out = merge("p3_out", p3, _upsample(graph, p4_down, p3))
    p4_out = merge("p4_out", p4_up, p4_down, _downsample(graph, p3_out, "p3"))
    p5_out = merge("p5_out", p5_up, _downsample(graph, p4_out, "p4"))
    return [p3_out, p4_out, p5_out]


def _fusion(graph: _Graph, name: str, fusion: Fusion, inputs: Sequence[str]) -> str:
    weights = fusion.weight.relu()
    weights = weights / (weights.sum() + 1e-4)
    terms = [
        graph.op("Mul", x, graph.constant(f"{name}.weight.{i}", weights[i : i + 1]))
        for i, x in enumerate(inputs)
    ]
    y = terms[0]
    for term in terms[1:]:
        y = graph.op("Add", y, term)
    return y


def _upsample(graph: _Graph, x: str, target: str) -> str:
    """Nearest neighbour to the target's height and width, as PyTorch rounds: ⌊place · in / out⌋."""
    size = graph.op("Shape", target, start=2)
    batch = graph.op("Shape", x, start=0, end=2)
    sizes = graph.op("Concat", batch, size, axis=0)
    return graph.op(
        "Resize",
        *(x, "", "", sizes),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _downsample(graph: _Graph, x: str, level: str) -> str:
    """As `pyramid.downsample_to`: zeros before the first row (column) only where it is odd.

    "SAME_UPPER" pads so, but counts for nothing; `_border` gives the zeros back.
    """
    if level not in graph.borders:
        graph.borders[level] = _border(graph, x)
    window: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}
    return graph.op("Max", graph.op("MaxPool", x, **window), graph.borders[level])


def _border(graph: _Graph, x: str) -> str:
    """A map of the pooled size: zero where a window reaches beyond the edge, else the lowest."""
    size = graph.op("Shape", x, start=2)
    odd = graph.op("Mod", size, graph.integers(2))
    none, one = graph.integers(0, 0), graph.integers(0, 0, 1, 1)
    lowest = numpy_helper.from_array(np.array([np.finfo(np.float32).min]))
    inside = graph.op(
        "ConstantOfShape", graph.op("Concat", graph.integers(1, 1), size, axis=0), value=lowest
    )
    padded = graph.op("Pad", inside, graph.op("Concat", none, odd, one, axis=0))
    return graph.op("MaxPool", padded, kernel_shape=[3, 3], strides=[2, 2])


def _context(graph: _Graph, context: ContextModules, levels: list[str]) -> list[str]:
    outputs = []
    for level, module, x in zip(LEVELS, context.levels, levels, strict=False):
        name = f"context.{level}"
        if isinstance(module, ContextConv):
            outputs += _context_convs(graph, name, {"conv": module}, x)
            continue
        assert isinstance(module, SSH)
        a, b1 = _context_convs(graph, name, {"a": module.a, "b1": module.b1}, x)
        b2, c1 = _context_convs(graph, name, {"b2": module.b2, "c1": module.c1}, b1)
        (c2,) = _context_convs(graph, name, {"c2": module.c2}, c1)
        joined = graph.op("Concat", a, b2, c2, axis=1)
        graph.widths[joined] = sum(graph.widths[part] for part in (a, b2, c2))
        outputs.append(graph.op("Relu", joined))
    return outputs or levels


_JOINED = ("a", "b2", "c2")
"""SSH joins their outputs; there are no copies, which would stand between the channels."""


def _context_convs(graph: _Graph, name: str, branches: dict[str, ContextConv], x: str) -> list[str]:
    """Context convolutions over the same input; one convolution predicts all they need."""
    names = [f"{name}.{branch}" for branch in branches]
    modules = list(branches.values())
    deformable = [module.conv for module in modules if isinstance(module.conv, DeformConv2d)]
    widened = [branch not in _JOINED for branch in branches]
    if not deformable:
        return [
            graph.activation(graph.module(x, name, module.conv, widened=widen), module.act)
            for name, module, widen in zip(names, modules, widened, strict=True)
        ]
    masks = [conv.mask for conv in deformable if conv.mask is not None]
    predictors = [*(conv.offset for conv in deformable), *masks]
    weight = torch.cat([conv.weight for conv in predictors])
    bias = torch.cat([conv.bias for conv in predictors if conv.bias is not None])
    from_centre = torch.cat([_tap_offsets(conv) for conv in deformable])
    bias[: len(from_centre)] += from_centre
    predicted = f"{name}.{'.'.join(branches)}.predicted"
    predicted = graph.conv(x, predicted, weight, bias, widened=False)
    # Larger offsets change no result, but a runtime that turns one into an index may read beyond
    # its memory. ONNX Runtime makes the bounds part of the convolution before.
    bounds = {"lowest": -OUTSIDE, "highest": OUTSIDE}
    limits = [
        graph.constant(f"offsets.{name}", torch.tensor(bound, device="cpu"))
        for name, bound in bounds.items()
    ]
    predicted = graph.op("Clip", predicted, *limits)
    wanted = [f"{name}.offset" for name in names] + [f"{name}.mask" for name in names[: len(masks)]]
    parts = _split_channels(graph, predicted, wanted, [conv.out_channels for conv in predictors])
    offsets, logits = parts[: len(names)], parts[len(names) :]
    gates: Sequence[str | None] = [graph.op("Sigmoid", x) for x in logits] or [None] * len(names)
    return [
        _deform(graph, x, *arguments)
        for arguments in zip(names, modules, offsets, gates, widened, strict=True)
    ]


def _split_channels(graph: _Graph, x: str, names: list[str], sizes: Sequence[int]) -> list[str]:
    """Split a map; in rows of places, which OpenVINO splits without copying them."""
    if len(names) == 1:
        return [x]
    shape = graph.op("Concat", graph.integers(0, 0), graph.op("Shape", x, start=2), axis=0)
    rows = graph.op("Reshape", x, graph.integers(0, 0, -1))
    graph.split(rows, [f"{name}.rows" for name in names], sizes, axis=1)
    return [graph.op("Reshape", f"{name}.rows", shape, name=name) for name in names]


def _deform(
    graph: _Graph,
    x: str,
    name: str,
    module: ContextConv,
    offset: str,
    mask: str | None,
    widened: bool,
) -> str:
    """A deformable convolution, its normalisation and its activation.

    Sampling and mixing channels commute: where the outputs are few, `x` is brought to them
    first, once for each tap of the kernel, and every tap then samples its own few channels.
    The nine taps are nine offset groups of a 1×1 kernel of ones; that a tap stands beside
    the centre is added to its offset (`_tap_offsets`). Sampling is most of the work: from 64
    to 16 channels it becomes a quarter.
    """
    conv, norm = module.conv, module.norm
    assert isinstance(conv, DeformConv2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    statistics = norm.running_mean, norm.running_var, norm.eps
    weight: Tensor
    bias: Tensor
    weight, bias = fuse_conv_bn_weights(conv.weight, None, *statistics, norm.weight, norm.bias)
    if mask is not None:
        weight = 2 * weight
    outputs, inputs = conv.weight.shape[:2]
    pad, side, groups = KERNEL // 2, KERNEL, 1
    if _projects(conv):
        by_tap = weight.reshape(outputs, inputs, TAPS).permute(2, 0, 1).flatten(0, 1)
        x = graph.conv(x, f"{name}.taps", by_tap[:, :, None, None], widened=False)
        weight = torch.eye(outputs, device="cpu").tile(TAPS)[:, :, None, None]  # adds the taps
        pad, side, groups = 0, 1, TAPS
    elif graph.widths[x] > inputs:  # the copies would be sampled too
        x = graph.op("Slice", x, *(graph.integers(i) for i in (0, inputs, 1)))
    if widened:
        weight, bias = graph.widen(weight), graph.widen(bias)
    y = graph.op(
        "DeformConv",
        x,
        graph.constant(f"{name}.weight", weight),
        offset,
        graph.constant(f"{name}.bias", bias),
        *([] if mask is None else [mask]),
        name=name,
        kernel_shape=[side, side],
        pads=[pad] * 4,
        strides=[1, 1],
        offset_group=groups,
    )
    graph.widths[y] = len(weight)
    return graph.activation(y, module.act)


def _projects(conv: DeformConv2d) -> bool:
    """Return whether `_deform` projects first: it is faster from half the channels down."""
    outputs, inputs = conv.weight.shape[:2]
    return 2 * outputs <= inputs


def _tap_offsets(conv: DeformConv2d) -> Tensor:
    """(dy, dx) of each tap from the centre, where taps are offset groups; else zeros."""
    places = torch.arange(KERNEL, device="cpu") - KERNEL // 2
    grid = torch.cartesian_prod(places, places).flatten()
    return grid if _projects(conv) else torch.zeros_like(grid)


def _shuffle(
    graph: _Graph, shuffle: Shuffle, channels: int, levels: list[str]
) -> tuple[list[str], Tensor | None]:
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
        y = graph.conv_norm(x, f"{name}.reduce", module.reduce, order)
        y = graph.conv_norm(y, f"{name}.depthwise", module.depthwise)
        outputs.append(graph.conv_norm(y, f"{name}.expand", module.expand))
    return outputs, None


def _permutation(shuffle: ChannelShuffle, channels: int) -> Tensor:
    """Return the input's channel that each channel of the output is."""
    permuted: Tensor = shuffle(torch.arange(channels, device="cpu").reshape(1, channels, 1, 1))
    return permuted.flatten()


def _heads(graph: _Graph, heads: Heads, levels: list[str], order: Tensor | None) -> None:
    rows = []
    for i, (level, x) in enumerate(zip(LEVELS, levels, strict=True)):
        boxes = _per_anchor(heads.boxes[i], BOX)
        classes = _per_anchor(heads.classes[i], CLASSES)
        landmarks = _per_anchor(heads.landmarks[i], LANDMARKS)
        face = classes[:, 1:] - classes[:, :1]
        joined = torch.cat([boxes, face, landmarks], dim=1)  # (anchors, 15, channels + 1)
        weight, bias = joined[..., :-1].flatten(0, 1), joined[..., -1].flatten()
        if order is not None:
            weight = _reordered(weight, order)
        y = graph.conv(x, f"heads.{level}", weight[:, :, None, None], bias, widened=False)
        y = graph.op("Transpose", y, perm=[0, 2, 3, 1])
        rows.append(graph.op("Reshape", y, graph.integers(0, -1, joined.shape[1])))
    every = graph.op("Concat", *rows, axis=1)
    graph.split(every, ["boxes", "logits", "landmarks"], [BOX, 1, LANDMARKS], axis=2)
    scores = graph.op("Sigmoid", "logits")
    graph.op("Squeeze", scores, graph.integers(2), name="scores")


def _per_anchor(conv: nn.Module, size: int) -> Tensor:
    """Weight and bias of a head as (anchors, size, channels + 1)."""
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    both = torch.cat([conv.weight.flatten(1), conv.bias[:, None]], dim=1)
    return both.reshape(-1, size, both.shape[-1])
