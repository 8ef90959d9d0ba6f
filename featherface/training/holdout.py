"""Average precision on the images that a run does not train on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torchvision.ops
from torch import Tensor

from featherface.boxes import decode_boxes, make_anchors
from featherface.config import MIN_SIZE
from featherface.model import FeatherFace
from featherface.training.augment import Augment
from featherface.training.data import Images
from featherface.training.losses import margin

ZOOM = 1.45
"""Pixels per pixel of the stored image: of 704 pixels, about the 1,024 of WIDER FACE's."""

SIZES = {"ap": 10.0, "ap_large": 50.0}
"""Least height, in pixels at the network, of the faces that count; others neither count nor not."""

_SCORE, _NMS, _MOST, _IOU = 0.02, 0.4, 2000, 0.5


@torch.no_grad()
def measure(
    model: FeatherFace, images: Images, zoom: float = ZOOM, batch: int = 8
) -> dict[str, float | None]:
    """Return the average precision of a network by `SIZES`, and boxes above 0.02 an image.

    Plain average precision at IoU 0.5, not the benchmark's protocol: for following a run. None
    where no face counts. `zoom` is in pixels at the network per pixel of the stored image.
    """
    device = images.device
    side = -(-int(images.extents.max() * zoom) // MIN_SIZE) * MIN_SIZE
    augment = Augment(side, (zoom, zoom), images.boxes.shape[1], device)
    anchors = make_anchors(side, side, model.config.anchors, device=device)
    found, truth, boxes = [], [], 0
    for start in range(0, len(images), batch):
        index = torch.arange(start, min(start + batch, len(images)), device=device)
        pixels, faces = augment.whole(images, index, zoom)
        outputs = model(pixels)
        scores = torch.sigmoid(margin(outputs.logits.float()))
        decoded = decode_boxes(outputs.boxes.float(), anchors) * side
        for i, score in enumerate(scores):
            score = score.nan_to_num(nan=0.0)
            above = int((score > _SCORE).sum())
            boxes += above
            score, order = score.topk(min(above, 3 * _MOST))
            kept = torchvision.ops.nms(decoded[i][order], score, _NMS)[:_MOST]
            found.append((decoded[i][order[kept]].cpu(), score[kept].cpu()))
            truth.append(faces.boxes[i][faces.valid[i]].cpu() * side)
    values = {name: average_precision(found, truth, least) for name, least in SIZES.items()}
    known = {name: None if math.isnan(value) else value for name, value in values.items()}
    return {**known, "boxes_an_image": boxes / max(1, len(images))}


def average_precision(
    found: Sequence[tuple[Tensor, Tensor]], truth: Sequence[Tensor], least: float = 0.0
) -> float:
    """Return the area under the precision envelope at IoU 0.5; NaN without faces.

    Args:
        found: for each image boxes (n, 4) and scores (n,), by falling score.
        truth: for each image boxes (m, 4).
        least: lower faces, and what is found on them, do not count.
    """
    scores, hits, faces = [], [], 0
    for (boxes, score), wanted in zip(found, truth, strict=True):
        counts = wanted[:, 3] - wanted[:, 1] >= least
        faces += int(counts.sum())
        hit = torch.zeros(len(boxes))
        if len(boxes) and len(wanted):
            overlap, face = torchvision.ops.box_iou(boxes, wanted).max(1)
            for j in range(len(wanted)):
                on_face = (overlap >= _IOU) & (face == j)
                hit[on_face.nonzero()[:1]] = 1  # the first finds it, the others are false
                if not counts[j]:
                    hit[on_face] = -1
        scores.append(score[hit >= 0])
        hits.append(hit[hit >= 0])
    if not faces:
        return float("nan")
    order = torch.cat(scores).argsort(descending=True, stable=True)
    hit = torch.cat(hits)[order]
    recall = hit.cumsum(0) / faces
    precision = hit.cumsum(0) / torch.arange(1, len(hit) + 1)
    envelope = precision.flip(0).cummax(0).values.flip(0)
    steps = torch.diff(recall, prepend=torch.zeros(1))
    return float((steps * envelope).sum())
