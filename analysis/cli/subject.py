"""The network that a command measures: one of the family, or any other by its import path."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featherface.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from featherface.config import FeatherFaceConfig

Model = Annotated[
    str | None,
    typer.Option(
        metavar="PKG.MOD:FACTORY",
        help="Instead of a variant: a network, or a function that returns one.",
    ),
]
Input = Annotated[
    tuple[int, int, int, int] | None,
    typer.Option(metavar="N C H W", help="Shape of the input; by default 1 3 and --size."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Change the variant's configuration, or give the factory an argument; may be "
        "repeated.",
    ),
]


def settings(texts: Sequence[str]) -> dict[str, Any]:
    """Return what `--set FIELD=VALUE` sets; a value is a Python literal, or else text.

    Raises:
        InputError: for a text without "=", or a field that is set twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals or not field.isidentifier():
            raise InputError(f"--set (={text!r}) must be FIELD=VALUE, as --set channels=74")
        if field in found:
            raise InputError(f"--set: {field} is set twice")
        try:
            found[field] = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found[field] = value
    return found


def configured(variant: str, changes: dict[str, Any]) -> FeatherFaceConfig:
    """Return the configuration of a variant with some fields changed.

    Raises:
        InputError: for a field that there is not, or a value that it cannot have.
    """
    from dataclasses import fields, replace

    from featherface.config import config_of

    config = config_of(variant)
    names = [field.name for field in fields(config)]
    for name in changes:
        if name not in names:
            raise InputError(f"--set: {name!r} is none of {', '.join(names)}")
    return replace(config, **changes)


def imported(path: str, arguments: dict[str, Any]) -> nn.Module:
    """Return the network at an import path such as `torchvision.models:resnet18`.

    This runs the code of that module. The current folder is searched as well.

    Raises:
        InputError: where it cannot be imported, or is no network and returns none.
    """
    from torch import nn

    module, colon, name = path.partition(":")
    if not colon or not module or not name:
        raise InputError(f"--model (={path!r}) must be PKG.MOD:FACTORY")
    if "" not in sys.path:
        sys.path.insert(0, "")  # as with `python -m`
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        if not isinstance(found, nn.Module):
            found = found(**arguments)
    except Exception as error:  # whatever the code of others raises
        raise InputError(f"--model (={path!r}): {type(error).__name__}: {error}") from error
    if not isinstance(found, nn.Module):
        raise InputError(f"--model (={path!r}) is of type {type(found).__name__}, not nn.Module")
    return found
