"""The settings of a network of the FeatherFace family, and the variants with a name."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from featherface.errors import InputError

Pyramid = Literal["bifpn", "fpn"]
Attention = Literal["none", "backbone", "pyramid", "both"]
Context = Literal["none", "plain", "dcnv1", "dcnv2", "ssh", "ssh-dcnv1", "ssh-dcnv2"]
Shuffle = Literal["none", "free", "bottleneck"]
ShuffleOrder = Literal["interleave", "deinterleave"]
MeanPooling = Literal["adaptive", "window"]

BLOCKS = (
    "backbone",
    "first_attention",
    "pyramid",
    "second_attention",
    "context",
    "shuffle",
    "heads",
)
"""The blocks in the card's order: the names of the model's direct children."""

BACKBONE_CHANNELS = (64, 128, 256)
"""Channels of the backbone's three outputs (MobileNetV1 at width 0.25)."""

STRIDES = (8, 16, 32)
"""Pixels of the image per cell of the levels P3, P4 and P5."""

LEVELS = ("p3", "p4", "p5")

MIN_SIZE = 32
"""The smallest height and width of an input: one cell of the coarsest level."""

MAX_SIZE = 1 << 20
"""The largest height and width accepted, far below where sizes in bytes exceed 64 bits."""

MOST = {"channels": 4096, "cells": 64, "reduction": 4096, "anchors": 64}
"""The largest configuration that is built: files may claim any number."""

_LONGEST = 10_000  # characters of a configuration as JSON; ours have 200


class ConfigError(InputError):
    """A configuration that no network can be built from; the message names the value and why."""


class UnknownVariantError(ConfigError, KeyError):
    """A name that is not in `CONFIGS`; the message lists those that are."""

    __str__ = Exception.__str__  # a KeyError would quote the message


class SizeError(InputError):
    """An image size that the networks do not take; the message names the value and why."""


@dataclass(frozen=True)
class FeatherFaceConfig:
    """One architecture of the family.

    Raises:
        ConfigError: where a value is of the wrong type or kind, or where two values exclude
            each other (an SSH context whose channels do not divide by four, a reduction larger
            than the channels it reduces, a shuffle of an odd number of channels).
    """

    channels: int = 64  # width of the pyramid and of everything after it
    pyramid: Pyramid = "bifpn"
    cells: int = 3  # BiFPN cells in a row; an FPN has none to repeat and ignores it
    attention: Attention = "both"  # where a CBAM stands on each level: after which block
    reduction: int = 16  # CBAM's channel MLP is C -> C // reduction -> C
    context: Context = "ssh-dcnv2"  # one module a level
    shuffle: Shuffle = "bottleneck"  # "free" has no parameters
    shuffle_order: ShuffleOrder = "deinterleave"  # the permutation, see featherface.blocks.shuffle
    anchors: int = 2  # anchors a cell
    mean_pooling: MeanPooling = "adaptive"  # CBAM's mean; differs in rounding alone

    def __post_init__(self) -> None:
        for name, most in MOST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise ConfigError(f"{name} (={value!r:.40}) must be an integer")
            if not 1 <= value <= most:
                bound = "at least 1" if value < 1 else f"at most {most}"
                stated = value if abs(value) < 10**12 else "an integer of more than twelve digits"
                raise ConfigError(f"{name} (={stated}) must be {bound}")
        for name, kinds in _KINDS.items():
            if getattr(self, name) not in kinds:
                raise ConfigError(
                    f"{name} (={getattr(self, name)!r}) must be one of {', '.join(kinds)}"
                )
        if self.context.startswith("ssh") and self.channels % 4:
            raise ConfigError(
                f"channels (={self.channels}) must be divisible by 4 for context "
                f"{self.context!r}: its three branches have C/2, C/4 and C/4 channels"
            )
        if self.shuffle != "none" and self.channels % 2:
            raise ConfigError(
                f"channels (={self.channels}) must be even for shuffle {self.shuffle!r}: "
                "it exchanges two groups of C/2 channels"
            )
        reduced = [*self.first_attention_channels, *self.second_attention_channels]
        if reduced and self.reduction > min(reduced):
            raise ConfigError(
                f"reduction (={self.reduction}) must not exceed the {min(reduced)} channels "
                f"it reduces with attention {self.attention!r}: C // reduction would be 0"
            )

    @property
    def first_attention_channels(self) -> tuple[int, ...]:
        """Channels of the CBAMs behind the backbone, P3 to P5; empty where there are none."""
        return BACKBONE_CHANNELS if self.attention in ("backbone", "both") else ()

    @property
    def second_attention_channels(self) -> tuple[int, ...]:
        """Channels of the CBAMs behind the pyramid, P3 to P5; empty where there are none."""
        return (self.channels,) * 3 if self.attention in ("pyramid", "both") else ()

    @property
    def leaky_slope(self) -> float:
        """Negative slope inside FPN and SSH: 0.1 up to 64 channels, then 0 (RetinaFace's rule)."""
        return 0.1 if self.channels <= 64 else 0.0

    @property
    def variant(self) -> str | None:
        """The name under which `CONFIGS` holds this architecture, if any."""
        return next((name for name, config in CONFIGS.items() if config == self), None)

    def difference(self, other: FeatherFaceConfig) -> dict[str, tuple[object, object]]:
        """Return the fields in which the two differ, each with (this value, the other's)."""
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


