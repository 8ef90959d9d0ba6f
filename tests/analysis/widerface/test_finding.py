"""One image under each protocol, with a network whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torchvision.ops import box_iou, nms

from analysis.widerface.finding import find, vote
from analysis.widerface.protocol import PROTOCOLS, Protocol
from featherface.boxes import cached_anchors, encode_boxes, make_anchors
from featherface.detector import Detector
from featherface.errors import InputError
from featherface.images import PictureError
from featherface.runtimes.network import RawDetections


class OneBox:
    """Finds the white rectangle of an image: the anchor that fits it best scores 0.9."""

    config = SimpleNamespace(anchors=2)

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def network(self, pixels: npt.NDArray[np.float32]) -> RawDetections:
        height, width = pixels.shape[-2:]
        self.sizes.append((height, width))
        anchors = make_anchors(height, width, 2)
        rows, columns = np.nonzero(pixels[0, 0] > 100)
        corners = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        box = torch.tensor(corners, dtype=torch.float32) / torch.tensor([width, height] * 2)
        half = anchors[:, 2:] / 2
        overlaps = box_iou(torch.cat([anchors[:, :2] - half, anchors[:, :2] + half], 1), box[None])
        scores = np.zeros(len(anchors), dtype=np.float32)
        best = int(overlaps.argmax())
        scores[best] = 0.9
        boxes = torch.zeros(len(anchors), 4)
        boxes[best] = encode_boxes(box[None], anchors[best : best + 1])[0]
        return RawDetections(boxes.numpy(), scores, np.zeros((len(anchors), 10), np.float32))


def detector() -> Any:
    return cast(Detector, OneBox())


def image(height: int, width: int, box: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    drawn = np.zeros((height, width, 3), dtype=np.uint8)
    drawn[box[1] : box[3], box[0] : box[2]] = 255
    return drawn


BOX = (40, 30, 100, 80)


@pytest.mark.parametrize("flip", [False, True])
def test_torchs_default_device_plays_no_part(flip: bool) -> None:
    protocol = Protocol("small", shorter_sides=(60, 97), flip=flip, voting=True)
    expected = find(detector(), image(96, 128, BOX), protocol)
    given = cast(Any, OneBox())
    network = given.network

    def on_the_cpu(pixels: npt.NDArray[np.float32]) -> RawDetections:
        with torch.device("cpu"):
            return network(pixels)

    given.network = on_the_cpu
    cached_anchors.cache_clear()
    with torch.device("meta"):
        found = find(given, image(96, 128, BOX), protocol)
    np.testing.assert_array_equal(found.boxes, expected.boxes)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_every_view_finds_the_face_where_it_is(protocol: Protocol) -> None:
    found = find(detector(), image(120, 200, BOX), protocol)
    assert len(found.scores) == 1
    # An edge is found to a pixel of the view; what is enlarged blurs by no more than half of one.
    tolerance = 0.5 if protocol.shorter_sides else 1e-4
    np.testing.assert_allclose(found.boxes[0], BOX, atol=tolerance)
    assert found.scores[0] == np.float32(0.9)


def test_multi_scale_looks_at_five_sizes_twice() -> None:
    looking = detector()
    find(looking, image(120, 200, BOX), PROTOCOLS["multi-scale"])
    assert looking.sizes == [
        size for size in PROTOCOLS["multi-scale"].sizes(120, 200) for _ in range(2)
    ]


def test_a_mirrored_view_alone_finds_the_face_where_it_is() -> None:
    class Mirrored(OneBox):
        def network(self, pixels: npt.NDArray[np.float32]) -> RawDetections:
            raw = super().network(pixels)
            return raw if len(self.sizes) % 2 == 0 else raw._replace(scores=raw.scores * 0)

    protocol = Protocol("mirrored", flip=True)
    for size in ((120, 200), (30, 90)):  # the second is padded
        found = find(cast(Detector, Mirrored()), image(*size, (10, 5, 40, 28)), protocol)
        np.testing.assert_allclose(found.boxes, [(10, 5, 40, 28)], atol=1e-4)


def test_small_images_are_padded_at_every_size() -> None:
    protocol = Protocol("half", shorter_sides=(16,))
    looking = detector()
    found = find(looking, image(40, 64, (8, 8, 32, 32)), protocol)
    assert looking.sizes == [(32, 32)]  # 16×26, padded
    np.testing.assert_allclose(found.boxes[0], (8, 8, 32, 32), atol=1.5)


class Two(OneBox):
    """Two boxes of eleven pixels, shifted by `shift`, whatever the image."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift = shift

    def network(self, pixels: npt.NDArray[np.float32]) -> RawDetections:
        height, width = pixels.shape[-2:]
        anchors = make_anchors(height, width, 2)
        corners = torch.tensor(
            [[10, 10, 21, 21], [10 + self.shift, 10, 21 + self.shift, 21]], dtype=torch.float32
        )
        boxes, scores = torch.zeros(len(anchors), 4), np.zeros(len(anchors), dtype=np.float32)
        scaled = corners / torch.tensor([width, height] * 2)
        boxes[:2], scores[:2] = encode_boxes(scaled, anchors[:2]), (0.9, 0.8)
        return RawDetections(boxes.numpy(), scores, np.zeros((len(anchors), 10), np.float32))


