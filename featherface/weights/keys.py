"""Names of tensors: from those of the published checkpoints to those of this package."""

from __future__ import annotations

import re

from featherface.config import BLOCKS

# What wrappers put before every name: DataParallel, DeepSpeed and AveragedModel; Lightning and the
# like, by the attribute that holds the network.
_PREFIXES = ("module.", "model.", "net.", "network.", "ema.", "ema_model.", "student.", "detector.")

# What torch.compile, FSDP and activation checkpointing put before the names of any module.
_WRAPPERS = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")

# Counters that thop leaves behind in the modules it has profiled, and AveragedModel's.
_COUNTER = re.compile(r"((^|\.)total_(ops|params)|^n_averaged)$")

# Parts of names: theirs → ours.
_PARTS: dict[str, dict[str, str]] = {
    "level": {"1": "0", "2": "1", "3": "2"},
    "merge": {"1": "p3", "2": "p4"},
    "after_stem": {str(i + 1): str(i) for i in range(5)},
    "conv": {"0": "conv", "1": "norm"},
    "depthwise": {
        "0": "depthwise.conv",
        "1": "depthwise.norm",
        "3": "pointwise.conv",
        "4": "pointwise.norm",
    },
    "attention": {
        "bacbkbone": "first_attention",  # as the released code spells it
        "backbone": "first_attention",
        "bif": "second_attention",
        "attention": "second_attention",
    },
    "gate": {
        "ChannelGate.mlp.1": "channel.reduce",
        "ChannelGate.mlp.3": "channel.expand",
        "SpatialGate.spatial.conv": "spatial.conv",
        "SpatialGate.spatial.bn": "spatial.norm",
    },
    "fusion": {
        "p4_w1": "fuse_p4_down",
        "p3_w1": "fuse_p3_out",
        "p4_w2": "fuse_p4_out",
        "p5_w2": "fuse_p5_out",
    },
    "separable": {
        "conv4_up": "conv_p4_down",
        "conv3_up": "conv_p3_out",
        "conv4_down": "conv_p4_out",
        "conv5_down": "conv_p5_out",
    },
    "separable_conv": {
        "depthwise_conv.conv": "depthwise",
        "pointwise_conv.conv": "pointwise",
        "bn": "norm",
    },
    "lateral": {
        "p3_down_channel": "laterals.0",
        "p4_down_channel": "laterals.1",
        "p5_down_channel": "laterals.2",
        "p4_down_channel_2": "bottom_up_laterals.0",
        "p5_down_channel_2": "bottom_up_laterals.1",
    },
    "lateral_conv": {"0.conv": "conv", "1": "norm"},
    "branch": {
        "conv3X3": "a",
        "conv5X5_1": "b1",
        "conv5X5_2": "b2",
        "conv7X7_2": "c1",
        "conv7x7_3": "c2",
    },
    "deformable": {
        "offset_conv.": "offset.",
        "modulator_conv.": "mask.",
        "regular_conv.": "",
        "dcn.": "",
        "": "",
    },
    "bottleneck": {
        "1": "reduce.conv",
        "2": "reduce.norm",
        "3": "depthwise.conv",
        "4": "depthwise.norm",
        "5": "expand.conv",
        "6": "expand.norm",
    },
    "head": {"ClassHead": "classes", "BboxHead": "boxes", "LandmarkHead": "landmarks"},
    "tensor": {
        name: name
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    },
}

# Whole names: theirs → ours. What is in braces is a part, or, if no such part is above, a number.
_NAMES = {
    "body.stage1.0.{conv}.{tensor}": "backbone.stem.{conv}.{tensor}",
    "body.stage1.{after_stem}.{depthwise}.{tensor}": (
        "backbone.stages.0.{after_stem}.{depthwise}.{tensor}"
    ),
    "body.stage{level}.{i}.{depthwise}.{tensor}": (
        "backbone.stages.{level}.{i}.{depthwise}.{tensor}"
    ),
    "{attention}_{i}_cbam.{gate}.{tensor}": "{attention}.levels.{i}.{gate}.{tensor}",
    "{attention}_cbam_{i}.{gate}.{tensor}": "{attention}.levels.{i}.{gate}.{tensor}",
    "bifpn.{cell}.{fusion}": "pyramid.cells.{cell}.{fusion}.weight",
    "bifpn.{cell}.{separable}.{separable_conv}.{tensor}": (
        "pyramid.cells.{cell}.{separable}.{separable_conv}.{tensor}"
    ),
    "bifpn.{cell}.{lateral}.{lateral_conv}.{tensor}": (
        "pyramid.cells.{cell}.{lateral}.{lateral_conv}.{tensor}"
    ),
    "fpn.output{level}.{conv}.{tensor}": "pyramid.laterals.{level}.{conv}.{tensor}",
    "fpn.merge{merge}.{conv}.{tensor}": "pyramid.merge_{merge}.{conv}.{tensor}",
    "ssh{level}.{branch}.0.{deformable}{tensor}": (
        "context.levels.{level}.{branch}.conv.{deformable}{tensor}"
    ),
    "ssh{level}.{branch}.1.{tensor}": "context.levels.{level}.{branch}.norm.{tensor}",
    "dcn{level}.{deformable}{tensor}": "context.levels.{level}.conv.{deformable}{tensor}",
    "dcn{level}.bn.{tensor}": "context.levels.{level}.norm.{tensor}",
    "ssh{level}_cs.{bottleneck}.{tensor}": "shuffle.levels.{level}.{bottleneck}.{tensor}",
    "{head}.{i}.conv1x1.{tensor}": "heads.{head}.{i}.{tensor}",
}


def _pattern(name: str) -> re.Pattern[str]:
    def group(part: re.Match[str]) -> str:
        theirs = "|".join(map(re.escape, _PARTS[part[1]])) if part[1] in _PARTS else r"\d+"
        return f"(?P<{part[1]}>{theirs})"

    return re.compile(re.sub(r"\\\{(\w+)\\\}", group, re.escape(name)))


_RULES = [(_pattern(theirs), ours) for theirs, ours in _NAMES.items()]


def translate(key: str) -> str | None:
    """Return our name for a tensor of a published checkpoint, without the prefixes of wrappers.

    It is the name whether or not any network has such a tensor; one of ours stays; `None` for a
    name of neither kind.
    """
    if key.split(".", 1)[0] in BLOCKS:
        return key
    for pattern, ours in _RULES:
        match = pattern.fullmatch(key)
        if match:
            found = match.groupdict()
            return ours.format(
                **{part: _PARTS.get(part, {}).get(text, text) for part, text in found.items()}
            )
    return None


def unwrapped(key: str) -> str:
    """Return the name without the prefixes of wrappers."""
    key = _WRAPPERS.sub("", key)
    while key.startswith(_PREFIXES):
        key = key.split(".", 1)[1]
    return key


def wrapper_of(key: str) -> str:
    """Return what `unwrapped` takes off: a prefix, or "…" and a part from inside of the name."""
    bare = unwrapped(key)
    if key.endswith(bare):
        return key.removesuffix(bare)
    return "…" + "".join(f"{part}." for part in sorted(set(_WRAPPERS.findall(key))))


def is_counter(key: str) -> bool:
    """Return whether the name is that of a counter which a tool adds to a module."""
    return _COUNTER.search(key) is not None
