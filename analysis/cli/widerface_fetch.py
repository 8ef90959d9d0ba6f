"""`featherface widerface fetch`: the benchmark's images and ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analysis.cli import options
from analysis.cli.output import tell


def fetch(
    out: Annotated[Path, options.out_folder("Images go to DIR/widerface, the rest beside it.")],
    images: Annotated[
        bool, typer.Option(help="Images too: 3.4 GB, through torchvision and gdown.")
    ] = True,
    archive: Annotated[
        Path | None,
        typer.Option(
            metavar="ZIP",
            parser=options.input_file,
            help="Take the ground truth from this eval_tools.zip.",
        ),
    ] = None,
) -> None:
    """Download WIDER FACE: what `predict` and `evaluate` read. Nothing else ever does.

    The ground truth is checked by sha256, the images' archives by the md5 that torchvision
    knows. What is there already is not fetched again.
    """
    from analysis.widerface import fetch as fetching

    truth = out / "ground_truth"
    if archive is None:
        fetching.fetch_ground_truth(truth)
    else:
        fetching.take_ground_truth(archive, truth)
    tell(f"--ground-truth {truth}")
    if images:
        tell(f"--images {fetching.fetch_images(out)}")
