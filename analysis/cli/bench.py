"""`featherface bench`: how much faster than the authors' code."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated, get_args

import typer

from analysis.cli.options import (
    SIZE,
    Json,
    Size,
    VariantName,
    device_name,
    emit,
    input_file,
    is_stdout,
    progress,
    repeatable,
    show,
)


def bench(
    variant: Annotated[
        list[str] | None,
        repeatable("Official, v1 and retinaface by default", *get_args(VariantName)),
    ] = None,
    size: Size = SIZE,
    image: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=input_file,
            help="A crowd; by default one made of a sample portrait.",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="cpu|cuda|cuda:N", parser=device_name, help="Device of both.")
    ] = "cpu",
    seconds: Annotated[float, typer.Option(help="For each way of each comparison.")] = 15.0,
    json: Json = None,
) -> None:
    """Time the networks and the whole detector against the authors' way, taking turns.

    The figures to read are the ratios; times are of this machine alone. Prints a table and, on
    the last line, one JSON document.
    """
    from analysis.benchmarks import detector_speed
    from analysis.report.tables import benchmarks as tables
    from analysis.speed.timing import Rule

    with progress("timing") as track:
        record = detector_speed.measure(
            variant or detector_speed.VARIANTS, size, image, Rule(seconds=seconds), track, device
        )
    emit(record, json)
    if not is_stdout(json):
        for table in tables.detector_speed(record):
            show(table)
        print(jsonlib.dumps(record, allow_nan=False))