_KINDS: dict[str, tuple[str, ...]] = {
    "pyramid": get_args(Pyramid),
    "attention": get_args(Attention),
    "context": get_args(Context),
    "shuffle": get_args(Shuffle),
    "shuffle_order": get_args(ShuffleOrder),
    "mean_pooling": get_args(MeanPooling),
}

_V1 = FeatherFaceConfig(
    channels=74,
    cells=2,
    reduction=48,
    context="plain",
    shuffle="free",
    shuffle_order="interleave",
    mean_pooling="window",
)


class _Variants(dict[str, FeatherFaceConfig]):
    """Configurations by name, of which an unknown one is an `UnknownVariantError`."""

    def __missing__(self, name: object) -> FeatherFaceConfig:
        raise UnknownVariantError(f"variant (={name!r}) must be one of {', '.join(self)}")


CONFIGS: dict[str, FeatherFaceConfig] = _Variants(
    {
        # The card's headline total, to the unit: a context that is not deformable, reduction 48.
        "v1": _V1,
        # The card as drawn: a predicted offset per tap, no modulation mask.
        "v1-deformable": replace(_V1, context="dcnv1"),
        # The code its authors released, at its default configuration.
        "official": FeatherFaceConfig(),
        # A published network of 0.489 M parameters: no CBAM, no bottleneck.
        "no-attention": FeatherFaceConfig(channels=56, cells=2, attention="none", shuffle="free"),
        # RetinaFace with MobileNet-0.25, the baseline the paper compares with.
        "retinaface": FeatherFaceConfig(
            pyramid="fpn", attention="none", context="ssh", shuffle="none"
        ),
    }
)


def check_size(height: int, width: int, batch: int = 1) -> None:
    """Refuse the sizes that the networks of the family do not take.

    Raises:
        SizeError: for a height or width outside `MIN_SIZE` to `MAX_SIZE`, or a batch below 1.
    """
    for name, value, least in (
        ("height", height, MIN_SIZE),
        ("width", width, MIN_SIZE),
        ("batch", batch, 1),
    ):
        if isinstance(value, bool) or not isinstance(value, int):
            raise SizeError(f"{name} (={value!r}) must be an integer")
        if not least <= value <= MAX_SIZE:
            raise SizeError(f"{name} (={value}) must be from {least} to {MAX_SIZE}")


def read_config(text: str, name: str) -> FeatherFaceConfig:
    """Return the configuration that a file's metadata state as JSON.

    Args:
        name: what an error message calls the file.

    Raises:
        ConfigError: for text that is no configuration.
    """
    try:
        if len(text) > _LONGEST:
            raise ValueError(f"{len(text):,} characters, more than {_LONGEST:,}")
        return FeatherFaceConfig(**json.loads(text))
    except (TypeError, ValueError, RecursionError) as error:
        reason = str(error)[:200]
        raise ConfigError(f"{name}: unusable configuration in its metadata: {reason}") from None
