"""`featherface train`: weights for a variant, from annotated images and a trained network."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from analysis.cli import options
from analysis.cli.output import emit, tell
from analysis.report.table import Column, Table

_COLUMNS = (
    Column("loss", lambda pair: pair[0]),
    Column("latest", lambda pair: pair[1], str),
)


def train(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR|PACK",
            parser=options.input_path,
            help="Images and annotated faces: boxes.json or RetinaFace's label.txt beside images/, "
            "or WIDER FACE's folders.",
        ),
    ],
    out: Annotated[
        Path,
        options.out_folder(
            "Checkpoint, log and weights; an old run goes on.",
            *("checkpoint.pt", "log.jsonl", "weights.safetensors"),
        ),
    ],
    variant: Annotated[options.VariantName, typer.Option(help="The network.")] = "v1",
    teacher: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE|none",
            parser=options.teacher,
            help=f"Learn from this network, too. {options.NAME_FIRST}",
        ),
    ] = "official",
    backbone: Annotated[
        Literal["teacher", "random"] | None,
        typer.Option(help="Where its weights start; the teacher's by default, if there is one."),
    ] = None,
    frozen: Annotated[
        float, typer.Option(help="Fraction of the run in which the teacher's backbone stays.")
    ] = 0.4,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            parser=options.name_or_weights,
            help=f"Start all of the network from these weights. {options.NAME_FIRST}",
        ),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="How long.")] = None,
    steps: Annotated[int | None, typer.Option(help="Or how many steps.")] = None,
    crop: Annotated[
        int, typer.Option(min=32, max=4096, metavar="PIXELS", help="Side of the crops.")
    ] = 512,
    batch: Annotated[int, typer.Option(help="Crops a step, of all processes together.")] = 64,
    optimizer: Annotated[
        Literal["adamw", "sgd"], typer.Option(help="sgd: with momentum 0.9.")
    ] = "adamw",
    learning_rate: Annotated[
        float | None,
        typer.Option(help="At its peak; by default 0.003 for adamw and 0.001 for sgd."),
    ] = None,
    holdout: Annotated[int, typer.Option(help="Images to measure AP on, not trained on.")] = 160,
    seed: Annotated[
        int, typer.Option(min=0, max=2**30, help="Of the crops and of random weights.")
    ] = 0,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(help="auto: bfloat16 on GPUs that have it."),
    ] = "auto",
    device: options.Device = None,
    graph: Annotated[
        bool, typer.Option("--graph/--no-graph", help="On a GPU, replay steps as CUDA graphs.")
    ] = True,
    every: Annotated[float, typer.Option(help="Seconds between checkpoints.", min=0)] = 60.0,
    json: options.Json = None,
) -> None:
    """Train a variant on annotated faces, or distil it from a trained network.

    Interrupt it whenever you like: the same command goes on where it stopped. DIR gets
    checkpoint.pt, log.jsonl, weights with the first checkpoint and then as often as leaves nine
    tenths of the time to training, and at the end weights.safetensors. Weights are measured on the
    images held out, which takes some tens of seconds on a CPU.

    Several processes and machines share every batch under torchrun (extra train):
    torchrun --nproc-per-node 2 -m featherface train ...
    """
    from featherface.training.recipe import Recipe

    taught = teacher != "none"
    recipe = Recipe(
        variant=variant,
        teacher=teacher if taught else None,
        backbone=backbone or ("teacher" if taught else "random"),
        frozen=frozen,
        start=start,
        minutes=minutes,
        steps=steps,
        size=crop,
        batch=batch,
        optimizer=optimizer,
        learning_rate={"adamw": 3e-3, "sgd": 1e-3}[optimizer]
        if learning_rate is None
        else learning_rate,
        holdout=holdout,
        seed=seed,
        precision=precision,
    )
    from featherface.training.loop import train as run
    from featherface.training.processes import keep_freed_memory

    keep_freed_memory()

    rows: list[dict[str, Any]] = []
    with _shown() as show:

        def report(row: dict[str, Any]) -> None:
            rows.append(row)
            show(row)

        weights = run(recipe, data, out, device=device, record=graph, every=every, report=report)
    if not rows:  # the first of several processes reports for all
        return
    measured = next((row for row in reversed(rows) if row["event"] == "measured"), None)
    if emit(
        {"weights": str(weights), "start": rows[0], "measured": measured, "end": rows[-1]}, json
    ):
        tell(weights)


@contextmanager
def _shown() -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show rows as lines on standard error; on a terminal, losses as a table that is renewed."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)

    def show(row: dict[str, Any]) -> None:
        event, *values = (
            (name, f"{value:.5g}" if isinstance(value, float) else str(value))
            for name, value in row.items()
            if not isinstance(value, dict)
        )
        if event[1] == "loss" and sys.stderr.isatty():
            live.start()
            live.update(Table("", _COLUMNS, values), refresh=True)
        else:
            line = ", ".join(" ".join(pair) for pair in values)
            console.print(f"{event[1]}: {line}", soft_wrap=True)

    try:
        yield show
    finally:
        live.stop()
