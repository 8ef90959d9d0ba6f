"""The faces on one image under a protocol: views, candidates, and one box a face."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou

from analysis.widerface.protocol import Protocol
from featherface.boxes import MEAN_BGR, cached_anchors, decode_boxes, nms
from featherface.config import MIN_SIZE
from featherface.detector import Detector
from featherface.errors import InputError, out_of_memory
from featherface.images import MAX_NETWORK_PIXELS, FloatArray, PictureError, RGBArray, preprocess
from featherface.runtimes.interface import RawDetections


class Found(NamedTuple):
    """Faces by falling score, in pixels of the original image."""

    boxes: FloatArray  # (n, 4): x1, y1, x2, y2, unclipped
    scores: FloatArray  # (n,)


def find(detector: Detector, image: RGBArray, protocol: Protocol, name: str = "picture") -> Found:
    """Return the faces on a (height, width, 3) uint8 RGB image; `name` is for error messages.

    The detector's own thresholds play no part.

    Raises:
        PictureError: for an image too large for the network or the memory.
        InputError: where the network's answer is not finite.
    """
    parts = [_candidates(detector, view, protocol, name) for view in _views(image, protocol, name)]
    boxes = torch.cat([part[0] for part in parts])
    scores = torch.cat([part[1] for part in parts])
    # One pixel more at the right and below is exactly what "from pixel 3 to pixel 5 is three"
    # adds to both intersections and areas.
    extended = boxes + boxes.new_tensor([0, 0, 1, 1]) if protocol.inclusive_pixels else boxes
    kept = nms(extended, scores, protocol.nms_threshold)  # sorted by falling score
    kept_boxes = boxes[kept]
    if protocol.voting:
        kept_boxes = vote(boxes, scores, kept, protocol.nms_threshold)
    return Found(kept_boxes.numpy(), scores[kept].numpy())


class _View(NamedTuple):
    pixels: FloatArray  # (1, 3, height, width), as a network takes it
    extent: tuple[float, float]  # its width and height in pixels of the original
    mirrored: float | None  # the original's width, where the view is mirrored


def _views(image: RGBArray, protocol: Protocol, name: str) -> Iterator[_View]:
    height, width = image.shape[:2]
    for size in protocol.sizes(height, width):
        pixels, extent = _resized(image, size, name)
        yield _View(pixels, extent, None)
        if protocol.flip:
            # Mirrored before it is padded, so that the padding stays at the right.
            mirrored, extent = _resized(np.ascontiguousarray(image[:, ::-1]), size, name)
            yield _View(mirrored, extent, float(width))


def _resized(
    image: RGBArray, size: tuple[int, int], name: str
) -> tuple[FloatArray, tuple[float, float]]:
    """Return the network's input at a size, and its extent in pixels of the original."""
    height, width = image.shape[:2]
    if size == (height, width):
        prepared = preprocess(image, name=name)
        rows, columns = prepared.pixels.shape[-2:]
        return prepared.pixels, (columns * prepared.scale[0], rows * prepared.scale[1])
    padded = tuple(max(side, MIN_SIZE) for side in size)
    if padded[0] * padded[1] > MAX_NETWORK_PIXELS:
        raise PictureError(
            f"{name}: {padded[1]}×{padded[0]} pixels at the network are more than the "
            f"{MAX_NETWORK_PIXELS:,} it takes at once"
        )
    bgr = torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1])).permute(2, 0, 1)[None]
    pixels = F.interpolate(bgr.float(), size=size, mode="bilinear", align_corners=False)
    pixels -= pixels.new_tensor(MEAN_BGR).view(3, 1, 1)
    pixels = F.pad(pixels, (0, padded[1] - size[1], 0, padded[0] - size[0]))
    return pixels.numpy(), (padded[1] * width / size[1], padded[0] * height / size[0])


def _candidates(
    detector: Detector, view: _View, protocol: Protocol, name: str
) -> tuple[Tensor, Tensor]:
    """Return boxes (n, 4) in pixels of the original and scores (n,), all above the threshold."""
    height, width = view.pixels.shape[-2:]
    try:
        raw: RawDetections = detector.network(view.pixels)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise PictureError(f"{name}: too little memory for {width}×{height} pixels") from None
    kept = np.flatnonzero(raw.scores > protocol.score_threshold)
    anchors = cached_anchors(height, width, detector.config.anchors)[torch.from_numpy(kept)]
    extent = torch.tensor(view.extent * 2, dtype=torch.float32, device="cpu")
    boxes = decode_boxes(torch.from_numpy(raw.boxes[kept]), anchors) * extent
    scores = torch.from_numpy(raw.scores[kept])
    if not (np.isfinite(raw.scores).all() and boxes.isfinite().all()):
        raise InputError(f"{name}: the network's answer is not finite; its weights are unusable")
    if view.mirrored is not None:
        left, top, right, bottom = boxes.unbind(dim=-1)
        boxes = torch.stack([view.mirrored - right, top, view.mirrored - left, bottom], dim=-1)
    return boxes, scores


def vote(boxes: Tensor, scores: Tensor, kept: Tensor, threshold: float) -> Tensor:
    """Return the (k, 4) boxes kept, each averaged by score with those that it suppressed.

    Of (n, 4) boxes and (n,) scores, `kept` are the (k,) indices that non-maximum suppression left
    at this threshold, by falling score. A box belongs to the first of them that it overlaps by
    more than the threshold.
    """
    if len(kept) == 0:
        return boxes[kept]
    best = kept.new_full((len(boxes),), -1)
    best[kept] = torch.arange(len(kept), device=kept.device)
    left = (best < 0).nonzero()[:, 0]  # what is not with any of the kept yet
    step = max(1, 2**22 // len(boxes))  # overlaps of some of the kept at a time: 16 MB
    for start in range(0, len(kept), step):
        over = box_iou(boxes[kept[start : start + step]], boxes[left]) > threshold
        found = over.any(dim=0)
        best[left[found]] = over.int().argmax(dim=0)[found] + start
        left = left[~found]
    chosen = best >= 0  # all of them, but where rounding sees an overlap on one side only
    weights = scores[chosen].double()
    total = weights.new_zeros(len(kept)).index_add(0, best[chosen], weights)
    summed = weights.new_zeros(len(kept), 4)
    summed = summed.index_add(0, best[chosen], boxes[chosen].double() * weights[:, None])
    return (summed / total[:, None]).float()
