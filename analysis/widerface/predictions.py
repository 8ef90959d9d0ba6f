"""Predictions: the boxes that a detector found on WIDER FACE's images, in any usual format."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.widerface import prediction_files as files
from analysis.widerface import prediction_records as records
from analysis.widerface.ground_truth import GroundTruth
from analysis.widerface.image_folder import key_of
from analysis.widerface.prediction_text import ImageBoxes, parse, sections
from analysis.widerface.results_folder import read_unreadable
from featherface.errors import InputError
from featherface.files import named, read_bytes


@dataclass(frozen=True, eq=False)
class Predictions:
    """B boxes of M predicted images; an image's rows stand together, in their file's order.

    `rows` is (B, 5): x, y, width, height in pixels, and the score.
    `offsets` is (M + 1,): predicted image m has the rows `offsets[m]:offsets[m + 1]`.
    `image` is (M,): the position of the image in the ground truth; -1 for one that is not there.
    """

    rows: NDArray[np.float64]
    offsets: NDArray[np.int64]
    image: NDArray[np.int32]
    extra: tuple[str, ...] = ()
    """Files, or images of records, that are of no image in the ground truth."""
    retitled: tuple[str, ...] = ()
    """Files whose first line names another image, or none."""
    miscounted: tuple[str, ...] = ()
    """Files whose second line promises another number of boxes than follow."""
    blank: tuple[str, ...] = ()
    """Files without any content, which are taken for images without boxes."""
    unreadable: tuple[str, ...] = ()
    """Images that predicting could not read, as `unreadable.json` says: EVENT/IMAGE.jpg."""

    @cached_property
    def image_of_row(self) -> NDArray[np.int32]:
        """(B,): the image of the ground truth that each row is on, or -1."""
        return np.repeat(self.image, np.diff(self.offsets))

    def missing(self, ground_truth: GroundTruth) -> list[int]:
        """Return the images of the ground truth without a prediction, not even of no boxes."""
        return sorted(set(range(len(ground_truth.images))).difference(self.image.tolist()))


def read_predictions(path: str | Path, ground_truth: GroundTruth) -> Predictions:
    """Read predictions for the images of the ground truth.

    The path is a folder with EVENT/IMAGE.txt at any depth, or with IMAGE.txt, as every name is in
    one event only; an archive of either (see `prediction_files.ARCHIVES`); one .txt for all images
    (see `prediction_text.sections`), alone in its folder or not; .jsonl; or .parquet (see
    `prediction_records`).

    An image that an event does not have is read, as the benchmark's evaluation does, since its
    scores enter the normalisation of all. The images that a subset leaves out are left out.

    Raises:
        InputError: where something cannot be read or is malformed (file, line, reason), where an
            image is there twice, or where there is none of the ground truth's events.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    events = frozenset(ground_truth.events)
    extra: list[str] = []

    def select(label: str, event: str, image: str | None) -> tuple[str, str] | None:
        if image is not None and event not in events:
            event = ground_truth.event_of(image) or event
        if image is None or event not in events:
            extra.append(label)
        elif (event, image) not in ground_truth.outside:
            return event, image
        return None

    name = path.name.lower()
    images: Iterable[ImageBoxes]
    alone = _only_text(path, ground_truth)
    if alone is not None:
        images = parse(sections(alone, read_bytes(alone, files.TOTAL_LIMIT), select))
    elif path.is_dir():
        images = parse(files.read_folder(path, select))
    elif name.endswith(files.ARCHIVES):
        images = parse(files.read_archive(path, select))
    elif name.endswith(".jsonl"):
        images = records.read_json_lines(path, select)
    elif name.endswith(".parquet"):
        images = records.read_parquet(path, select)
    elif name.endswith(".txt"):
        raise InputError(f"{path}: of one image only; predictions are the folder of all of them")
    else:
        kinds = ", ".join((*files.ARCHIVES, ".txt", ".jsonl", ".parquet"))
        raise InputError(f"{path}: predictions are a folder or one of {kinds}")
    found = _gather(path, images, ground_truth)
    if not len(found.image):
        raise InputError(
            f"{path}: holds no EVENT/IMAGE.txt (or record) of the ground truth's "
            f"{len(events)} events, as {ground_truth.events[0]}"
        )
    noted = (each["picture"] for each in read_unreadable(path))
    unreadable = tuple(name for name in noted if key_of(name) not in ground_truth.outside)
    return replace(found, extra=(*extra, *found.extra), unreadable=unreadable)


def _only_text(path: Path, ground_truth: GroundTruth) -> Path | None:
    """Return the text file for all images, where the path is one or a folder of nothing else."""
    if path.is_dir():
        with named(path):
            names = list(filter(files.is_result, os.listdir(path)))  # noqa: PTH208
        if len(names) != 1:
            return None
        path = path / names[0]
    is_text = path.suffix.lower() == ".txt" and path.is_file()
    return path if is_text and ground_truth.event_of(path.stem) is None else None


def _gather(source: Path, images: Iterable[ImageBoxes], ground_truth: GroundTruth) -> Predictions:
    """Put the images together, each where the ground truth knows it."""
    rows: list[NDArray[np.float64]] = []
    known: list[int] = []
    at: dict[int, tuple[int, str]] = {}
    extra, retitled, miscounted, blank = [], [], [], []
    total = 0
    for file in images:
        total += len(file.rows)
        if total > records.BOX_LIMIT:
            raise InputError(f"{source}: holds more than {records.BOX_LIMIT:,} boxes")
        if not file.title:
            blank.append(file.label)
        elif file.title != file.image:
            retitled.append(f"{file.label}: line 1 names {file.title!r:.80}")
        by_name = ground_truth.index.get((file.event, file.image), -1)
        index = ground_truth.index.get((file.event, file.title), by_name)
        if file.stated != len(file.rows):
            miscounted.append(f"{file.label}: says {file.stated}, has {len(file.rows)}")
        if index < 0:
            extra.append(file.label)
        elif index in at:
            before, label = at[index]
            if label != file.label:
                name = ground_truth.name(index)
                raise InputError(f"{file.label}: {name} is there twice, see {label}")
            rows[before] = file.rows  # added to an archive again: the later one counts
            continue
        at[index] = len(rows), file.label
        rows.append(file.rows)
        known.append(index)
    return Predictions(
        rows=np.concatenate([np.empty((0, 5)), *rows]),
        offsets=np.concatenate([[0], np.cumsum([len(each) for each in rows], dtype=np.int64)]),
        image=np.array(known, dtype=np.int32),
        extra=tuple(extra),
        retitled=tuple(retitled),
        miscounted=tuple(miscounted),
        blank=tuple(blank),
    )
