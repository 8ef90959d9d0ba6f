"""Crops and the sheet of them, looked at pixel by pixel."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from analysis.report.plots.gallery import COLUMNS, TILE, caption, crop, grid
from analysis.report.plots.style import SKY, YELLOW

YELLOW_RGB, SKY_RGB = ImageColor.getrgb(YELLOW), ImageColor.getrgb(SKY)
GREY = (221, 221, 221)
RED, GREEN = (200, 0, 0), (0, 120, 0)


def opened_grid(*given: Any) -> Image.Image:
    return Image.open(io.BytesIO(grid(*given)))


def image(width: int = 400, height: int = 300) -> np.ndarray:
    """Red, with a green rectangle from (200, 100) to (260, 160)."""
    pixels = np.full((height, width, 3), RED, dtype=np.uint8)
    pixels[100:160, 200:260] = GREEN
    return pixels


def extent(tile: Image.Image, colour: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of the pixels of a colour."""
    y, x = np.nonzero((np.asarray(tile) == colour).all(axis=2))
    return (x.min(), y.min(), x.max(), y.max()) if len(x) else None


def test_the_box_is_drawn_where_the_face_is_amid_as_much_again() -> None:
    tile = crop(image(), [200, 100, 60, 60])
    assert tile.size == (TILE, TILE)
    quarter = TILE // 4
    assert extent(tile, YELLOW_RGB) == (quarter, quarter, 3 * quarter, 3 * quarter)
    assert tile.getpixel((TILE // 2, TILE // 2)) == GREEN
    assert tile.getpixel((quarter // 2, TILE // 2)) == RED
    assert extent(tile, GREY) is None
    assert extent(tile, SKY_RGB) is None


def test_the_nearest_box_lies_below_in_another_colour() -> None:
    tile = crop(image(), [200, 100, 60, 60], [230, 100, 30, 60])
    assert extent(tile, YELLOW_RGB) == (60, 60, 180, 180)
    left, _, right, _ = extent(tile, SKY_RGB) or pytest.fail("no blue box")
    assert left == 120
    assert right < 180  # its other side is covered by the yellow one
    same = crop(image(), [200, 100, 60, 60], [200, 100, 60, 60])
    assert extent(same, SKY_RGB) is None


def test_beyond_the_edge_there_is_no_image() -> None:
    tile = crop(image(), [-60, -60, 120, 120])
    # The part inside is 60 by 60 in the corner, in the middle of a window of twice that.
    assert extent(tile, GREY) is not None
    assert tile.getpixel((30, 30)) == GREY
    assert tile.getpixel((TILE - 10, TILE - 10)) == RED
    assert (extent(tile, YELLOW_RGB) or ())[2:] == (180, 180)


@pytest.mark.parametrize(
    "box",
    [
        [210, 110, 0, 0],
        [230, 130, -20, -20],
        [210, 110, 0, 40],
    ],
)
def test_a_box_without_area_or_turned_round_is_seen(box: list[float]) -> None:
    tile = crop(image(), box)
    assert extent(tile, YELLOW_RGB) is not None
    assert GREEN in {tile.getpixel((x, TILE // 2)) for x in range(TILE)}


@pytest.mark.parametrize(
    "box",
    [
        [1e6, 1e6, 50, 50],
        [-5000, 20, 10, 10],
        [1e308, 1e308, 1e308, 1e308],
        [-1e308, 0, 0, 1e308],
        [-1e9, -1e9, 2e9, 2e9],
    ],
)
def test_a_box_far_outside_shows_the_image_next_to_it(box: list[float]) -> None:
    tile = crop(image(), box, box)
    assert extent(tile, RED) is not None


def test_a_tiny_face_is_seen_in_its_surroundings() -> None:
    tile = crop(image(), [228, 128, 4, 4])
    left, top, right, bottom = extent(tile, YELLOW_RGB) or pytest.fail("no box")
    assert right - left == bottom - top == round(4 * TILE / 48)
    assert tile.getpixel((3, 3)) == GREEN


def test_a_huge_image_costs_what_is_shown_of_it() -> None:
    # One pixel in memory, 12 GB of them to see: a copy of it all would not fit.
    huge = np.broadcast_to(np.array(RED, dtype=np.uint8), (64_000, 64_000, 3))
    assert extent(crop(huge, [40_000, 40_000, 30, 30]), RED) == (0, 0, TILE - 1, TILE - 1)
    whole = crop(huge, [0, 0, 64_000, 64_000])
    assert extent(whole, RED) is not None
    assert whole.getpixel((5, 5)) == GREY


def test_a_image_of_one_pixel_and_one_narrower_than_a_step() -> None:
    assert crop(np.zeros((1, 1, 3), dtype=np.uint8), [0, 0, 1, 1]).size == (TILE, TILE)
    thin = np.full((9000, 1, 3), RED, dtype=np.uint8)
    assert extent(crop(thin, [0, 0, 1, 9000]), GREY) is not None


RECORD = {"rank": 3, "event": "12--Group_Photo", "height": 71.6, "score": 0.25, "iou": 0.384}


def test_captions() -> None:
    assert caption(RECORD, missed=True) == ("3  Group Photo", "72 px, score 0.250, IoU 0.38")
    unseen = {**RECORD, "score": None, "event": "elsewhere"}
    assert caption(unseen, missed=True) == ("3  elsewhere", "72 px, not detected, IoU 0.38")
    assert caption(RECORD, missed=False)[1] == "score 0.250, 72 px, IoU 0.38"


def test_crops_stand_in_rows_each_above_its_caption() -> None:
    tile = Image.new("RGB", (TILE, TILE), RED)
    one = opened_grid([tile], [("a", "b")], "title", "note")
    full = opened_grid([tile] * (COLUMNS + 1), [("a", "b")] * (COLUMNS + 1), "title", "note")
    assert one.width == full.width
    assert full.height > one.height + TILE
    red = (np.asarray(full) == RED).all(axis=2)
    assert red.sum() == (COLUMNS + 1) * TILE * TILE  # none covers another, or a letter one
    _, top, _, bottom = extent(one, RED) or pytest.fail("no crop")
    below, above = np.asarray(one)[bottom + 1 :], np.asarray(one)[:top]
    assert (below < 128).any()
    assert (above < 128).any()


def test_long_captions_stay_below_their_crop() -> None:
    tile = Image.new("RGB", (TILE, TILE), RED)
    sheet = np.asarray(opened_grid([tile], [("W" * 5000, "line\nbreak")], "t", "n"))
    assert (sheet[300:, 8 + TILE + 1 :] == 255).all()


def test_none_is_said() -> None:
    sheet = opened_grid([], [], "title", "note")
    assert (np.asarray(sheet)[60:] < 128).any()
