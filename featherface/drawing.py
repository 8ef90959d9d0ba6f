"""Faces drawn on their image: boxes, scores and landmarks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from featherface.images import Picture, read_picture

if TYPE_CHECKING:
    from featherface.faces import Face

# From the palette of Okabe and Ito (2008), whose colours stay apart for the colour-blind. Each has
# an edge of black, so that it also stands out from whatever is below.
_BOX = (240, 228, 66)  # yellow
_LANDMARKS = (
    (86, 180, 233),  # left eye: sky blue
    (213, 94, 0),  # right eye: vermilion
    (255, 255, 255),  # nose
    (86, 180, 233),  # left corner of the mouth
    (213, 94, 0),  # right corner of the mouth
)
_EDGE = (0, 0, 0)

_LINE, _TYPE = 1 / 300, 1 / 60  # of the image's longer side
_SMALLEST_TYPE = 10  # pixels; smaller digits are not legible
_FAR = 2**30  # Pillow takes no larger coordinates

_Rectangle = tuple[int, int, int, int]  # left, top, right, bottom; the latter two lie outside
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw(picture: Picture, faces: Iterable[Mapping[str, Any] | Face]) -> Image.Image:
    """Return a copy of an image with faces drawn on it.

    Args:
        picture: as `featherface.images.read_picture` takes it, which turns it upright.
        faces: as a `Detector` finds them, or records with `box` (x1, y1, x2, y2) and, where known,
            `score` and `landmarks` (five (x, y): left eye, right eye, nose, left and right corner
            of the mouth), in pixels of the upright image.

    Lines, dots and type grow with the image, and lines and dots shrink with small faces.
    Landmarks on the left are blue, those on the right orange, the nose is white. A score is written
    beside its box, inside the image, the highest scores first; it is left out where every place
    for it would hide another score or another face.

    Returns:
        an RGB image of the upright image's size.

    Raises:
        ValueError: for an image that cannot be used, or a coordinate that is not finite.
    """
    canvas = Image.fromarray(read_picture(picture))
    pen = ImageDraw.Draw(canvas)
    longer = max(canvas.size)
    # The best are drawn last, on top.
    records = [face if isinstance(face, Mapping) else face.as_dict() for face in faces]
    ordered = sorted(records, key=lambda face: face.get("score") or 0.0)
    boxes = [_rectangle(face["box"]) for face in ordered]
    for face, box in zip(ordered, boxes, strict=True):
        side = min(box[2] - box[0], box[3] - box[1])
        _draw_box(pen, box, max(1, round(min(longer * _LINE, side / 15))), canvas.size)
        for point, colour in zip(face.get("landmarks") or (), _LANDMARKS, strict=False):
            _draw_dot(pen, point, min(1.5 * longer * _LINE, side / 25), colour)
    # Scores come after everything else, lest a line crosses one.
    font = ImageFont.load_default(size=max(_SMALLEST_TYPE, round(longer * _TYPE)))
    labels: list[_Rectangle] = []
    for i in reversed(range(len(ordered))):
        if (score := ordered[i].get("score")) is None:
            continue
        text = f"{score:.2f}"
        left, top, right, bottom = font.getbbox(text)
        pad = 2 * _padding(font, text)
        extent = math.ceil(right - left) + pad, math.ceil(bottom - top) + pad
        label = _place(extent, boxes[i], boxes[:i] + boxes[i + 1 :], labels, canvas.size)
        if label is not None:
            _draw_label(pen, font, text, label)
            labels.append(label)
    return canvas


def _rectangle(box: Iterable[float]) -> _Rectangle:
    corners = [float(value) for value in box]
    if len(corners) != 4 or not all(map(math.isfinite, corners)):
        raise ValueError(f"box (={corners}) must be four finite numbers")
    x1, y1, x2, y2 = (round(min(max(value, -_FAR), _FAR)) for value in corners)
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _draw_box(draw: ImageDraw.ImageDraw, box: _Rectangle, line: int, size: tuple[int, int]) -> None:
    # Sides outside are moved to just outside: Pillow walks along every pixel of them.
    edge = max(1, line // 2)
    out = 2 * (line + edge)
    x1, x2 = (min(max(x, -out), size[0] + out) for x in box[::2])
    y1, y2 = (min(max(y, -out), size[1] + out) for y in box[1::2])
    draw.rectangle((x1 - edge, y1 - edge, x2 + edge, y2 + edge), None, _EDGE, edge)
    inner = (x1 + line, y1 + line, x2 - line, y2 - line)
    if line > 1 and inner[0] < inner[2] and inner[1] < inner[3]:  # little faces need the room
        draw.rectangle(inner, None, _EDGE, edge)
    draw.rectangle((x1, y1, x2, y2), None, _BOX, line)


def _draw_dot(
    draw: ImageDraw.ImageDraw,
    point: Iterable[float],
    radius: float,
    colour: tuple[int, int, int],
) -> None:
    x, y = map(float, point)
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError(f"landmark (={x}, {y}) must be finite")
    if max(abs(x), abs(y)) > _FAR:
        return
    if radius < 1:  # a single pixel: with an edge, five dots would cover the face
        draw.point((math.floor(x), math.floor(y)), colour)
        return
    edge = radius + max(1, radius / 3)
    draw.ellipse((x - edge, y - edge, x + edge, y + edge), _EDGE)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)


def _padding(font: _Font, text: str) -> int:
    _, top, _, bottom = font.getbbox(text)
    return max(1, round((bottom - top) / 6))


def _place(
    label: tuple[int, int],
    box: _Rectangle,
    other_boxes: list[_Rectangle],
    labels: list[_Rectangle],
    size: tuple[int, int],
) -> _Rectangle | None:
    """Return where the label of a box hides nothing else, if anywhere."""
    if box[2] < 0 or box[3] < 0 or box[0] > size[0] or box[1] > size[1]:
        return None  # the whole face lies outside
    others = np.array(other_boxes, dtype=np.int64).reshape(-1, 4)
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    # A face much larger than the label may have it on its rim, if there is nowhere better.
    small = others[areas < 8 * label[0] * label[1]]
    for obstacles in (others, small):
        blocked = np.concatenate([obstacles, np.array(labels, dtype=np.int64).reshape(-1, 4)])
        for left, top, right, bottom in _candidates(label, box, size):
            inside = min(left, top) >= 0 and right <= size[0] and bottom <= size[1]
            x = (blocked[:, 0] < right) & (left < blocked[:, 2])
            y = (blocked[:, 1] < bottom) & (top < blocked[:, 3])
            if inside and not (x & y).any():
                return left, top, right, bottom
    return None


def _candidates(
    label: tuple[int, int], box: _Rectangle, size: tuple[int, int]
) -> Iterator[_Rectangle]:
    width, height = label
    x1, x2 = (min(max(x, 0), size[0]) for x in box[::2])
    y1, y2 = (min(max(y, 0), size[1]) for y in box[1::2])
    gap = max(1, round(max(size) * _LINE))
    # Aligned with the box, or shifted to stay in the image.
    x, y = max(0, min(x1, size[0] - width)), max(0, min(y1, size[1] - height))
    corners = [
        (x, y1 - height - gap),  # above
        (x, y2 + gap),  # below
        (x2 + gap, y),  # on the right
        (x1 - width - gap, y),  # on the left
    ]
    if x2 - x1 > 2 * width and y2 - y1 > 4 * height:  # large enough to lose a corner or two
        corners += [(x1 + gap, y1 + gap), (x1 + gap, y2 - height - gap)]
    for left, top in corners:
        yield left, top, left + width, top + height


def _draw_label(draw: ImageDraw.ImageDraw, font: _Font, text: str, place: _Rectangle) -> None:
    left, top, _, _ = font.getbbox(text)
    pad = _padding(font, text)
    draw.rectangle((place[0], place[1], place[2] - 1, place[3] - 1), _BOX)
    draw.text((place[0] + pad - left, place[1] + pad - top), text, _EDGE, font=font)
