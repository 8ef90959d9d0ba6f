"""`featherface widerface`: the benchmark, from its images to the history of AP."""

from __future__ import annotations

import typer

from analysis.cli import (
    widerface_compare,
    widerface_evaluate,
    widerface_fetch,
    widerface_gallery,
    widerface_predict,
    widerface_track,
)

app = typer.Typer(
    help="WIDER FACE: fetch it, predict faces, evaluate AP, track and compare it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command(epilog=f"Example: {widerface_fetch.EXAMPLE}")(widerface_fetch.fetch)
app.command(epilog=f"Example: {widerface_predict.EXAMPLE}")(widerface_predict.predict)
app.command(epilog=f"Example: {widerface_evaluate.EXAMPLE}")(widerface_evaluate.evaluate)
app.command(epilog=f"Example: {widerface_track.EXAMPLE}")(widerface_track.track)
app.command(epilog=f"Example: {widerface_compare.EXAMPLE}")(widerface_compare.compare)
app.command(epilog=f"Example: {widerface_gallery.EXAMPLE}")(widerface_gallery.gallery)
