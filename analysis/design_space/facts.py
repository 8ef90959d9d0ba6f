"""The facts of an architecture that a source states besides its totals, from its ledger.

A ledger may hold, beside its claims, a mapping `facts` from a field of the design space to the
values that agree with what the source says of it, the lines that say so (where the source has
lines), and the statement in our own words:

    facts:
      channels: {any_of: [74], lines: [45, 219], statement: 74 channels out of the pyramid}

A field that the source leaves open is simply not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from analysis.design_space.search import Fact
from analysis.design_space.space import FIELDS
from featherface.errors import InputError

LEDGERS = Path(__file__).parents[1] / "claims"

SOURCES = ("card", "paper")
"""The ledgers that state facts."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    any_of: list[int | str]
    statement: str
    lines: list[int] = []


def load_facts(source: str, folder: Path = LEDGERS) -> tuple[Fact, ...]:
    """The facts of one of `SOURCES`.

    Raises:
        InputError: for another source, or where its ledger has no facts or bad ones; the message
            names the ledger, the field and what is wrong.
    """
    if source not in SOURCES:
        raise InputError(f"unknown source {source!r}: it must be one of {', '.join(SOURCES)}")
    name = f"{source}.yaml"
    try:
        ledger = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{name}: is not YAML: {' '.join(str(error).split())}") from None
    entries = ledger.get("facts") if isinstance(ledger, dict) else None
    if not isinstance(entries, dict) or not entries:
        raise InputError(f"{name}: states no facts")
    return tuple(_fact(field, entry, source) for field, entry in entries.items())


def _fact(field: object, entry: object, source: str) -> Fact:
    where = f"{source}.yaml: facts: {field}"
    try:
        checked = _Entry.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise InputError(f"{where}{f'.{at}' if at else ''}: {first['msg']}") from None
    try:
        return Fact(
            field=str(field),
            values=tuple(checked.any_of),
            statement=checked.statement,
            source=source,
            lines=tuple(checked.lines),
        )
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def unstated(facts: Sequence[Fact]) -> tuple[str, ...]:
    """The fields that the facts leave open."""
    stated = {fact.field for fact in facts}
    return tuple(field for field in FIELDS if field not in stated)
