"""`featherface widerface track`: average precision of checkpoints, added to the history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analysis.cli import options
from analysis.cli.output import emit, progress, show, tell, warn


def track(
    checkpoints: Annotated[
        list[str],
        typer.Argument(
            metavar="CHECKPOINT",
            parser=options.name_or_weights,
            help=f"Files, or names of published weights. {options.NAME_FIRST}",
        ),
    ],
    images: options.Images,
    ground_truth: options.GroundTruth,
    out: Annotated[
        Path,
        options.out_folder("Predictions and figures; done ones are reused.", "track.json"),
    ] = Path("tracked"),
    subset: options.Subset = None,
    protocol: options.Protocol = "original",
    runtime: options.Runtime = "auto",
    device: options.Device = None,
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            parser=options.record_file,
            help="Add rows to this file, not docs/results/widerface.jsonl.",
        ),
    ] = None,
    no_history: Annotated[
        bool, typer.Option("--no-history", help="Add nothing to a history.")
    ] = False,
    docs: Annotated[
        Path | None,
        options.out_folder(
            "Add curves, AP by height and AP by event to the records of these pages."
        ),
    ] = None,
    json: options.Json = None,
) -> None:
    """Predict and evaluate several checkpoints, and draw their AP over the training.

    Interrupt it whenever you like: the same command goes on where it was. Writes training.svg,
    curves.svg, height.svg, events.svg and the rows as track.json below --out.
    """
    from analysis.report.plots import widerface as plots
    from analysis.report.plots.style import render
    from analysis.report.tables import widerface as tables
    from analysis.widerface import breakdown, tracking
    from analysis.widerface import history as histories
    from analysis.widerface.protocol import named
    from featherface.files import check_writable, write_bytes

    path, record = history or histories.HISTORY, not no_history
    if record and history is None and not path.parent.is_dir():
        record = False
        warn("no docs/results here: nothing is added to a history (see --history)")
    if record:
        check_writable(path)
        histories.read(path)  # a damaged one should show before the predicting
    if docs is not None:
        breakdown.read(docs / "results" / breakdown.FILE)
    rows, detectors = [], {}
    with progress("predicting", "images") as track_images:
        for row, evaluation in tracking.track(
            checkpoints,
            images,
            ground_truth,
            out,
            protocol=named(protocol),
            runtime=runtime,
            subset=subset,
            device=device,
            progress=track_images,
        ):
            rows.append(row.model_dump(mode="json"))
            detectors[row.detector] = breakdown.summary(evaluation)
            for remark in evaluation.remarks:
                warn(f"{row.detector}: {remark}")
            if record and tracking.add_new(row, path):
                warn(f"{path}: added {row.detector}")
    emit(rows, out / "track.json")
    shared = row.model_dump(include={"runtime", "images", "images_sha256"})
    summary = {"protocol": row.protocol.name, **shared, "detectors": detectors}
    title = histories.title(row.protocol.name, row.images)
    figures = {**plots.figures(summary, title), "training": plots.training(rows, title)}
    for name, figure in figures.items():
        write_bytes(out / f"{name}.svg", render(figure, "svg"))
    if docs is not None:
        breakdown.add(docs / "results" / breakdown.FILE, summary)
    if emit(rows, json):
        show(tables.history(rows))
        for name in figures:
            tell(out / f"{name}.svg")
