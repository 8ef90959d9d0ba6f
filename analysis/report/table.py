"""A table, described once, and rendered for a terminal, as Markdown and as HTML.

columns = Column("block", "title"), Column("time", "whole.ms_p50", fixed(2), unit="ms")
Table("official by block", columns, record["blocks"]).markdown()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from analysis.report import formats
from analysis.report.formats import MISSING
from featherface.errors import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table as RichTable
    from rich.text import Text


@dataclass(frozen=True)
class Cell:
    """A cell with markup of its own. What is left empty follows from `text`."""

    text: str
    html: str = ""
    markdown: str = ""
    note: str = ""
    """A second, quieter line."""


@dataclass(frozen=True)
class Column:
    """A column: its title, the value of a row that it shows, and how it shows it."""

    title: str
    value: str | Callable[[Any], Any]
    """A key of the row, with dots for keys below it, or a function of the row."""
    form: Callable[[Any], str | Cell] | None = None
    """Formats the value; None is shown as a dash. Columns without one, or with `code` or
    `strong`, hold text."""
    unit: str = ""
    left: bool = False
    """True aligns formatted values to the left, as text."""
    width: int = 0
    """For sentences: the share of the width, compared with other such columns."""

    @property
    def right(self) -> bool:
        """True where its cells are aligned to the right, as numbers."""
        return self.form not in (None, code, strong) and not self.left

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def cell(self, row: Any, *, total: bool = False) -> Cell:
        """Return the cell of a row; in a row of totals, what has no total is empty."""
        value = row
        if callable(self.value):
            value = self.value(row)
        else:
            for key in self.value.split("."):
                if total and isinstance(value, Mapping) and key not in value:
                    return Cell("")
                value = value[key]
        if value is None:
            return Cell(MISSING)
        shown = self.form(value) if self.form else value
        return shown if isinstance(shown, Cell) else Cell(str(shown))


@dataclass(frozen=True)
class Table:
    """Columns, rows, and a caption."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Any]
    totals: Sequence[Any] = ()
    """Rows below a line: sums and the like."""
    notes: Sequence[str] = ()
    """Sentences below the table."""
    ruled: bool = False
    """True draws a line between rows on a terminal."""

    def cells(self) -> Iterator[tuple[bool, list[Cell]]]:
        """Yield the rows' cells, and whether it is a row of totals."""
        for total, rows in ((False, self.rows), (True, self.totals)):
            for row in rows:
                yield total, [column.cell(row, total=total) for column in self.columns]

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield what rich prints: where a word or number would be cut, a line for each value."""
        from rich.table import Table as RichTable
        from rich.text import Text

        drawn = RichTable(
            title=Text(printable(self.caption), style="bold") if self.caption else None,
            title_justify="left",
            show_lines=self.ruled,
        )
        widths = self._least_widths()
        if sum(widths) + 3 * len(widths) + 1 <= options.max_width:
            self._draw_across(drawn, widths)
        else:
            self._draw_down(drawn)
        yield drawn
        yield from map(Text, self.notes)

    def _least_widths(self) -> list[int]:
        """Return the width that each column needs to cut no number and no word of usual length."""
        from rich.cells import cell_len

        widths = [max(map(cell_len, column.heading.split()), default=0) for column in self.columns]
        for _, cells in self.cells():
            for at, (column, cell) in enumerate(zip(self.columns, cells, strict=True)):
                parts = [cell.text] if column.right else [w[:20] for w in cell.text.split()]
                widths[at] = max([widths[at], *map(cell_len, parts)])
        return widths

    def _draw_across(self, drawn: RichTable, widths: Sequence[int]) -> None:
        from rich.text import Text

        for column, width in zip(self.columns, widths, strict=True):
            drawn.add_column(
                Text(column.heading),
                justify="right" if column.right else "left",
                ratio=column.width or None,
                min_width=width,
                overflow="fold",
            )
        for at, (total, cells) in enumerate(self.cells()):
            if total and at == len(self.rows):
                drawn.add_section()
            drawn.add_row(*map(_text, cells), style="bold" if total else "")

    def _draw_down(self, drawn: RichTable) -> None:
        """Draw titles and values, with a line between rows."""
        drawn.show_header = drawn.show_lines = False
        drawn.add_column()
        drawn.add_column(overflow="fold")
        for _, cells in self.cells():
            for column, cell in zip(self.columns, cells, strict=True):
                drawn.add_row(column.heading, _text(cell))
            drawn.add_section()

    def markdown(self) -> str:
        """Return a table of GitHub's Markdown, without the caption."""
        lines = [
            [column.heading for column in self.columns],
            ["--:" if column.right else "---" for column in self.columns],
            *([_markdown(cell) for cell in cells] for _, cells in self.cells()),
        ]
        table = "\n".join(
            f"| {' | '.join(cell.replace('|', '∣') for cell in line)} |" for line in lines
        )
        return "\n\n".join([table, *self.notes])

    def html(self) -> str:
        """Return a table that scrolls where it is too wide; a row's first cell is its heading."""
        head = "".join(
            f'<th scope="col"{_class(column)}>{escape(column.title)}'
            + (f' <span class="ff-unit">{escape(column.unit)}</span>' if column.unit else "")
            + "</th>"
            for column in self.columns
        )
        body = []
        for total, cells in self.cells():
            first, *rest = (
                (_class(column), _html(cell))
                for column, cell in zip(self.columns, cells, strict=True)
            )
            line = "".join(f"<td{css}>{text}</td>" for css, text in rest)
            row = '<tr class="ff-total">' if total else "<tr>"
            body.append(f'{row}<th scope="row"{first[0]}>{first[1]}</th>{line}</tr>')
        notes = "".join(f'<p class="ff-note">{escape(note)}</p>' for note in self.notes)
        return (
            # Figures are not searched: the index takes some of many digits for one another.
            f'<div class="ff-table" data-search-exclude role="region" tabindex="0"'
            f' aria-label="{escape(self.caption)}">'
            f'<table class="ff"><caption>{escape(self.caption)}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>{notes}</div>\n"
        )


def code(text: str) -> Cell:
    """Return a name in type of constant width."""
    return Cell(text, f"<code>{escape(text)}</code>", f"`{text}`")


def strong(text: str) -> Cell:
    """Return a text that stands out."""
    return Cell(text, f"<b>{escape(text)}</b>", f"**{text}**")


def bar(value: float) -> Cell:
    """Return a share of the whole, in HTML with a bar of that length behind it."""
    text = formats.share(value)
    return Cell(text, f'<span class="ff-share" style="--share:{value:.4f}">{text}</span>')


def _text(cell: Cell) -> Text:
    from rich.text import Text

    text = Text("\n".join(map(printable, cell.text.split("\n"))))
    return text.append(f"\n{cell.note}" if cell.note else "", style="dim")


def _markdown(cell: Cell) -> str:
    return (cell.markdown or cell.text) + (f" ({cell.note})" if cell.note else "")


def _html(cell: Cell) -> str:
    note = f" <small>{escape(cell.note)}</small>" if cell.note else ""
    return (cell.html or escape(cell.text)) + note


def _class(column: Column) -> str:
    name = "ff-prose" if column.width else "ff-n" if column.right else ""
    return f' class="{name}"' if name else ""
