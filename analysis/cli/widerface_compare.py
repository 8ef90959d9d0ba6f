"""`featherface widerface compare`: what changed from one detector to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analysis.cli import options
from analysis.cli.output import emit, show, warn


def compare(
    a: Annotated[Path, options.predictions("A", "Of the first detector: ")],
    b: Annotated[Path, options.predictions("B", "Of the second, compared with A: ")],
    ground_truth: options.GroundTruth,
    subset: options.Subset = None,
    score: options.Score = 0.5,
    equal_false_alarms: Annotated[
        bool,
        typer.Option(
            "--equal-false-alarms", help="Read B at the score that gives it A's false alarms."
        ),
    ] = False,
    limit: Annotated[
        int, typer.Option(min=0, help="Show so many faces and images; JSON has all.")
    ] = 10,
    json: options.Json = None,
) -> None:
    """Compare two detectors, A and then B: what B finds that A does not, and the other way round.

    AP by subset, face height and event, side by side; faces found by both, by one and by neither;
    false alarms; and the faces themselves.
    """
    from analysis.report.tables import widerface as tables
    from analysis.widerface import comparison
    from analysis.widerface.average_precision import evaluate_files

    both = [evaluate_files(path, ground_truth, subset) for path in (a, b)]
    compared = comparison.compare(*both, score=score, equal_false_alarms=equal_false_alarms)
    record = {"a": str(a), "b": str(b), **compared}
    if emit(record, json):
        for table in tables.comparison(record, limit):
            show(table)
    for name, evaluation in zip("AB", both, strict=True):
        for remark in evaluation.remarks:
            warn(f"{name}: {remark}")
