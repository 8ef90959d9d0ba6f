"""The ground truth of WIDER FACE's validation set, from the benchmark's four .mat files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.widerface.image_folder import bare, read_list
from analysis.widerface.mat_file import Value, read_mat
from featherface.errors import InputError

SUBSETS = ("easy", "medium", "hard")
VALIDATION_IMAGES = 3226
"""Images in the validation set; AP on fewer is another quantity."""

ALL_FACES = "wider_face_val.mat"
FILES = {subset: f"wider_{subset}_val.mat" for subset in SUBSETS}


@dataclass(frozen=True)
class Subset:
    """A choice of images, as it is recorded beside results on it."""

    pictures: int
    sha256: str
    """Of the sorted lines "EVENT/IMAGE", without ".jpg", joined by line feeds."""


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Faces of P images, F in all; an image's faces stand together, in the files' order.

    `boxes` is (F, 4): x, y, width, height in pixels, as annotated: a few have no area.
    `offsets` is (P + 1,): image p has the faces `offsets[p]:offsets[p + 1]`.
    `kept` is (3, F): whether a face belongs to easy, medium, hard.
    """

    events: tuple[str, ...]
    event: NDArray[np.int32]
    images: tuple[str, ...]
    boxes: NDArray[np.float64]
    offsets: NDArray[np.int64]
    kept: NDArray[np.bool_]
    subset: Subset | None = None
    outside: frozenset[tuple[str, str]] = frozenset()
    """The (event, image) that a subset leaves out: known, and not evaluated."""

    @cached_property
    def index(self) -> dict[tuple[str, str], int]:
        """From (event, image) to the image's position."""
        return {self.key(p): p for p in range(len(self.images))}

    @cached_property
    def _event_of(self) -> dict[str, str]:
        """From an image's name to its event, also outside of a subset."""
        return {image: event for event, image in (*self.outside, *self.index)}

    def event_of(self, image: str) -> str | None:
        """Return the event of an image by its name alone; None where the name says nothing.

        All names of the benchmark are different, and start with the event: "0_Parade_..." is of
        "0--Parade".
        """
        if image in self._event_of:
            return self._event_of[image]
        starts = ((event, event.replace("--", "_") + "_") for event in self.events)
        return next((event for event, start in starts if image.startswith(start)), None)

    @cached_property
    def image_of_face(self) -> NDArray[np.int32]:
        """(F,): the image each face is on."""
        return np.repeat(np.arange(len(self.images), dtype=np.int32), np.diff(self.offsets))

    def has_faces(self, image: NDArray[np.int32]) -> NDArray[np.bool_]:
        """(N,): whether each of (N,) images has faces; -1, an unknown image, has none."""
        return np.append(np.diff(self.offsets) > 0, False)[image]

    @property
    def faces(self) -> dict[str, int]:
        """Number of faces by subset."""
        return dict(zip(SUBSETS, map(int, self.kept.sum(axis=1)), strict=True))

    def key(self, image: int) -> tuple[str, str]:
        """Return event and name, without ".jpg", of an image."""
        return self.events[self.event[image]], self.images[image]

    def name(self, image: int) -> str:
        """Return EVENT/IMAGE, without ".jpg"."""
        return "/".join(self.key(image))

    def tallest_first(self, faces: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return (K,) positions of the faces of a (F,) mask; those of one height in order."""
        chosen = np.flatnonzero(faces)
        return chosen[np.argsort(-self.boxes[chosen, 3], kind="stable")]

    def only(
        self, chosen: Iterable[tuple[str, str]], source: str | Path = "the list of images"
    ) -> GroundTruth:
        """Return the ground truth of some images, as (event, image); other faces do not count.

        Raises:
            InputError: where there are none, or one is not in the ground truth, of the `source`.
        """
        keys = set(chosen)
        unknown = sorted("/".join(key).lstrip("/") for key in keys - self.index.keys())
        if unknown or not keys:
            reason = f"{unknown[0]!r} is not in the ground truth" if unknown else "it is empty"
            raise InputError(f"{source}: {reason}; a line is EVENT/IMAGE.jpg")
        if len(keys) == len(self.index):
            return self
        images = np.array([self.key(p) in keys for p in range(len(self.images))])
        faces = np.repeat(images, np.diff(self.offsets))
        lines = "\n".join(sorted("/".join(key) for key in keys))
        return GroundTruth(
            events=self.events,
            event=self.event[images],
            images=tuple(self.images[p] for p in np.flatnonzero(images)),
            boxes=self.boxes[faces],
            offsets=np.concatenate([[0], np.cumsum(np.diff(self.offsets)[images])]),
            kept=self.kept[:, faces],
            subset=Subset(len(keys), hashlib.sha256(lines.encode()).hexdigest()),
            outside=self.outside | (self.index.keys() - keys),
        )


def read_ground_truth(folder: str | Path, subset: str | Path | None = None) -> GroundTruth:
    """Read `wider_face_val.mat` and the three files that say which faces each subset keeps.

    The text file `subset` lists the images to keep, EVENT/IMAGE.jpg a line; None for all.

    Raises:
        InputError: where a file is missing, is no .mat file, or holds something else.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; it should hold {ALL_FACES} and its companions")
    path = folder / ALL_FACES
    below = next(folder.glob(f"*/{ALL_FACES}"), None)
    if below is not None and not path.exists():
        raise InputError(f"{folder}: holds no {ALL_FACES}; is {below.parent} meant?")
    event_list, file_list, boxes_list = _read(path, "event_list", "file_list", "face_bbx_list")
    try:
        events = tuple(map(_name, _cells(event_list)))
        names = _by_event(file_list, lambda value: bare(_name(value)))
        boxes = _by_event(boxes_list, _boxes)
        sizes = [len(listed) for listed in names]
        if len(events) != len(sizes) or sizes != [len(boxed) for boxed in boxes]:
            raise ValueError("its lists of events, images and boxes differ in length")
        if not any(sizes):
            raise ValueError("it lists no images")
        flat = list(chain.from_iterable(boxes))
        together = np.concatenate([np.empty((0, 4)), *flat]).astype(np.float64)
        if not np.isfinite(together).all():
            raise ValueError("a box is not finite")
    except ValueError as error:
        raise InputError(f"{path}: not the benchmark's faces: {error}") from None
    counts = np.array([len(box) for box in flat], dtype=np.int64)
    truth = GroundTruth(
        events=events,
        event=np.repeat(np.arange(len(events), dtype=np.int32), sizes),
        images=tuple(chain.from_iterable(names)),
        boxes=together,
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        kept=np.stack([_kept(folder / FILES[name], events, sizes, counts) for name in SUBSETS]),
    )
    if len(truth.index) != len(truth.images):
        raise InputError(f"{path}: lists an image twice")
    return truth if subset is None else truth.only(read_list(subset), subset)


def _read(path: Path, *names: str) -> list[Value]:
    if not path.exists():
        raise InputError(
            f"{path}: no such file; the faces of Easy, Medium and Hard are in the benchmark's four "
            ".mat files alone, which `featherface widerface fetch --no-images` downloads"
        )
    variables = read_mat(path, names)
    for name in names:
        if name not in variables:
            raise InputError(f"{path}: holds no {name}; is it WIDER FACE's ground truth?")
    return [variables[name] for name in names]


def _cells(value: Value) -> list[Value]:
    if isinstance(value, list):
        return value
    if isinstance(value, np.ndarray) and not value.size:  # MATLAB's [] stands for no cells
        return []
    raise ValueError(f"{value!r:.60} where a column of cells should be")


def _by_event(value: Value, convert: Callable[[Value], Any]) -> list[list[Any]]:
    return [[convert(cell) for cell in _cells(event)] for event in _cells(value)]


def _name(value: Value) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{value!r:.60} where a name should be")
    return value


def _boxes(value: Value) -> NDArray[Any]:
    if not isinstance(value, np.ndarray) or (value.size and value.shape[1] != 4):
        raise ValueError(f"{value!r:.60} where x, y, width and height should be")
    return value if value.size else np.empty((0, 4))


def _numbers(value: Value) -> NDArray[Any]:
    if not isinstance(value, np.ndarray):
        raise ValueError(f"{value!r:.60} where numbers of faces should be")
    return value.ravel()


def _kept(
    path: Path, events: tuple[str, ...], sizes: list[int], counts: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(F,): whether the subset of this file keeps a face. Its numbers count from 1."""
    event_list, numbers_list = _read(path, "event_list", "gt_list")
    try:
        if tuple(map(_name, _cells(event_list))) != events:
            raise ValueError(f"its events are not those of {ALL_FACES}")
        by_event = _by_event(numbers_list, _numbers)
        if [len(event) for event in by_event] != sizes:
            raise ValueError(f"its events have not as many images as those of {ALL_FACES}")
        numbers = list(chain.from_iterable(by_event))
        given = np.array([len(number) for number in numbers], dtype=np.int64)
        chosen = np.concatenate([np.empty(0, dtype=np.int64), *numbers])
        if not ((chosen >= 1) & (chosen <= np.repeat(counts, given))).all():
            raise ValueError("it keeps a face that is not there")
        starts = np.repeat(np.cumsum(counts) - counts, given)
        kept = np.zeros(counts.sum(), dtype=bool)
        kept[starts + chosen.astype(np.int64) - 1] = True
        if kept.sum() != len(chosen):
            raise ValueError("it keeps a face twice")
    except ValueError as error:
        raise InputError(f"{path}: not a subset of the benchmark's faces: {error}") from None
    return kept
