"""Images with annotated faces: read from a folder or a pack, decoded once, kept on the device.

Annotations that are understood, by what a folder holds:

- `boxes.json`: {"EVENT/IMAGE.jpg": {"boxes": [[x, y, width, height], ...]}}, beside `images/`;
- `label.txt` of RetinaFace, with landmarks, beside `images/`;
- `wider_face_split/wider_face_train_bbx_gt.txt` beside `WIDER_train/images/`, as WIDER FACE comes
  and as torchvision unpacks it, there in a folder `widerface`.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from featherface.boxes import MEAN_BGR
from featherface.errors import InputError
from featherface.files import read_bytes
from featherface.images import PictureError, RGBArray, read_picture
from featherface.training.recipe import Recipe

BOXES = "boxes.json"
IMAGES = "images"
WIDER_FACE = "wider_face_split/wider_face_train_bbx_gt.txt"
_A_FOLDER = f"a folder with {BOXES}, label.txt or {WIDER_FACE}"


_UNREADABLE = OSError, RuntimeError, zipfile.BadZipFile, zlib.error
"""Of a zip file and its entries: encrypted ones raise a RuntimeError."""


class DataError(InputError):
    """Training data that cannot be read; the message names the file and what is wrong."""


@dataclass(frozen=True)
class Sample:
    """One image and its annotated faces, in pixels of the image as stored."""

    name: str
    boxes: list[list[float]] = field(default_factory=list)  # x, y, width, height of each
    landmarks: list[list[float] | None] = field(default_factory=list)
    """Ten numbers of each face, or None where not annotated; empty in sources without them."""


@dataclass(frozen=True)
class Source:
    """A source of samples: a folder of images and annotations, or a pack of both."""

    images: Path | zipfile.Path
    samples: list[Sample]
    sha256: str  # of the annotations

    def read(self, sample: Sample) -> RGBArray:
        """Return the image of a sample; PictureError or DataError where it cannot be read."""
        if isinstance(self.images, Path):
            return read_picture(self.images / sample.name)
        file = self.images / packed_name(sample)
        try:
            return read_picture(file.read_bytes())
        except (*_UNREADABLE, PictureError) as error:
            raise DataError(f"{file}: cannot be read: {error}") from None


def packed_name(sample: Sample) -> str:
    """Return the name of a sample's image in a pack."""
    return str(PurePosixPath(sample.name).with_suffix(".webp"))


def read_source(path: str | Path) -> Source:
    """Return the samples of a folder or of a pack made from one.

    Raises:
        DataError: where there is neither, or the annotations are not what they should be.
    """
    path = Path(path)
    if path.is_file():
        try:
            archive = zipfile.ZipFile(path)
            content = archive.read(BOXES)
        except (*_UNREADABLE, KeyError) as error:
            raise DataError(
                f"{path}: no pack of training data ({error}); give a pack or {_A_FOLDER}"
            ) from None
        samples = _parsed(content, f"{path}: {BOXES}", _boxes)
        images = zipfile.Path(archive, f"{IMAGES}/")
        return Source(images, samples, hashlib.sha256(content).hexdigest())
    inside = path / "widerface" if (path / "widerface").is_dir() else path
    for file, folder, parse in (
        (path / BOXES, path / IMAGES, _boxes),
        (path / "label.txt", path / IMAGES, _retinaface),
        (inside / WIDER_FACE, inside / "WIDER_train" / IMAGES, _wider_face),
    ):
        if file.is_file():
            content = read_bytes(file, error=DataError)
            samples = _parsed(content, str(file), parse)
            return Source(folder, samples, hashlib.sha256(content).hexdigest())
    raise DataError(f"{path}: neither a pack nor {_A_FOLDER}")


def _parsed(content: bytes, name: str, parse: Callable[[str], list[Sample]]) -> list[Sample]:
    try:
        samples = sorted(parse(content.decode("utf-8-sig")), key=lambda sample: sample.name)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise DataError(f"{name}: not understood: {error}") from None
    if not samples:
        raise DataError(f"{name}: names no image")
    for sample in samples:
        if not np.isfinite(sample.boxes).all():
            raise DataError(f"{name}: a box of {sample.name} is not finite")
        path = PurePosixPath(sample.name)
        if ".." in path.parts or path.is_absolute() or not path.name:
            raise DataError(f"{name}: {sample.name!r} lies outside the folder of images")
    for before, sample in pairwise(samples):
        if before.name == sample.name:  # both halves of a run's data might hold it
            raise DataError(f"{name}: names {sample.name} twice")
    return samples


def _boxes(text: str) -> list[Sample]:
    samples = []
    # Pairs, as a dictionary would keep the last of two entries of one name.
    for name, record in json.loads(text, object_pairs_hook=list):
        if not isinstance(name, str):
            raise TypeError(f"{name!r:.40} is no name of an image")
        try:
            boxes = [[float(value) for value in box] for box in dict(record)["boxes"]]
        except (ValueError, TypeError, KeyError):
            raise ValueError(
                f'{name!r:.80} is not followed by {{"boxes": [[x, y, width, height], ...]}}'
            ) from None
        if any(len(box) != 4 for box in boxes):
            raise ValueError(f"a box of {name} does not have four numbers")
        samples.append(Sample(name, boxes))
    return samples


