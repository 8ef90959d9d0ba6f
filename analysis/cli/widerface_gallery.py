"""`featherface widerface gallery`: the worst misses and false alarms, to be looked at here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis.cli import options
from analysis.cli.output import emit, progress, tell, warn
from featherface.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

NOTE = "For local use: these images show people. Do not publish them."
_LEGENDS = {
    "misses": "Yellow: the face as annotated. Blue: the detection that overlaps it most.",
    "false_alarms": "Yellow: the detection. Blue: the annotated face that overlaps it most.",
}


def gallery(
    predictions: options.Predictions,
    ground_truth: options.GroundTruth,
    images: options.Images,
    out: Annotated[
        Path,
        options.out_folder(
            "Write misses.png, false-alarms.png and gallery.json there.",
            *("misses.png", "false-alarms.png", "gallery.json"),
        ),
    ],
    subset: options.Subset = None,
    score: options.Score = 0.5,
    number: Annotated[int, typer.Option(min=1, max=600, help="Show so many of each.")] = 24,
    json: options.Json = None,
) -> None:
    """Show the tallest Hard faces that were missed, and the surest detections on no face.

    Yellow is the face that was missed, or the false alarm; blue is what overlaps it most: a
    detection, or an annotated face. Images that are not there, or cannot be read, are named and
    passed over: the next worst take their places.

    For local use: the images show people. Do not publish them.
    """
    from analysis.report.formats import some
    from analysis.report.plots.gallery import caption, grid
    from analysis.widerface import worst
    from analysis.widerface.average_precision import evaluate_files
    from analysis.widerface.image_folder import image_paths
    from featherface.files import write_bytes

    evaluation = evaluate_files(predictions, ground_truth, subset)
    matches = evaluation.matches
    faces, alarms = worst.missed(matches, score), worst.false_alarms(matches, score)
    paths = image_paths(images)
    skipped: dict[str, str] = {}
    shown = {}
    with progress("cropping") as track:
        for part, records in (
            ("misses", worst.describe_missed(matches, faces, score)),
            ("false_alarms", worst.describe_false_alarms(matches, alarms)),
        ):
            tiles = islice(_tiles(records, paths, skipped), number)
            shown[part] = list(track(tiles, total=number))
    if skipped and not any(shown.values()):
        name, reason = next(iter(skipped.items()))
        raise InputError(
            f"{images}: none of the {len(skipped)} images to show can be used: {name}: {reason}"
        )
    chosen = matches.ground_truth.subset
    record: dict[str, Any] = {
        "note": NOTE,
        "predictions": str(predictions),
        "images": str(images),
        "subset": chosen and asdict(chosen),
        "score": score,
    }
    lines = []
    for part, total, what in (
        ("misses", len(faces), f"Hard faces not found at score {score:g}"),
        ("false_alarms", len(alarms), f"detections at score {score:g} on no face"),
    ):
        found = [each for each, _ in shown[part]]
        path = out / f"{part.replace('_', '-')}.png"
        name = part.replace("_", " ").capitalize()
        title = f"{name}: {len(found)} of {total:,} {what}"
        sheet = grid(
            [tile for _, tile in shown[part]],
            [caption(each, missed=part == "misses") for each in found],
            f"{title}, {predictions.name}",
            f"{_LEGENDS[part]} {NOTE}",
        )
        write_bytes(path, sheet)
        record[part] = {"total": total, "shown": found}
        lines.append(f"{path}: {title}")
    record["skipped"] = {
        "count": len(skipped),
        "pictures": [{"picture": name, "reason": reason} for name, reason in skipped.items()],
    }
    record["remarks"] = [remark.as_dict() for remark in evaluation.remarks]
    emit(record, out / "gallery.json")
    if emit(record, json):
        if skipped:
            names = some(f"{name}: {reason}" for name, reason in skipped.items())
            lines.append(f"passed over, as their images cannot be used: {len(skipped):,}: {names}")
        for line in (*lines, NOTE):
            tell(line)
    for remark in evaluation.remarks:
        warn(remark)


def _tiles(
    records: Iterator[dict[str, Any]], paths: dict[tuple[str, str], Path], skipped: dict[str, str]
) -> Iterator[tuple[dict[str, Any], Image.Image]]:
    """Yield records with their crops; note why others' images are not usable."""
    from analysis.report.plots.gallery import crop
    from featherface.images import PictureError, read_picture

    for record in records:
        event, image = record["event"], record["picture"]
        name = f"{event}/{image}"
        if name in skipped:
            continue
        # Looked up among the listed names: one like ../x leads nowhere.
        path = paths.get((event, image)) or paths.get(("", image))
        try:
            if path is None:
                raise PictureError("not there")
            pixels = read_picture(path)
        except PictureError as error:
            skipped[name] = str(error)
            continue
        yield record, crop(pixels, record["box"], record["nearest"])
