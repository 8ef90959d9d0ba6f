from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from analysis.cost.blocks import measure_blocks, measure_layers
from analysis.report.tables import networks as tables
from featherface.weights.published import SHIPPED


def printed(renderable: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(renderable)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def verdict(**changes: Any) -> Mapping[str, Any]:
    return {
        "id": "total",
        "source": "card",
        "lines": [3, 4, 5, 9],
        "statement": "It has [12] things",
        "claimed": 12,
        "printed": "12",
        "measured": 1234,
        "verdict": "refuted",
        "explanation": "They are 1,234.",
    } | changes


def test_every_column_of_the_block_table_adds_up() -> None:
    text = printed(tables.blocks(measure_blocks("official", 97, 131)))
    rows = [
        [cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")]
        for line in text.splitlines()
        if line.startswith(("│", "┃"))
    ]
    header, *blocks, total = rows
    for column in (header.index("parameters"), header.index("MACs")):
        numbers = [int(row[column].replace(",", "")) for row in blocks]
        assert len(numbers) == 7
        assert sum(numbers) == int(total[column].replace(",", ""))


def test_the_tree_shows_every_module_below_its_parent() -> None:
    text = printed(
        tables.layers(
            measure_blocks("retinaface", 64, 64) | {"layers": measure_layers("retinaface", 64, 64)}
        )
    )
    assert "  backbone" in text
    assert "    stem" in text
    assert text.index("network") < text.index("backbone") < text.index("heads")


def test_a_verdict_cites_its_lines_and_is_printed_as_it_is() -> None:
    text = printed(tables.verdicts([verdict()], "refuted"))
    assert "refuted (1)" in text
    assert "card, lines 3–5, 9" in text
    assert "It has [12] things" in text  # not taken for markup
    assert "1,234" in text


def test_the_tally_counts_every_verdict_of_every_source() -> None:
    records = [verdict(), verdict(), verdict(verdict="untested"), verdict(source="paper")]
    text = tables.tally(records).markdown()
    assert "| card | 3 | 0 | 0 | 2 | 1 |\n| paper | 1 | 0 | 0 | 1 | 0 |\n" in text
    assert text.endswith("| total | 4 | 0 | 0 | 3 | 1 |")
    assert "total" not in tables.tally(records[:3]).markdown()  # of one source


def test_long_lists_are_cut_with_their_number() -> None:
    record = {
        "file": "x.pth",
        "sha256": "0",
        "published": None,
        "variant": None,
        "config": None,
        "parameters": 1,
        "tensors": 1,
        "complete": False,
        "stray": {},
        "missing": [f"tensor{i}" for i in range(12)],
        "misshapen": [{"key": "k", "shape": (1, 2), "expected": (3, 4)}],
        "undetermined": {},
        "nearest": "v1",
        "difference": {"channels": (64, 74)},
    }
    text = printed(tables.identity(record))
    assert "and 7 more" in text
    assert "k: 1×2 instead of 3×4" in text
    assert "channels: 64 here, 74 in v1" in text
    assert "not among the known publications" in text
    assert "v1, by this project" in printed(tables.identity(record | {"sha256": SHIPPED["v1"]}))
    other = record | {"missing": [], "misshapen": [], "nearest": None, "difference": {}}
    assert "missing" not in printed(tables.identity(other))
    assert "missing" in printed(tables.identity(other | {"config": {"reduction": 48}}))
