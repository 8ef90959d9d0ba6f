"""Parameters and MACs of every architecture of the family, by arithmetic alone.

Nothing here builds a network or reads one: each block is written out as its layers, each layer
as the number of its weights, of its other parameters, and of the positions its weights are
applied at. It is thereby a second, independent count of what `featherface` builds, and, being
NumPy arithmetic, one that takes a million architectures as readily as one.

Conventions:

* parameters: everything trainable (`sum(p.numel() for p in model.parameters())`): weights,
  biases, the scale and shift of each normalisation, the fusion scalars of a BiFPN. Running
  statistics are buffers and do not count.
* MACs: multiply-accumulates of convolutions, linear layers and deformable kernels for one
  image. A bias, a normalisation, an activation, pooling, upsampling, a fusion and the bilinear
  sampling of a deformable convolution are not MACs. CBAM's linear layers are applied twice, to
  the mean and to the maximum.
* a level of stride s has ⌈height / s⌉ × ⌈width / s⌉ positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from featherface.config import BACKBONE_CHANNELS, MIN_SIZE, STRIDES, FeatherFaceConfig
from featherface.errors import InputError

Integers: TypeAlias = "int | NDArray[Any]"
Kinds: TypeAlias = "str | NDArray[Any]"
Kind = Literal["conv", "linear", "deformable_kernel"]

TWICE = 0
"""In place of a stride: a linear layer that CBAM applies to the mean and to the maximum."""

_MAX_SIZE = 1 << 17  # of an image; the MACs of the largest configuration then fit 64 bits


class Layer(NamedTuple):
    """One layer, of one architecture or of many (arrays that broadcast against each other)."""

    kind: Kind
    stride: int  # of the level whose positions the weights are applied at, or TWICE
    weights: Integers  # of a convolution or linear layer
    biases: Integers = 0
    norm: Integers = 0  # scale and shift of the normalisation
    scalars: Integers = 0  # weights of a fusion


@dataclass(frozen=True)
class Fields:
    """The fields of many architectures: scalars or arrays that broadcast against each other.

    They are the settings that parameters and MACs depend on. Without a CBAM `reduction` is
    ignored, and without a BiFPN `cells`; both must still be at least 1.
    """

    channels: Integers
    pyramid: Kinds
    cells: Integers
    attention: Kinds
    reduction: Integers
    context: Kinds
    shuffle: Kinds
    anchors: Integers

    @classmethod
    def of(cls, config: FeatherFaceConfig) -> Fields:
        """Return the fields of one architecture."""
        return cls(**{name: np.asarray(getattr(config, name)) for name in cls.__annotations__})


# --- one function a block: its layers ------------------------------------------------------------

# The backbone's plan, restated rather than imported so that the count is independent: channels of
# the stem, then (outputs, stride at which they lie) of each depthwise-separable convolution.
_STEM = 8
_SEPARABLE = (
    *((16, 2), (32, 4), (32, 4), (64, 8), (64, 8)),
    *((128, 16), (128, 16), (128, 16), (128, 16), (128, 16), (128, 16)),
    *((256, 32), (256, 32)),
)


def backbone(fields: Fields | None = None) -> Iterator[Layer]:
    """MobileNetV1 × 0.25: no biases, a normalisation after every convolution."""
    yield Layer("conv", 2, 3 * 3 * 3 * _STEM, norm=2 * _STEM)
    inputs = _STEM
    for outputs, stride in _SEPARABLE:
        yield Layer("conv", stride, 3 * 3 * inputs, norm=2 * inputs)
        yield Layer("conv", stride, inputs * outputs, norm=2 * outputs)
        inputs = outputs


def first_attention(fields: Fields) -> Iterator[Layer]:
    """A CBAM on every level of the backbone."""
    present = _is(fields.attention, "backbone", "both")
    for channels, stride in zip(BACKBONE_CHANNELS, STRIDES, strict=True):
        yield from _where(present, _cbam(channels, fields.reduction, stride))


def second_attention(fields: Fields) -> Iterator[Layer]:
    """A CBAM on every level of the pyramid."""
    present = _is(fields.attention, "pyramid", "both")
    for stride in STRIDES:
        yield from _where(present, _cbam(fields.channels, fields.reduction, stride))


def pyramid(fields: Fields) -> Iterator[Layer]:
    """BiFPN cells or RetinaFace's FPN."""
    yield from _where(_is(fields.pyramid, "bifpn"), _bifpn(fields.channels, fields.cells))
    yield from _where(_is(fields.pyramid, "fpn"), _fpn(fields.channels))


