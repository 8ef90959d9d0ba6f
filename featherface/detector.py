"""A picture in, the faces on it out."""

from __future__ import annotations

import operator
import os
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from featherface.boxes import decode_boxes, decode_landmarks, make_anchors, nms
from featherface.config import MIN_SIZE, FeatherFaceConfig
from featherface.errors import InputError, without_warnings
from featherface.images import (
    MAX_NETWORK_PIXELS,
    Picture,
    PictureError,
    describe,
    preprocess,
    read_picture,
)
from featherface.model import FeatherFace
from featherface.runtimes.network import (
    FloatArray,
    Network,
    RawDetections,
    Runtime,
    checked_runtime,
    make_network,
    open_onnx,
)
from featherface.weights import checkpoints


@dataclass(frozen=True)
class Face:
    """A face that was found; places are in pixels of the upright original picture.

    x grows to the right and y downwards, from the upper left corner of the upper left pixel.
    """

    box: tuple[float, float, float, float]
    """x1, y1, x2, y2: left, top, right, bottom. As in the official protocol it is not clipped:
    the box of a face at the edge may leave the picture."""
    score: float
    """How sure the network is, from 0 to 1."""
    landmarks: tuple[tuple[float, float], ...]
    """Five (x, y): the left eye, the right eye, the tip of the nose, the left corner of the mouth
    and the right one; left and right as seen in the picture."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: `box` (4 numbers), `score`, `landmarks` (5 pairs)."""
        return {
            "box": list(self.box),
            "score": self.score,
            "landmarks": [list(point) for point in self.landmarks],
        }


class Detections(NamedTuple):
    """The same faces as arrays, by falling score; see `Face` for units and order."""

    boxes: FloatArray  # (n, 4)
    scores: FloatArray  # (n,)
    landmarks: FloatArray  # (n, 5, 2)


