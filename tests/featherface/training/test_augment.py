"""Crops: faces move with the pixels, and a crop depends on nothing but its row of numbers."""

from __future__ import annotations

import torch

from featherface.boxes import MEAN_BGR
from featherface.training.augment import DRAWS, Augment
from featherface.training.data import Images

SIDE = 96
FACE = (30.0, 20.0, 62.0, 60.0)  # x1, y1, x2, y2
POINTS = (38.0, 34.0, 54.0, 34.0, 46.0, 42.0, 40.0, 52.0, 52.0, 52.0)


def one_image() -> Images:
    """A black image of 96×80 with a white rectangle for a face."""
    pixels = torch.empty(1, 3, SIDE, SIDE, dtype=torch.uint8)
    for channel, mean in enumerate(MEAN_BGR):
        pixels[0, channel] = round(mean)
    pixels[:, :, :80] = 0
    x1, y1, x2, y2 = (int(value) for value in FACE)
    pixels[:, :, y1:y2, x1:x2] = 255
    return Images(
        pixels,
        torch.tensor([[96.0, 80.0]]),
        torch.tensor([[FACE, (0.0,) * 4]]),
        torch.tensor([[POINTS, (torch.nan,) * 10]]),
        torch.tensor([1]),
    )


def augment(zoom: tuple[float, float] = (0.5, 2.0)) -> Augment:
    return Augment(64, zoom, 4, "cpu")


def rows(count: int, seed: int = 0) -> torch.Tensor:
    draws = torch.rand(count, DRAWS, generator=torch.Generator().manual_seed(seed))
    draws[:, 6] = 1.0  # colours as they are
    return draws


def test_faces_move_with_the_pixels() -> None:
    draws = rows(64)
    crops, faces = augment()(one_image(), torch.zeros(64, dtype=torch.int64), draws)
    white = (crops + torch.tensor(MEAN_BGR)[:, None, None]).amin(1) > 128
    checked = 0
    for crop, box, valid in zip(white, faces.boxes[:, 0], faces.valid[:, 0], strict=True):
        assert bool(valid) or int(crop.sum()) < crop.numel()
        if not valid:
            continue
        ys, xs = crop.nonzero().unbind(1)
        found = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        assert (found - box * 64).abs().max() <= 1.01
        checked += 1
    assert checked > 40
    assert (draws[:, 5] < 0.5).any()
    assert (draws[:, 5] >= 0.5).any()


def test_a_mirrored_face_keeps_its_left_eye_on_the_left() -> None:
    draws = rows(64, 1)
    _, faces = augment((1.0, 1.0))(one_image(), torch.zeros(64, dtype=torch.int64), draws)
    points = faces.landmarks[faces.valid][:, :].view(-1, 5, 2)
    assert len(points) > 40
    assert (points[:, 0, 0] < points[:, 1, 0]).all()
    assert (points[:, 3, 0] < points[:, 4, 0]).all()
    width = (points[:, 1, 0] - points[:, 0, 0]) * 64
    assert torch.allclose(width, torch.full_like(width, 16.0), atol=1e-3)


def test_a_crop_does_not_depend_on_its_batch() -> None:
    draws = rows(6, 2)
    index = torch.zeros(6, dtype=torch.int64)
    together, faces = augment()(one_image(), index, draws)
    alone, face = augment()(one_image(), index[3:4], draws[3:4])
    assert torch.allclose(together[3:4], alone, atol=1e-3)
    assert torch.equal(faces.boxes[3:4], face.boxes)


def test_around_the_image_is_the_mean_colour_however_distorted() -> None:
    draws = rows(32, 3)
    draws[:, 6] = 0.0
    draws[:, 0] = 0.0  # the smallest zoom: 192 pixels of an image of 96×80
    crops, _ = augment()(one_image(), torch.zeros(32, dtype=torch.int64), draws)
    share = (crops == 0).all(1).float().mean()
    assert abs(float(share) - (1 - 96 * 80 / (128 * 128))) < 0.03


def test_colours_are_distorted_within_their_range() -> None:
    draws = rows(32, 4)
    draws[:, 6] = 0.0
    images = one_image()
    plain, _ = augment()(images, torch.zeros(32, dtype=torch.int64), rows(32, 4))
    crops, _ = augment()(images, torch.zeros(32, dtype=torch.int64), draws)
    values = crops + torch.tensor(MEAN_BGR)[:, None, None]
    assert values.min() >= -1e-3
    assert values.max() <= 255.001
    assert (crops - plain).abs().mean() > 1


def test_a_whole_image_is_the_image() -> None:
    images = one_image()
    pixels, faces = Augment(96, (1, 1), 2, "cpu").whole(images, torch.tensor([0]), 1.0)
    expected = images.pixels.float() - torch.tensor(MEAN_BGR)[:, None, None]
    assert torch.allclose(pixels[:, :, :80], expected[:, :, :80], atol=1e-3)
    assert (pixels[:, :, 80:] == 0).all()
    assert torch.allclose(faces.boxes[0, 0] * 96, torch.tensor(FACE), atol=1e-4)
    assert faces.valid.tolist() == [[True, False]]


def test_faces_too_small_or_outside_are_left_out() -> None:
    images = one_image()
    images.boxes[0, 1] = torch.tensor([70.0, 70.0, 72.0, 72.0])  # 2 pixels
    images.counts[0] = 2
    _, faces = Augment(96, (1, 1), 2, "cpu").whole(images, torch.tensor([0]), 1.0)
    assert faces.valid.tolist() == [[True, False]]
    _, faces = Augment(32, (1, 1), 2, "cpu").whole(images, torch.tensor([0]), 1.0)
    assert faces.valid.tolist() == [[False, False]]  # the face's centre is outside
