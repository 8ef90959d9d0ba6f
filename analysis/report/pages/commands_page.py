"""The reference of the command line, from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

from analysis.report.pages.html import inline, prose
from analysis.report.table import Column, Table, code


def reference(command: Any) -> str:
    """Return every command below `command`, with its arguments, options and example.

    Args:
        command: the Click command of `featherface`, as Typer makes it.
    """
    return "\n\n".join(filter(None, _commands(command, "featherface")))


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        if command.hidden:
            continue
        full = f"{path} {name}"
        yield f"{'#' * len(full.split())} {full}"
        if hasattr(command, "commands"):
            yield _paragraphs(command.help)
            yield from _commands(command, full)
        else:
            yield from _command(command, full)


def _command(command: Any, path: str) -> Iterator[str]:
    context = typer.Context(command, info_name=path)
    yield f"```text\n{path} {' '.join(command.collect_usage_pieces(context))}\n```"
    yield _paragraphs(command.help)
    rows = [
        parameter.get_help_record(context)
        for parameter in sorted(command.params, key=lambda p: p.param_type_name)
        if not {"--help"} & {*parameter.opts}
    ]
    if rows := [row for row in rows if row]:
        yield Table(f"Arguments and options of {path}", _COLUMNS, rows).html().rstrip("\n")
    if example := re.search(r"Example: (.+)", command.epilog or ""):
        yield f"```sh\n{example[1]}\n```"


def _paragraphs(text: str | None) -> str:
    paragraphs = re.split(r"\n\s*\n", (text or "").replace("\b", "").strip())
    return "\n\n".join(f"<p>{inline(' '.join(p.split()))}</p>" for p in paragraphs if p.strip())


def _name(row: tuple[str, str]) -> str:
    return row[0] if row[0].startswith("-") else row[0].split()[0]  # an argument without its type


_COLUMNS = (
    Column("option", _name, code),
    Column("effect", lambda row: " ".join(row[1].split()), prose, width=1),
)
