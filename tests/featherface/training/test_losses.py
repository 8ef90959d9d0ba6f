"""Every part of the loss against a plain loop over anchors and faces."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_convert, box_iou

from featherface.blocks.heads import Outputs
from featherface.boxes import make_anchors
from featherface.training import losses
from featherface.training.augment import Faces
from featherface.training.distil import EVERY_ANCHOR, FLOOR, level_losses, score_losses
from featherface.training.losses import face_losses

ANCHORS = make_anchors(64, 96)
CORNERS = box_convert(ANCHORS, "cxcywh", "xyxy")


def outputs(seed: int, batch: int = 2) -> Outputs:
    generator = torch.Generator().manual_seed(seed)
    shapes = (4, 2, 10)
    return Outputs(*(torch.randn(batch, len(ANCHORS), n, generator=generator) for n in shapes))


@pytest.fixture
def faces() -> Faces:
    """Two images: three faces, one of them tiny; one face, with two empty places."""
    boxes = torch.zeros(2, 3, 4)
    boxes[0] = torch.tensor([[0.1, 0.1, 0.5, 0.6], [0.45, 0.3, 0.6, 0.6], [0.9, 0.9, 0.92, 0.92]])
    boxes[1, 0] = torch.tensor([0.2, 0.2, 0.4, 0.5])
    landmarks = torch.full((2, 3, 10), torch.nan)
    landmarks[0, 0] = torch.linspace(0.1, 0.6, 10)
    valid = torch.tensor([[True, True, True], [True, False, False]])
    return Faces(boxes, landmarks, valid)


def plain_match(boxes: Tensor) -> list[int | None]:
    """The face of every anchor of one image."""
    iou = box_iou(boxes, CORNERS)
    found: list[int | None] = []
    for anchor in range(len(ANCHORS)):
        best = int(iou[:, anchor].argmax())
        found.append(best if iou[best, anchor] >= 0.35 else None)
    for face in range(len(boxes)):
        anchor = int(iou[face].argmax())
        if iou[face, anchor] >= 0.2:
            found[anchor] = face
    return found


def cross_entropy(logits: Tensor, label: int) -> float:
    return -float(torch.log_softmax(logits, 0)[label])


def smooth_l1(found: Tensor, wanted: list[float]) -> float:
    off = [abs(x - y) for x, y in zip(found.tolist(), wanted, strict=True)]
    return sum(0.5 * x * x if x < 1 else x - 0.5 for x in off)


def test_a_gpu_matches_all_images_at_once_as_a_cpu_each(faces: Faces) -> None:
    together = losses._match(faces.boxes, faces.valid, ANCHORS)
    for ours, theirs in zip(together, losses.match(faces, ANCHORS), strict=True):
        assert torch.equal(ours, theirs)


def test_multibox_is_that_of_the_plain_loop(faces: Faces) -> None:
    found = outputs(0)
    ignored = torch.rand(2, len(ANCHORS), generator=torch.Generator().manual_seed(1)) < 0.3
    sums, count = face_losses(found, faces, ANCHORS, ignored)
    scores = boxes = landmarks = 0.0
    positives = 0
    for image in range(2):
        matched = plain_match(faces.boxes[image][faces.valid[image]])
        background = []
        for anchor, face in enumerate(matched):
            logits = found.logits[image, anchor]
            if face is None:
                if not ignored[image, anchor]:
                    background.append(cross_entropy(logits, 0))
                continue
            positives += 1
            scores += cross_entropy(logits, 1)
            x1, y1, x2, y2 = faces.boxes[image, face].tolist()
            ax, ay, aw, ah = ANCHORS[anchor].tolist()
            target = [
                ((x1 + x2) / 2 - ax) / (0.1 * aw),
                ((y1 + y2) / 2 - ay) / (0.1 * ah),
                math.log((x2 - x1) / aw) / 0.2,
                math.log((y2 - y1) / ah) / 0.2,
            ]
            boxes += smooth_l1(found.boxes[image, anchor], target)
            points = faces.landmarks[image, face].tolist()
            if not math.isnan(points[0]):
                centres, sides = (ax, ay) * 5, (aw, ah) * 5
                target = [
                    (p - c) / (0.1 * s) for p, c, s in zip(points, centres, sides, strict=True)
                ]
                landmarks += smooth_l1(found.landmarks[image, anchor], target)
        wanted = 7 * sum(face is not None for face in matched)
        scores += sum(sorted(background, reverse=True)[:wanted])
    assert count == positives
    assert float(sums["face_scores"]) == pytest.approx(scores, rel=1e-5)
    assert float(sums["face_boxes"]) == pytest.approx(boxes, rel=1e-5)
    assert float(sums["face_landmarks"]) == pytest.approx(landmarks, rel=1e-5)


def test_gradients_are_finite_where_no_face_is(faces: Faces) -> None:
    none = faces._replace(valid=torch.zeros_like(faces.valid))
    found = Outputs(*(tensor.requires_grad_() for tensor in outputs(0)))
    sums, count = face_losses(found, none, ANCHORS)
    sum(sums.values()).backward()  # type: ignore[union-attr]
    assert count == 0
    assert all(t.grad is not None and t.grad.isfinite().all() for t in found)


def test_distillation_is_that_of_the_plain_loop() -> None:
    ours, theirs = outputs(2, 1), outputs(3, 1)
    sums, weight = score_losses(ours, theirs)
    scores = boxes = landmarks = total = 0.0
    for anchor in range(len(ANCHORS)):
        score = torch.softmax(theirs.logits[0, anchor], 0)[1].item()
        score = max(0.0, (score - FLOOR) / (1 - FLOOR))
        mine = torch.softmax(ours.logits[0, anchor], 0)[1].item()
        entropy = -sum(p * math.log(p) for p in (score, 1 - score) if p > 0)
        cross = -score * math.log(mine) - (1 - score) * math.log(1 - mine)
        scores += (EVERY_ANCHOR + (1 - EVERY_ANCHOR) * abs(mine - score)) * (cross - entropy)
        boxes += score * smooth_l1(ours.boxes[0, anchor], theirs.boxes[0, anchor].tolist())
        points = theirs.landmarks[0, anchor].tolist()
        landmarks += score * smooth_l1(ours.landmarks[0, anchor], points)
        total += score
    assert float(weight) == pytest.approx(total, rel=1e-5)
    assert float(sums["scores"]) == pytest.approx(scores, rel=1e-4)
    assert float(sums["boxes"]) == pytest.approx(boxes, rel=1e-5)
    assert float(sums["landmarks"]) == pytest.approx(landmarks, rel=1e-5)


def test_a_student_like_its_teacher_has_no_loss_and_no_gradient() -> None:
    theirs = outputs(3)
    logit = torch.sigmoid(theirs.logits[..., 1] - theirs.logits[..., 0])
    score = ((logit - FLOOR) / (1 - FLOOR)).clamp(min=0)
    same = torch.stack([torch.zeros_like(score), torch.logit(score)], dim=2).clamp(-30, 30)
    ours = Outputs(*(x.clone().requires_grad_() for x in theirs._replace(logits=same)))
    sums, _ = score_losses(ours, theirs)
    sum(sums.values()).backward()  # type: ignore[union-attr]
    assert all(float(value.detach()) == pytest.approx(0, abs=1e-3) for value in sums.values())
    for tensor in ours:
        assert tensor.grad is not None
        assert tensor.grad.abs().max() < 1e-6


def test_level_losses_are_mean_squares() -> None:
    ours = [torch.ones(1, 2, 2, 2), torch.zeros(1, 1, 1, 1)]
    theirs = [torch.full((1, 2, 2, 2), 3.0), torch.ones(1, 1, 1, 1)]
    off, size = level_losses(ours, theirs)
    assert (off.tolist(), size.tolist()) == ([4.0, 1.0], [9.0, 1.0])
