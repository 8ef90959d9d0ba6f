"""The comparison of another runtime with PyTorch, on images."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from featherface.blocks.deform_kernel import deform_kernel
from featherface.boxes import decode_boxes, decode_landmarks, make_anchors
from featherface.config import MIN_SIZE
from featherface.errors import InputError
from featherface.images import FloatArray, RGBArray, preprocess
from featherface.model import FeatherFace
from featherface.synthetic import draw_crowd

Run = Callable[[FloatArray], Sequence[npt.NDArray[Any]]]
"""Images (batch, 3, height, width) → boxes, scores and landmarks of every anchor, encoded."""

SIZES = ((32, 32), (33, 47), (129, 96), (160, 161), (371, 417))
"""Heights and widths at which runtimes are compared: the smallest, odd ones, no multiple of 32."""

_LONGEST = 641  # pixels of the longer side; in larger images, rounding moves boxes by more


class DisagreementError(InputError):
    """Another runtime's answer is not PyTorch's; the message says where and by how much."""


class Differences(NamedTuple):
    """The largest absolute difference over all anchors, after decoding."""

    scores: float
    boxes_px: float
    landmarks_px: float

    def __str__(self) -> str:
        return (
            f"{self.scores:.1e} in scores, {self.boxes_px:.1e} px in boxes, "
            f"{self.landmarks_px:.1e} px in landmarks"
        )


TOLERANCE = Differences(scores=1e-5, boxes_px=1e-3, landmarks_px=1e-2)


def compare(
    model: FeatherFace,
    run: Run,
    pictures: Iterable[RGBArray] = (),
    sizes: Iterable[tuple[int, int]] = SIZES,
    tolerance: Differences = TOLERANCE,
) -> dict[str, Any]:
    """Compare a runtime with PyTorch and torchvision's deformable convolution.

    On the drawn image of `featherface.synthetic` at `sizes` (heights and widths), in batches of two
    (it and its mirror image) but for the first, and on `pictures`; larger ones are reduced to 641
    pixels. Random weights can amplify the last bit beyond `TOLERANCE` with neither being wrong:
    that is a disagreement all the same.

    Returns:
        `max_difference` from PyTorch as `scores`, `boxes_px` and `landmarks_px`, `tolerance`,
        and by input `comparisons`: `batch`, `height`, `width` and the differences.

    Raises:
        DisagreementError: where they differ by more.
    """
    kinds = {(x.device.type, x.dtype) for x in model.parameters()}
    if kinds != {("cpu", torch.float32)} or any(module.training for module in model.modules()):
        model = evaluated(model)
    comparisons = []
    for pixels in _inputs(pictures, sizes):
        batch, _, height, width = pixels.shape
        where = f"{batch} × {height}×{width} pixels"
        differences = _differences(model, run, pixels, where)
        # Not a number is below no tolerance.
        if not all(ours <= most for ours, most in zip(differences, tolerance, strict=True)):
            raise DisagreementError(
                f"differs from PyTorch on {where} by {differences}; the tolerance is {tolerance}"
            )
        size = {"batch": batch, "height": height, "width": width}
        comparisons.append(size | differences._asdict())
    return {
        "max_difference": {
            name: max(each[name] for each in comparisons) for name in Differences._fields
        },
        "tolerance": tolerance._asdict(),
        "comparisons": comparisons,
    }


def evaluated(model: FeatherFace) -> FeatherFace:
    """Return a copy in evaluation mode, float32, on the CPU: what others are compared with."""
    return copy.deepcopy(model).cpu().float().eval()


def _inputs(pictures: Iterable[RGBArray], sizes: Iterable[tuple[int, int]]) -> Iterator[FloatArray]:
    crowd = draw_crowd()
    for i, size in enumerate(sizes):
        resized = _resized(crowd, *size)
        yield _pixels(resized, resized[:, ::-1]) if i else _pixels(resized)
    for picture in pictures:
        yield _pixels(_resized(picture, *picture.shape[:2]))


def _resized(picture: RGBArray, height: int, width: int) -> RGBArray:
    factor = min(1.0, _LONGEST / max(height, width))
    height, width = (max(MIN_SIZE, round(side * factor)) for side in (height, width))
    return np.asarray(Image.fromarray(picture).resize((width, height)))


def _pixels(*pictures: RGBArray) -> FloatArray:
    return np.concatenate([preprocess(picture).pixels for picture in pictures])


def _differences(model: FeatherFace, run: Run, pixels: FloatArray, where: str) -> Differences:
    full = torch.autocast("cpu", enabled=False)
    with torch.inference_mode(), full, deform_kernel("torchvision"):
        outputs = model(torch.from_numpy(pixels))
        expected = outputs.boxes, outputs.logits.softmax(-1)[..., 1], outputs.landmarks
    found = [torch.as_tensor(array, device="cpu") for array in run(pixels)]
    shapes = [tuple(x.shape) for x in found], [tuple(x.shape) for x in expected]
    if shapes[0] != shapes[1]:
        raise DisagreementError(f"outputs of shapes {shapes[0]} instead of {shapes[1]} on {where}")
    height, width = pixels.shape[-2:]
    anchors = make_anchors(height, width, model.config.anchors, device="cpu").double()
    extent = torch.tensor([width, height], dtype=torch.float64, device="cpu")

    def decoded(boxes: Tensor, scores: Tensor, landmarks: Tensor) -> tuple[Tensor, ...]:
        # In float64, so that the comparison adds no rounding of its own.
        return (
            scores.double(),
            decode_boxes(boxes.double(), anchors) * extent.repeat(2),
            decode_landmarks(landmarks.double(), anchors) * extent,
        )

    pairs = zip(decoded(*found), decoded(*expected), strict=True)
    return Differences(*(float((ours - theirs).abs().max()) for ours, theirs in pairs))
