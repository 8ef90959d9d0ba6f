"""`featherface bench`: how much faster than the authors' code."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import Annotated, get_args

import typer

from analysis.cli import options
from analysis.cli.output import emit, progress, show
from featherface.config import check_size


def bench(
    variant: Annotated[
        list[str] | None,
        options.repeatable(
            "Official, v1 and retinaface by default", *get_args(options.VariantName)
        ),
    ] = None,
    size: options.Size = options.SIZE,
    image: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=options.input_file,
            help="A crowd; by default one made of a sample portrait.",
        ),
    ] = None,
    device: options.CpuOrCuda = None,
    seconds: Annotated[float, typer.Option(min=0, help="For each way of each comparison.")] = 15.0,
    json: options.Json = None,
) -> None:
    """Time the networks and the whole detector against the authors' way, taking turns.

    The figures to read are the ratios; times are of this machine alone. Prints tables and, where
    the output is no terminal, one JSON document on the last line.
    """
    check_size(*size)
    from analysis.benchmarks import detector_speed
    from analysis.report.tables import latency as tables
    from analysis.speed.timing import Rule
    from featherface.runtimes.network import checked_device

    variants = variant or detector_speed.VARIANTS
    rule, place = Rule(seconds=seconds), str(checked_device(device))
    with progress("timing") as track:
        record = detector_speed.measure(variants, size, image, rule, track, place)
    if emit(record, json):
        for table in tables.detector_speed(record):
            show(table)
        if not sys.stdout.isatty():
            print(jsonlib.dumps(record, allow_nan=False))
