"""The ground truth of WIDER FACE's validation set, from the benchmark's four .mat files."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.widerface.mat_file import unpack
from featherface.errors import InputError

SUBSETS = ("easy", "medium", "hard")
ALL_FACES = "wider_face_val.mat"
FILES = {
    "easy": "wider_easy_val.mat",
    "medium": "wider_medium_val.mat",
    "hard": "wider_hard_val.mat",
}


@dataclass(frozen=True)
class Subset:
    """An explicit choice of pictures, so that results on it are never taken for the whole set."""

    pictures: int
    sha256: str
    """Of the sorted lines "EVENT/PICTURE", without ".jpg", joined by line feeds."""


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Faces of P pictures, F in all; a picture's faces stand together, in the files' order.

    `boxes` is (F, 4): x, y, width, height in pixels, as annotated: a few have no area.
    `offsets` is (P + 1,): picture p has the faces `offsets[p]:offsets[p + 1]`.
    `kept` is (3, F): whether a face belongs to easy, medium, hard.
    """

    events: tuple[str, ...]
    event: NDArray[np.int32]
    pictures: tuple[str, ...]
    boxes: NDArray[np.float64]
    offsets: NDArray[np.int64]
    kept: NDArray[np.bool_]
    subset: Subset | None = None
    outside: frozenset[tuple[str, str]] = frozenset()
    """The (event, picture) that a subset leaves out: known, and not evaluated."""

    @cached_property
    def index(self) -> dict[tuple[str, str], int]:
        """From (event, picture) to the picture's position."""
        return {self.key(p): p for p in range(len(self.pictures))}

    @cached_property
    def picture_of_face(self) -> NDArray[np.int32]:
        """(F,): the picture each face is on."""
        return np.repeat(np.arange(len(self.pictures), dtype=np.int32), np.diff(self.offsets))

    @property
    def faces(self) -> dict[str, int]:
        """How many faces each subset has."""
        return dict(zip(SUBSETS, map(int, self.kept.sum(axis=1)), strict=True))

    def key(self, picture: int) -> tuple[str, str]:
        """Event and name, without ".jpg", of a picture."""
        return self.events[self.event[picture]], self.pictures[picture]

    def only(self, names: Sequence[str]) -> GroundTruth:
        """The ground truth of the pictures listed; faces on others are not counted.

        Args:
            names: "EVENT/PICTURE", with or without ".jpg"; order and repetition do not matter.

        Raises:
            InputError: where the list is empty or names a picture that there is not.
        """
        keys = {_split(name) for name in names}
        unknown = sorted("/".join(key) for key in keys - self.index.keys())
        if unknown or not keys:
            what = f"{unknown[0]!r} is no picture of the ground truth" if unknown else "it is empty"
            raise InputError(f"the list of pictures: {what}; a line is EVENT/PICTURE.jpg")
        chosen = np.array([self.key(p) in keys for p in range(len(self.pictures))])
        if chosen.all():  # nothing is left out, so this is the whole
            return self
        faces = np.repeat(chosen, np.diff(self.offsets))
        lines = "\n".join(sorted("/".join(key) for key in keys))
        return GroundTruth(
            events=self.events,
            event=self.event[chosen],
            pictures=tuple(self.pictures[p] for p in np.flatnonzero(chosen)),
            boxes=self.boxes[faces],
            offsets=np.concatenate([[0], np.cumsum(np.diff(self.offsets)[chosen])]),
            kept=self.kept[:, faces],
            subset=Subset(len(keys), hashlib.sha256(lines.encode()).hexdigest()),
            outside=self.outside | (self.index.keys() - keys),
        )


def _split(name: str) -> tuple[str, str]:
    path = PurePosixPath(name.strip().replace("\\", "/"))
    return path.parent.name, bare(path.name)


def bare(name: str) -> str:
    """A picture's name without the ending of a picture file."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot and ending.lower() in ("jpg", "jpeg", "png") else name


def read_subset(path: str | Path) -> list[str]:
    """The pictures that a text file lists, one EVENT/PICTURE.jpg a line.

    Raises:
        InputError: where it cannot be read as text.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InputError(f"{path}: cannot be read: {reason}") from error
    return [line for line in lines if line.strip()]


