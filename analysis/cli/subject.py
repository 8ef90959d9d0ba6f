"""The options that say which network is measured, and with which inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

Model = Annotated[
    str | None,
    typer.Option(
        metavar="PKG.MOD:FACTORY",
        help="Any other network: a factory or class, torchvision:NAME or timm:NAME. Its code runs.",
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="[NAME=]N C H W [DTYPE]",
        help="An input of the network, by default 1 3 and --size; may be repeated.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Change a setting of the variant, as reduction=16, or give the factory an argument; "
        "may be repeated.",
    ),
]


def join_inputs(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with what follows each `--input` as its one value."""
    result: list[str] = []
    values: list[str] | None = None
    for argument in [*arguments, "--"]:
        if values is not None and not argument.startswith("-"):
            values.append(argument)
            continue
        result += [" ".join(values)] if values else []
        values = [] if argument == "--input" else None
        result.append(argument)
    return result[:-1]
