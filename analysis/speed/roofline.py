"""Roofline: the speed of a network's blocks beside the most that their device can do.

After Williams, Waterman and Patterson (2009), "Roofline: an insightful visual performance model
for multicore architectures", Communications of the ACM 52(4): a block that does I MACs for every
byte it moves cannot do more of them in a second than the processor can at best, nor more than I
times the bytes that can be copied in a second. Both ceilings are measured on the same device with
the same threads, dtype and use of TF32, see `analysis.speed.ceilings`. Bytes are counted as
`analysis.cost.trace` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analysis.cost import Cost
from analysis.speed.ceilings import measure_ceilings
from analysis.speed.latency import measure_latency
from analysis.speed.setting import Setting
from analysis.speed.timing import Rule

CONVENTIONS = {
    "macs": "as in the cost by block",
    "bytes": "every operator reads its input activations and weights once and writes its result "
    "once; views move nothing; what a kernel needs inside itself is not counted",
    "bytes_least": "a block reads its input and weights once and writes its output once",
    "macs_per_byte": "macs / bytes",
    "roof_gmacs_per_second": "the lower of the matrix product and macs_per_byte × copying",
    "matrix_product": "the best median of square products by any library; n³ MACs each",
    "copy": "bytes read plus bytes written; the best median of any size and library",
}

_KEPT = (
    *("variant", "model", "settings", "runtime", "input", "inputs", "weights", "flush_l2"),
    *("environment", "deform_kernel", "rule", "others_load", "settled"),
)
"""Fields that a record takes from the latency."""


def measure_roofline(setting: Setting, rule: Rule | None = None) -> dict[str, Any]:
    """Put every block of a network under its roof; see `under_roof`.

    Raises:
        InputError: for a setting that cannot be measured here.
    """
    rule = rule or Rule()
    ceilings = measure_ceilings(setting, Rule(seconds=rule.seconds / 4))
    return under_roof(setting, measure_latency(setting, rule), ceilings)


def under_roof(
    setting: Setting, latency: dict[str, Any], ceilings: dict[str, Any]
) -> dict[str, Any]:
    """Put the blocks of a record of latency under the ceilings of their device.

    Args:
        setting: of the record.
        ceilings: of `measure_ceilings` with the same device, dtype and threads.

    Returns:
        A JSON document. Each of `blocks` has `macs`, `bytes`, `bytes_least`, `macs_per_byte`,
        `ms_p50`, `gmacs_per_second` and `gigabytes_per_second` as achieved,
        `roof_gmacs_per_second`, `share_of_roof`, and `bound`: "memory", "compute", or `None` for
        a block that moves nothing. For a block without MACs, whose roof is copying alone,
        `share_of_roof` is that of the bytes. `whole` is the same for the network. A share above 1
        is among the `doubts`: then a ceiling is too low.
    """
    network = setting.cost()
    cost = {block.path: block for block in network.children}

    def placed(times: dict[str, Any], part: Cost, least: int) -> dict[str, Any]:
        return place(part.macs, part.bytes_moved, least, times["ms_p50"], ceilings)

    blocks = [
        {"name": name, **placed(block, cost[name], cost[name].bytes_least)}
        for block in latency["blocks"] or ()
        for name in [block["name"]]
    ]
    least = sum(block.bytes_least for block in network.children) or network.bytes_least
    whole = placed(latency["whole"], network, least)
    above = above_roof([*blocks, {"name": "the whole", **whole}])
    return {
        "record": "roofline",
        **{key: latency[key] for key in _KEPT if key in latency},
        "ceilings": ceilings,
        "whole": whole,
        "blocks": blocks,
        "conventions": CONVENTIONS,
        "doubts": latency["doubts"] + above,
    }


def above_roof(blocks: Sequence[dict[str, Any]]) -> list[str]:
    """Return a doubt for each block that is faster than its roof."""
    return [
        f"{block['name']} reaches {100 * block['share_of_roof']:.0f} % of its roof: the ceiling "
        "is not one"
        for block in blocks
        if block["share_of_roof"] is not None and block["share_of_roof"] > 1
    ]


def place(
    macs: int, bytes_moved: int, bytes_least: int, ms_p50: float, ceilings: dict[str, Any]
) -> dict[str, Any]:
    """Return speed, roof and share of MACs and bytes that take so much time."""
    compute, memory = ceilings["gmacs_per_second"], ceilings["gigabytes_per_second"]
    intensity = macs / bytes_moved if bytes_moved else None
    rate = 1e-6 / ms_p50 if ms_p50 else 0.0  # a block that is never called takes no time
    achieved, moved = macs * rate, bytes_moved * rate
    roof = min(compute, intensity * memory) if intensity else None
    if not bytes_moved:
        share = bound = None
    elif roof:
        share, bound = achieved / roof, "memory" if roof < compute else "compute"
    else:
        share, bound = moved / memory, "memory"
    return {
        "macs": macs,
        "bytes": bytes_moved,
        "bytes_least": bytes_least,
        "macs_per_byte": intensity,
        "macs_per_byte_most": macs / bytes_least if bytes_least else None,
        "ms_p50": ms_p50,
        "gmacs_per_second": achieved,
        "gigabytes_per_second": moved,
        "roof_gmacs_per_second": roof,
        "share_of_roof": share,
        "bound": bound,
    }