def context(fields: Fields) -> Iterator[Layer]:
    """On every level nothing, one 3×3 convolution or SSH's five, deformable or not."""
    channels = fields.channels
    half, quarter = channels // 2, channels // 4
    single = ((channels, channels),)
    ssh = ((channels, half), (channels, quarter), *(((quarter, quarter),) * 3))
    kinds = (
        ("plain", single, 0),
        ("dcnv1", single, 1),
        ("dcnv2", single, 2),
        ("ssh", ssh, 0),
        ("ssh-dcnv1", ssh, 1),
        ("ssh-dcnv2", ssh, 2),
    )
    for kind, convolutions, version in kinds:
        present = _is(fields.context, kind)
        for stride in STRIDES:
            for inputs, outputs in convolutions:
                yield from _where(present, _conv3x3(inputs, outputs, version, stride))


def shuffle(fields: Fields) -> Iterator[Layer]:
    """A permutation, which costs nothing, and on every level a bottleneck or nothing more."""
    present = _is(fields.shuffle, "bottleneck")
    channels, half = fields.channels, fields.channels // 2
    for stride in STRIDES:
        bottleneck = (
            Layer("conv", stride, channels * half, norm=2 * half),
            Layer("conv", stride, 3 * 3 * half, norm=2 * half),
            Layer("conv", stride, half * channels, norm=2 * channels),
        )
        yield from _where(present, bottleneck)


def heads(fields: Fields) -> Iterator[Layer]:
    """1×1 convolutions with bias to 2 logits, 4 box and 10 landmark numbers per anchor."""
    for stride in STRIDES:
        for size in (2, 4, 10):
            outputs = fields.anchors * size
            yield Layer("conv", stride, fields.channels * outputs, outputs)


LAYERS: dict[str, Callable[[Fields], Iterator[Layer]]] = {
    block.__name__: block
    for block in (backbone, first_attention, pyramid, second_attention, context, shuffle, heads)
}
"""The layers of every block, by its name."""


def _cbam(channels: Integers, reduction: Integers, stride: int) -> Iterator[Layer]:
    hidden = channels // reduction
    yield Layer("linear", TWICE, channels * hidden, hidden)
    yield Layer("linear", TWICE, hidden * channels, channels)
    yield Layer("conv", stride, 7 * 7 * 2, norm=2)


def _bifpn(channels: Integers, cells: Integers) -> Iterator[Layer]:
    # Only the first cell has laterals, and P4 and P5 have a second one for the way up.
    for inputs, stride in ((64, 8), (128, 16), (256, 32), (128, 16), (256, 32)):
        yield Layer("conv", stride, inputs * channels, channels, 2 * channels)
    # The outputs of a cell: P4 on the way down, then P3, P4 and P5; with each, two or three
    # fusion scalars and a separable convolution.
    for stride, scalars in ((16, 2), (8, 2), (16, 3), (32, 3)):
        yield Layer("conv", stride, cells * 3 * 3 * channels, scalars=cells * scalars)
        every = cells * channels
        yield Layer("conv", stride, every * channels, every, 2 * every)


def _fpn(channels: Integers) -> Iterator[Layer]:
    for inputs, stride in zip(BACKBONE_CHANNELS, STRIDES, strict=True):
        yield Layer("conv", stride, inputs * channels, norm=2 * channels)
    for stride in STRIDES[:2]:
        yield Layer("conv", stride, 3 * 3 * channels * channels, norm=2 * channels)


