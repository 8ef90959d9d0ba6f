"""The records under docs/results/ and the words of the ledgers, which the pages are made from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.claims import ledger
from featherface import records as json_lines
from featherface.errors import InputError
from featherface.files import read_text

Record = Mapping[str, Any]

VARIANTS = {
    "v1": "the card’s total, to the unit (a fork, July 2025)",
    "v1-deformable": "the card as drawn, but for its reduction",
    "official": "the code that the paper’s authors published",
    "no-attention": "a fork’s network of July 2025, without CBAM",
    "retinaface": "the baseline that the paper compares with",
}
"""The five networks in the order of the pages, and what each is."""


@dataclass(frozen=True)
class Records:
    """Everything the pages show. What has not been measured yet is empty, never made up."""

    docs: Path
    blocks: Mapping[str, Record]
    """By variant, from `analysis.cost.blocks.measure_blocks`."""
    layers: Mapping[str, Sequence[Record]]
    """By variant, from `analysis.cost.blocks.measure_layers`."""
    counters: Mapping[str, Record]
    """By variant: what counters say, and the reconciliation with thop."""
    verdicts: Sequence[Record]
    totals: Mapping[int, Record]
    """By number of parameters: the architectures that have as many."""
    landscape: Record
    """`looked_at` and `inside`: architectures of the larger space, and those in its figure."""
    sources: Sequence[Record]
    """`id`, `title`, `what`, `where` of each ledger, in the order of the verdicts."""
    quotes: Mapping[str, Sequence[str]]
    """By claim's address: the pieces of the source that it is about, as printed."""
    lines: Mapping[str, Sequence[Record]]
    """Rows of the append-only records by file name, such as `latency.jsonl`."""
    maps: Record | None
    torchvision: Sequence[Record]
    """Verdicts on the figures that torchvision publishes of its own networks."""
    publications: Sequence[Record]
    """Who published what, by date."""
    card_line: str
    """The address of a line of the card, with `{line}` in it."""

    def verdict(self, address: str) -> Record:
        """Return the verdict on one claim, by its address, such as `card-total`."""
        for record in self.verdicts:
            if address_of(record) == address:
                return record
        raise InputError(f"docs/results/verdicts.json: no claim {address!r}, which a page shows")


def address_of(verdict: Record) -> str:
    """Return the fragment of a claim's own address: its source and its name."""
    return f"{verdict['source']}-{verdict['id']}"


def load_records(docs: Path) -> Records:
    """Read every record below the folder of pages.

    Raises:
        InputError: where a record that every checkout has is missing, or one cannot be read.
    """
    results = docs / "results"
    books = ledger.load_all()
    maps = results / "maps.json"
    origin = _json(results / "provenance.json")
    blocks = _blocks(results / "blocks.json")
    design_space = _json(results / "design_space.json")
    return Records(
        docs=docs,
        blocks=blocks,
        layers=_json(results / "layers.json"),
        counters=_json(results / "counters.json"),
        verdicts=_json(results / "verdicts.json"),
        totals={record["asked"]["params"]: record for record in design_space["totals"]},
        landscape=design_space["landscape"],
        sources=[book.source.model_dump() for book in books],
        quotes={
            f"{book.source.id}-{claim.id}": (claim.printed, *claim.operands)
            for book in books
            for claim in book.claims
        },
        lines={path.name: json_lines.read(path) for path in sorted(results.glob("*.jsonl"))},
        maps=_json(maps) if maps.exists() else None,
        torchvision=_json(results / "torchvision.json"),
        publications=origin["publications"],
        card_line=origin["card_line"],
    )


def _blocks(path: Path) -> dict[str, Record]:
    records = {record["variant"]: record for record in _json(path)}
    for name, record in records.items():
        for key in ("params", "macs", "activation_bytes"):
            total = sum(block[key] for block in record["blocks"])
            if total != record[key]:
                raise InputError(
                    f"{path}: {name}: {key} of the blocks add up to {total}, not {record[key]}"
                )
    return records


def _json(path: Path) -> Any:
    text = read_text(path)
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: is not JSON: {error}") from error
