"""Whether another runtime computes what PyTorch computes, on real pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from featherface.blocks.deform_kernel import deform_kernel
from featherface.boxes import MEAN_BGR, decode_boxes, decode_landmarks, make_anchors
from featherface.config import MIN_SIZE
from featherface.errors import InputError
from featherface.images import RGBArray
from featherface.model import FeatherFace
from featherface.synthetic import draw_crowd

FloatArray = npt.NDArray[np.float32]

Run = Callable[[FloatArray], Sequence[npt.NDArray[Any]]]
"""Pictures (batch, 3, height, width) → boxes, scores and landmarks of every anchor, encoded."""

SIZES = ((32, 32), (33, 47), (129, 96), (160, 161), (371, 417))
"""Heights and widths at which runtimes are compared: the smallest, odd ones, no multiple of 32."""

_LONGEST = 641  # pixels of the longer side of a picture given for comparison


class DisagreementError(InputError):
    """Another runtime's answer is not PyTorch's; the message says where and by how much."""


@dataclass(frozen=True)
class Differences:
    """The largest absolute difference over all anchors, after decoding."""

    scores: float
    boxes_px: float
    landmarks_px: float

    def within(self, other: Differences) -> bool:
        """Whether none of the three is larger (or not a number)."""
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return all(mine <= yours for mine, yours in pairs)


TOLERANCE = Differences(scores=1e-5, boxes_px=1e-3, landmarks_px=1e-2)


def compare(
    model: FeatherFace,
    run: Run,
    pictures: Iterable[RGBArray] = (),
    tolerance: Differences = TOLERANCE,
) -> dict[str, Any]:
    """Compare a runtime with PyTorch, torchvision's deformable convolution in it.

    On the drawn image of `featherface.synthetic` at `SIZES`, in batches of two (it and its mirror
    image) but for the first, and on `pictures`, each at its own size up to 641 pixels.

    Two float32 programs that round differently may differ by more than `TOLERANCE` with neither
    being wrong, as where random weights amplify the last bit. That is a disagreement all the same:
    which of them is right is not for this to guess, and PyTorch is always there.

    Args:
        model: in evaluation mode, float32, on the CPU.

    Returns:
        `max_difference` from PyTorch as `scores`, `boxes_px` and `landmarks_px`, `tolerance`,
        and by picture `comparisons`: `batch`, `height`, `width` and the differences.

    Raises:
        DisagreementError: where they differ by more.
    """
    comparisons = [_compare(model, run, pixels, tolerance) for pixels in _inputs(pictures)]
    worst = Differences(
        *(max(c[name] for c in comparisons) for name in asdict(TOLERANCE))  # NaN was refused
    )
    return {
        "max_difference": asdict(worst),
        "tolerance": asdict(tolerance),
        "comparisons": comparisons,
    }


def _inputs(pictures: Iterable[RGBArray]) -> Iterator[FloatArray]:
    crowd = draw_crowd()
    for i, (height, width) in enumerate(SIZES):
        resized = np.asarray(Image.fromarray(crowd).resize((width, height)))
        yield _pixels(resized, resized[:, ::-1]) if i else _pixels(resized)
    for picture in pictures:
        height, width = picture.shape[:2]
        factor = min(1.0, _LONGEST / max(height, width))
        size = (max(MIN_SIZE, round(width * factor)), max(MIN_SIZE, round(height * factor)))
        yield _pixels(np.asarray(Image.fromarray(picture).resize(size)))


def _pixels(*pictures: RGBArray) -> FloatArray:
    bgr = np.stack(pictures)[..., ::-1].astype(np.float32) - np.array(MEAN_BGR, np.float32)
    return np.ascontiguousarray(bgr.transpose(0, 3, 1, 2))


def _compare(
    model: FeatherFace, run: Run, pixels: FloatArray, tolerance: Differences
) -> dict[str, Any]:
    batch, _, height, width = pixels.shape
    where = f"{batch} × {height}×{width} pixels"
    anchors = make_anchors(height, width, model.config.anchors, device="cpu").double()
    extent = torch.tensor([width, height], dtype=torch.float64, device="cpu")

    def decoded(boxes: Tensor, scores: Tensor, landmarks: Tensor) -> tuple[Tensor, ...]:
        # In float64, so that the comparison adds no rounding of its own.
        return (
            scores.double(),
            decode_boxes(boxes.double(), anchors) * extent.repeat(2),
            decode_landmarks(landmarks.double(), anchors) * extent,
        )

    reference = _torch(model, pixels)
    answer = tuple(torch.as_tensor(array, device="cpu") for array in run(pixels))
    shapes = [tuple(x.shape) for x in answer], [tuple(x.shape) for x in reference]
    if shapes[0] != shapes[1]:
        raise DisagreementError(f"outputs of shapes {shapes[0]} instead of {shapes[1]} on {where}")
    theirs, ours = decoded(*answer), decoded(*reference)
    difference = _difference(theirs, ours)
    if not difference.within(tolerance):
        raise DisagreementError(
            f"differs from PyTorch on {where} by {_said(difference)}; at most {_said(tolerance)} "
            "are let pass"
        )
    return {"batch": batch, "height": height, "width": width, **asdict(difference)}


def _torch(model: FeatherFace, pixels: FloatArray) -> tuple[Tensor, Tensor, Tensor]:
    with torch.inference_mode(), deform_kernel("torchvision"):
        outputs = model(torch.from_numpy(pixels))
        return outputs.boxes, outputs.logits.softmax(-1)[..., 1], outputs.landmarks


def _difference(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Differences:
    return Differences(*(float((x - y).abs().max()) for x, y in zip(a, b, strict=True)))


def _said(difference: Differences) -> str:
    return (
        f"{difference.scores:.1e} in scores, {difference.boxes_px:.1e} px in boxes, "
        f"{difference.landmarks_px:.1e} px in landmarks"
    )
