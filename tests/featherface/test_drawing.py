"""Drawn faces: where they are, what they leave alone, and that nothing falls outside."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featherface import drawing as annotate
from featherface.drawing import draw

GREY = 90


def face(
    x1: float, y1: float, x2: float, y2: float, score: float | None = 0.5
) -> dict[str, object]:
    w, h = x2 - x1, y2 - y1
    places = ((0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.35, 0.8), (0.65, 0.8))
    return {
        "box": [x1, y1, x2, y2],
        "score": score,
        "landmarks": [[x1 + x * w, y1 + y * h] for x, y in places],
    }


def plain(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def changed(drawn: Image.Image) -> np.ndarray:
    return (np.asarray(drawn) != GREY).any(axis=2)


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[int, int, int, int]]]:
    """Text and place of every label, as they are drawn."""
    drawn: list[tuple[str, tuple[int, int, int, int]]] = []
    draw_label = annotate._draw_label

    def record(draw: object, font: object, text: str, place: tuple[int, int, int, int]) -> None:
        drawn.append((text, place))
        draw_label(draw, font, text, place)

    monkeypatch.setattr(annotate, "_draw_label", record)
    return drawn


@pytest.mark.parametrize("scale", [1, 2, 5])
def test_box_dots_and_label_are_where_they_belong(
    scale: int, labels: list[tuple[str, tuple[int, int, int, int]]]
) -> None:
    x1, y1, x2, y2 = (scale * v for v in (100, 80, 180, 190))
    record = face(x1, y1, x2, y2, 0.987)
    drawn = draw(plain(300 * scale, 240 * scale), [record])
    pixels = np.asarray(drawn)
    middle_x, middle_y = (x1 + x2) // 2, (y1 + y2) // 2
    for x, y in ((x1, middle_y), (x2, middle_y), (middle_x, y1), (middle_x, y2)):
        assert tuple(pixels[y, x]) == annotate._BOX
    for (x, y), colour in zip(record["landmarks"], annotate._LANDMARKS, strict=True):
        assert tuple(pixels[int(y), int(x)]) == colour
    ((text, place),) = labels
    assert text == "0.99"
    assert place[3] <= y1
    assert abs(place[0] - x1) <= 1
    # Nothing else was touched: neither the inside between the dots nor the world outside.
    mask = changed(drawn)
    reach = 3 * scale + 2
    mask[place[1] : place[3], place[0] : place[2]] = False
    for x, y in record["landmarks"]:
        mask[int(y) - reach : int(y) + reach + 1, int(x) - reach : int(x) + reach + 1] = False
    mask[y1 - reach : y2 + reach + 1, x1 - reach : x1 + reach + 1] = False
    mask[y1 - reach : y2 + reach + 1, x2 - reach : x2 + reach + 1] = False
    mask[y1 - reach : y1 + reach + 1, x1 : x2 + 1] = False
    mask[y2 - reach : y2 + reach + 1, x1 : x2 + 1] = False
    assert not mask.any()


def test_lines_and_type_grow_with_the_picture(
    labels: list[tuple[str, tuple[int, int, int, int]]],
) -> None:
    heights, lines = [], []
    for scale in (1, 4, 16):
        side = 200 * scale
        drawn = draw(plain(side, side), [face(*(scale * v for v in (60, 60, 160, 160)))])
        column = np.asarray(drawn)[110 * scale, : 80 * scale]
        lines.append(int((column == annotate._BOX).all(axis=1).sum()))
        heights.append(labels[-1][1][3] - labels[-1][1][1])
    assert lines == sorted(set(lines))
    assert heights == sorted(set(heights))
    # In proportion, once above the smallest legible type.
    assert heights[2] / heights[1] == pytest.approx(16 / 4, rel=0.15)


def test_little_faces_stay_visible() -> None:
    """Of a face of 12 pixels in a large picture, most of the inside is left alone."""
    drawn = draw(plain(1200, 900), [face(500, 400, 512, 412)])
    inside = changed(drawn)[401:412, 501:512]
    assert inside.sum() == 5  # a pixel for each landmark


@pytest.mark.parametrize("size", [(40, 30), (64, 64), (300, 200), (33, 500), (1600, 40)])
def test_labels_stay_inside_whatever_the_box_does(
    size: tuple[int, int], labels: list[tuple[str, tuple[int, int, int, int]]]
) -> None:
    width, height = size
    rng = np.random.default_rng(0)
    for _ in range(60):
        x1, x2 = np.sort(rng.uniform(-0.5, 1.5, 2)) * width
        y1, y2 = np.sort(rng.uniform(-0.5, 1.5, 2)) * height
        drawn = draw(plain(width, height), [face(x1, y1, x2, y2, float(rng.uniform()))])
        assert drawn.size == size
    assert len(labels) > 20
    outside = [
        place for _, place in labels if min(place[:2]) < 0 or place[2] > width or place[3] > height
    ]
    assert outside == []


def test_a_face_that_fills_the_picture_has_its_label_inside(
    labels: list[tuple[str, tuple[int, int, int, int]]],
) -> None:
    draw(plain(200, 200), [face(0, 0, 200, 200)])
    draw(plain(200, 200), [face(-50, -50, 250, 250)])
    assert [text for text, _ in labels] == ["0.50", "0.50"]


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (7, 3)])
def test_pictures_without_room_for_type(
    size: tuple[int, int], labels: list[tuple[str, tuple[int, int, int, int]]]
) -> None:
    drawn = draw(plain(*size), [face(0, 0, *size)])
    assert drawn.size == size
    assert labels == []


def test_in_a_crowd_labels_hide_neither_each_other_nor_little_faces(
    labels: list[tuple[str, tuple[int, int, int, int]]],
) -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 600, (150, 2))
    faces = [face(x, y, x + 14, y + 18, float(rng.uniform())) for x, y in corners]
    draw(plain(640, 640), faces)
    places = [place for _, place in labels]
    hidden = [
        (a, b)
        for i, a in enumerate(places)
        for b in [*places[i + 1 :], *(tuple(map(round, f["box"])) for f in faces)]
        if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    ]
    assert hidden == []
    assert 20 < len(places) < len(faces)
    # The highest scores come first.
    texts = [text for text, _ in labels]
    assert texts == sorted(texts, reverse=True)


def test_overlapping_large_faces_all_have_labels(
    labels: list[tuple[str, tuple[int, int, int, int]]],
) -> None:
    draw(plain(800, 800), [face(200 + d, 200 + d, 500 + d, 500 + d) for d in (0, 90, 180)])
    assert len(labels) == 3


def test_a_face_within_a_face_has_its_label_too(
    labels: list[tuple[str, tuple[int, int, int, int]]],
) -> None:
    draw(plain(800, 800), [face(5, 5, 795, 795), face(300, 300, 340, 340, 0.4)])
    assert [text for text, _ in labels] == ["0.50", "0.40"]


def test_a_label_moves_sideways_to_stay_above_its_box(
    labels: list[tuple[str, tuple[int, int, int, int]]],
) -> None:
    draw(plain(300, 200), [face(285, 100, 299, 120)])
    ((_, place),) = labels
    assert place[2] == 300
    assert place[3] <= 100


def test_faces_outside_leave_the_picture_alone() -> None:
    far = [face(-1e300, -1e300, -1e299, -1e299), face(1e6, 1e6, 2e6, 2e6), face(-99, 5, -9, 50)]
    assert not changed(draw(plain(100, 100), far)).any()
    near = face(20, 30, 60, 80)
    assert draw(plain(100, 100), [*far, near]) == draw(plain(100, 100), [near])
    around = {**face(-500, -500, 600, 600, None), "landmarks": None}
    assert not changed(draw(plain(100, 100), [around])).any()


def test_huge_boxes_take_no_longer() -> None:
    """Pillow alone would take tens of seconds to walk around this one."""
    start = time.perf_counter()
    drawn = draw(plain(100, 100), [face(-1e9, 20, 50, 1e9)])
    assert time.perf_counter() - start < 5
    assert tuple(drawn.getpixel((50, 60))) == annotate._BOX


def test_palettes_with_partial_transparency() -> None:
    """Pillow warns of such images where they become RGB directly; warnings are errors here."""
    picture = Image.new("P", (60, 50))
    picture.info["transparency"] = bytes(10)
    assert changed(draw(picture, [face(10, 10, 40, 40)])).any()


def test_no_faces_no_change() -> None:
    assert not changed(draw(plain(50, 40), [])).any()


def test_scores_and_landmarks_may_be_missing(
    labels: list[tuple[str, tuple[int, int, int, int]]],
) -> None:
    drawn = draw(plain(100, 100), [{"box": [20, 20, 60, 60]}])
    assert changed(drawn).any()
    assert labels == []


def test_the_picture_given_stays_as_it_was() -> None:
    image = Image.fromarray(plain(60, 60))
    array = plain(60, 60)
    records = [face(10, 10, 50, 50)]
    for picture in (image, array):
        assert changed(draw(picture, records)).any()
    assert (np.asarray(image) == GREY).all()
    assert (array == GREY).all()


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "P", "1", "CMYK"])
def test_pictures_of_other_modes(mode: str) -> None:
    picture = Image.new("RGBA" if mode == "RGBA" else "L", (60, 50)).convert(mode)
    drawn = draw(picture, [face(10, 10, 40, 40)])
    assert drawn.mode == "RGB"
    assert tuple(drawn.getpixel((25, 10))) == annotate._BOX


def test_exif_orientation_is_applied() -> None:
    image = Image.fromarray(plain(60, 90))
    image.getexif()[0x0112] = 6
    drawn = draw(image, [face(20, 10, 80, 50)])
    assert drawn.size == (90, 60)
    assert tuple(drawn.getpixel((50, 10))) == annotate._BOX


@pytest.mark.parametrize(
    ("picture", "record"),
    [
        (np.full((9, 9), 2.0, np.float32), face(1, 1, 5, 5)),
        (np.zeros((9, 9), np.int64), face(1, 1, 5, 5)),
        (plain(9, 9), {"box": [1, 2, float("nan"), 4]}),
        (plain(9, 9), {"box": [1, 2, float("inf"), 4]}),
        (plain(9, 9), {"box": [1, 2, 3]}),
        (plain(9, 9), {"box": [1, 2, 3, 4], "landmarks": [[float("nan"), 1]]}),
    ],
)
def test_what_cannot_be_drawn_is_an_error(
    picture: Image.Image | np.ndarray, record: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"must (be|have)"):
        draw(picture, [record])


def test_type_and_colours_stand_out(contrast: Any) -> None:
    box, edge, *landmarks = (
        "#{:02x}{:02x}{:02x}".format(*colour)
        for colour in (annotate._BOX, annotate._EDGE, *annotate._LANDMARKS)
    )
    assert contrast(box, edge) > 7  # WCAG's AAA for text
    for colour in landmarks:
        assert contrast(colour, edge) > 3  # WCAG's minimum for graphics


def test_colours_stay_apart_for_the_colour_blind() -> None:
    """Simulated after Viénot, Brettel and Mollon (1999), on linear RGB."""
    simulations = {
        "protanopia": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        "deuteranopia": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    }
    colours = {annotate._BOX, *annotate._LANDMARKS}
    close = []
    for kind, matrix in simulations.items():
        seen = [np.array(matrix) @ (np.array(c) / 255) ** 2.2 for c in colours]
        for i, a in enumerate(seen):
            for b in seen[i + 1 :]:
                distance = np.abs(a.clip(0) ** (1 / 2.2) - b.clip(0) ** (1 / 2.2)).max()
                if distance < 0.2:
                    close.append((kind, a, b))
    assert close == []
