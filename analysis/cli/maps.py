"""`featherface maps`: attention gates and deformable offsets on pictures, and what they cause."""

from __future__ import annotations

import sys
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from analysis.cli.options import Json, Weights, emit, is_stdout, progress, show
from featherface.errors import InputError

if TYPE_CHECKING:
    from analysis.maps import Maps


class MapsCommand(TyperCommand):
    """Takes `--at X Y` as often as it is given, which Typer knows no type for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join what follows each `--at`, so that it is one value."""
        rest, joined = list(args), []
        while rest:
            joined.append(rest.pop(0))
            if joined[-1] == "--":
                break
            if joined[-1] == "--at" and len(rest) > 1 and all(map(_is_number, rest[:2])):
                joined.append(f"{rest.pop(0)} {rest.pop(0)}")
        return super().parse_args(ctx, joined + rest)


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def _place(text: str) -> tuple[float, float]:
    parts = text.split()
    if len(parts) != 2 or not all(map(_is_number, parts)):
        raise InputError(f"--at (={text!r}) must be two numbers, X Y, in pixels of the picture")
    return float(parts[0]), float(parts[1])


def maps(
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PICTURE...]",
            help="Pictures of any common format; matplotlib's portrait of Grace Hopper for none.",
            show_default=False,
        ),
    ] = None,
    weights: Weights = "official",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write figures and maps.json there.")
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X Y",
            help="Show sampling points there, in pixels of the picture, not at the best three "
            "faces; may be repeated.",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(help="Longer side at the network, in pixels; the original size by default."),
    ] = None,
    score: Annotated[float, typer.Option(help="What scores more is a face.")] = 0.5,
    format: Annotated[str, typer.Option(help="Of the figures: svg or png.")] = "svg",
    theme: Annotated[str, typer.Option(help="Of the figures: light or dark.")] = "light",
    npz: Annotated[
        bool, typer.Option("--npz", help="Also write gates, offsets and masks as arrays.")
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="DOCS",
            help="Make anew what the site shows, below this folder of pages, and nothing else.",
        ),
    ] = None,
    json: Json = None,
) -> None:
    """What CBAM's gates and deformable convolutions do on pictures.

    Measures the gates inside and outside the faces, where sampling points lie, and what happens
    to scores and boxes when each part is held still: offsets 0, masks 1, attention bypassed.
    A picture that cannot be used is reported at the end, after all others are done.
    """
    for name, value, known in (("format", format, _FORMATS), ("theme", theme, _THEMES)):
        if value not in known:
            raise InputError(f"--{name} (={value}) must be {' or '.join(known)}")
    if not 0 <= score < 1:
        raise InputError(f"--score (={score:g}) must be from 0 to below 1")
    if size is not None and size < 32:
        raise InputError(f"--size (={size}) must be at least 32")
    if npz and out is None:
        raise InputError("--npz needs --out DIR, the folder to write into")
    places = [_place(text) for text in at or ()]
    if record is not None:
        _record(record)
        return
    from analysis.maps import load_for_maps, measure_maps

    model = load_for_maps(weights)
    records: list[dict[str, Any]] = []
    unusable: list[str] = []
    for index, picture in enumerate(pictures or [_portrait()]):
        try:
            with progress(f"holding still: {picture.name}") as track:
                measured = measure_maps(
                    model,
                    picture,
                    weights=weights,
                    size=size,
                    score_threshold=score,
                    at=places,
                    track=track,
                )
        except InputError as error:
            unusable.append(str(error))
            continue
        if out:
            measured.record["files"] = _write(
                measured, out, f"{index:04d}-{picture.stem}", format, theme, npz
            )
        records.append(measured.record)
    if out and records:
        emit(records, out / "maps.json")
    emit(records, json)
    if not is_stdout(json):
        for measured_record in records:
            _print(measured_record)
    for message in unusable:
        print(f"featherface: {message}", file=sys.stderr)
    raise typer.Exit(2 if unusable else 0)


_FORMATS = ("svg", "png")
_THEMES = ("light", "dark")


def _portrait() -> Path:
    from matplotlib.cbook import get_sample_data

    return Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))


def _record(docs: Path) -> None:
    from analysis.report.pages.maps_figures import recorded_files
    from featherface.files import write_bytes

    with progress("holding still") as track:
        files = list(recorded_files(_portrait(), track))
    for name, content in files:
        write_bytes(docs / name, content.encode() if isinstance(content, str) else content)
        print(docs / name)


def _write(measured: Maps, out: Path, stem: str, kind: Any, theme: Any, npz: bool) -> list[str]:
    """Figures and arrays of one picture, numbered, as pictures may share a name."""
    from analysis import maps as measuring
    from analysis.report.plots.maps import draw_maps
    from featherface.files import write_bytes

    files = []
    with progress(f"drawing: {stem}") as track:
        drawn = draw_maps(measured.record, measured.arrays, measured.picture, kind, theme)
        for name, content in track(drawn):
            files.append(out / f"{stem}-{name}.{kind}")
            write_bytes(files[-1], content)
    if npz:
        files.append(out / f"{stem}.npz")
        write_bytes(files[-1], measuring.npz(measured.arrays))
    return [str(path) for path in files]


def _print(record: dict[str, Any]) -> None:
    from analysis.report.tables import maps as tables_maps

    print(tables_maps.headline(record))
    for table in tables_maps.tables(record):
        show(table)
    for path in record.get("files", []):
        print(path)
