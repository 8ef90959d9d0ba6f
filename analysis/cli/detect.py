"""`featherface detect`: the faces on pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from analysis.cli.options import Json, Weights, emit, is_stdout, progress, show
from featherface.errors import InputError


def detect(
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURE...", help="Pictures of any common format.")
    ],
    weights: Weights = "official",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write annotated pictures and faces.json there."),
    ] = None,
    score: Annotated[
        float, typer.Option(help="Report faces that score more; the official protocol has 0.02.")
    ] = 0.5,
    nms: Annotated[
        float, typer.Option(help="Drop the worse of two boxes that overlap more (IoU).")
    ] = 0.4,
    size: Annotated[
        int | None,
        typer.Option(help="Longer side at the network, in pixels; the original size by default."),
    ] = None,
    runtime: Annotated[
        str, typer.Option(help="auto, torch, compile or onnx; auto takes the fastest proven equal.")
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="Of the CPU, for the network; all by default.")
    ] = None,
    json: Json = None,
) -> None:
    """Find faces: boxes, scores and five landmarks, in pixels of the original picture.

    A picture that cannot be read is reported at the end, after all others are done.
    """
    from analysis.report.tables import networks as tables
    from featherface import Detector

    detector = Detector(
        weights,
        score_threshold=score,
        nms_threshold=nms,
        size=size,
        runtime=runtime,
        threads=threads,
    )
    records: list[dict[str, Any]] = []
    unusable: list[str] = []
    with progress("finding faces") as track:
        for picture in track(pictures):
            try:
                faces = [face.as_dict() for face in detector(picture)]
                drawn = _annotate(picture, faces, out, len(records)) if out else None
            except InputError as error:
                unusable.append(str(error))
                continue
            records.append({"picture": str(picture), "faces": faces, "annotated": drawn})
    if out and records:
        emit(records, out / "faces.json")
    emit(records, json)
    if not is_stdout(json):
        for record in records:
            show(tables.faces(record["faces"], record["picture"]))
            if record["annotated"]:
                print(record["annotated"])
    for message in unusable:
        print(f"featherface: {message}", file=sys.stderr)
    raise typer.Exit(2 if unusable else 0)


def _annotate(picture: Path, faces: list[dict[str, Any]], out: Path, index: int) -> str:
    import io

    from featherface.drawing import draw_faces
    from featherface.files import write_bytes
    from featherface.images import read_picture

    buffer = io.BytesIO()
    draw_faces(read_picture(picture), faces).save(buffer, format="PNG")
    # Numbered, as pictures of different folders may share a name.
    path = out / f"{index:04d}-{picture.stem}.png"
    write_bytes(path, buffer.getvalue())
    return str(path)
