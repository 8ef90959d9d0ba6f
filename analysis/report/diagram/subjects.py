"""Which blocks of which network a claim is about, read off what is measured for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]

BLOCKS = (
    "backbone",
    "first_attention",
    "pyramid",
    "second_attention",
    "context",
    "shuffle",
    "heads",
)

_BOTH = ("first_attention", "second_attention")

_MEASURES = {  # functions and arguments of the ledgers' language that concern one kind of block
    r"\bpyramid_passes_on\(": ("pyramid",),
    r"\bshuffle_groups\(": ("shuffle",),
    r"\b(anchor_sides|anchors_per_cell|channels_per_anchor|landmark_points|cells|stride)\(": (
        "heads",
    ),
    r"'(logits|boxes|landmarks)'": ("heads",),
    r"'CBAM'|'reduction'|\breduction=": _BOTH,
    r"'DeformConv2d'|\bcontext=": ("context",),
}

_WORDS = {  # of statements; the first that fits hides what it is made of
    r"CBAMs? behind the backbone|first (attention|CBAM)": ("first_attention",),
    r"CBAMs? behind the pyramid|second (attention|CBAM)": ("second_attention",),
    r"CBAM|attention": _BOTH,
    r"backbone": ("backbone",),
    r"BiFPN|FPN|pyramid": ("pyramid",),
    r"context|deformable|offset": ("context",),
    r"shuffle": ("shuffle",),
    r"\bheads?\b|anchors": ("heads",),
}

_FEW = 3  # a claim about more blocks is about the whole network


def claims_by_block(
    verdicts: Sequence[Record], records: Sequence[Record]
) -> dict[str, dict[str, list[Record]]]:
    """The verdicts on claims about each block of each network, in the ledgers' order.

    A claim is about the blocks that its measurement looks at: modules and outputs that it names,
    and functions that concern one kind of block. One that only calculates with a source's figures
    is about the blocks whose figures these are, or, where these tell nothing, that it names. Of
    several blocks it is about those that it names, if it names any of them.

    Args:
        verdicts: as in `docs/results/verdicts.json`.
        records: from `analysis.cost.blocks.measure_blocks`, one a network.

    Returns:
        By network and block; claims about a network as a whole stand under the empty name.
    """
    totals = {str(record["params"]): record["variant"] for record in records}
    found: dict[str, dict[str, list[Record]]] = {
        record["variant"]: {name: [] for name in (*BLOCKS, "")} for record in records
    }
    measured = {id(verdict): _looked_at(verdict["measure"]) for verdict in verdicts}
    usual = _usual_variants(verdicts)
    for verdict in verdicts:
        variant = verdict["variant"] or _calculated_for(verdict, totals, usual)
        blocks = measured[id(verdict)]
        if verdict["kind"] == "arithmetic":
            blocks = _stated(verdict, verdicts, measured, totals) or _named(verdict)
        named = _named(verdict)
        if blocks:  # what is only measured at the neighbour's stands with both
            blocks = blocks & named or blocks | named
        if variant not in found:
            continue
        for block in BLOCKS if len(blocks) <= _FEW else ():
            if block in blocks:
                found[variant][block].append(verdict)
        if not blocks or len(blocks) > _FEW:
            found[variant][""].append(verdict)
    return found


def _looked_at(measure: str) -> set[str]:
    paths = {text.split(".")[0] for text in re.findall(r"'([^']*)'", measure)}
    blocks = paths & set(BLOCKS)
    if "architectures" in measure and "settings_of_block" not in measure:
        return set()  # of the whole: block names among its arguments are settings
    for pattern, about in _MEASURES.items():
        if not blocks and re.search(pattern, measure):
            return set(about)
    return blocks


def _named(verdict: Record) -> set[str]:
    """The blocks that a claim names, in its statement or its name."""
    statement = f"{verdict['id'].replace('-', ' ')} {verdict['statement']}"
    statement = re.sub(r"\b(no|without) \w+", "", statement)
    blocks: set[str] = set()
    for pattern, about in _WORDS.items():
        statement, times = re.subn(pattern, " ", statement, flags=re.IGNORECASE)
        if times:
            blocks |= set(about)
    return blocks


def _figures(measure: str) -> set[str]:
    """Numbers that tell something: not the small whole ones."""
    numbers = set(re.findall(r"\d+(?:\.\d+)?", re.sub(r"'[^']*'", "", measure)))
    return {number for number in numbers if "." in number or len(number) > 2}


def _stated(
    verdict: Record,
    verdicts: Iterable[Record],
    measured: Mapping[int, set[str]],
    totals: Mapping[str, str],
) -> set[str]:
    """The blocks of which the same source states the figures that an arithmetic claim uses."""
    figures = _figures(verdict["measure"]) - set(totals)
    blocks: set[str] = set()
    for other in verdicts:
        if other["source"] == verdict["source"] and str(other["claimed"]) in figures:
            about = measured[id(other)]
            blocks |= (about & _named(other)) or about
    return blocks


def _calculated_for(
    verdict: Record, totals: Mapping[str, str], usual: Mapping[str, str]
) -> str | None:
    """The network whose total an arithmetic claim uses, or the one its source mostly speaks of."""
    figures = _figures(f"{verdict['measure']} {verdict['claimed']}")
    own = sorted(totals[figure] for figure in figures & set(totals))
    return own[0] if own else usual.get(verdict["source"])


def _usual_variants(verdicts: Iterable[Record]) -> dict[str, str]:
    counts: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        if verdict["variant"]:
            counts.setdefault(verdict["source"], Counter())[verdict["variant"]] += 1
    return {source: of.most_common(1)[0][0] for source, of in counts.items()}
