"""The records under docs/results/ and the ledgers, and which of them a page is made from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.claims.ledger import Ledger, load_all
from analysis.report import Record
from analysis.speed.latest import FIELDS
from featherface import records as json_lines
from featherface.errors import InputError
from featherface.files import read_text

VARIANTS = {
    "v1": "the card’s total, to the unit (a fork, July 2025)",
    "v1-deformable": "the card as drawn, but for its reduction",
    "official": "the code that the paper’s authors published",
    "no-attention": "a fork’s network of July 2025, without CBAM",
    "retinaface": "the baseline that the paper compares with",
}
"""The five networks in the order of the pages, and what each is."""


@dataclass
class Records:
    """Everything the pages show: `records["verdicts.json"]` is that file below docs/results/.

    Raises:
        InputError: where a record that is asked for cannot be read.
    """

    docs: Path
    ledgers: Sequence[Ledger] = field(default_factory=load_all)
    files: dict[str, Any] = field(default_factory=dict)
    """The contents of those files that have been needed so far."""
    read: set[str] = field(default_factory=set)
    """The names of those that anything was taken from."""

    def __getitem__(self, name: str) -> Any:
        """Return the content of a file; of one with a record a line, a list of them."""
        self.read.add(name)
        if name not in self.files:
            self.files[name] = _content(self.docs / "results" / name)
        return self.files[name]

    @property
    def blocks(self) -> Mapping[str, Record]:
        """Costs by block of each variant, which are checked to add up."""
        records = {record["variant"]: record for record in self["blocks.json"]}
        for name, record in records.items():
            for key in ("params", "macs", "activation_bytes"):
                total = sum(block[key] for block in record["blocks"])
                if total != record[key]:
                    raise InputError(
                        f"{self.docs / 'results' / 'blocks.json'}: {name}: {key} of the blocks "
                        f"add up to {total}, not {record[key]}"
                    )
        return records

    @property
    def published(self) -> Sequence[Record]:
        """The verdicts on figures that somebody has published."""
        return [record for record in self["verdicts.json"] if record["published"]]

    @property
    def totals(self) -> Mapping[int, Record]:
        """By number of parameters: the architectures that have as many."""
        return {found["asked"]["params"]: found for found in self["design_space.json"]["totals"]}

    def verdict(self, address: str) -> Record:
        """Return the verdict on one claim, by its address, such as `card-total`."""
        record: Record
        for record in self["verdicts.json"]:
            if address_of(record) == address:
                return record
        raise InputError(f"docs/results/verdicts.json: no claim {address!r}, which a page shows")


def address_of(verdict: Record) -> str:
    """Return the fragment of a claim's own address: its source and its name."""
    return f"{verdict['source']}-{verdict['id']}"


def sources(page: str, files: Mapping[str, set[str]], up: str = "") -> str:
    """Return a line that names the records behind the numbers of a page, which is Markdown.

    `files` are those that each fragment is made from, `up` the way to the folder of all pages.
    """
    included = re.findall(r'^--8<-- "([^"]+)"$', page, re.MULTILINE)
    names = sorted(set().union(*(files.get(name, set()) for name in included)))
    links = ", ".join(f"[{name}]({up}results/{name})" for name in names)
    return (
        f"Numbers and figures on this page are made from the records {links}. "
        f"[What no record holds]({up}method.md#stated) is listed with its source.\n"
    )


def _content(path: Path) -> Any:
    if path.suffix == ".jsonl":
        return json_lines.read(path, FIELDS.get(path.stem))
    text = read_text(path)
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON: {error}") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
