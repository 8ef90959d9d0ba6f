"""Records as JSON, tables, messages and progress, as all commands print and write them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO

import typer

from featherface.errors import InputError, printable

STDOUT = Path("-")
"""Standard output, as the path of a JSON file to write; ./- is a file."""


def emit(records: Any, path: Path | None) -> bool:
    """Write the records as JSON: to a file, to `STDOUT`, nowhere for None.

    Returns:
        True where standard output is free for tables.
    """
    from featherface.files import to_json, write_json

    if path is not STDOUT:
        if path is not None:
            write_json(path, records)
        return True
    text = to_json(records)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        # Escaped as JSON does it: a sign that standard output replaces would be another record.
        text = re.sub(r"[^\x00-\x7f]+", lambda found: json.dumps(found[0])[1:-1], text)
    print(text, end="")
    return False


def show(renderable: Any) -> None:
    """Print a table, or anything that rich can print. Text is taken as it is, without markup."""
    from rich.console import Console

    # Wide enough for the tables where the output is a file or a pipe, which have no width.
    width = None if sys.stdout.isatty() else 160
    Console(width=width, highlight=False, markup=False, emoji=False).print(renderable)


def tell(line: object) -> None:
    """Print one line on standard output, with names of files as messages show them."""
    print(printable(str(line)))


def warn(message: object) -> None:
    """Print one line on standard error, as all messages are; nowhere if it is full or closed."""
    try:
        print(f"featherface: {InputError(str(message))}", file=sys.stderr)
    except OSError:  # the exit code is left to tell of it
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Point a stream nowhere, as Python flushes what is left of it when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def finish(messages: Iterable[object], code: int = 2) -> NoReturn:
    """Print messages, such as those of inputs that were unusable; exit with 0 if there are none."""
    messages = list(messages)
    for message in messages:
        warn(message)
    raise typer.Exit(code if messages else 0)


@contextmanager
def progress(
    what: str, unit: str = "", *, shown: bool = True
) -> Iterator[Callable[..., Iterable[Any]]]:
    """Show a progress bar on standard error where it is a terminal: yields `track(items, total)`.

    Args:
        unit: of the rate that is shown, in units a second; none without it.
        shown: false in a process beside the one that shows the bar.
    """
    from rich import progress as bars
    from rich.console import Console
    from rich.text import Text

    class Rate(bars.ProgressColumn):
        def render(self, task: bars.Task) -> Text:
            return Text(f"{task.speed:.2f} {unit}/s" if unit and task.speed else "")

    console = Console(stderr=True)
    if not shown or not sys.stderr.isatty():  # rich takes FORCE_COLOR for a terminal
        yield lambda items, total=None: items
        return
    columns = (
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        Rate(),
        bars.TimeRemainingColumn(),
    )
    # What is printed meanwhile goes where it belongs, not to standard error. The speed is that of
    # the last minutes, as one image may take a hundred times as long as the next.
    with bars.Progress(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=False,
        speed_estimate_period=300,
    ) as progress:

        def track(items: Iterable[Any], total: int | None = None) -> Iterable[Any]:
            return progress.track(items, total=total, description=what)

        yield track


def output_stem(image: Path) -> str:
    """Return how names of files made from an image start: its name, and a hash of its whole path.

    The same image gets the same name in every call, and no other image does.
    """
    digest = hashlib.sha256(os.fsencode(os.path.abspath(image))).hexdigest()[:8]  # noqa: PTH100
    # File systems allow 255 bytes, of which what follows the stem takes some.
    stem = os.fsencode(image.stem)[:180].decode(sys.getfilesystemencoding(), errors="ignore")
    return f"{stem}-{digest}"
