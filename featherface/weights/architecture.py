"""Which architecture tensors are of, told from their names and shapes alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

import torch

from featherface.config import BLOCKS, CONFIGS, ConfigError, Context, FeatherFaceConfig
from featherface.model import FeatherFace
from featherface.weights.keys import unwrapped

Shapes = dict[str, tuple[int, ...]]
"""The shapes of tensors by our names."""

_REDUCTIONS = (2, 4, 8, 12, 16, 24, 32, 48, 64)  # the usual ones, where several would fit


@cache
def expected_shapes(config: FeatherFaceConfig) -> Shapes:
    """Return the tensors of an architecture by name; no memory is taken for them."""
    with torch.device("meta"):
        state = FeatherFace(config).state_dict()
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


def infer(shapes: Shapes, keys: Iterable[str]) -> tuple[FeatherFaceConfig | None, dict[str, str]]:
    """Return the architecture that explains most of the tensors, and what they cannot tell.

    Each setting is decided by a majority of the tensors that bear on it, so that one that is
    missing or misshapen does not change the answer but shows up as such.
    """
    if not all(any(name.startswith(f"{block}.") for name in shapes) for block in _ALWAYS):
        return None, {}
    votes = _Votes(shapes)
    channels = votes.most(
        size for name, shape in shapes.items() for size in _channel_votes(name, shape)
    )
    anchors = votes.most(
        shape[0] // per_anchor
        for kind, per_anchor in (("boxes", 4), ("classes", 2), ("landmarks", 10))
        for name, shape in votes.matching(f"heads.{kind}.")
    )
    first, second = (votes.matching(f"{which}_attention.") for which in ("first", "second"))
    attention = (("none", "pyramid"), ("backbone", "both"))[bool(first)][bool(second)]
    bifpn = votes.matching("pyramid.cells.")
    cells = 1 + max((_index(name) for name, _ in bifpn), default=0)
    undetermined: dict[str, str] = {}
    lowest, highest = _reduction_range(shapes)
    reduction = next((r for r in _REDUCTIONS if lowest <= r <= highest), lowest)
    bottleneck = bool(votes.matching("shuffle."))
    like_v1 = any(unwrapped(k).startswith(("backbone_cbam_", "attention_cbam_")) for k in keys)
    if channels is None or not anchors:
        return None, {}
    try:
        config = FeatherFaceConfig(
            channels=channels,
            pyramid="bifpn" if bifpn else "fpn",
            cells=cells if bifpn else CONFIGS["retinaface"].cells,
            attention=attention,  # type: ignore[arg-type]
            reduction=reduction if first or second else CONFIGS["no-attention"].reduction,
            context=_context(votes),
            shuffle="bottleneck" if bottleneck else "free",
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
    if (first or second) and lowest != highest:
        undetermined["reduction"] = (
            f"{config.reduction} {assumed}; {lowest} to {highest} have the same tensors"
        )
    if not bottleneck:
        undetermined["shuffle"] = f"{config.shuffle} {assumed}; it has no tensors"
    if config.shuffle != "none":
        undetermined["shuffle_order"] = f"{config.shuffle_order} {assumed}; it has no tensors"
    return config, undetermined


# The blocks that no configuration leaves without tensors.
_ALWAYS = ("backbone", "pyramid", "heads")
assert set(_ALWAYS) < set(BLOCKS)


class _Votes:
    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    def matching(self, prefix: str) -> list[tuple[str, tuple[int, ...]]]:
        """Tensors of at least one dimension below a prefix."""
        return [(n, s) for n, s in self._shapes.items() if n.startswith(prefix) and s]

    def having(self, prefix: str, *parts: str) -> bool:
        return any(any(part in name for part in parts) for name, _ in self.matching(prefix))

    @staticmethod
    def most(votes: Iterable[int]) -> int | None:
        counted = Counter(votes).most_common(1)
        return counted[0][0] if counted else None


def _index(name: str) -> int:
    """The number of the BiFPN cell that a tensor says it is of; files may say any."""
    digits = re.match(r"pyramid\.cells\.([0-9]*)", name)
    return int(digits[1][:9] or 0) if digits else 0


def _channel_votes(name: str, shape: tuple[int, ...]) -> list[int]:
    """What a tensor says of the width of the pyramid."""
    if name.startswith("heads.") and len(shape) == 4:
        return [shape[1]]
    if name.startswith("pyramid.") and shape and ".fuse_" not in name:
        return [shape[0]]
    return []


def _reduction_range(shapes: Shapes) -> tuple[int, int]:
    """Every reduction r with C // r = hidden units, for all channel gates at once."""
    ranges: Counter[tuple[int, int]] = Counter()
    for name, shape in shapes.items():
        if name.endswith(".channel.reduce.weight") and len(shape) == 2 and min(shape) > 0:
            hidden, channels = shape
            ranges[channels // (hidden + 1) + 1, channels // hidden] += 1
    best = max(
        ((sum(n for (a, b), n in ranges.items() if a <= low <= b), low) for low, _ in ranges),
        default=(0, 1),
        key=lambda found: (found[0], -found[1]),
    )[1]
    fitting = [(low, high) for low, high in ranges if low <= best <= high]
    return best, min((high for _, high in fitting), default=best)


def _context(votes: _Votes) -> Context:
    ssh = votes.having("context.", ".a.", ".b1.", ".b2.", ".c1.", ".c2.")
    if votes.having("context.", ".conv.mask."):
        return "ssh-dcnv2" if ssh else "dcnv2"
    if votes.having("context.", ".conv.offset."):
        return "ssh-dcnv1" if ssh else "dcnv1"
    if ssh:
        return "ssh"
    return "plain" if votes.matching("context.") else "none"
