"""What the pages are made from: the records under docs/results/ and the words of the ledgers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from featherface.errors import InputError

Record = Mapping[str, Any]

VARIANTS = {
    "v1": "the card’s total, to the unit (a fork, July 2025)",
    "v1-deformable": "the card as drawn, but for its reduction",
    "official": "the code that the paper’s authors published",
    "no-attention": "a fork’s network of July 2025, without CBAM",
    "retinaface": "the baseline that the paper compares with",
}
"""The five networks in the order of the pages, and what each is."""

_LEDGERS = Path(__file__).resolve().parents[2] / "claims"


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
    sources: Sequence[Record]
    """`id`, `title`, `what`, `where` of each ledger, in the order of the verdicts."""
    quotes: Mapping[str, Sequence[str]]
    """By claim's address: the pieces of the source that it is about, as printed."""
    lines: Mapping[str, Sequence[Record]]
    """Rows of the append-only records by file name, `latency.jsonl` for one; [] where none are."""
    maps: Record | None
    publications: Sequence[Record]
    """Who published what, by date."""
    environment: Record

    def verdict(self, address: str) -> Record:
        """The verdict on one claim, by its address, such as `card-total`."""
        for record in self.verdicts:
            if address_of(record) == address:
                return record
        raise InputError(f"docs/results/verdicts.json: no claim {address!r}, which a page shows")


def address_of(verdict: Record) -> str:
    """The fragment of a claim's own address: its source and its name."""
    return f"{verdict['source']}-{verdict['id']}"


def load_records(docs: Path) -> Records:
    """Read every record.

    Args:
        docs: the folder of pages; records are in `results` below it.

    Raises:
        InputError: where a record that every checkout has is missing, or one cannot be read.
    """
    results = docs / "results"
    books = [_yaml(path) for path in sorted(_LEDGERS.glob("*.yaml"))]
    verdicts = _json(results / "verdicts.json")
    order = list(dict.fromkeys(record["source"] for record in verdicts))
    books.sort(key=lambda book: order.index(book["source"]["id"]))
    space = _json(results / "design_space.json")
    maps = results / "maps.json"
    return Records(
        docs=docs,
        blocks=_blocks(results / "blocks.json"),
        layers=_json(results / "layers.json"),
        counters=_json(results / "counters.json"),
        verdicts=verdicts,
        totals={record["asked"]["params"]: record for record in space["totals"]},
        sources=[book["source"] for book in books],
        quotes={
            f"{book['source']['id']}-{claim['id']}": [
                str(claim["printed"]),
                *map(str, claim.get("operands", ())),
            ]
            for book in books
            for claim in book["claims"]
        },
        lines={path.name: _json_lines(path) for path in sorted(results.glob("*.jsonl"))},
        maps=_json(maps) if maps.exists() else None,
        publications=_json(results / "provenance.json")["publications"],
        environment=_json(results / "environment.json"),
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
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path}: is not JSON: {error}") from error


def _json_lines(path: Path) -> list[Any]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            rows += [json.loads(line)] if line.strip() else []
        except ValueError as error:
            raise InputError(f"{path}: line {number} is not JSON: {error}") from error
    return rows


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
