"""`featherface widerface track`: average precision of checkpoints, added to the history."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from analysis.cli.options import Json, emit, is_stdout, show

EXAMPLE = "featherface widerface track official epoch_*.pth --images DIR --ground-truth DIR"


def track(
    checkpoints: Annotated[
        list[str],
        typer.Argument(metavar="CHECKPOINT...", help="Files, or names of published weights."),
    ],
    images: Annotated[
        Path, typer.Option(metavar="DIR", help="EVENT/PICTURE.jpg, as in WIDER_val/images.")
    ],
    ground_truth: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder of the four .mat files.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Predictions and figures; done ones are reused.")
    ] = Path("tracked"),
    subset: Annotated[
        Path | None,
        typer.Option(metavar="LIST", help="Only these: a file with an EVENT/PICTURE.jpg a line."),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="original, exact, 1600 or multi-scale; see widerface predict.")
    ] = "original",
    runtime: Annotated[str, typer.Option(help="auto, torch, compile or onnx.")] = "auto",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1.")] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Add rows to this file, not docs/results/widerface.jsonl."
        ),
    ] = None,
    record: Annotated[bool, typer.Option(help="Add what is new to the history.")] = True,
    docs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Add curves, AP by height and AP by event to the records of these pages.",
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Predict and evaluate several checkpoints, and draw their AP over the training.

    Interrupt it whenever you like: the same command goes on where it was. Writes training.svg,
    curves.svg, height.svg, events.svg and the rows as track.json below --out.
    """
    from analysis.cli.widerface_predict import bar
    from analysis.report.plots import widerface as plots
    from analysis.report.plots.style import render
    from analysis.report.tables import tracking as tables
    from analysis.widerface import breakdown, tracking
    from analysis.widerface.history import HISTORY, read
    from analysis.widerface.history import title as title_of
    from analysis.widerface.protocol import named
    from featherface.files import write_bytes

    chosen = named(protocol)
    path = history or HISTORY
    if record and history is None and not path.parent.is_dir():
        record = False
        print(
            "no docs/results here: nothing is added to a history (see --history)", file=sys.stderr
        )
    if record:
        read(path)  # a damaged one should show before the predicting
    if docs is not None:
        breakdown.read(docs / "results" / breakdown.FILE)
    tracked = []
    with bar(shown=True, processes=1) as progress:
        for one in tracking.track(
            checkpoints,
            images,
            ground_truth,
            out,
            protocol=chosen,
            runtime=runtime,
            subset=subset,
            device=device,
            progress=lambda name: progress,
        ):
            tracked.append(one)
            for remark in one.evaluation.remarks:
                print(f"featherface: {one.row.detector}: {remark}", file=sys.stderr)
            if record:
                for row in tracking.add_new([one.row], path):
                    print(f"{path}: added {row.detector}", file=sys.stderr)
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
        show(tables.rows(rows))
        for name in figures:
            print(out / f"{name}.svg")