class Detector:
    """Finds faces, as the official test protocol does: `detector(picture)` → list of `Face`.

    Args:
        weights: the name of published weights, a checkpoint (see `featherface.load`), a model,
            of which the detector takes a copy, or an ONNX file that
            `featherface.runtimes.export.export`
            has written, by its ending `.onnx`.
        score_threshold: a face must score more than this; 0 ≤ … < 1.
        nms_threshold: of two boxes whose intersection over union is larger, the one with the
            lower score is dropped; from 0 to 1.
        size: of the picture at the network, in pixels: `None` for its original size, as the
            official protocol has it; the longer side, keeping the aspect ratio up to rounding;
            or (height, width) exactly. At least 32. Whatever it is, faces are found in
            coordinates of the original.
        max_faces: keep only so many, the best.
        device: where the network runs; `None` for CUDA where there is one and PyTorch is not
            excluded by `weights` or `runtime`, else the CPU.
        runtime: what computes the network. "torch": PyTorch. "compile": compiled PyTorch, which
            takes its time at first. "onnx": ONNX Runtime, on the CPU. "auto": on the CPU ONNX
            Runtime, where it is installed and computes what PyTorch does; PyTorch otherwise.
        threads: of the CPU, for the network, up to 64 or the processors here, whichever are more;
            `None` for what PyTorch is set to.

    Attributes:
        network: the `Network` that is called.
        runtime: which runtime that is: "torch", "compile" or "onnx".

    Raises:
        InputError: for an argument outside of these, one clear line.
        CheckpointError: for weights that cannot be had or used (an `InputError` too).
    """

    config: FeatherFaceConfig
    network: Network
    runtime: Runtime

    def __init__(
        self,
        weights: str | Path | FeatherFace = "official",
        *,
        score_threshold: float = 0.02,
        nms_threshold: float = 0.4,
        size: int | tuple[int, int] | None = None,
        max_faces: int | None = None,
        device: str | torch.device | None = None,
        runtime: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.score_threshold = _fraction("score_threshold", score_threshold)
        if self.score_threshold == 1:
            raise InputError("score_threshold (=1) must be below 1: no score exceeds it")
        self.nms_threshold = _fraction("nms_threshold", nms_threshold)
        self.size = _checked_size(size)
        self.max_faces = None if max_faces is None else _integer("max_faces", max_faces, 1)
        wanted = checked_runtime(runtime)
        threads = None if threads is None else _checked_threads(threads)
        exported = isinstance(weights, str | Path) and Path(weights).suffix.lower() == ".onnx"
        if device is None and (exported or wanted == "onnx"):
            device = "cpu"
        where = _checked_device(device)
        if isinstance(weights, str | Path) and exported:
            if wanted not in ("auto", "onnx") or where.type != "cpu":
                raise InputError(
                    f"{weights}: an ONNX file is for runtime 'onnx' on the CPU, not for "
                    f"{runtime!r} on {str(where)!r}"
                )
            network = open_onnx(Path(weights), threads)
            self.config, self.network, self.runtime = network.config, network, "onnx"
            return
        if isinstance(weights, FeatherFace):
            model = weights
        elif isinstance(weights, str | Path):
            model = checkpoints.load(weights)
        else:
            raise InputError(
                f"weights (of type {type(weights).__name__}) must be a name, a file or a model"
            )
        self.config = model.config
        self.network, self.runtime = make_network(model, wanted, where, threads)

    def __call__(self, picture: Picture, *, bgr: bool = False) -> list[Face]:
        """The faces on a picture, by falling score.

        Args:
            picture: a path, a PIL image, an array or a tensor; `featherface.images.read_picture`
                says which types, shapes and ranges, and what `bgr` is for.

        Raises:
            PictureError: for a picture that cannot be read or used.
        """
        found = self.detect_arrays(picture, bgr=bgr)
        return [
            Face(box=tuple(box), score=score, landmarks=tuple((x, y) for x, y in landmarks))
            for box, score, landmarks in zip(*(array.tolist() for array in found), strict=True)
        ]

    def detect_arrays(self, picture: Picture, *, bgr: bool = False) -> Detections:
        """The same as arrays, for many pictures in a row."""
        name = describe(picture)
        prepared = preprocess(read_picture(picture, bgr=bgr), self.size, name=name)
        height, width = prepared.pixels.shape[-2:]
        try:
            raw = self.network(prepared.pixels)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise PictureError(
                f"{name}: too little memory for {width}×{height} pixels; a smaller size= takes less"
            ) from error
        found = postprocess(
            raw,
            _anchors(height, width, self.config.anchors),
            (width * prepared.scale[0], height * prepared.scale[1]),
            score_threshold=self.score_threshold,
            nms_threshold=self.nms_threshold,
            max_faces=self.max_faces,
        )
        if not all(np.isfinite(array).all() for array in (raw.scores, *found)):
            raise InputError(
                f"{name}: the network's answer is not finite; its weights are unusable"
            )
        return found


def postprocess(
    raw: RawDetections,
    anchors: Tensor,
    extent: tuple[float, float],
    *,
    score_threshold: float,
    nms_threshold: float,
    max_faces: int | None = None,
) -> Detections:
    """Official post-processing: score above the threshold, decode, non-maximum suppression.

    Args:
        anchors: (N, 4), see `featherface.boxes.make_anchors`.
        extent: width and height of the network's input, in the pixels wanted.

    The official code counts a box from pixel 3 to pixel 5 as three wide in its non-maximum
    suppression; `torchvision.ops.nms`, as here, as two.
    """
    kept = np.flatnonzero(raw.scores > score_threshold)
    # Filtered first: of the tens of thousands of anchors, hundreds are decoded.
    chosen = anchors[torch.from_numpy(kept)]
    scores = torch.from_numpy(raw.scores[kept])
    x_y = torch.tensor(extent, dtype=torch.float32, device="cpu")
    boxes = decode_boxes(torch.from_numpy(raw.boxes[kept]), chosen) * x_y.repeat(2)
    best = nms(boxes, scores, nms_threshold)[:max_faces]  # sorted by falling score
    landmarks = decode_landmarks(torch.from_numpy(raw.landmarks[kept])[best], chosen[best]) * x_y
    return Detections(boxes[best].numpy(), scores[best].numpy(), landmarks.numpy())


@lru_cache(maxsize=8)  # at most eight times 11 MB, at MAX_NETWORK_PIXELS
def _anchors(height: int, width: int, anchors: int) -> Tensor:
    return make_anchors(height, width, anchors, device="cpu")


def _checked_size(size: int | tuple[int, int] | None) -> int | tuple[int, int] | None:
    if size is None:
        return None
    if not isinstance(size, tuple | list):
        return _integer("size", size, MIN_SIZE)
    if len(size) != 2:
        raise InputError(f"size (={size!r}) must be one number, or height and width")
    height, width = (_integer("size", side, MIN_SIZE) for side in size)
    if height * width > MAX_NETWORK_PIXELS:
        raise InputError(
            f"size (={height}, {width}) is {height * width:,} pixels, more than the "
            f"{MAX_NETWORK_PIXELS:,} the network takes at once"
        )
    return height, width


def _checked_threads(threads: int) -> int:
    # More than the processors is slow, but scripts move between machines; a hundred thousand
    # threads end the process.
    number, most = _integer("threads", threads, 1), max(64, os.cpu_count() or 1)
    if number > most:
        raise InputError(f"threads (={number}) must be at most {most}")
    return number


def _integer(name: str, value: object, least: int) -> int:
    if isinstance(value, bool):
        raise InputError(f"{name} (={value!r}) must be an integer")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise InputError(f"{name} (={value!r}) must be an integer") from error
    if number < least:
        raise InputError(f"{name} (={number}) must be at least {least}")
    return number


def _fraction(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
        raise InputError(f"{name} (={value!r}) must be a number from 0 to 1")
    return float(value)


def _checked_device(device: str | torch.device | None) -> torch.device:
    if device is None:
        # A driver too old for this PyTorch is reported, and then means the CPU.
        with without_warnings(r"torch\.cuda"):
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        checked = torch.device(device)
        torch.zeros(1, device=checked).cpu()  # exists, and gives back what it was given
    except Exception as error:  # of any class: some backends' modules are missing
        reason = str(error) or type(error).__name__
        raise InputError(f"device (={str(device)!r}) cannot be used: {reason}") from error
    return checked
