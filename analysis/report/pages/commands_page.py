"""The reference of the command line, from the commands themselves."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.cli import get_docs_for_click


def reference(command: Any) -> str:
    """Return every command below `command`, with its arguments, options and example, as Markdown.

    Args:
        command: the Click command of `featherface`, as Typer makes it.
    """
    context = typer.Context(command, info_name="featherface")
    text = get_docs_for_click(obj=command, ctx=context, name="featherface").replace("\b", "")
    commands = text[text.index("\n## ") :].replace("* `--help`: Show this message and exit.\n", "")
    return re.sub(r"^Examples?:\s*(.+(?:\n.+)*)", r"```sh\n\1\n```", commands, flags=re.MULTILINE)
