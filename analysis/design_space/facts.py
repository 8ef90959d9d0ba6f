"""The facts of an architecture that a source states besides its totals, from its ledger.

A ledger may hold, beside its claims, a mapping `facts` from a field of the design space to the
values that agree with what the source says of it, the lines that say so (where the source has
lines), and the statement in our own words:

    facts:
      channels: {any_of: [74], lines: [45, 219], statement: 74 channels out of the pyramid}

A field that the source leaves open is simply not there.
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
    statement: str
    source: str
    lines: tuple[int, ...]  # of the source


def load_facts(source: str) -> list[Fact]:
    """Return the facts of one of `SOURCES`."""
    ledger = yaml.safe_load((_LEDGERS / f"{source}.yaml").read_text(encoding="utf-8"))
    return [
        Fact(
            field,
            tuple(entry["any_of"]),
            entry["statement"],
            source,
            tuple(entry.get("lines", ())),
        )
        for field, entry in ledger["facts"].items()
    ]
