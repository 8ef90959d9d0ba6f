"""`featherface widerface track`: average precision of checkpoints, added to the history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analysis.cli.options import (
    Device,
    GroundTruth,
    Images,
    Json,
    Protocol,
    Runtime,
    Subset,
    emit,
    is_stdout,
    name_or_file,
    output_folder,
    progress,
    record_file,
    show,
    warn,
)

EXAMPLE = "featherface widerface track official epoch_*.pth --images DIR --ground-truth DIR"


def track(
    checkpoints: Annotated[
        list[str],
        typer.Argument(
            metavar="CHECKPOINT", parser=name_or_file, help="Files, or names of published weights."
        ),
    ],
    images: Images,
    ground_truth: GroundTruth,
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            parser=output_folder,
            help="Predictions and figures; done ones are reused.",
        ),
    ] = Path("tracked"),
    subset: Subset = None,
    protocol: Protocol = "original",
    runtime: Runtime = "auto",
    device: Device = None,
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            parser=record_file,
            help="Add rows to this file, not docs/results/widerface.jsonl.",
        ),
    ] = None,
    no_history: Annotated[
        bool, typer.Option("--no-history", help="Add nothing to a history.")
    ] = False,
    docs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=output_folder,
            help="Add curves, AP by height and AP by event to the records of these pages.",
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Predict and evaluate several checkpoints, and draw their AP over the training.

    Interrupt it whenever you like: the same command goes on where it was. Writes training.svg,
    curves.svg, height.svg, events.svg and the rows as track.json below --out.
    """
    from analysis.report.plots import widerface as plots
    from analysis.report.plots.style import render
    from analysis.report.tables import widerface as tables
    from analysis.widerface import breakdown, tracking
    from analysis.widerface.history import HISTORY, read
    from analysis.widerface.history import title as title_of
    from analysis.widerface.protocol import named
    from featherface.files import write_bytes

    chosen = named(protocol)
    path, record = history or HISTORY, not no_history
    if record and history is None and not path.parent.is_dir():
        record = False
        warn("no docs/results here: nothing is added to a history (see --history)")
    if record:
        read(path)  # a damaged one should show before the predicting
    if docs is not None:
        breakdown.read(docs / "results" / breakdown.FILE)
    tracked = []
    with progress("predicting", "images") as track_images:
        for one in tracking.track(
            checkpoints,
            images,
            ground_truth,
            out,
            protocol=chosen,
            runtime=runtime,
            subset=subset,
            device=device,
            progress=lambda name: track_images,
        ):
            tracked.append(one)
            for remark in one.evaluation.remarks:
                warn(f"{one.row.detector}: {remark}")
            if record:
                for row in tracking.add_new([one.row], path):
                    warn(f"{path}: added {row.detector}")
    rows = [one.row.model_dump(mode="json") for one in tracked]
    emit(rows, out / "track.json")
    emit(rows, json)
    first = tracked[0].row
    detectors = {one.row.detector: breakdown.summary(one.evaluation) for one in tracked}
    record_of_all = {
        "protocol": first.protocol.name,
        "runtime": first.runtime,
        "images": first.images,
        "images_sha256": first.images_sha256,
        "detectors": detectors,
    }
    title = title_of(first.protocol.name, first.images)
    figures = plots.figures(record_of_all, title)
    figures["training"] = plots.training(rows, title)
    for name, figure in figures.items():
        write_bytes(out / f"{name}.svg", render(figure, "svg"))
    if docs is not None:
        breakdown.add(docs / "results" / breakdown.FILE, record_of_all)
    if not is_stdout(json):
        show(tables.history(rows))
        for name in figures:
            print(out / f"{name}.svg")
