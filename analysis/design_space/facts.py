"""The facts of an architecture that a source states besides its totals, from its ledger.

They stand there by field of the design space; a field that the source leaves open is not there:

    facts:
      channels: {any_of: [74], lines: [45, 219], statement: 74 channels out of the pyramid}
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import yaml

SOURCES = ("card", "paper")
"""The ledgers that state facts."""

_LEDGERS = Path(__file__).parents[1] / "claims"


class Fact(NamedTuple):
    """A source's statement on one field of an architecture."""

    field: str
    values: tuple[int | str, ...]  # that agree with the statement
    statement: str  # in our words
    source: str
    lines: tuple[int, ...]  # of the source, where it has lines


def load_facts(source: str) -> list[Fact]:
    """Return the facts of one of `SOURCES`."""
    ledger = yaml.safe_load((_LEDGERS / f"{source}.yaml").read_text(encoding="utf-8"))
    facts = []
    for field, entry in ledger["facts"].items():
        values, lines = tuple(entry["any_of"]), tuple(entry.get("lines", ()))
        facts.append(Fact(field, values, entry["statement"], source, lines))
    return facts
