"""`featherface identify`: the architecture that a checkpoint holds."""

from __future__ import annotations

from typing import Annotated

import typer

from analysis.cli import options
from analysis.cli.output import emit, show


def identify(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            parser=options.name_or_weights,
            help=f"A file, or the name of published weights. {options.NAME_FIRST}",
        ),
    ],
    json: options.Json = None,
) -> None:
    """Tell which architecture a checkpoint holds, and what in it is stray, missing or misshapen.

    Decided from the tensors alone; nothing in the file is executed.
    """
    from analysis.report.tables import networks as tables
    from featherface import identify

    record = identify(checkpoint).as_dict()
    if emit(record, json):
        show(tables.identity(record))
