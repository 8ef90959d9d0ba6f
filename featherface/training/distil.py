"""Distillation: what a trained network of the family says of every crop, and the loss on it.

All variants have the same anchors, and backbones of the same shapes, so that a student can learn
from every anchor's score, box and landmarks and from the backbone's levels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherface.blocks.attention import ChannelGate
from featherface.blocks.convolution import fold_norms
from featherface.blocks.heads import Outputs
from featherface.model import FeatherFace
from featherface.training.losses import margin, smooth_l1

FLOOR = 0.05
"""Teacher's scores up to this one count as none.

On background they rise to a few hundredths. A student without them finds fewer boxes that mean
nothing; the order of all others stays.
"""

EVERY_ANCHOR = 0.1
"""Weight of an anchor on whose score both agree; it rises to 1 as they differ.

Of 10,000 anchors some ten hold a face. With even weights they would be drowned by background;
without a weight where both agree, background would never fall below the threshold of 0.02.
"""


def prepare(model: FeatherFace) -> FeatherFace:
    """Make a network fast to train, in place; it computes the same up to rounding.

    A mean over a level is taken by the operator that is fast on a GPU, and an activation
    overwrites the normalisation's output, which no gradient needs.
    """
    for module in model.modules():
        if isinstance(module, ChannelGate):
            module.pooling = "adaptive"
        elif isinstance(module, nn.LeakyReLU):
            module.inplace = True
    return model


def as_teacher(model: FeatherFace) -> FeatherFace:
    """Make a network a teacher: no gradients, and normalisation folded into convolutions.

    On a CPU its kernels, and so its levels, have their channels last in memory, which takes a
    quarter off it. A student's have not: of such levels, PyTorch's normalisation sums so roughly
    that a variance over 64 crops of 512×512 pixels is 0.4 % off.
    """
    fold_norms(prepare(model).eval())
    if next(model.parameters()).device.type == "cpu":
        model.to(memory_format=torch.channels_last)
    return model.requires_grad_(False)


def after_backbone(model: FeatherFace, levels: list[Tensor]) -> Outputs:
    """Return the outputs of a network for levels of its backbone."""
    levels = model.second_attention(model.pyramid(model.first_attention(levels)))
    outputs: Outputs = model.heads(model.shuffle(model.context(levels)))
    return outputs


class Trained(nn.Module):
    """A network as it is trained: called with pixels, or past its backbone with levels."""

    def __init__(self, model: FeatherFace) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor, levels: list[Tensor] | None) -> tuple[list[Tensor], Outputs]:
        if levels is None:
            levels = self.model.backbone(pixels)
        return levels, after_backbone(self.model, levels)


def score_losses(student: Outputs, teacher: Outputs) -> tuple[dict[str, Tensor], Tensor]:
    """Return the sums of what student and teacher differ in, and what to divide them by.

    `scores`: cross-entropy with the teacher's score over all anchors, in excess of the teacher's
    own, weighted by `EVERY_ANCHOR` and the difference; `boxes` and `landmarks`: smooth L1,
    weighted by the teacher's score. The divisor is the sum of its scores.
    """
    score = ((torch.sigmoid(margin(teacher.logits)) - FLOOR) / (1 - FLOOR)).clamp(min=0)
    logit = margin(student.logits)
    differ = (torch.sigmoid(logit.detach()) - score).abs()
    weight = EVERY_ANCHOR + (1 - EVERY_ANCHOR) * differ
    entropy = torch.special.entr(score) + torch.special.entr(1 - score)
    excess = F.binary_cross_entropy_with_logits(logit, score, reduction="none") - entropy
    box = smooth_l1(student.boxes, teacher.boxes).sum(2)
    landmark = smooth_l1(student.landmarks, teacher.landmarks).sum(2)
    return {
        "scores": (weight * excess).sum(),
        "boxes": (score * box).sum(),
        "landmarks": (score * landmark).sum(),
    }, score.sum()


def level_losses(student: list[Tensor], teacher: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return by level the mean square of the difference and of the teacher's, to divide by."""
    pairs = [(ours.float(), theirs.float()) for ours, theirs in zip(student, teacher, strict=True)]
    off = [(ours - theirs).square().mean() for ours, theirs in pairs]
    return torch.stack(off), torch.stack([theirs.square().mean() for _, theirs in pairs])
