"""The facts of the shipped ledgers."""

from __future__ import annotations

import pytest

from analysis.design_space.facts import SOURCES, load_facts
from analysis.design_space.space import values_of


def test_the_cards_facts() -> None:
    facts = {fact.field: fact for fact in load_facts("card")}
    assert facts["channels"].values == (74,)
    assert facts["channels"].lines == (45, 95, 219)
    assert facts["channels"].source == "card"


@pytest.mark.parametrize("source", SOURCES)
def test_every_fact_is_of_a_field_and_names_values_it_can_have(source: str) -> None:
    for fact in load_facts(source):
        assert values_of(fact.field, fact.values) == fact.values
        assert fact.statement
