"""The architecture of tensors, told from their names and shapes alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

import torch

from featherface.blocks.assembly import Blocks
from featherface.config import CONFIGS, ConfigError, Context, FeatherFaceConfig

Shapes = dict[str, tuple[int, ...]]
"""The shapes of tensors by our names."""

_REDUCTIONS = (2, 4, 8, 12, 16, 24, 32, 48, 64)  # the usual ones, where several would fit
_ALWAYS = ("backbone", "pyramid", "heads")  # the blocks with tensors in every configuration


@cache
def expected_shapes(config: FeatherFaceConfig) -> Shapes:
    """Return the tensors of an architecture by name; no memory is taken for them."""
    with torch.device("meta"):
        state = Blocks(config).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def nearest_variant(shapes: Shapes) -> str:
    """Return the variant that shares most tensors with these, and differs in fewest others."""

    def differing(variant: str) -> int:
        return len(expected_shapes(CONFIGS[variant]).keys() ^ shapes.keys())

    return max(CONFIGS, key=lambda variant: (_shared(variant, shapes), -differing(variant)))


def is_most_of(variant: str, shapes: Shapes) -> bool:
    """Return whether more than half of a variant's tensors are there."""
    return 2 * _shared(variant, shapes) > len(expected_shapes(CONFIGS[variant]))


def _shared(variant: str, shapes: Shapes) -> int:
    expected = expected_shapes(CONFIGS[variant])
    return sum(shapes.get(name) == shape for name, shape in expected.items())


def infer(shapes: Shapes, names: Iterable[str]) -> tuple[FeatherFaceConfig | None, dict[str, str]]:
    """Return the architecture that explains most of the tensors, and what they cannot tell.

    Each setting is decided by a majority of the tensors that bear on it, so that one that is
    missing or misshapen does not change the answer but shows up as such.

    Args:
        names: those in the file, without wrappers.
    """

    def below(prefix: str) -> list[tuple[str, tuple[int, ...]]]:
        """The tensors of at least one dimension."""
        return [(n, s) for n, s in shapes.items() if n.startswith(prefix) and s]

    channels = _most(
        [shape[1] for _, shape in below("heads.") if len(shape) == 4]
        + [shape[0] for name, shape in below("pyramid.") if ".fuse_" not in name]
    )
    anchors = _most(
        shape[0] // per_anchor
        for kind, per_anchor in (("boxes", 4), ("classes", 2), ("landmarks", 10))
        for _, shape in below(f"heads.{kind}.")
    )
    complete = all(any(name.startswith(f"{block}.") for name in shapes) for block in _ALWAYS)
    if not complete or channels is None or not anchors:
        return None, {}
    first, second = (bool(below(f"{which}_attention.")) for which in ("first", "second"))
    bifpn = below("pyramid.cells.")
    lowest, highest = _reduction_range(shapes)
    reduction = next((r for r in _REDUCTIONS if lowest <= r <= highest), lowest)
    bottleneck = bool(below("shuffle."))
    like_v1 = any(name.startswith(("backbone_cbam_", "attention_cbam_")) for name in names)
    try:
        config = FeatherFaceConfig(
            channels=channels,
            pyramid="bifpn" if bifpn else "fpn",
            cells=1 + max(_cell(name) for name, _ in bifpn) if bifpn else FeatherFaceConfig.cells,
            attention=(("none", "pyramid"), ("backbone", "both"))[first][second],
            reduction=reduction if first or second else FeatherFaceConfig.reduction,
            context=_context([name for name, _ in below("context.")]),
            shuffle="bottleneck" if bottleneck else "none" if channels % 2 else "free",
            shuffle_order="interleave" if like_v1 else "deinterleave",
            mean_pooling="window" if like_v1 else "adaptive",
            anchors=anchors,
        )
    except ConfigError as error:
        return None, {"config": str(error)}
    named = next(
        (c for c in CONFIGS.values() if expected_shapes(c) == expected_shapes(config)), None
    )
    assumed = "from the variant of that name" if named else "by default"
    config = named or config
    undetermined: dict[str, str] = {}
    if (first or second) and lowest != highest:
        undetermined["reduction"] = (
            f"{config.reduction} {assumed}; {lowest} to {highest} have the same tensors"
        )
    if not bottleneck:
        undetermined["shuffle"] = f"{config.shuffle} {assumed}; it has no tensors"
    if config.shuffle != "none":
        undetermined["shuffle_order"] = f"{config.shuffle_order} {assumed}; it has no tensors"
    return config, undetermined


def _most(votes: Iterable[int]) -> int | None:
    counted = Counter(votes).most_common(1)
    return counted[0][0] if counted else None


def _cell(name: str) -> int:
    """Return the number of the BiFPN cell in a tensor's name; files may say any."""
    digits = re.match(r"pyramid\.cells\.([0-9]*)", name)
    return int(digits[1][:9] or 0) if digits else 0


def _reduction_range(shapes: Shapes) -> tuple[int, int]:
    """Return the reductions r with C // r = hidden units in most channel gates at once."""
    ranges: Counter[tuple[int, int]] = Counter()
    for name, shape in shapes.items():
        if name.endswith(".channel.reduce.weight") and len(shape) == 2 and min(shape) > 0:
            hidden, channels = shape
            ranges[channels // (hidden + 1) + 1, channels // hidden] += 1
    if not ranges:
        return 1, 1

    def gates(reduction: int) -> int:
        return sum(n for (low, high), n in ranges.items() if low <= reduction <= high)

    best = max(sorted(low for low, _ in ranges), key=gates)
    return best, min(high for low, high in ranges if low <= best <= high)


def _context(names: list[str]) -> Context:
    def holds(*parts: str) -> bool:
        return any(part in name for part in parts for name in names)

    ssh = holds(".a.", ".b1.", ".b2.", ".c1.", ".c2.")
    if holds(".conv.mask."):
        return "ssh-dcnv2" if ssh else "dcnv2"
    if holds(".conv.offset."):
        return "ssh-dcnv1" if ssh else "dcnv1"
    if ssh:
        return "ssh"
    return "plain" if names else "none"
