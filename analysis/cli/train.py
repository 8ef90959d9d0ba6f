"""`featherface train`: weights for a variant, from annotated images and a trained network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from analysis.cli.options import Device, Variant, input_path, name_or_file, output_folder


def train(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR|FILE",
            parser=input_path,
            help="Images and annotated faces; see the manual.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            parser=output_folder,
            help="Checkpoint, log and weights; an old run goes on.",
        ),
    ],
    variant: Variant = "v1",
    teacher: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE|none", parser=name_or_file, help="Learn from this network, too."
        ),
    ] = "official",
    backbone: Annotated[
        Literal["teacher", "random"], typer.Option(help="Where its weights start.")
    ] = "teacher",
    frozen: Annotated[
        float, typer.Option(help="Fraction of the run in which the teacher's backbone stays.")
    ] = 0.4,
    minutes: Annotated[float | None, typer.Option(help="How long.")] = None,
    steps: Annotated[int | None, typer.Option(help="Or how many steps.")] = None,
    crop: Annotated[int, typer.Option(metavar="PIXELS", help="Side of the crops.")] = 512,
    batch: Annotated[int, typer.Option(help="Crops a step.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="AdamW's, at its peak.")] = 3e-3,
    holdout: Annotated[int, typer.Option(help="Images to measure AP on, not trained on.")] = 160,
    seed: Annotated[int, typer.Option(min=0, max=2**30)] = 0,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option(help="auto: bfloat16 on a GPU.")
    ] = "auto",
    device: Device = None,
    graph: Annotated[
        bool, typer.Option("--graph/--no-graph", help="On a GPU, replay steps as CUDA graphs.")
    ] = True,
    every: Annotated[float, typer.Option(help="Seconds between checkpoints.")] = 60.0,
) -> None:
    """Train a variant on annotated faces, or distil it from a trained network.

    Interrupt it whenever you like: the same command goes on where the last checkpoint was.
    """
    import torch

    from featherface.training.loop import train as run
    from featherface.training.recipe import Recipe

    recipe = Recipe(
        variant=variant,
        teacher=None if teacher == "none" else teacher,
        backbone=backbone,
        frozen=frozen,
        minutes=minutes,
        steps=steps,
        size=crop,
        batch=batch,
        learning_rate=learning_rate,
        holdout=holdout,
        seed=seed,
        precision=precision,
    )
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    weights = run(recipe, data, out, device=where, record=graph, every=every, report=_say)
    print(weights)


def _say(row: dict[str, Any]) -> None:
    text = ", ".join(
        f"{name} {value:.5g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in row.items()
        if name != "event"
    )
    print(f"{row['event']}: {text}", file=sys.stderr, flush=True)
