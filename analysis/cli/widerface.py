"""`featherface widerface`: the benchmark, from its images to the history of AP."""

from __future__ import annotations

import typer

from analysis.cli.options import Command
from analysis.cli.widerface_compare import compare
from analysis.cli.widerface_evaluate import evaluate
from analysis.cli.widerface_fetch import fetch
from analysis.cli.widerface_gallery import gallery
from analysis.cli.widerface_predict import predict
from analysis.cli.widerface_track import track

app = typer.Typer(
    help="WIDER FACE: fetch it, predict faces, evaluate AP, track and compare it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
TRUTH, IMAGES = "--ground-truth eval_tools/ground_truth", "--images WIDER_val/images"
for command, example in (
    (fetch, "fetch --out data"),
    (predict, f"predict --weights official {IMAGES} --out found"),
    (evaluate, f"evaluate found {TRUTH}"),
    (track, "track official epoch_*.pth --images DIR --ground-truth DIR"),
    (compare, "compare before/ after/ --ground-truth DIR"),
    (gallery, f"gallery found {TRUTH} {IMAGES} --out gallery"),
):
    app.command(cls=Command, epilog=f"\b\nExample: featherface widerface {example}")(command)