def _retinaface(text: str) -> list[Sample]:
    """A line "# NAME" an image, then one a face: box, five (x, y, visibility), confidence."""
    samples: list[Sample] = []
    for line in text.splitlines():
        if line.startswith("#"):
            samples.append(Sample(line[1:].strip()))
        elif line.strip():
            values = _numbers(line, 19)
            if not samples:
                raise ValueError("a face before the first line '# NAME'")
            points = [value for i in range(4, 19, 3) for value in values[i : i + 2]]
            samples[-1].boxes.append(values[:4])
            samples[-1].landmarks.append(points if min(points) >= 0 else None)  # -1: not annotated
    return samples


def _wider_face(text: str) -> list[Sample]:
    """Name, number of faces, and a line a face; one line of zeros where there is none."""
    lines = (line.strip() for line in text.splitlines() if line.strip())
    samples = []
    for name in lines:
        count = int(next(lines, "no number"))
        rows = [_numbers(line, 4) for line in islice(lines, max(count, 1))][:count]
        if len(rows) != count:
            raise ValueError(f"{name}: {len(rows)} lines of boxes, not {count}")
        # The eighth number says that a box is not to be used.
        samples.append(Sample(name, [row[:4] for row in rows if not any(row[7:8])]))
    return samples


def _numbers(line: str, least: int) -> list[float]:
    try:
        values = [float(value) for value in line.split()]
    except ValueError:
        values = []
    if len(values) < least:
        raise ValueError(f"{line[:40]!r} is no line of {least} numbers or more")
    return values


def split(samples: Sequence[Sample], holdout: int) -> tuple[list[Sample], list[Sample]]:
    """Return the samples to train on, and `holdout` others, spread evenly over the names.

    Raises:
        DataError: where nothing is left to train on.
    """
    if holdout >= len(samples):
        raise DataError(
            f"holdout (={holdout}) leaves none of {len(samples)} images to train on; 0 keeps all"
        )
    held = {i * len(samples) // holdout for i in range(holdout)}
    kept = [sample for i, sample in enumerate(samples) if i not in held]
    return kept, [samples[i] for i in sorted(held)]


@dataclass(frozen=True)
class Images:
    """Decoded images and their faces as tensors on one device."""

    pixels: Tensor
    """(n, 3, P, P) uint8: blue, green, red; at the top left, the mean colour around it."""
    extents: Tensor
    """(n, 2) float32: width and height of each, in pixels."""
    boxes: Tensor
    """(n, F, 4) float32: x1, y1, x2, y2 in pixels; zero beyond the faces of an image."""
    landmarks: Tensor
    """(n, F, 10) float32: five (x, y) in pixels; NaN where not annotated."""
    counts: Tensor
    """(n,) int64: faces of each."""

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def have_faces(self) -> bool:
        """True where a box has an area inside its image."""
        return bool((self.boxes[..., 2:] > self.boxes[..., :2]).all(dim=2).any())

    @property
    def device(self) -> torch.device:
        return self.pixels.device


def decode(
    source: Source,
    samples: Sequence[Sample],
    device: torch.device | str,
    longest: int = Recipe.longest,
) -> Images:
    """Return samples read and decoded, reduced to a longer side of `longest` pixels at most."""
    with ThreadPoolExecutor() as pool:
        decoded = list(pool.map(lambda sample: _decoded(source, sample, longest), samples))
    arrays = [array for array, _ in decoded]
    side = max(max(array.shape[:2]) for array in arrays)
    most = max(1, *(len(sample.boxes) for sample in samples))
    around = torch.tensor(MEAN_BGR).round().to(torch.uint8)[:, None, None]
    pixels = around.repeat(len(arrays), 1, side, side)
    boxes = torch.zeros(len(arrays), most, 4, dtype=torch.float64)
    landmarks = torch.full((len(arrays), most, 10), torch.nan)
    for i, ((array, scale), sample) in enumerate(zip(decoded, samples, strict=True)):
        pixels[i, :, : array.shape[0], : array.shape[1]] = (
            torch.from_numpy(array).permute(2, 0, 1).flip(0)
        )
        if sample.boxes:
            boxes[i, : len(sample.boxes)] = torch.tensor(sample.boxes, dtype=torch.float64) * scale
        for j, points in enumerate(sample.landmarks):
            if points is not None:
                landmarks[i, j] = torch.tensor(points) * scale
    extents = torch.tensor([array.shape[1::-1] for array in arrays], dtype=torch.float32)
    boxes[..., 2:] += boxes[..., :2]
    inside = torch.minimum(boxes.clamp(min=0), extents.repeat(1, 2)[:, None]).float()
    counts = torch.tensor([len(sample.boxes) for sample in samples])
    tensors = (pixels, extents, inside, landmarks, counts)
    return Images(*(tensor.to(device) for tensor in tensors))


def _decoded(source: Source, sample: Sample, longest: int) -> tuple[RGBArray, float]:
    """The image, and the factor by which it was reduced."""
    image = Image.fromarray(source.read(sample))
    side = max(image.size)
    image.thumbnail((longest, longest), Image.Resampling.BILINEAR, reducing_gap=None)
    return np.array(image), max(image.size) / side