def read_ground_truth(folder: str | Path) -> GroundTruth:
    """Read `wider_face_val.mat` and the three files that say which faces each subset keeps.

    Raises:
        InputError: where a file is missing, is no .mat file, or holds something else.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; it should hold {ALL_FACES} and its companions")
    path = folder / ALL_FACES
    lists = _load(path, "event_list", "file_list", "face_bbx_list")
    try:
        events = tuple(_text(cell) for cell in lists["event_list"][:, 0])
        names = [[_text(cell) for cell in _cells(event)] for event in _cells(lists["file_list"])]
        boxes = [[_boxes(c) for c in _cells(event)] for event in _cells(lists["face_bbx_list"])]
        if not len(events) == len(names) == len(boxes):
            raise ValueError(f"{len(events)} events, lists of {len(names)} and {len(boxes)}")
        for event, listed, boxed in zip(events, names, boxes, strict=True):
            if len(listed) != len(boxed):
                raise ValueError(f"{event}: {len(listed)} pictures, boxes of {len(boxed)}")
        flat = [box for event in boxes for box in event]
        together = np.concatenate([np.empty((0, 4)), *flat]).astype(np.float64)
        if not np.isfinite(together).all():
            raise ValueError("a box is not finite")
    except _MISSHAPEN as error:
        raise InputError(f"{path}: not the benchmark's faces: {error}") from error
    sizes = [len(event) for event in names]
    truth = GroundTruth(
        events=events,
        event=np.repeat(np.arange(len(events), dtype=np.int32), sizes),
        pictures=tuple(name for event in names for name in event),
        boxes=together,
        offsets=np.concatenate([[0], np.cumsum([len(box) for box in flat], dtype=np.int64)]),
        kept=np.stack([_kept(folder / FILES[name], events, names, flat) for name in SUBSETS]),
    )
    if len(truth.index) != len(truth.pictures):
        raise InputError(f"{path}: lists a picture twice")
    return truth


# What indexing and converting arrays of another shape or kind raises.
_MISSHAPEN = (ValueError, TypeError, IndexError, KeyError, AttributeError)


def _load(path: Path, *names: str) -> dict[str, Any]:
    from scipy.io import loadmat

    content = unpack(path)
    try:
        variables = loadmat(io.BytesIO(content), variable_names=names)
    except Exception as error:  # scipy raises nearly anything for bytes that are no .mat file
        raise InputError(f"{path}: cannot be read as a .mat file: {error}") from error
    absent = [name for name in names if name not in variables]
    if absent:
        raise InputError(f"{path}: holds no {absent[0]}; is it WIDER FACE's ground truth?")
    for name in names:
        value = variables[name]
        if value.dtype != object or value.ndim != 2 or value.shape[1] != 1:
            raise InputError(f"{path}: {name} is no column of cells ({value.dtype}, {value.shape})")
    return variables


def _cells(column: NDArray[Any]) -> Iterator[Any]:
    """The contents of a MATLAB column of cells; scipy wraps a column inside a cell once more."""
    if column.dtype != object or column.ndim != 2 or column.shape[1] > 1:
        raise ValueError(f"{column.dtype}, {column.shape} where a column of cells should be")
    return iter(column[:, 0] if column.size else ())


def _text(cell: NDArray[Any]) -> str:
    text = cell.item() if cell.size == 1 else None
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{cell!r:.60} where a name should be")
    return text


def _boxes(cell: NDArray[Any]) -> NDArray[Any]:
    if not cell.size:
        return np.empty((0, 4))
    if cell.ndim != 2 or cell.shape[1] != 4 or cell.dtype.kind not in "iuf":
        raise ValueError(f"{cell.dtype}, {cell.shape} where x, y, width and height should be")
    return cell


def _kept(
    path: Path,
    events: tuple[str, ...],
    names: list[list[str]],
    boxes: list[NDArray[Any]],
) -> NDArray[np.bool_]:
    """(F,): which faces the subset of this file keeps. Its numbers count from 1."""
    lists = _load(path, "event_list", "gt_list")
    try:
        if tuple(_text(cell) for cell in lists["event_list"][:, 0]) != events:
            raise ValueError(f"its events are not those of {ALL_FACES}")
        by_event = [[np.asarray(c) for c in _cells(event)] for event in _cells(lists["gt_list"])]
        if [len(event) for event in by_event] != [len(event) for event in names]:
            raise ValueError(f"its events have not as many pictures as those of {ALL_FACES}")
        numbers = [number.ravel() for event in by_event for number in event]
        counts = [len(number) for number in numbers]
        sizes = np.array([len(box) for box in boxes], dtype=np.int64)
        chosen = np.concatenate([np.empty(0, dtype=np.int64), *numbers]).astype(np.int64) - 1
        if (chosen < 0).any() or (chosen >= np.repeat(sizes, counts)).any():
            raise ValueError("it keeps a face that is not there")
        kept = np.zeros(sizes.sum(), dtype=bool)
        kept[chosen + np.repeat(np.cumsum(sizes) - sizes, counts)] = True
        if kept.sum() != len(chosen):
            raise ValueError("it keeps a face twice")
    except _MISSHAPEN as error:
        raise InputError(f"{path}: not a subset of the benchmark's faces: {error}") from error
    return kept
