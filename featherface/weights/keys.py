"""Names of tensors: from those of the published checkpoints to those of this package."""

from __future__ import annotations

import re
from collections.abc import Callable

from featherface.config import BLOCKS

# What wrappers put before every name: DataParallel, DeepSpeed and AveragedModel; Lightning and the
# like, by the attribute that holds the network.
_PREFIXES = ("module.", "model.", "net.", "network.", "ema.", "ema_model.", "student.", "detector.")

# What torch.compile, FSDP and activation checkpointing put before the names of any module.
_WRAPPERS = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")

# Counters that thop leaves behind in the modules it has profiled, and AveragedModel's.
_COUNTER = re.compile(r"((^|\.)total_(ops|params)|^n_averaged)$")

_LEVEL = {"1": "0", "2": "1", "3": "2"}

_BACKBONE_LAYER = {
    "0": "depthwise.conv",
    "1": "depthwise.norm",
    "3": "pointwise.conv",
    "4": "pointwise.norm",
}
_SSH_BRANCH = {
    "conv3X3": "a",
    "conv5X5_1": "b1",
    "conv5X5_2": "b2",
    "conv7X7_2": "c1",
    "conv7x7_3": "c2",
}
_FUSION = {
    "p4_w1": "fuse_p4_down",
    "p3_w1": "fuse_p3_out",
    "p4_w2": "fuse_p4_out",
    "p5_w2": "fuse_p5_out",
}
_SEPARABLE = {
    "conv4_up": "conv_p4_down",
    "conv3_up": "conv_p3_out",
    "conv4_down": "conv_p4_out",
    "conv5_down": "conv_p5_out",
}
_LATERAL = {
    "p3_down_channel": "laterals.0",
    "p4_down_channel": "laterals.1",
    "p5_down_channel": "laterals.2",
    "p4_down_channel_2": "bottom_up_laterals.0",
    "p5_down_channel_2": "bottom_up_laterals.1",
}
_DEFORMABLE = {
    "offset_conv.": "offset.",
    "modulator_conv.": "mask.",
    "regular_conv.": "",
    "dcn.": "",
    "": "",
}
_BOTTLENECK = {
    "1": "reduce.conv",
    "2": "reduce.norm",
    "3": "depthwise.conv",
    "4": "depthwise.norm",
    "5": "expand.conv",
    "6": "expand.norm",
}
_HEADS = {"ClassHead": "classes", "BboxHead": "boxes", "LandmarkHead": "landmarks"}


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


def translate(key: str) -> str | None:
    """Our name for a tensor of a published checkpoint (or of ours), without wrappers' prefixes.

    Returns:
        The name it would have here, whether or not any network has such a tensor; `None` for a
        name of neither kind.
    """
    if key.split(".", 1)[0] in BLOCKS:
        return key
    for pattern, rename in _RULES:
        match = pattern.fullmatch(key)
        if match:
            return rename(match)
    return None


def _one_of(names: dict[str, str]) -> str:
    return "(" + "|".join(map(re.escape, names)) + ")"


_TAIL = r"(weight|bias|running_mean|running_var|num_batches_tracked)"

