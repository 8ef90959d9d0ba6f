"""The reference of the command line, from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from analysis.report.pages.prose import inline
from analysis.report.table import Cell, Column, Table, code


def reference(command: Any) -> str:
    """Every command below `command`, with its arguments, options and example.

    Args:
        command: the Click command of `featherface`, as Typer makes it. It is asked for its
            attributes alone, so that Click need not be imported here.
    """
    return "\n\n".join(_commands(command, "featherface"))


def _commands(group: Any, path: str) -> Iterator[str]:
    for name in sorted(group.commands):
        command = group.commands[name]
        if command.hidden:
            continue
        full = f"{path} {name}"
        if hasattr(command, "commands"):
            yield f"## {full}\n\n{_paragraphs(command.help)}"
            yield from _commands(command, full)
        else:
            level = "##" if path == "featherface" else "###"
            yield f"{level} {full}\n\n{_command(command, full)}"


def _command(command: Any, path: str) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [
        p for p in command.params if p.param_type_name == "option" and "--help" not in p.opts
    ]
    usage = " ".join([path, *("[OPTIONS]" for _ in options[:1]), *map(_argument, arguments)])
    parts = [f"```text\n{usage}\n```", _paragraphs(command.help)]
    if arguments or options:
        table = Table(f"Arguments and options of {path}", _COLUMNS, [*arguments, *options])
        parts.append(table.html().rstrip("\n"))
    example = re.match(r"Examples?:\s*(.+)", command.epilog or "", re.DOTALL)
    if example:
        parts.append(f"```sh\n{example[1].strip()}\n```")
    return "\n\n".join(part for part in parts if part)


def _argument(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper())
    if name.startswith("["):  # says by itself that it may be left out
        return name
    if argument.nargs == -1 and not name.endswith("..."):
        name += "..."
    return name if argument.required else f"[{name}]"


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return _argument(parameter)
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    if parameter.is_flag:
        return names
    return f"{names} {parameter.metavar or _kind(parameter)}".strip()


def _kind(parameter: Any) -> str:
    """The word for a value's type; newer versions of Typer have no Click types any more."""
    kind = getattr(parameter, "type", None)
    if kind is not None:
        return "|".join(getattr(kind, "choices", ())) or str(getattr(kind, "name", "")).upper()
    annotation = parameter.type_descriptor.annotation
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    return _WORDS.get(getattr(annotation, "__name__", ""), "VALUE")


_WORDS = {"str": "TEXT", "int": "INTEGER", "float": "FLOAT", "Path": "PATH"}


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or value is False or value == () or callable(value) or _is_unset(value):
        return ""
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value)


def _is_unset(value: Any) -> bool:
    return (
        type(value).__name__ in ("Sentinel", "DefaultPlaceholder") or str(value) == "Sentinel.UNSET"
    )


def _paragraphs(text: str | None) -> str:
    paragraphs = re.split(r"\n\s*\n", (text or "").replace("\b", "").strip())
    return "\n\n".join(f"<p>{inline(_one_line(p))}</p>" for p in paragraphs if p.strip())


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _help(parameter: Any) -> Cell:
    text = _one_line(parameter.help)
    return Cell(text, inline(text))


_COLUMNS = (
    Column("option", _name, code),
    Column("effect", _help, width=1),
    Column("default", _default),
)
