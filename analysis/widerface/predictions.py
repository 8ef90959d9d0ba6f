"""Predictions: the boxes a detector found on WIDER FACE's pictures, from any of four sources."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.widerface import prediction_files as files
from analysis.widerface import prediction_records as records
from analysis.widerface.ground_truth import GroundTruth, bare
from analysis.widerface.prediction_text import PictureBoxes, parse
from featherface.errors import InputError


@dataclass(frozen=True, eq=False)
class Predictions:
    """B boxes of M predicted pictures; a picture's rows stand together, in their file's order.

    `rows` is (B, 5): x, y, width, height in pixels, and the score.
    `offsets` is (M + 1,): predicted picture m has the rows `offsets[m]:offsets[m + 1]`.
    `picture` is (M,): which picture of the ground truth it is; -1 for one that is not there.
    """

    source: str
    rows: NDArray[np.float64]
    offsets: NDArray[np.int64]
    picture: NDArray[np.int32]
    extra: tuple[str, ...] = ()
    """Files, or pictures of records, that the ground truth does not know."""
    retitled: tuple[str, ...] = ()
    """What is wrong with the first line of files: it names another picture, or none."""
    miscounted: tuple[str, ...] = ()
    """Files whose second line promises another number of boxes than follow."""
    unreadable: tuple[str, ...] = ()
    """Pictures that predicting could not read, as `unreadable.json` says: EVENT/PICTURE.jpg."""

    @cached_property
    def picture_of_row(self) -> NDArray[np.int32]:
        """(B,): the picture of the ground truth that each row is on, or -1."""
        return np.repeat(self.picture, np.diff(self.offsets))

    def missing(self, ground_truth: GroundTruth) -> NDArray[np.intp]:
        """The pictures of the ground truth that nothing was predicted for, not even no boxes."""
        return np.setdiff1d(np.arange(len(ground_truth.pictures)), self.picture)


def read_predictions(path: str | Path, ground_truth: GroundTruth) -> Predictions:
    """Read predictions for the pictures of the ground truth.

    Args:
        path: a folder with EVENT/PICTURE.txt at any depth; an archive of one (.tar, .tar.gz,
            .tgz, .tar.xz, .txz, .tar.bz2, .zip); .jsonl; .parquet (see `prediction_records`).

    Files outside folders named as an event are not read. A picture that an event does not have is
    read, as the benchmark's evaluation does, for its scores enter the normalisation of all. The
    pictures that a subset leaves out are left out.

    Raises:
        InputError: where something cannot be read or is malformed (file, line, reason), where a
            picture is there twice, or where there is none of the ground truth's events.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    events = frozenset(ground_truth.events)
    extra: list[str] = []

    def wanted(event: str, picture: str) -> bool:
        return event in events and (event, picture) not in ground_truth.outside

    # What a subset leaves out is neither wanted nor worth a remark.
    def known(name: str) -> bool:
        event, _, picture = name.removesuffix(".txt").replace("\\", "/").rpartition("/")
        return (event.rpartition("/")[2], picture) in ground_truth.outside

    name = path.name.lower()
    pictures: Iterable[PictureBoxes]
    if path.is_dir():
        pictures = parse(files.read_folder(path, wanted, extra))
    elif name.endswith(files.ARCHIVES):
        pictures = parse(files.read_archive(path, wanted, extra))
    elif name.endswith(".jsonl"):
        pictures = records.read_json_lines(path, wanted, extra)
    elif name.endswith(".parquet"):
        pictures = records.read_parquet(path, wanted, extra)
    else:
        kinds = ", ".join((*files.ARCHIVES, ".jsonl", ".parquet"))
        raise InputError(f"{path}: predictions are a folder or one of {kinds}")
    found = _gather(str(path), pictures, ground_truth)
    if not len(found.picture):
        raise InputError(
            f"{path}: holds no EVENT/PICTURE.txt (or record) of the ground truth's "
            f"{len(events)} events, as {ground_truth.events[0]}"
        )
    unknown = (*(each for each in extra if not known(each)), *found.extra)
    return replace(found, extra=unknown, unreadable=_unreadable(path, ground_truth))


def _unreadable(folder: Path, ground_truth: GroundTruth) -> tuple[str, ...]:
    """What `predict` noted beside its results, without what a subset leaves out."""
    path = folder / "unreadable.json"
    if not folder.is_dir() or not path.is_file():
        return ()
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))["unreadable"]
        names = [str(each["picture"]) for each in noted]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not what `featherface widerface predict` writes") from error
    return tuple(
        name
        for name in names
        if (name.rpartition("/")[0], bare(name.rpartition("/")[2])) not in ground_truth.outside
    )


def _gather(
    source: str, pictures: Iterable[PictureBoxes], ground_truth: GroundTruth
) -> Predictions:
    """Put the pictures together, each where the ground truth knows it."""
    rows: list[NDArray[np.float64]] = []
    known: list[int] = []
    labels: list[str] = []
    at: dict[int, int] = {}
    extra, retitled, miscounted = [], [], []
    for file in pictures:
        index, wrong = _identify(file, ground_truth)
        if wrong:
            retitled.append(wrong)
        if file.stated != len(file.rows):
            miscounted.append(f"{file.label}: says {file.stated}, has {len(file.rows)}")
        if index < 0:
            extra.append(file.label)
        elif index in at:
            before = at[index]
            if labels[before] != file.label:
                picture = "/".join(ground_truth.key(index))
                raise InputError(f"{file.label}: {picture} is there twice, see {labels[before]}")
            rows[before] = file.rows  # added to an archive again: the later one counts
            continue
        at[index] = len(rows)
        rows.append(file.rows)
        known.append(index)
        labels.append(file.label)
    return Predictions(
        source=source,
        rows=np.concatenate([np.empty((0, 5)), *rows]),
        offsets=np.concatenate([[0], np.cumsum([len(each) for each in rows], dtype=np.int64)]),
        picture=np.array(known, dtype=np.int32),
        extra=tuple(extra),
        retitled=tuple(retitled),
        miscounted=tuple(miscounted),
    )


def _identify(file: PictureBoxes, ground_truth: GroundTruth) -> tuple[int, str | None]:
    """Which picture a file is about, -1 for an unknown one, and what is odd about its title.

    The benchmark's evaluation goes by line 1, and so does this where it names a known picture.
    """
    index: Mapping[tuple[str, str], int] = ground_truth.index
    by_title = index.get((file.event, file.title), -1)
    if file.title == file.picture:
        return by_title, None
    return (
        by_title if by_title >= 0 else index.get((file.event, file.picture), -1),
        f"{file.label}: line 1 names {file.title!r:.80}",
    )
