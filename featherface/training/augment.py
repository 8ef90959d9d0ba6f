"""Crops of a batch, on the device the images are on.

Everything random about a crop is one row of `DRAWS` uniform numbers, drawn on the CPU from the
run's seed and the step's number. So a crop is a function of image and row: the same on every
device, in every process and after every restart.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from featherface.boxes import MEAN_BGR
from featherface.training.data import Images

DRAWS = 12
"""Uniform numbers a crop takes."""

_AROUND_A_FACE = 0.8  # probability that a crop is placed around a face, where there is one
_DISTORTED = 0.6  # probability that colours are distorted
_BRIGHTNESS = 32.0  # at most, of 255
_CONTRAST = (0.6, 1.4)
_SATURATION = (0.4, 1.6)
_HUE = math.pi / 10  # at most, of the colour circle's 2π
_LEAST = 4.0  # pixels of a crop: a face of a shorter side is not kept

# Luma and two colour differences of blue, green and red (ITU-R BT.601), and the way back.
_TO_YUV = torch.tensor(
    [[0.114, 0.587, 0.299], [0.436, -0.28886, -0.14713], [-0.10001, -0.51499, 0.615]]
)
_FROM_YUV = torch.linalg.inv(_TO_YUV)


class Faces(NamedTuple):
    """Annotated faces of a batch of crops, the largest first, as fractions of the crop."""

    boxes: Tensor  # (batch, F, 4): x1, y1, x2, y2
    landmarks: Tensor  # (batch, F, 10): five (x, y); NaN where not annotated
    valid: Tensor  # (batch, F) bool


class Window(NamedTuple):
    """Places of crops in their images."""

    origin: Tensor  # (batch, 2): x, y of the upper left corner, in pixels of the image
    zoom: Tensor  # (batch,): pixels of the crop per pixel of the image
    mirrored: Tensor  # (batch,) bool


class Augment:
    """Random square crops with scale jitter, mirroring and colour distortion.

    Args:
        size: side of a crop in pixels.
        zoom: least and greatest number of pixels of a crop per pixel of the image, drawn evenly
            on a logarithmic scale.
        faces: how many faces a crop keeps at most.
        device: of the images.
    """

    def __init__(
        self, size: int, zoom: tuple[float, float], faces: int, device: torch.device | str
    ) -> None:
        self.size, self.zoom, self.faces = size, zoom, faces
        self._mean = torch.tensor(MEAN_BGR, device=device)[:, None, None]
        self._centres = torch.arange(size, device=device) + 0.5
        self._to_yuv, self._from_yuv = _TO_YUV.to(device), _FROM_YUV.to(device)

    def __call__(self, images: Images, index: Tensor, draws: Tensor) -> tuple[Tensor, Faces]:
        """Return crops as the network takes them, and the faces on them.

        Args:
            index: (batch,) int64, which images.
            draws: (batch, `DRAWS`) uniform in 0–1.

        Returns:
            (batch, 3, size, size) float32: blue, green, red minus their mean, zero outside the
            image; and the faces whose centre is inside, cut at the edge.
        """
        return self._cut(images, index, self._window(images, index, draws), draws)

    def whole(self, images: Images, index: Tensor, zoom: float) -> tuple[Tensor, Faces]:
        """Return the upper left of images at one zoom, without anything random."""
        count = len(index)
        window = Window(
            torch.zeros(count, 2, device=images.device),
            torch.full((count,), zoom, device=images.device),
            torch.zeros(count, dtype=torch.bool, device=images.device),
        )
        return self._cut(images, index, window, None)

    def _window(self, images: Images, index: Tensor, draws: Tensor) -> Window:
        low, high = math.log(self.zoom[0]), math.log(self.zoom[1])
        zoom = torch.exp(low + (high - low) * draws[:, 0])
        side = (self.size / zoom)[:, None]
        extents, counts = images.extents[index], images.counts[index]
        face = (draws[:, 1] * counts).long().clamp(max=images.boxes.shape[1] - 1)
        box = images.boxes[index].gather(1, face[:, None, None].expand(-1, 1, 4))[:, 0]
        centre = (box[:, :2] + box[:, 2:]) / 2
        room = extents - side  # negative where the crop is larger than the image
        place = draws[:, 2:4]
        around = ((draws[:, 4] < _AROUND_A_FACE) & (counts > 0))[:, None]
        origin = torch.where(around, centre - place * side, place * room)
        origin = torch.minimum(torch.maximum(origin, room.clamp(max=0)), room.clamp(min=0))
        return Window(origin, zoom, draws[:, 5] < 0.5)

    def _cut(
        self, images: Images, index: Tensor, window: Window, draws: Tensor | None
    ) -> tuple[Tensor, Faces]:
        """Crops, with the colours distorted that `draws` say, and their faces."""
        columns = torch.where(window.mirrored[:, None], self.size - self._centres, self._centres)
        x = window.origin[:, :1] + columns / window.zoom[:, None]
        y = window.origin[:, 1:] + self._centres / window.zoom[:, None]
        side = images.pixels.shape[-1]
        shape = (len(index), self.size, self.size)
        grid = torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=-1)
        pixels = F.grid_sample(
            images.pixels[index].float(),
            grid * (2 / side) - 1,
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )
        if draws is not None:
            pixels = self._distort(pixels, draws)
        extents = images.extents[index]
        on_x = (x >= 0) & (x <= extents[:, :1])
        on_y = (y >= 0) & (y <= extents[:, 1:])
        inside = on_y[:, None, :, None] & on_x[:, None, None, :]
        return (pixels - self._mean) * inside, self._faces(images, index, window)

    def _distort(self, pixels: Tensor, draws: Tensor) -> Tensor:
        """Brightness, contrast, saturation and hue of each image, as one affine map of colours."""
        distorted = draws[:, 6] < _DISTORTED
        zero, one = torch.zeros_like(draws[:, 7]), torch.ones_like(draws[:, 7])

        def between(column: int, low: float, high: float, kept: Tensor) -> Tensor:
            return torch.where(distorted, low + (high - low) * draws[:, column], kept)

        brightness = between(7, -_BRIGHTNESS, _BRIGHTNESS, zero)
        contrast = between(8, *_CONTRAST, one)
        saturation = between(9, *_SATURATION, one)
        hue = between(10, -_HUE, _HUE, zero)
        cos, sin = saturation * torch.cos(hue), saturation * torch.sin(hue)
        turned = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], dim=1)
        colours = self._from_yuv @ turned.view(-1, 3, 3) @ self._to_yuv
        colours = colours * contrast[:, None, None]
        mixed = torch.bmm(colours, pixels.flatten(2)).view_as(pixels)
        return (mixed + brightness[:, None, None, None]).clamp(0, 255)

    def _faces(self, images: Images, index: Tensor, window: Window) -> Faces:
        boxes, points = images.boxes[index], images.landmarks[index]
        origin, zoom = window.origin[:, None], window.zoom[:, None, None]
        boxes = (boxes - origin.repeat(1, 1, 2)) * zoom / self.size
        points = points.reshape(*points.shape[:2], 5, 2) - origin[:, None]
        points = points * zoom[..., None] / self.size
        boxes, points = _mirrored(boxes, points, window.mirrored)
        centre = (boxes[..., :2] + boxes[..., 2:]) / 2
        number = torch.arange(boxes.shape[1], device=boxes.device)
        cut = boxes.clamp(0, 1)
        sides = cut[..., 2:] - cut[..., :2]
        valid = (number < images.counts[index][:, None]) & (sides.amin(2) * self.size >= _LEAST)
        valid &= ((centre > 0) & (centre < 1)).all(2)
        most = min(self.faces, boxes.shape[1])
        size, kept = sides.prod(2).masked_fill(~valid, -1.0).topk(most, dim=1)
        chosen = kept[:, :, None]
        return Faces(
            cut.gather(1, chosen.expand(-1, -1, 4)),
            points.flatten(2).gather(1, chosen.expand(-1, -1, 10)),
            size >= 0,
        )


def _mirrored(boxes: Tensor, points: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (batch, F, 4) and points (batch, F, 5, 2), mirrored where it says so.

    Left and right eye exchange places, and so do the corners of the mouth.
    """
    flipped = torch.stack(
        [1 - boxes[..., 2], boxes[..., 1], 1 - boxes[..., 0], boxes[..., 3]], dim=-1
    )
    reflected = torch.stack([1 - points[..., 0], points[..., 1]], dim=-1)
    left_eye, right_eye, nose, left_mouth, right_mouth = reflected.unbind(2)
    reflected = torch.stack([right_eye, left_eye, nose, right_mouth, left_mouth], dim=2)
    return (
        torch.where(mirrored[:, None, None], flipped, boxes),
        torch.where(mirrored[:, None, None, None], reflected, points),
    )
