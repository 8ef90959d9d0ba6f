"""Distillation: what a trained network of the family says of every crop, and the loss on it.

All variants have the same anchors, and backbones of the same shapes, so that a student can learn
from every anchor's score, box and landmarks and from the backbone's levels.
"""

from __future__ import annotations

from types import MethodType

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from featherface.blocks.attention import ChannelGate
from featherface.blocks.deform_kernel import deform_conv2d
from featherface.blocks.deformable import DeformConv2d
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
    """Make a network fit for training in mixed precision; parameters and outputs stay.

    Deformable kernels are computed in float32, as torchvision's have no bfloat16, and means over
    a level by the operator that is fast on a GPU.
    """
    for module in model.modules():
        if isinstance(module, DeformConv2d):
            module.forward = MethodType(_deform_in_float32, module)  # type: ignore[method-assign]
        elif isinstance(module, ChannelGate):
            module.pooling = "adaptive"
    return model


def _deform_in_float32(self: DeformConv2d, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    named = {"offset": self.offset(x)}
    if self.mask is not None:
        named["mask"] = 2 * torch.sigmoid(self.mask(x))
    mask = named["mask"].float() if "mask" in named else None
    with torch.autocast(x.device.type, enabled=False):
        y = deform_conv2d(x.float(), named["offset"].float(), self.weight.float(), mask)
    return y.to(x.dtype), named


def as_teacher(model: FeatherFace) -> FeatherFace:
    """Make a network a teacher: no gradients, and normalisation folded into convolutions."""
    prepare(model).eval().requires_grad_(False)
    for module in model.modules():
        norm = getattr(module, "norm", None)
        for name in ("conv", "pointwise"):
            conv = getattr(module, name, None)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(conv, norm))
                module.norm = nn.Identity()
    return model


def after_backbone(model: FeatherFace, levels: list[Tensor]) -> Outputs:
    """Return the outputs of a network for levels of its backbone."""
    levels, _ = model.first_attention(levels)
    levels = model.pyramid(levels)
    levels, _ = model.second_attention(levels)
    levels, _ = model.context(levels)
    outputs: Outputs = model.heads(model.shuffle(levels))
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

    Args:
        student, teacher: float32.

    Returns:
        `scores`: cross-entropy with the teacher's score over all anchors, in excess of the
        teacher's own, weighted by `EVERY_ANCHOR` and the difference; `boxes` and `landmarks`:
        smooth L1, weighted by the teacher's score. The divisor is the sum of its scores.
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