_PATTERNS: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (
        rf"body\.stage1\.0\.([01])\.{_TAIL}",
        lambda m: f"backbone.stem.{('conv', 'norm')[int(m[1])]}.{m[2]}",
    ),
    (
        rf"body\.stage1\.([1-9]\d*)\.([0134])\.{_TAIL}",
        lambda m: f"backbone.stages.0.{int(m[1]) - 1}.{_BACKBONE_LAYER[m[2]]}.{m[3]}",
    ),
    (
        rf"body\.stage([23])\.(\d+)\.([0134])\.{_TAIL}",
        lambda m: f"backbone.stages.{_LEVEL[m[1]]}.{m[2]}.{_BACKBONE_LAYER[m[3]]}.{m[4]}",
    ),
    (
        # "bacbkbone" is how the released code spells it.
        rf"(bacbkbone|backbone|bif|attention)(?:_([012])_cbam|_cbam_([012]))\."
        rf"(ChannelGate\.mlp\.[13]|SpatialGate\.spatial\.(?:conv|bn))\.{_TAIL}",
        lambda m: (
            f"{'first' if m[1].endswith('bone') else 'second'}_attention"
            f".levels.{m[2] or m[3]}.{_cbam(m[4])}.{m[5]}"
        ),
    ),
    (
        rf"bifpn\.(\d+)\.{_one_of(_FUSION)}",
        lambda m: f"pyramid.cells.{m[1]}.{_FUSION[m[2]]}.weight",
    ),
    (
        rf"bifpn\.(\d+)\.{_one_of(_SEPARABLE)}\.(depthwise|pointwise)_conv\.conv\.{_TAIL}",
        lambda m: f"pyramid.cells.{m[1]}.{_SEPARABLE[m[2]]}.{m[3]}.{m[4]}",
    ),
    (
        rf"bifpn\.(\d+)\.{_one_of(_SEPARABLE)}\.bn\.{_TAIL}",
        lambda m: f"pyramid.cells.{m[1]}.{_SEPARABLE[m[2]]}.norm.{m[3]}",
    ),
    (
        rf"bifpn\.(\d+)\.{_one_of(_LATERAL)}\.(0\.conv|1)\.{_TAIL}",
        lambda m: (
            f"pyramid.cells.{m[1]}.{_LATERAL[m[2]]}.{'norm' if m[3] == '1' else 'conv'}.{m[4]}"
        ),
    ),
    (
        rf"fpn\.output([123])\.([01])\.{_TAIL}",
        lambda m: f"pyramid.laterals.{_LEVEL[m[1]]}.{('conv', 'norm')[int(m[2])]}.{m[3]}",
    ),
    (
        rf"fpn\.merge([12])\.([01])\.{_TAIL}",
        lambda m: f"pyramid.merge_p{int(m[1]) + 2}.{('conv', 'norm')[int(m[2])]}.{m[3]}",
    ),
    (
        rf"ssh([123])\.{_one_of(_SSH_BRANCH)}\.0\.{_one_of(_DEFORMABLE)}(weight|bias)",
        lambda m: (
            f"context.levels.{_LEVEL[m[1]]}.{_SSH_BRANCH[m[2]]}.conv.{_DEFORMABLE[m[3]]}{m[4]}"
        ),
    ),
    (
        rf"ssh([123])\.{_one_of(_SSH_BRANCH)}\.1\.{_TAIL}",
        lambda m: f"context.levels.{_LEVEL[m[1]]}.{_SSH_BRANCH[m[2]]}.norm.{m[3]}",
    ),
    (
        rf"dcn([123])\.{_one_of(_DEFORMABLE)}(weight|bias)",
        lambda m: f"context.levels.{_LEVEL[m[1]]}.conv.{_DEFORMABLE[m[2]]}{m[3]}",
    ),
    (
        rf"dcn([123])\.bn\.{_TAIL}",
        lambda m: f"context.levels.{_LEVEL[m[1]]}.norm.{m[2]}",
    ),
    (
        rf"ssh([123])_cs\.([1-6])\.{_TAIL}",
        lambda m: f"shuffle.levels.{_LEVEL[m[1]]}.{_BOTTLENECK[m[2]]}.{m[3]}",
    ),
    (
        rf"{_one_of(_HEADS)}\.([012])\.conv1x1\.(weight|bias)",
        lambda m: f"heads.{_HEADS[m[1]]}.{m[2]}.{m[3]}",
    ),
)

_RULES = [(re.compile(pattern), rename) for pattern, rename in _PATTERNS]


def _cbam(layer: str) -> str:
    return {
        "ChannelGate.mlp.1": "channel.reduce",
        "ChannelGate.mlp.3": "channel.expand",
        "SpatialGate.spatial.conv": "spatial.conv",
        "SpatialGate.spatial.bn": "spatial.norm",
    }[layer]
