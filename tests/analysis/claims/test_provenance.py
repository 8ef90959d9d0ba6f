"""The record of who published what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.claims.ledger import load
from analysis.claims.provenance import provenance
from featherface.weights.published import PUBLISHED

RECORD = Path(__file__).parents[3] / "docs" / "results" / "provenance.json"
PUBLICATIONS = provenance()["publications"]


def test_the_authors_published_a_paper_and_code_and_no_weights() -> None:
    of_authors = [p for p in PUBLICATIONS if p["who"] == "the paper's authors: Kim, Jung and Kim"]
    assert [p["link"] for p in of_authors] == [
        "https://doi.org/10.3390/electronics14030517",
        "https://github.com/dohun-mat/FeatherFace",
    ]
    assert not any(p["weights"] for p in of_authors)


def test_they_are_in_order_and_have_an_address() -> None:
    assert [p["date"] for p in PUBLICATIONS] == sorted(p["date"] for p in PUBLICATIONS)
    assert all(p["link"].startswith("https://") for p in PUBLICATIONS)


@pytest.mark.parametrize("name", ["official", "official-2025-06", "no-attention"])
def test_weights_come_from_the_owner_of_the_fork(name: str) -> None:
    (found,) = [p for p in PUBLICATIONS if name in p["weights"]]
    assert found["who"] == "the owner of the fork, fokouarnaud"
    assert found["repository"] == PUBLISHED[name].repository


def test_the_card_is_cited_at_the_revision_that_the_ledger_names() -> None:
    where = load("card").source.where
    (cited,) = [p for p in PUBLICATIONS if p["revision"] and where.endswith(p["revision"])]
    assert cited["revision"] in provenance()["card_line"]
    assert "the card as judged here" in cited["what"]


def test_the_record_is_written() -> None:
    assert json.loads(RECORD.read_text(encoding="utf-8")) == provenance()
