"""`featherface maps`: attention gates and deformable offsets on images, and their effects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from analysis.cli import options
from analysis.cli.output import emit, finish, output_stem, progress, show, tell
from featherface.errors import InputError


def _point(text: str) -> tuple[float, float]:
    """Return a place on an image, "X,Y" in pixels."""
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} must be X,Y: two numbers of pixels") from None
    return x, y


def maps(
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="IMAGE",
            parser=options.image,
            help="Images, folders, quoted patterns; by default matplotlib's Grace Hopper.",
            show_default=False,
        ),
    ] = None,
    weights: options.Weights = "v1",
    out: Annotated[
        Path | None,
        options.out_folder(
            "Write maps.json there, and figures, named by the image and a hash of its path.",
            "maps.json",
        ),
    ] = None,
    at: Annotated[
        list[Any] | None,
        typer.Option(
            metavar="X,Y",
            parser=_point,
            help="Show sampling points there, in pixels of the image, instead of at the best three "
            "faces; may be repeated.",
        ),
    ] = None,
    longer_side: options.LongerSide = None,
    device: options.Device = None,
    score: options.Score = 0.5,
    format: Annotated[Literal["svg", "png"], typer.Option(help="Format of the figures.")] = "svg",
    theme: Annotated[
        Literal["light", "dark"], typer.Option(help="Colours of the figures.")
    ] = "light",
    npz: Annotated[
        bool, typer.Option("--npz", help="Also write gates, offsets and masks as arrays.")
    ] = False,
    json: options.Json = None,
) -> None:
    """Measure what CBAM's gates and deformable convolutions do on images.

    Measures the gates inside and outside the faces, where sampling points lie, and what happens
    to scores and boxes when each part is ablated: offsets 0, masks 1, attention bypassed.
    An image that cannot be used is reported at the end, after all others are done.
    """
    if npz and out is None:
        raise InputError("--npz needs --out DIR, the folder to write into")
    unusable: list[str] = []
    there = options.find_images(images or (), unusable)
    if unusable and not there:
        emit([], json)
        finish(unusable)
    from analysis.maps import load_for_maps, measure_maps
    from analysis.maps import npz as arrays_as_npz
    from analysis.report.plots.maps import figures
    from analysis.report.plots.style import render
    from analysis.report.portrait import portrait
    from analysis.report.tables import maps as tables
    from featherface.files import write_bytes
    from featherface.runtimes.network import checked_device

    model = load_for_maps(weights).to(checked_device(device))
    records: list[dict[str, Any]] = []
    for path in there or [portrait()]:
        try:
            with progress(f"ablating: {path.name}") as track:
                measured = measure_maps(
                    model,
                    path,
                    weights=weights,
                    size=longer_side,
                    score_threshold=score,
                    at=at or (),
                    track=track,
                )
        except InputError as error:
            unusable.append(str(error))
            continue
        if out:
            stem = out / output_stem(path)
            files = {}
            with progress(f"drawing: {path.name}") as track:
                for name, figure in track(figures(measured, theme)):
                    files[f"{stem}-{name}.{format}"] = render(figure, format)
            if npz:
                files[f"{stem}.npz"] = arrays_as_npz(measured.arrays)
            for file, content in files.items():
                write_bytes(Path(file), content)
            measured.record["files"] = list(files)
        records.append(measured.record)
    if out and records:
        emit(records, out / "maps.json")
    if emit(records, json):
        for record in records:
            tell(tables.headline(record))
            for table in tables.tables(record):
                show(table)
            for file in record.get("files", []):
                tell(file)
    finish(unusable)
