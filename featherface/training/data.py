"""Images with annotated faces: read from a folder or a pack, decoded once, kept on the device."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from featherface.boxes import MEAN_BGR
from featherface.errors import InputError
from featherface.images import RGBArray, read_picture

BOXES = "boxes.json"
IMAGES = "images"


class DataError(InputError):
    """Training data that cannot be read; the message names the file and what is wrong."""


@dataclass(frozen=True)
class Sample:
    """One image and its annotated faces, in pixels of the image as stored."""

    name: str
    boxes: list[list[float]]  # x, y, width, height of each
    landmarks: list[list[float] | None]  # ten numbers of each, or None where not annotated


@dataclass(frozen=True)
class Source:
    """Where samples come from: a folder of `images` and annotations, or a pack of both."""

    path: Path
    samples: list[Sample]
    sha256: str  # of the annotations

    def read(self, sample: Sample) -> bytes:
        """Return the encoded image of a sample."""
        raise NotImplementedError


class Folder(Source):
    """Images as files."""

    def read(self, sample: Sample) -> bytes:
        file = self.path / IMAGES / sample.name
        try:
            return file.read_bytes()
        except OSError as error:
            raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error


@dataclass(frozen=True)
class Pack(Source):
    """Images re-encoded in one zip, see `featherface.training.pack`."""

    archive: zipfile.ZipFile

    def read(self, sample: Sample) -> bytes:
        name = str(PurePosixPath(IMAGES, sample.name).with_suffix(".webp"))
        try:
            return self.archive.read(name)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise DataError(f"{self.path}: {name} cannot be read: {error}") from error


def read_source(path: str | Path) -> Source:
    """Return the samples of a folder (`images/`, `boxes.json`) or of a pack made from one.

    Raises:
        DataError: where there is neither, or the annotations are not what they should be.
    """
    path = Path(path)
    archive = None
    try:
        if path.is_file():
            archive = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
            content = archive.read(BOXES)
        else:
            content = (path / BOXES).read_bytes()
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: no folder or pack with {BOXES}: {reason}") from error
    samples = _samples(content, path)
    digest = hashlib.sha256(content).hexdigest()
    return (
        Folder(path, samples, digest) if archive is None else Pack(path, samples, digest, archive)
    )


def _samples(content: bytes, path: Path) -> list[Sample]:
    try:
        document = json.loads(content)
        samples = []
        for name, record in document.items():
            boxes = [[float(value) for value in box] for box in record["boxes"]]
            if any(len(box) != 4 for box in boxes):
                raise ValueError(f"a box of {name} does not have four numbers")
            samples.append(Sample(name, boxes, [None] * len(boxes)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: {BOXES} is not understood: {error!r}") from error
    if not samples:
        raise DataError(f"{path}: {BOXES} names no image")
    return sorted(samples, key=lambda sample: sample.name)


def split(samples: Sequence[Sample], holdout: int) -> tuple[list[Sample], list[Sample]]:
    """Return the samples to train on and, spread evenly over the names, `holdout` others.

    Raises:
        DataError: where nothing is left to train on.
    """
    if holdout >= len(samples):
        raise DataError(f"holdout (={holdout}) leaves none of {len(samples)} images to train on")
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
    def device(self) -> torch.device:
        return self.pixels.device


def decode(source: Source, samples: Sequence[Sample], device: torch.device | str) -> Images:
    """Read and decode samples, on all processor cores, and move them to the device.

    Raises:
        DataError: for an image that is missing; PictureError for one that cannot be decoded.
    """
    with ThreadPoolExecutor() as pool:
        arrays = list(pool.map(lambda sample: _decoded(source, sample), samples))
    side = max(max(array.shape[:2]) for array in arrays)
    most = max(1, *(len(sample.boxes) for sample in samples)) if samples else 1
    pixels = torch.empty(len(arrays), 3, side, side, dtype=torch.uint8)
    boxes = torch.zeros(len(arrays), most, 4)
    landmarks = torch.full((len(arrays), most, 10), torch.nan)
    for i, (array, sample) in enumerate(zip(arrays, samples, strict=True)):
        for channel, mean in enumerate(MEAN_BGR):
            pixels[i, channel] = round(mean)
        pixels[i, :, : array.shape[0], : array.shape[1]] = torch.from_numpy(array).permute(2, 0, 1)
        if sample.boxes:
            boxes[i, : len(sample.boxes)] = torch.tensor(sample.boxes)
        for j, points in enumerate(sample.landmarks):
            if points is not None:
                landmarks[i, j] = torch.tensor(points)
    boxes[..., 2:] += boxes[..., :2]
    extents = torch.tensor([[a.shape[1], a.shape[0]] for a in arrays], dtype=torch.float32)
    counts = torch.tensor([len(sample.boxes) for sample in samples])
    tensors = (pixels, extents, boxes, landmarks, counts)
    return Images(*(tensor.to(device) for tensor in tensors))


def _decoded(source: Source, sample: Sample) -> RGBArray:
    with Image.open(io.BytesIO(source.read(sample))) as image:
        return np.ascontiguousarray(read_picture(image)[:, :, ::-1])