def test_the_authors_suppress_with_one_pixel_more() -> None:
    # Shifted by 5: 6·11 / (2·121 − 66) = 0.375; with a pixel more 7·12 / (2·144 − 84) = 0.41.
    drawn = image(64, 64, (10, 10, 21, 21))
    looking = cast(Detector, Two(5))
    assert len(find(looking, drawn, PROTOCOLS["exact"]).scores) == 2
    found = find(looking, drawn, PROTOCOLS["original"])
    np.testing.assert_allclose(found.boxes, [[10, 10, 21, 21]], atol=1e-4)


def test_thresholds_are_the_protocols_own() -> None:
    drawn = image(64, 64, (10, 10, 21, 21))
    strict = replace(PROTOCOLS["exact"], score_threshold=0.85)
    assert len(find(cast(Detector, Two(8)), drawn, strict).scores) == 1
    loose = replace(PROTOCOLS["exact"], nms_threshold=0.3)
    assert len(find(cast(Detector, Two(5)), drawn, loose).scores) == 1


def test_nothing_found_is_an_empty_answer() -> None:
    strict = replace(PROTOCOLS["multi-scale"], score_threshold=0.95)
    found = find(detector(), image(64, 64, (*BOX[:2], 60, 60)), strict)
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == (0,)


def test_an_answer_that_is_not_finite_is_an_error() -> None:
    class Broken(OneBox):
        def network(self, pixels: npt.NDArray[np.float32]) -> RawDetections:
            raw = super().network(pixels)
            return raw._replace(boxes=raw.boxes * np.nan)

    with pytest.raises(InputError, match="not finite"):
        find(cast(Detector, Broken()), image(64, 64, (8, 8, 32, 32)), PROTOCOLS["exact"])


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), PictureError),
        (MemoryError(), PictureError),
        (RuntimeError("of another kind"), RuntimeError),
    ],
)
def test_too_little_memory_is_an_error_of_the_image(
    failure: Exception, expected: type[Exception]
) -> None:
    class Large(OneBox):
        def network(self, pixels: npt.NDArray[np.float32]) -> RawDetections:
            raise failure

    with pytest.raises(expected, match=r"too little memory for 64×64|of another kind"):
        find(cast(Detector, Large()), image(64, 64, BOX), PROTOCOLS["exact"])


def test_a_view_larger_than_the_network_takes_is_an_error_of_the_image() -> None:
    with pytest.raises(PictureError, match="at the network"):
        find(detector(), image(64, 64, BOX), Protocol("huge", shorter_sides=(6000,)))


def plain_vote(boxes: Any, scores: Any, threshold: float) -> Any:
    """Box voting as written down: take the best, average what overlaps it, go on with the rest."""
    left = list(np.argsort(-scores, kind="stable"))
    answer = []
    while left:
        overlaps = box_iou(torch.from_numpy(boxes[left[:1]]), torch.from_numpy(boxes[left]))[0]
        group = [i for i, over in zip(left, overlaps.tolist(), strict=True) if over > threshold]
        group = [left[0], *(i for i in group if i != left[0])]
        answer.append(np.average(boxes[group].astype(np.float64), axis=0, weights=scores[group]))
        left = [i for i in left if i not in group]
    return np.array(answer)


@pytest.mark.parametrize("seed", range(5))
def test_voting_agrees_with_the_plain_way(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 60, (80, 2))
    boxes = np.hstack([start, start + rng.uniform(5, 40, (80, 2))]).astype(np.float32)
    scores = rng.permutation(np.linspace(0.05, 0.95, 80)).astype(np.float32)
    given = torch.from_numpy(boxes), torch.from_numpy(scores)
    kept = nms(*given, 0.4)
    np.testing.assert_allclose(vote(*given, kept, 0.4), plain_vote(boxes, scores, 0.4), atol=1e-4)


def test_voting_over_nothing() -> None:
    empty = torch.zeros(0, dtype=torch.int64)
    assert vote(torch.zeros(0, 4), torch.zeros(0), empty, 0.4).shape == (0, 4)