def _conv3x3(inputs: Integers, outputs: Integers, version: int, stride: int) -> Iterator[Layer]:
    kind: Kind = "deformable_kernel" if version else "conv"
    yield Layer(kind, stride, 3 * 3 * inputs * outputs, norm=2 * outputs)
    predicted = (0, 18, 18 + 9)[version]  # two offsets a tap, and the second version's mask
    if predicted:
        yield Layer("conv", stride, 3 * 3 * inputs * predicted, predicted)


def _is(value: Kinds, *kinds: str) -> NDArray[np.int64]:
    return np.isin(value, kinds).astype(np.int64)


def _where(present: NDArray[np.int64], layers: Iterable[Layer]) -> Iterator[Layer]:
    for kind, stride, *counts in layers:
        yield Layer(kind, stride, *(count * present for count in counts))


# --- totals --------------------------------------------------------------------------------------


def positions(height: int, width: int) -> dict[int, int]:
    """Return the number of positions a weight is applied at, by `Layer.stride`.

    Raises:
        InputError: for a size that no network of the family takes.
    """
    for name, value in (("height", height), ("width", width)):
        if not MIN_SIZE <= value <= _MAX_SIZE:
            raise InputError(f"{name} (={value}) must be from {MIN_SIZE} to {_MAX_SIZE}")
    strides = (2, 4, *STRIDES)
    return {TWICE: 2, **{s: -(-height // s) * -(-width // s) for s in strides}}


READINGS: dict[str, Callable[[Layer], Integers]] = {
    "parameters": lambda x: x.weights + x.biases + x.norm + x.scalars,
    "weights and biases": lambda x: x.weights + x.biases,
    "weights": lambda x: x.weights,
    "thop": lambda x: (0 if x.kind == "deformable_kernel" else x.weights) + x.biases + x.norm,
}
"""Conventions for a number of parameters, by name.

All that are trained; those without normalisation; without biases, too; and what the counter thop
0.1.1 says of the authors' released code: it drops the weights of modules that are never called
themselves, which in that code are the deformable kernels and the fusion scalars.
"""


def count(layers: Iterable[Layer], reading: str = "parameters") -> NDArray[Any]:
    """Return the parameters of layers.

    Raises:
        InputError: for a reading that is not in `READINGS`.
    """
    if reading not in READINGS:
        raise InputError(f"unknown reading {reading!r}: it must be one of {', '.join(READINGS)}")
    return np.asarray(sum(map(READINGS[reading], layers)))


def block_parameters(fields: Fields, reading: str = "parameters") -> dict[str, NDArray[Any]]:
    """Return parameters by block, each in the shape of the fields that the block depends on."""
    return {block: count(layers(fields), reading) for block, layers in LAYERS.items()}


def block_macs(fields: Fields, height: int, width: int) -> dict[str, NDArray[Any]]:
    """Return MACs by block for one image of that size; shapes as in `block_parameters`."""
    times = positions(height, width)
    return {
        block: np.asarray(sum(x.weights * times[x.stride] for x in layers(fields)))
        for block, layers in LAYERS.items()
    }


def parameters(fields: Fields, reading: str = "parameters") -> NDArray[Any]:
    """Return the parameters of every architecture, in the shape the fields broadcast to.

    Raises:
        InputError: for a reading that is not in `READINGS`.
    """
    return np.asarray(sum(block_parameters(fields, reading).values()))


def macs(fields: Fields, height: int, width: int) -> NDArray[Any]:
    """Return the MACs of every architecture for one image, in the fields' common shape."""
    return np.asarray(sum(block_macs(fields, height, width).values()))


def closed_form_parameters(config: FeatherFaceConfig) -> int:
    """Return the parameters of one architecture."""
    return int(parameters(Fields.of(config)))


def closed_form_macs(config: FeatherFaceConfig, height: int, width: int) -> int:
    """Return the MACs of one architecture for one image of `height` × `width` pixels.

    Raises:
        InputError: for a height or width that no network of the family takes.
    """
    return int(macs(Fields.of(config), height, width))
