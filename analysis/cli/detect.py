"""`featherface detect`: the faces on images."""

from __future__ import annotations

import io
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from analysis.cli import options, video
from analysis.cli.output import emit, finish, output_stem, progress, show, tell
from featherface.errors import InputError

if TYPE_CHECKING:
    from featherface import Detector, Results
    from featherface.images import RGBArray

Record = dict[str, Any]

RECORDS = "faces.jsonl"
LATEST = "faces.json"

STDIN = Path("-")
MAX_STDIN_BYTES = 2**28

_MANY_FRAMES = 200
"""The number of frames from which a network for their size, made in 0.5 s, is worth its time."""


def detect(
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE",
            parser=options.image,
            help="Images, folders, quoted patterns ('photos/*.jpg'), videos, camera:0, or - for "
            "standard input.",
        ),
    ],
    weights: options.Weights = "v1",
    out: Annotated[
        Path | None,
        options.out_folder(
            "Write annotated images there, named by the image and a hash of its path, so that "
            f"equal names do not meet; append the faces to {RECORDS}, and write the latest of "
            f"every image to {LATEST}.",
            *(RECORDS, LATEST),
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Include folders in folders.")
    ] = False,
    score: options.Score = 0.5,
    nms: Annotated[
        float,
        typer.Option(min=0, max=1, help="Drop the worse of two boxes that overlap more (IoU)."),
    ] = 0.4,
    longer_side: options.LongerSide = None,
    runtime: options.Runtime = "auto",
    device: options.Device = None,
    threads: options.Threads = None,
    json: options.Json = None,
) -> None:
    """Find faces: boxes, scores and five landmarks, in pixels of the original image.

    Of a video or a camera, each frame is a record; it is written annotated, without sound.
    Interrupted, the command keeps what is done, which is how a camera is stopped. An image that
    cannot be read is reported at the end, after all others are done; the exit code is then 2.
    """
    unusable: list[str] = []
    found = options.find_images(images, unusable, recursive=recursive)
    if not found:
        emit([], json)
        finish(unusable)
    from featherface import Detector
    from featherface.files import locked
    from featherface.records import append, read

    detector = Detector(
        weights,
        score_threshold=score,
        nms_threshold=nms,
        size=longer_side,
        runtime=runtime,
        device=device,
        threads=threads,
    )
    records: list[Record] = []
    interrupted = False
    with progress("finding faces", "images") as track:
        try:
            for record in _find(found, detector, out, unusable, track):
                records.append(record)
                if out:
                    append(out / RECORDS, record)
        except KeyboardInterrupt:
            interrupted = True
    if out and records:
        with locked(out / LATEST):
            lines = read(out / RECORDS, {"picture": str})
            latest = {(line["picture"], line.get("frame")): line for line in lines}
            emit(list(latest.values()), out / LATEST)
    if emit(records, json):
        _print(records)
    if interrupted:
        done = len({record["picture"] for record in records})
        unusable.append(f"interrupted after {done} of {len(found)} images, which are kept")
    finish(unusable, 130 if interrupted else 2)


def _find(
    paths: list[Path],
    detector: Detector,
    out: Path | None,
    unusable: list[str],
    track: Callable[..., Iterable[Any]],
) -> Iterator[Record]:
    """Yield the record of each image and each frame of a video, and write them annotated.

    Args:
        unusable: is given a line for each that cannot be read.
    """

    for moving, group in groupby(paths, key=video.is_video):
        if not moving:
            given = list(group)
            opened = [_opened(path) for path in given]
            stream = detector.stream(
                opened, keep=out is not None, on_error=lambda error: unusable.append(str(error))
            )
            for results in track(stream, len(given)):
                yield _record_image(results, out)
            continue
        for path in group:
            try:
                yield from _of_video(path, detector, out, track)
            except InputError as error:
                unusable.append(str(error))


def _opened(path: Path) -> Path | BinaryIO:
    if path != STDIN:
        return path
    content = b"" if sys.stdin is None else sys.stdin.buffer.read(MAX_STDIN_BYTES)
    file = io.BytesIO(content)
    file.name = "-"
    return file


def _record_image(results: Results, out: Path | None) -> Record:
    from featherface.files import write_bytes

    image = results.source.image
    name = str(image) if isinstance(image, Path) else str(STDIN)
    annotated = None
    if out:
        annotated = str(out / f"{output_stem(Path(name))}.png")
        buffer = io.BytesIO()
        results.draw().save(buffer, format="PNG")
        write_bytes(annotated, buffer.getvalue())
    return {
        "picture": name,
        "faces": [face.as_dict() for face in results],
        "annotated": annotated,
    }


def _of_video(
    path: Path, detector: Detector, out: Path | None, track: Callable[..., Iterable[Any]]
) -> Iterator[Record]:
    from featherface.drawing import draw

    written = out / f"{output_stem(path)}.mp4" if out else None
    with ExitStack() as stack:
        opened = stack.enter_context(video.open_video(path))
        add = stack.enter_context(video.write_video(written, opened.rate)) if written else None
        for_size: dict[Any, Detector] = {}  # one: frames that change their size are rare
        frames = groupby(opened.frames, lambda frame: frame.pixels.shape[:2])

        def find() -> Iterator[tuple[int, float, Results]]:
            for size, same in frames:
                if not for_size and (opened.count is None or opened.count >= _MANY_FRAMES):
                    for_size[size] = detector.for_size(*size)
                using = for_size.get(size, detector)
                ahead: deque[tuple[int, float]] = deque()
                pixels = _pixels(same, ahead)
                # A camera's frames are found as they come.
                found = map(using, pixels) if video.is_camera(path) else using.stream(pixels)
                for results in found:
                    yield (*ahead.popleft(), results)

        for index, seconds, results in track(find(), opened.count):
            faces = [face.as_dict() for face in results]
            if add:
                add(draw(results.source.pixels, faces))
            yield {
                "picture": str(path),
                "frame": index,
                "seconds": seconds,
                "faces": faces,
                "annotated": str(written) if written else None,
            }


def _pixels(frames: Iterable[video.Frame], ahead: deque[tuple[int, float]]) -> Iterator[RGBArray]:
    for frame in frames:
        ahead.append((frame.index, frame.seconds))
        yield frame.pixels


def _print(records: list[Record]) -> None:
    from analysis.report.tables import networks as tables

    for name, group in groupby(records, key=lambda record: record["picture"]):
        first, *others = group
        if "frame" in first:
            faces = sum(len(frame["faces"]) for frame in (first, *others))
            found = f"{faces:,} face{'s' * (faces != 1)}"
            tell(f"{name}: {found} in {len(others) + 1:,} frame{'s' * bool(others)}")
        elif first["faces"]:
            show(tables.faces(first["faces"], name))
        else:
            tell(f"{name}: no faces")
        if first["annotated"]:
            tell(first["annotated"])
