"""What the commands share: options, where records go, tables and progress bars."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

Item = TypeVar("Item")

Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="PATH", help="Also write the records as JSON; - prints them."),
]
Variant = Annotated[
    str,
    typer.Option(help="v1, v1-deformable, official, no-attention or retinaface."),
]
Weights = Annotated[
    str,
    typer.Option(metavar="NAME|FILE", help="Published weights by name, or a checkpoint file."),
]
Size = Annotated[
    tuple[int, int],
    typer.Option(metavar="H W", help="Height and width of the picture, in pixels, from 32."),
]


def emit(records: Any, path: Path | None) -> None:
    """Write the records as JSON: to a file, to standard output for "-", nowhere for none."""
    from featherface.files import to_json, write_json

    if path is None:
        return
    if is_stdout(path):
        print(to_json(records), end="")
    else:
        write_json(path, records)


def is_stdout(path: Path | None) -> bool:
    """Whether `--json -` was given, so that nothing else may be printed there."""
    return path == Path("-")


def show(renderable: Any) -> None:
    """Print a rich renderable, a table say."""
    from rich.console import Console

    # Wide enough for the tables where the output is a file or a pipe, which have no width.
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(renderable)


@contextmanager
def progress(what: str) -> Iterator[Callable[..., Iterable[Item]]]:
    """A progress bar on standard error, where somebody looks: yields `track(items)`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), Remaining())
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda items, total=None: items
        return
    with Progress(*columns, console=console, transient=True) as progress:

        def track(items: Iterable[Item], total: int | None = None) -> Iterable[Item]:
            return progress.track(items, total=total)

        yield track
