"""Names and figures of the architecture diagram as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]

NAMES = {
    "backbone": "Backbone",
    "first_attention": "Attention 1",
    "pyramid": "Pyramid",
    "second_attention": "Attention 2",
    "context": "Context",
    "shuffle": "Shuffle",
    "heads": "Heads",
}

_CONTEXTS = {
    "plain": "3×3 convolution",
    "dcnv1": "deformable 3×3",
    "dcnv2": "modulated 3×3",
    "ssh": "SSH",
    "ssh-dcnv1": "SSH, deformable",
    "ssh-dcnv2": "SSH, deformable",
}


def kind(record: Record, block: str) -> str | None:
    """What a block is in this network, in a few words; `None` for one that it does not have."""
    config = record["config"]
    attention = f"CBAM, r = {config['reduction']}"
    cells = config["cells"]
    kinds = {
        "backbone": "MobileNetV1 × 0.25",
        "first_attention": attention if config["attention"] in ("backbone", "both") else None,
        "pyramid": f"BiFPN, {cells} cell{'s' * (cells > 1)}"
        if config["pyramid"] == "bifpn"
        else "FPN, top-down",
        "second_attention": attention if config["attention"] in ("pyramid", "both") else None,
        "context": _CONTEXTS.get(config["context"]),
        "shuffle": {"free": "permutation", "bottleneck": "with bottleneck"}.get(config["shuffle"]),
        "heads": "1×1 convolutions",
    }
    return kinds[block]


def shape(sizes: Sequence[int]) -> str:
    """A shape without the batch: 64×80×80."""
    return "×".join(str(size) for size in sizes[1:])


def count(number: int) -> str:
    """A count of multiply-accumulates: 1.244 G, 332.9 M, 845 K, 0."""
    for factor, unit, digits in ((10**9, "G", 3), (10**6, "M", 1), (10**3, "K", 0)):
        if number >= factor:
            return f"{number / factor:.{digits}f} {unit}"
    return str(number)


def percent(share: float) -> str:
    """A share: 39.3 %, and 0.07 % where one decimal would hide it."""
    digits = 1 if share >= 0.001 or not share else 2
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%" if share else "0\N{NO-BREAK SPACE}%"
