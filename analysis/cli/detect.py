"""`featherface detect`: the faces on images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from analysis.cli.inputs import STDIN, find_images, read_stdin
from analysis.cli.options import (
    Device,
    Json,
    LongerSide,
    Runtime,
    Score,
    Threads,
    Weights,
    emit,
    finish,
    image,
    is_stdout,
    output_folder,
    output_stem,
    progress,
    show,
)
from featherface.errors import InputError

RECORDS = "faces.jsonl"
LATEST = "faces.json"


def detect(
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE",
            parser=image,
            help="Images, folders, quoted patterns ('photos/*.jpg'), or - for standard input.",
        ),
    ],
    weights: Weights = "official",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=output_folder,
            help=f"Write annotated images there, append the faces to {RECORDS}, and write the "
            f"latest of every image to {LATEST}.",
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Include folders in folders.")
    ] = False,
    score: Score = 0.5,
    nms: Annotated[
        float,
        typer.Option(min=0, max=1, help="Drop the worse of two boxes that overlap more (IoU)."),
    ] = 0.4,
    longer_side: LongerSide = None,
    runtime: Runtime = "auto",
    device: Device = None,
    threads: Threads = None,
    json: Json = None,
) -> None:
    """Find faces: boxes, scores and five landmarks, in pixels of the original image.

    Interrupted, it keeps what is done. An image that cannot be read is reported at the end, after
    all others are done; the exit code is then 2.
    """
    from analysis.report.tables import networks as tables
    from featherface import Detector
    from featherface.files import locked
    from featherface.records import append, read

    unusable: list[str] = []
    found = find_images(images, unusable, recursive=recursive)
    detector = Detector(
        weights,
        score_threshold=score,
        nms_threshold=nms,
        size=longer_side,
        runtime=runtime,
        device=device,
        threads=threads,
    )
    records: list[dict[str, Any]] = []
    interrupted = False
    with progress("finding faces", "images") as track:
        try:
            for path in track(found):
                try:
                    pixels = read_stdin() if path == STDIN else path
                    faces = [face.as_dict() for face in detector(pixels)]
                    drawn = _annotate(path, pixels, faces, out) if out else None
                except InputError as error:
                    unusable.append(str(error))
                    continue
                records.append({"picture": str(path), "faces": faces, "annotated": drawn})
                if out:
                    append(out / RECORDS, records[-1])
        except KeyboardInterrupt:
            interrupted = True
    if out and records:
        with locked(out / LATEST):
            latest = {record["picture"]: record for record in read(out / RECORDS)}
            emit(list(latest.values()), out / LATEST)
    emit(records, json)
    if not is_stdout(json):
        for record in records:
            show(tables.faces(record["faces"], record["picture"]))
            if record["annotated"]:
                print(record["annotated"])
    if interrupted:
        unusable.append(f"interrupted after {len(records)} of {len(found)} images, which are kept")
    finish(unusable, 130 if interrupted else 2)


def _annotate(path: Path, pixels: Any, faces: list[dict[str, Any]], out: Path) -> str:
    import io

    from featherface.drawing import draw_faces
    from featherface.files import write_bytes
    from featherface.images import read_picture

    buffer = io.BytesIO()
    draw_faces(read_picture(pixels), faces).save(buffer, format="PNG")
    annotated = out / f"{output_stem(path)}.png"
    write_bytes(annotated, buffer.getvalue())
    return str(annotated)
