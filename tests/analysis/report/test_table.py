"""A table says the same on a terminal, in Markdown and in HTML."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from analysis.report import formats
from analysis.report.table import Cell, Column, Table, bar, code

TABLE = Table(
    "Costs <of> [bold]two[/bold]",
    (
        Column("block", "name"),
        Column("kind", "kind", code),
        Column("parameters", "params", formats.count),
        Column("share", lambda row: row["params"] / 4000, bar),
        Column("time", "whole.ms", formats.fixed(1), unit="ms"),
    ),
    (
        {"name": "a|b <i>", "kind": "conv", "params": 1000, "whole": {"ms": 1.25}},
        {"name": "[red]c", "kind": "linear", "params": 3000, "whole": {"ms": None}},
    ),
    totals=({"name": "total", "params": 4000},),
    notes=("A note & more.",),
)


def _printed(table: Table, width: int = 120) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    return out.getvalue()


def test_markdown() -> None:
    table = Table(
        "",
        (*TABLE.columns[:3], Column("of both", "params", formats.share, left=True)),
        TABLE.rows,
    )
    assert table.markdown().splitlines()[:3] == [
        "| block | kind | parameters | of both |",
        "| --- | --- | --: | --- |",
        "| a∣b <i> | `conv` | 1,000 | 100000.0 % |",
    ]


def test_html_escapes_what_is_no_markup_of_ours() -> None:
    html = TABLE.html()
    assert "<caption>Costs &lt;of&gt; [bold]two[/bold]</caption>" in html
    assert '<th scope="row">a|b &lt;i&gt;</th><td><code>conv</code></td>' in html
    assert '<td class="ff-n">1,000</td>' in html
    assert '<span class="ff-share" style="--share:0.2500">25.0 %</span>' in html
    assert '<th scope="col" class="ff-n">time <span class="ff-unit">ms</span></th>' in html
    assert "A note &amp; more." in html


def test_what_has_no_total_is_empty_and_what_is_unknown_is_a_dash() -> None:
    columns = (TABLE.columns[0], TABLE.columns[2], TABLE.columns[4])
    table = Table("", columns, TABLE.rows, TABLE.totals)
    assert [[cell.text for cell in cells] for _, cells in table.cells()] == [
        ["a|b <i>", "1,000", "1.2"],
        ["[red]c", "3,000", "–"],
        ["total", "4,000", ""],
    ]


def test_a_key_that_a_row_lacks_is_an_error() -> None:
    table = Table("", (Column("speed", "speed"),), TABLE.rows)
    with pytest.raises(KeyError, match="speed"):
        table.markdown()


def test_where_a_number_would_be_cut_each_value_has_a_line() -> None:
    wide, narrow = _printed(TABLE), _printed(TABLE, 40)
    assert "│ a|b <i> │ conv   │      1,000 │" in wide
    for line in ("│ block      │ a|b <i>", "│ parameters │ 1,000", "│ time (ms)  │ 1.2", "A note"):
        assert line in narrow
    assert narrow.count("├") == len(TABLE.rows) + len(TABLE.totals) - 1
    assert max(map(len, narrow.splitlines())) <= 40


def test_names_in_brackets_are_printed_as_they_are() -> None:
    table = Table(TABLE.caption, TABLE.columns[:3], TABLE.rows, TABLE.totals[:0], TABLE.notes)
    printed = _printed(table)
    for text in ("Costs <of> [bold]two[/bold]", "[red]c", "a|b <i>", "3,000", "A note & more."):
        assert text in printed


def test_lines_of_a_cell_stay_lines() -> None:
    printed = _printed(Table("", (Column("", "name"),), ({"name": "two\nlines\x1b"},)))
    assert [line.strip("│ ") for line in printed.splitlines()[3:5]] == ["two", "lines\\x1b"]


def test_a_quieter_line_is_kept_everywhere() -> None:
    table = Table("", (Column("claim", lambda row: Cell(row, note="card, line 3")),), ["total"])
    assert "total (card, line 3)" in table.markdown()
    assert "total <small>card, line 3</small>" in table.html()
    assert "card, line 3" in _printed(table)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (formats.signed()(-1234), "−1,234"),
        (formats.signed(".1f", 0.01, " %")(0.1234), "+12.3 %"),
        (formats.share(0.27), "27.0 %"),
        (formats.fixed(3, 1e9)(1_243_802_176), "1.244"),
        (formats.measured([[1, 2], [3]]), "1, 2; 3"),
        (formats.measured(0.5), "0.5"),
        (formats.measured(None), "not measured"),
        (formats.ranges([9, 3, 4, 5]), "3–5, 9"),
        (formats.some("abcdefg", 2), "a, b and 5 more"),
        (formats.shortened("abcdef", 4), "abc…"),
    ],
)
def test_formats(shown: str, expected: str) -> None:
    assert shown == expected
