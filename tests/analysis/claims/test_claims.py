"""Every published figure, measured again: one test a claim, named SOURCE:CLAIM.

The second half holds the ledger of the card against the card itself, where that is at hand.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from analysis.claims.ledger import Claim, Ledger, load_all
from analysis.claims.verdicts import as_recorded, changes, judge, recorded
from featherface.weights.published import PUBLISHED

LEDGERS = load_all()
RECORDED = {verdict.name: verdict for verdict in recorded()}
PUBLISHED_RECORD = Path(__file__).parents[3] / "docs" / "results" / "verdicts.json"


def asks_counters(claim: Claim) -> bool:
    return any("counted(" in measure for measure in (claim.measure, *_readings(claim)))


def _readings(claim: Claim) -> list[str]:
    return [other.measure for other in claim.alternatives]


@pytest.mark.parametrize(
    ("claim", "ledger"),
    [
        pytest.param(
            claim,
            ledger,
            id=f"{ledger.source.id}:{claim.id}",
            marks=[pytest.mark.slow] if asks_counters(claim) else [],
        )
        for ledger in LEDGERS
        for claim in ledger.claims
    ],
)
def test_claim(claim: Claim, ledger: Ledger) -> None:
    now = judge(claim, ledger)
    assert now.name in RECORDED, f"{now.name}: {now.verdict}, not recorded yet"
    before = [RECORDED[now.name]]
    (kept,) = as_recorded([now], before)
    assert [str(change) for change in changes([kept], before)] == []
    if kept is not now:
        pytest.skip(kept.explanation)


def test_the_record_is_complete_and_in_the_order_of_the_ledgers() -> None:
    assert list(RECORDED) == [f"{x.source.id}:{claim.id}" for x in LEDGERS for claim in x.claims]


def test_the_pages_show_the_accepted_verdicts_made_with_every_tool() -> None:
    shown = json.loads(PUBLISHED_RECORD.read_text(encoding="utf-8"))
    assert recorded(PUBLISHED_RECORD) == list(RECORDED.values())
    assert [row["id"] for row in shown if row["missing"]] == []


def test_the_papers_accuracy_is_untested_with_what_two_trainings_reach() -> None:
    """The figures by hand, from the rows on all 3,226 images."""
    rows = json.loads(PUBLISHED_RECORD.read_text(encoding="utf-8"))
    shown = {f"{row['source']}:{row['id']}": row for row in rows}
    reached = {
        name: [(round(r["measured"], 2), r["holds"]) for r in shown[name]["replications"]]
        for name in ("paper:overall-ap", "paper:gain-on-hard", "card:performance")
    }
    assert reached == {
        "paper:overall-ap": [(86.99, False), (85.81, False)],
        "paper:gain-on-hard": [(4.25, False), (2.07, False)],
        "card:performance": [(86.99, True), (92.28, False)],  # the second on 488 images alone
    }
    assert {shown[name]["verdict"] for name in reached} == {"untested"}
    assert not any(row["replications"] for row in shown.values() if row["verdict"] != "untested")


def test_a_figure_that_does_not_hold_as_stated_has_a_reason() -> None:
    silent = [
        f"{ledger.source.id}:{claim.id}"
        for ledger in LEDGERS
        for claim in ledger.claims
        if RECORDED[f"{ledger.source.id}:{claim.id}"].verdict in ("explained", "refuted")
        and not claim.explanation
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("variant", "prefix"),
    [("official", "released"), ("no-attention", "no-attention"), ("retinaface", "retinaface")],
)
def test_recorded_ap_is_the_same_beside_the_weights(variant: str, prefix: str) -> None:
    published = PUBLISHED[variant].recorded
    assert published is not None
    claimed = [RECORDED[f"repository:{prefix}-ap-{s}"].claimed for s in ("easy", "medium", "hard")]
    assert claimed == [published.easy, published.medium, published.hard]


# --- the card ------------------------------------------------------------------------------------

CARD = next(ledger for ledger in LEDGERS if ledger.source.id == "card")

# Digits that are part of a name: levels, the version, PyTorch's classes; list numbering.
NAMES = re.compile(r"\bP[345]\b|\bV1\b|(?<=[vl])2d\b|^\d\. |CBAM[₁₂]")
FIGURE = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")

# Lines with a digit and no figure, and no claim either.
NO_FIGURE = {
    9: "the name of the network",
    222: "the number of a list item",
    224: "the number of a list item",
    225: "the number of a list item",
}


@pytest.fixture(scope="module")
def card(shared: Path) -> dict[int, str]:
    """The card's lines, counted from 1."""
    path = shared / "seed" / "V1_ARCHITECTURE_DIAGRAM.md"
    if not path.is_file():
        pytest.skip(f"the card is not here: {path}")
    return dict(enumerate(path.read_text(encoding="utf-8").splitlines(), start=1))


def pieces(claim: Claim) -> tuple[str, ...]:
    """Return the pieces of the card that a claim quotes."""
    return (claim.printed, *claim.operands)


def figures(line: str) -> set[str]:
    """The figures that a line states."""
    return set(FIGURE.findall(NAMES.sub(" ", line)))


def test_every_line_with_a_digit_is_cited(card: dict[int, str]) -> None:
    cited = {line for claim in CARD.claims for line in claim.lines}
    with_digit = {n for n, line in card.items() if any(c.isdigit() for c in line)}
    assert sorted(with_digit - cited - NO_FIGURE.keys()) == []


def test_every_figure_on_a_line_is_quoted_by_a_claim_on_that_line(card: dict[int, str]) -> None:
    uncovered = {}
    for number, line in card.items():
        quoted: set[str] = set()
        for claim in CARD.claims:
            if number in claim.lines:
                quoted |= {f for p in pieces(claim) if p in line for f in FIGURE.findall(p)}
        if left := figures(line) - quoted:
            uncovered[number] = sorted(left)
    assert uncovered == {}


def test_no_claim_cites_a_line_without_the_digits_that_it_quotes(card: dict[int, str]) -> None:
    astray = {
        claim.id: {n: card.get(n) for n in claim.lines if not _quotes(claim, card.get(n, ""))}
        for claim in CARD.claims
    }
    assert {name: lines for name, lines in astray.items() if lines} == {}


def test_everything_that_a_claim_quotes_stands_on_one_of_its_lines(card: dict[int, str]) -> None:
    invented = {
        claim.id: missing
        for claim in CARD.claims
        if (missing := [p for p in pieces(claim) if not any(p in card[n] for n in claim.lines)])
    }
    assert invented == {}


def test_the_lines_without_a_figure_are_those_and_no_more(card: dict[int, str]) -> None:
    cited = {line for claim in CARD.claims for line in claim.lines}
    for number in NO_FIGURE:
        assert any(c.isdigit() for c in card[number]), f"line {number} has no digit"
        assert figures(card[number]) == set(), f"line {number} states a figure"
        assert number not in cited, f"line {number} is cited"


def _quotes(claim: Claim, line: str) -> bool:
    return any(piece in line for piece in pieces(claim))
