"""The verdicts that everything else hangs on, with expectations worked out by hand."""

from __future__ import annotations

import pytest

from analysis.claims.ledger import load_all
from analysis.claims.verdicts import judge

HEADLINES = [
    # The card's total is that of a network with a plain context and reduction 48 ...
    ("card", "total", "confirmed", 487_103),
    # ... and not with the reduction printed, nor with the context drawn, nor with both.
    ("card", "total-with-reduction-16", "refuted", 496_016),
    ("card", "total-with-deformable-context", "refuted", 487_103 + 3 * (74 * 18 * 9 + 18)),
    ("card", "total-as-drawn", "refuted", 532_034),
    ("card", "first-attention-params", "refuted", 293 + 742 + 2_921),
    ("card", "second-attention-params", "refuted", 3 * 323),
    # "0.49 M" is what thop says of 592,371 parameters: without kernels and fusion weights.
    ("paper", "params", "explained", 592_371),
    ("repository", "released-params", "confirmed", 592_371),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "name", "verdict", "measured"), HEADLINES, ids=[f"{h[0]}:{h[1]}" for h in HEADLINES]
)
def test_headline(source: str, name: str, verdict: str, measured: int) -> None:
    (ledger,) = (ledger for ledger in load_all() if ledger.source.id == source)
    (claim,) = (claim for claim in ledger.claims if claim.id == name)
    found = judge(claim, ledger)
    assert (found.verdict, found.measured) == (verdict, measured)
