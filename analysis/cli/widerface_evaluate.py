"""`featherface widerface evaluate`: average precision of predictions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from analysis.cli import options
from analysis.cli.output import emit, finish, show, tell, warn
from featherface.errors import InputError


def evaluate(
    predictions: options.Predictions,
    ground_truth: options.GroundTruth,
    subset: options.Subset = None,
    curves: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            parser=options.json_file,
            help="Write the precision-recall curves there, as JSON; - prints them.",
        ),
    ] = None,
    by_height: Annotated[
        bool, typer.Option("--by-height", help="AP on Hard by height of the face, too.")
    ] = False,
    by_event: Annotated[bool, typer.Option("--by-event", help="AP by event, too.")] = False,
    expect: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE|AP,AP,AP",
            parser=options.name_or_file,
            help="Exit with 1 when AP is below this: a detector of the history, a file that "
            f"--json wrote, or easy, medium and hard. {options.NAME_FIRST}",
        ),
    ] = None,
    tolerance: Annotated[float, typer.Option(help="How far below --expect is fine.")] = 0.001,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="By which the predictions were made, for --expect; what protocol.json beside "
            "them says, else original.",
        ),
    ] = None,
    json: options.Json = None,
) -> None:
    """Evaluate average precision on Easy, Medium and Hard, by the benchmark's protocol.

    AP are fractions. What is odd about the input is reported on standard error and in the record.
    """
    if protocol is not None and expect is None:
        raise InputError("--protocol is that of the AP to --expect, which is not given")
    if curves and json and os.path.realpath(curves) == os.path.realpath(json):
        raise InputError("--curves and --json name one file; give each its own")
    from analysis.report.tables import widerface as tables
    from analysis.widerface import breakdown, history
    from analysis.widerface.average_precision import evaluate_files
    from analysis.widerface.results_folder import read_protocol

    evaluation = evaluate_files(predictions, ground_truth, subset)
    record = evaluation.as_dict()
    made = read_protocol(predictions)
    record |= {"predictions": str(predictions), "predicted_by": made}
    fallen = []
    if expect is not None:
        name = protocol or ((made or {}).get("protocol") or {}).get("name") or "original"
        expected = history.expect(expect, record, name)
        fallen = history.falls(record, expected, tolerance)
        record["expected"] = {**expected, "tolerance": tolerance, "fallen": fallen}
    if by_height:
        record["by_height"] = breakdown.by_height(evaluation.matches)
    if by_event:
        record["by_event"] = breakdown.by_event(evaluation.matches)
    free = curves is None or emit(evaluation.curves_as_dict(), curves)
    if emit(record, json) and free:
        tell(tables.headline(record, predictions.name))
        show(tables.evaluation(record))
        if by_height:
            show(tables.heights(record["by_height"]))
        if by_event:
            show(tables.events(record["by_event"]))
    for remark in evaluation.remarks:
        warn(remark)
    finish(fallen, 1)
