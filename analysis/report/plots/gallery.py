"""A gallery of crops, each with a box and a caption. For local use: it shows people."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from analysis.report import Record
from analysis.report.formats import event
from analysis.report.plots.style import SKY, YELLOW

TILE = 240
"""Side of a crop as it is shown, in pixels."""
CONTEXT = 2.0
"""A crop is so many times as wide and as high as the longer side of its box."""
SMALLEST = 48
"""At least so many pixels of the image are shown, to see where a tiny box lies."""
COLUMNS = 6

_LINE_HEIGHT = 17
_CAPTION = 2 * _LINE_HEIGHT + 6
_GAP = 8
_BEYOND = "#dddddd"  # where there is no image
_FONT = ImageFont.load_default(size=13)
_HEADING = ImageFont.load_default(size=18)

_Window = tuple[float, float, float]  # left, top, side
_Corners = tuple[float, float, float, float]  # left, top, right, bottom


def crop(
    image: npt.NDArray[np.uint8], box: Sequence[float], nearest: Sequence[float] | None = None
) -> Image.Image:
    """Return a square around a box, `TILE` pixels wide, grey beyond the image's edge.

    Args:
        image: (H, W, 3) RGB, uint8.
        box: x, y, width, height in pixels; drawn yellow. It may reach beyond the image, lie
            outside it, or have no area: what is shown is then around the part, or the point, of
            the image that is next to it.
        nearest: a box to be drawn blue, below the other.
    """
    height, width = image.shape[:2]
    left, top, side = window = _window(_corners(box), width, height)
    shown = left, top, left + side, top + side
    tile = cut_out(image, shown, TILE / side, _BEYOND, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(tile)
    if nearest is not None:
        _draw_box(draw, _corners(nearest), window, SKY)
    _draw_box(draw, _corners(box), window, YELLOW)
    return tile


def cut_out(
    image: npt.NDArray[np.uint8],
    window: tuple[float, float, float, float],
    factor: float,
    beyond: str,
    resample: Image.Resampling,
    *,
    grey: bool = False,
) -> Image.Image:
    """Return a window of an image, scaled by a factor, with a colour beyond the image's edge.

    Args:
        window: left, top, right, bottom in pixels of the image.
    """
    left, top, right, bottom = window
    size = max(1, round((right - left) * factor)), max(1, round((bottom - top) * factor))
    # The whole pixels that the window touches.
    x1, y1 = max(0, math.floor(left)), max(0, math.floor(top))
    x2, y2 = min(image.shape[1], math.ceil(right)), min(image.shape[0], math.ceil(bottom))
    # Of what is shrunk to less than an eighth, some pixels are enough, and quick.
    step = max(1, math.floor(1 / (8 * factor)))
    part = Image.fromarray(image[y1:y2:step, x1:x2:step])
    if grey:
        part = part.convert("L").convert("RGB")
    scaled = max(1, round((x2 - x1) * factor)), max(1, round((y2 - y1) * factor))
    found = Image.new("RGB", size, beyond)
    place = round((x1 - left) * factor), round((y1 - top) * factor)
    found.paste(part.resize(scaled, resample), place)
    return found


def _corners(box: Sequence[float]) -> _Corners:
    """The corners, also of a box turned inside out."""
    x, y, width, height = map(float, box)
    return min(x, x + width), min(y, y + height), max(x, x + width), max(y, y + height)


def _window(box: _Corners, width: int, height: int) -> _Window:
    # Of a box that leaves the image, what lies inside; of one outside, the nearest point.
    x1, y1, x2, y2 = np.clip(box, 0, (width, height, width, height)).tolist()
    side = max(CONTEXT * max(x2 - x1, y2 - y1), SMALLEST)
    return (x1 + x2 - side) / 2, (y1 + y2 - side) / 2, side


def _draw_box(draw: ImageDraw.ImageDraw, box: _Corners, window: _Window, colour: str) -> None:
    left, top, side = window
    # Sides outside are moved to just outside: Pillow walks along every pixel of them.
    edges = (left, top, left, top)
    scaled = [(value - edge) * TILE / side for value, edge in zip(box, edges, strict=True)]
    x1, y1, x2, y2 = np.clip(scaled, -8, TILE + 8).round().astype(int).tolist()
    draw.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), None, "black", 4)
    draw.rectangle((x1, y1, x2, y2), None, colour, 2)


def caption(record: Record, *, missed: bool) -> tuple[str, str]:
    """Return two lines about a record of `worst`: rank and event; height or score, overlap."""
    score = "not detected" if record["score"] is None else f"score {record['score']:.3f}"
    height = f"{record['height']:.0f} px"
    details = (height, score) if missed else (score, height)
    return (
        f"{record['rank']}  {event(record['event'])}",
        f"{', '.join(details)}, IoU {record['iou']:.2f}",
    )


def grid(
    tiles: Sequence[Image.Image], captions: Sequence[tuple[str, str]], title: str, note: str
) -> bytes:
    """Return a PNG of crops in rows of `COLUMNS`, two lines below each, title and note on top."""
    rows = max(1, math.ceil(len(tiles) / COLUMNS))
    head = 60
    width = COLUMNS * (TILE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, head + rows * (TILE + _CAPTION + _GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 8), _cut(title, _HEADING, width - 2 * _GAP), "black", font=_HEADING)
    draw.text((_GAP, 36), _cut(note, _FONT, width - 2 * _GAP), "#555555", font=_FONT)
    if not tiles:
        draw.text((_GAP, head), "None.", "black", font=_FONT)
    for i, (tile, lines) in enumerate(zip(tiles, captions, strict=True)):
        x = _GAP + i % COLUMNS * (TILE + _GAP)
        y = head + i // COLUMNS * (TILE + _CAPTION + _GAP)
        sheet.paste(tile, (x, y))
        for j, line in enumerate(lines):
            place = (x, y + TILE + 3 + j * _LINE_HEIGHT)
            draw.text(place, _cut(line, _FONT, TILE), "black", font=_FONT)
    content = io.BytesIO()
    sheet.save(content, format="PNG")
    return content.getvalue()


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    shown = text = " ".join(text.split())[:400]
    while text and font.getlength(shown) > width:
        text = text[:-1]
        shown = text + "…"
    return shown
