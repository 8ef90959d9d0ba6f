"""Faces on an image the way the authors' test script finds them: the peer of our benchmarks.

What is theirs: eager PyTorch with torchvision's deformable convolution, anchors made anew for each
image in Python loops, every anchor's box and landmarks decoded before any is thrown away, and
non-maximum suppression in NumPy, a row at a time. What is not: the image is read with Pillow, not
OpenCV (so that both sides read it alike), and the network is ours with the same weights, which
computes what theirs does, operator for operator.
"""

from __future__ import annotations

import time
from itertools import product
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from featherface.blocks.deform_kernel import deform_kernel
from featherface.model import FeatherFace

FloatArray = npt.NDArray[np.float32]

_STEPS = (8, 16, 32)
_MIN_SIZES = ((16, 32), (64, 128), (256, 512))
_VARIANCES = (0.1, 0.2)


class Answer(NamedTuple):
    """Faces by falling score, in pixels of the image, and where the time went."""

    faces: FloatArray  # (n, 15): x1, y1, x2, y2, score, five landmarks x, y
    seconds: dict[str, float]  # read, network, anchors, decode, suppress


def detect(
    model: FeatherFace, picture: Path, *, score: float = 0.02, overlap: float = 0.4
) -> Answer:
    """Read an image, and find its faces.

    Args:
        model: in evaluation mode; its device computes all but the suppression.
        score: a face scores more than this.
        overlap: of two boxes that overlap more, the worse is dropped.
    """
    marks = [time.perf_counter()]
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"))[:, :, ::-1].astype(np.float32)
    height, width, _ = pixels.shape
    pixels -= np.array((104, 117, 123), dtype=np.float32)
    network_input = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
    device = next(model.parameters()).device
    marks.append(time.perf_counter())
    with torch.no_grad(), deform_kernel("torchvision"):
        outputs = model(network_input.to(device))
        confidence = outputs.logits.softmax(-1)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    marks.append(time.perf_counter())
    priors = make_priors(height, width).to(device)
    marks.append(time.perf_counter())
    boxes = decode(outputs.boxes[0], priors) * torch.tensor([width, height] * 2, device=device)
    extent = torch.tensor([width, height] * 5, device=device)
    landmarks = decode_landmarks(outputs.landmarks[0], priors) * extent
    scores = confidence[0, :, 1].cpu().numpy()
    chosen = np.where(scores > score)[0]
    order = chosen[scores[chosen].argsort()[::-1]]
    encoded = (boxes.cpu().numpy()[order], scores[order, None], landmarks.cpu().numpy()[order])
    found = np.hstack(encoded).astype(np.float32, copy=False)
    marks.append(time.perf_counter())
    faces: FloatArray = found[suppress(found[:, :5], overlap)]
    marks.append(time.perf_counter())
    stages = ("read", "network", "anchors", "decode", "suppress")
    return Answer(faces, dict(zip(stages, np.diff(marks).tolist(), strict=True)))


def make_priors(height: int, width: int) -> Tensor:
    """Return (N, 4): centre x, y, width, height as fractions, made one number at a time."""
    numbers: list[float] = []
    for step, min_sizes in zip(_STEPS, _MIN_SIZES, strict=True):
        for row, column in product(range(ceil(height / step)), range(ceil(width / step))):
            for min_size in min_sizes:
                x, y = (column + 0.5) * step / width, (row + 0.5) * step / height
                numbers += [x, y, min_size / width, min_size / height]
    return torch.tensor(numbers).view(-1, 4)


def decode(encoded: Tensor, priors: Tensor) -> Tensor:
    """Return (N, 4): x1, y1, x2, y2 as fractions, of every anchor."""
    boxes = torch.cat(
        (
            priors[:, :2] + encoded[:, :2] * _VARIANCES[0] * priors[:, 2:],
            priors[:, 2:] * torch.exp(encoded[:, 2:] * _VARIANCES[1]),
        ),
        1,
    )
    boxes[:, :2] -= boxes[:, 2:] / 2
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def decode_landmarks(encoded: Tensor, priors: Tensor) -> Tensor:
    """Return (N, 10): five x, y as fractions, of every anchor."""
    return torch.cat(
        [
            priors[:, :2] + encoded[:, i : i + 2] * _VARIANCES[0] * priors[:, 2:]
            for i in range(0, 10, 2)
        ],
        dim=1,
    )


def suppress(found: FloatArray, overlap: float) -> list[int]:
    """Return the indices kept of boxes and scores (n, 5), sorted by falling score.

    A box from pixel 3 to pixel 5 is three wide.
    """
    x1, y1, x2, y2, scores = found.T
    areas = (x2 - x1 + 1) * (y2 - y1 + 1)
    order: npt.NDArray[Any] = scores.argsort()[::-1]
    kept = []
    while order.size > 0:
        i, rest = order[0], order[1:]
        kept.append(int(i))
        across = np.minimum(x2[i], x2[rest]) - np.maximum(x1[i], x1[rest]) + 1
        down = np.minimum(y2[i], y2[rest]) - np.maximum(y1[i], y1[rest]) + 1
        shared = np.maximum(0.0, across) * np.maximum(0.0, down)
        ratio = shared / (areas[i] + areas[rest] - shared)
        order = rest[ratio <= overlap]
    return kept
