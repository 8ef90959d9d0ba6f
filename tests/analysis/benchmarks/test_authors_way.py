"""The peer finds what our detector finds: what is compared is speed alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import nms

from analysis.benchmarks import authors_way
from analysis.benchmarks.widerface_predicting import measure
from analysis.widerface.finding import find
from analysis.widerface.protocol import PROTOCOLS
from featherface import CONFIGS, Detector, FeatherFace, load
from featherface.boxes import make_anchors
from featherface.images import read_picture
from featherface.model import save


@pytest.fixture
def picture(tmp_path: Path, portrait: Path) -> Path:
    path = tmp_path / "images" / "a" / "portrait.png"
    path.parent.mkdir(parents=True)
    Image.open(portrait).resize((103, 121)).save(path)
    return path


def both(model: FeatherFace, picture: Path) -> tuple[np.ndarray, np.ndarray]:
    detector = Detector(model, runtime="torch", device="cpu")
    ours = find(detector, read_picture(picture), PROTOCOLS["original"])
    theirs = authors_way.detect(model, picture)
    assert set(theirs.seconds) == {"read", "network", "anchors", "decode", "suppress"}
    assert min(theirs.seconds.values()) >= 0
    return np.hstack([ours.boxes, ours.scores[:, None]]), theirs.faces


def test_suppression_agrees_with_torchvision_and_one_pixel_more() -> None:
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 60, (200, 2))
    boxes = np.hstack([start, start + rng.uniform(5, 40, (200, 2))]).astype(np.float32)
    scores = rng.permutation(np.linspace(0.9, 0.1, 200)).astype(np.float32)
    extended = torch.from_numpy(boxes) + torch.tensor([0, 0, 1, 1])
    expected = nms(extended, torch.from_numpy(scores), 0.4).tolist()
    assert authors_way.suppress(np.hstack([boxes, scores[:, None]]), 0.4) == expected


def test_both_find_the_same_faces_with_the_published_weights(weights: Path, picture: Path) -> None:
    ours, theirs = both(load(weights / "official.pth"), picture)
    assert len(ours) == len(theirs) >= 1
    np.testing.assert_allclose(ours, theirs[:, :5], atol=1e-2)


def test_anchors_agree() -> None:
    expected = make_anchors(70, 101)
    torch.testing.assert_close(authors_way.make_priors(70, 101), expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_both_sides_of_the_benchmark_do_all_pictures(picture: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save(FeatherFace(CONFIGS["retinaface"]), tmp_path / "random.safetensors")
    record = measure(
        picture.parents[1],
        weights=str(tmp_path / "random.safetensors"),
        runtime="torch",
        pictures=5,
        turns=3,
    )
    assert (record["pictures"], record["runtime"]) == (1, "torch")
    ours, theirs = record["ours"]["seconds"], record["authors"]["seconds"]
    assert record["ratio"] == theirs / ours
    assert sum(record["authors_stages_seconds"].values()) <= theirs
