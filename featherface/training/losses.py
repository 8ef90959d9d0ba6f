"""MultiBox: the loss on annotated faces (Liu et al. 2016, "SSD"; as in RetinaFace's training)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_convert, box_iou

from featherface.blocks.heads import Outputs
from featherface.boxes import encode_boxes, encode_landmarks
from featherface.training.augment import Faces

OVERLAP = 0.35
"""IoU from which an anchor is trained to find a face."""

LEAST_OVERLAP = 0.2
"""IoU from which a face's best anchor is trained to find it all the same."""

NEGATIVES = 7
"""Background anchors a positive one, the hardest."""


def match(faces: Faces, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the face that each of N anchors overlaps most, and which anchors are to find theirs.

    A face's best anchor is to find it, too, from `LEAST_OVERLAP`; where an anchor is the best of
    two such faces, the later one has it. Shapes: (batch, N) int64, and (batch, N) bool.
    """
    if faces.valid.device.type != "cpu":
        return _match(faces.boxes, faces.valid, anchors)
    # Where looking waits for nothing: of each image only the faces there are, which come first.
    counts = [max(1, int(valid.sum())) for valid in faces.valid.numpy()]
    each = [
        _match(boxes[None, :count], valid[None, :count], anchors)
        for boxes, valid, count in zip(faces.boxes, faces.valid, counts, strict=True)
    ]
    matched, found = zip(*each, strict=True)
    return torch.cat(matched), torch.cat(found)


def _match(boxes: Tensor, valid: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    batch, count = valid.shape
    iou = box_iou(boxes.flatten(0, 1), _corners(anchors)).view(batch, count, -1)
    iou = iou.masked_fill(~valid[:, :, None], -1.0)
    overlap, face = iou.max(1)
    best_overlap, best = iou.max(2)
    number = torch.arange(count, device=iou.device).expand(batch, -1)
    number = number.masked_fill(best_overlap < LEAST_OVERLAP, -1)
    forced = torch.full_like(face, -1).scatter_reduce(1, best, number, "amax")
    return torch.where(forced >= 0, forced, face), (overlap >= OVERLAP) | (forced >= 0)


def _corners(anchors: Tensor) -> Tensor:
    corners: Tensor = box_convert(anchors, "cxcywh", "xyxy")
    return corners


def margin(logits: Tensor) -> Tensor:
    """Return (…, N) logits of "face" from (…, N, 2): its sigmoid is the softmax's score."""
    return logits[..., 1] - logits[..., 0]


def hardest(loss: Tensor, candidates: Tensor, wanted: Tensor) -> Tensor:
    """Return (batch, N) bool: of each row's candidates the `wanted` (batch, 1) of largest loss."""
    order = loss.masked_fill(~candidates, -torch.inf).argsort(1, descending=True)
    rank = torch.zeros_like(order).scatter(
        1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
    )
    return candidates & (rank < wanted)


def face_losses(
    outputs: Outputs, faces: Faces, anchors: Tensor, ignored: Tensor | None = None
) -> tuple[dict[str, Tensor], Tensor]:
    """Return MultiBox's sums by part, and the number of positive anchors to divide them by.

    Args:
        outputs: of the network, float32.
        ignored: (batch, N) bool: anchors that are no examples of background.

    Returns:
        `face_scores`: cross-entropy of the positives and of the hardest `NEGATIVES` background
        anchors a positive in each image; `face_boxes`: smooth L1 of the positives' encoded boxes;
        `face_landmarks`: likewise, where annotated.
    """
    face, positive = match(faces, anchors)
    logit = margin(outputs.logits)
    as_face, as_background = F.softplus(-logit), F.softplus(logit)
    background = ~positive if ignored is None else ~positive & ~ignored
    wanted = NEGATIVES * positive.sum(1, keepdim=True)
    negative = hardest(as_background.detach(), background, wanted)
    scores = (as_face * positive).sum() + (as_background * negative).sum()

    chosen = face[:, :, None]
    boxes = faces.boxes.gather(1, chosen.expand(-1, -1, 4))
    # Of an unmatched anchor no target is defined; its own box is one that can be encoded.
    boxes = torch.where(positive[:, :, None], boxes, _corners(anchors))
    off = smooth_l1(outputs.boxes, encode_boxes(boxes, anchors)).sum(2)

    points = faces.landmarks.gather(1, chosen.expand(-1, -1, 10))
    target = encode_landmarks(points.reshape(*points.shape[:2], 5, 2), anchors)
    annotated = positive & target.isfinite().all(2)
    target = target.masked_fill(~annotated[:, :, None], 0.0)
    away = smooth_l1(outputs.landmarks, target).sum(2)
    return {
        "face_scores": scores,
        "face_boxes": (off * positive).sum(),
        "face_landmarks": (away * annotated).sum(),
    }, positive.sum().float()


def smooth_l1(x: Tensor, target: Tensor) -> Tensor:
    """Return the smooth L1 loss (Girshick 2015) of each element."""
    return F.smooth_l1_loss(x, target, reduction="none")
