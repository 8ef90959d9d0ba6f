"""Nodes and constants of an ONNX graph, and the layers this family is made of as nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from featherface.blocks.context import ContextConv
from featherface.blocks.convolution import ConvNorm
from featherface.blocks.deform_kernel import KERNEL, OUTSIDE, TAPS
from featherface.blocks.deformable import DeformConv2d

Array = npt.NDArray[np.float64]
Order = npt.NDArray[np.int64]
"""A permutation of channels."""


class Writer:
    """Nodes and constants so far. Methods append nodes and return the name of what they compute."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._integers: dict[tuple[int, ...], str] = {}

    def op(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """One node with one output, both of that name."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, value: Array, name: str) -> str:
        """Weights, rounded to float32."""
        array = np.ascontiguousarray(value, dtype=np.float32)
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def integers(self, *values: int) -> str:
        """Sizes, axes, pads; the same ones are written once."""
        if values not in self._integers:
            name = "integers." + ".".join(map(str, values))
            array = np.array(values, dtype=np.int64)
            self.initializers.append(numpy_helper.from_array(array, name))
            self._integers[values] = name
        return self._integers[values]

    def conv(
        self,
        x: str,
        name: str,
        weight: Array,
        bias: Array | None,
        *,
        stride: int = 1,
        groups: int = 1,
    ) -> str:
        """A convolution with "same" padding."""
        side = weight.shape[-1]
        inputs = [x, self.constant(weight, f"{name}.weight")]
        if bias is not None:
            inputs.append(self.constant(bias, f"{name}.bias"))
        return self.op(
            "Conv",
            inputs,
            name,
            kernel_shape=[side, side],
            strides=[stride, stride],
            pads=[side // 2] * 4,
            group=groups,
        )

    def module(
        self,
        x: str,
        name: str,
        conv: nn.Conv2d,
        norm: nn.BatchNorm2d | None = None,
        columns: Order | None = None,
    ) -> str:
        """`conv`, then `norm`. `columns`: where the inputs it expects stand in `x`."""
        weight, bias = folded(array_of(conv.weight), conv.bias, norm)
        if columns is not None:
            weight = reordered(weight, columns)
        return self.conv(x, name, weight, bias, stride=conv.stride[0], groups=conv.groups)

    def bounded(self, offsets: str) -> str:
        """Offsets (and logits of masks) from -OUTSIDE to OUTSIDE, which changes no result.

        A runtime that turns a larger one into an index may read beyond its memory. ONNX Runtime
        makes it part of the convolution that predicts them.
        """
        bounds = []
        for name, bound in (("lowest", -OUTSIDE), ("highest", OUTSIDE)):
            bounds.append(f"offsets.{name}")
            if bounds[-1] not in (tensor.name for tensor in self.initializers):
                array = np.array(bound, dtype=np.float32)
                self.initializers.append(numpy_helper.from_array(array, bounds[-1]))
        return self.op("Clip", [offsets, *bounds], f"{offsets}.bounded")

    def activation(self, x: str, act: nn.Module) -> str:
        """LeakyReLU, ReLU where its slope is zero, or nothing."""
        if isinstance(act, nn.Identity):
            return x
        if not isinstance(act, nn.LeakyReLU):
            raise NotImplementedError(f"{x}: no ONNX for an activation {type(act).__name__}")
        if act.negative_slope == 0:
            return self.op("Relu", [x], f"{x}.act")
        return self.op("LeakyRelu", [x], f"{x}.act", alpha=act.negative_slope)

    def conv_norm(self, x: str, name: str, module: ConvNorm, columns: Order | None = None) -> str:
        return self.activation(self.module(x, name, module.conv, module.norm, columns), module.act)

    def deform(self, x: str, name: str, module: ContextConv, offset: str, mask: str | None) -> str:
        """A deformable convolution and its normalisation.

        Sampling and mixing channels commute: where the outputs are few, `x` is brought to them
        first, once for each tap of the kernel, and every tap then samples its own few channels.
        The nine taps are nine offset groups of a 1×1 kernel of ones; that a tap stands beside
        the centre is added to its offset (`tap_offsets`). Sampling is most of the work: from 64
        to 16 channels it becomes a quarter.
        """
        conv = module.conv
        assert isinstance(conv, DeformConv2d)
        weight, bias = folded(array_of(conv.weight), None, module.norm)
        if mask is not None:
            weight = 2 * weight
        outputs = len(weight)
        pads, side, groups = [KERNEL // 2] * 4, KERNEL, 1
        if projects(conv):
            by_tap = weight.reshape(outputs, -1, TAPS).transpose(2, 0, 1)
            x = self.conv(x, f"{name}.taps", by_tap.reshape(TAPS * outputs, -1, 1, 1), None)
            weight = np.tile(np.eye(outputs), TAPS)[:, :, None, None]
            pads, side, groups = [0] * 4, 1, TAPS
        inputs = [
            x,
            self.constant(weight, f"{name}.weight"),
            offset,
            self.constant(bias, f"{name}.bias"),
        ]
        if mask is not None:
            inputs.append(mask)
        y = self.op(
            "DeformConv",
            inputs,
            name,
            kernel_shape=[side, side],
            pads=pads,
            strides=[1, 1],
            offset_group=groups,
        )
        return self.activation(y, module.act)


def array_of(tensor: Tensor) -> Array:
    """In float64, so that what is computed from it here rounds once, at the end."""
    return tensor.detach().cpu().to(torch.float64).numpy()


def folded(weight: Array, bias: Tensor | None, norm: nn.BatchNorm2d | None) -> tuple[Array, Array]:
    """Weight and bias of the convolution that also normalises."""
    offset = np.zeros(len(weight)) if bias is None else array_of(bias)
    if norm is None:
        return weight, offset
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = array_of(norm.weight) / np.sqrt(array_of(norm.running_var) + norm.eps)
    shift = array_of(norm.bias) + (offset - array_of(norm.running_mean)) * scale
    return weight * scale[:, None, None, None], shift


def reordered(weight: Array, columns: Order) -> Array:
    """The weight for an input that has at `columns[i]` what this one expects at i."""
    reordered = np.empty_like(weight)
    reordered[:, columns] = weight
    return reordered


def projects(conv: DeformConv2d) -> bool:
    """Whether `Writer.deform` projects first: it is faster from half the channels down."""
    outputs, inputs = conv.weight.shape[:2]
    return 2 * outputs <= inputs


def tap_offsets(conv: DeformConv2d) -> Array:
    """(dy, dx) of each tap from the centre, where taps are offset groups; else zeros."""
    if not projects(conv):
        return np.zeros(2 * TAPS)
    places = np.arange(KERNEL) - KERNEL // 2
    return np.stack(np.meshgrid(places, places, indexing="ij"), axis=-1).reshape(-1).astype(float)
