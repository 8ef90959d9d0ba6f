"""Drawn images with faces, in the folder that training reads: no photograph is needed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

SIDE = 128


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight drawn images."""
    return write_folder(tmp_path_factory.mktemp("drawn"), 8)


def write_folder(folder: Path, images: int, seed: int = 0) -> Path:
    """Write `images` drawings of one to three faces, with `boxes.json`."""
    random = np.random.default_rng(seed)
    document = {}
    for number in range(images):
        noise = random.integers(0, 80, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8)
        image = Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        canvas = ImageDraw.Draw(image)
        boxes = []
        for place in random.permutation(4)[: random.integers(1, 4)]:
            width = int(random.integers(20, 44))
            height = int(width * 1.2)
            x = int(place % 2 * 64 + random.integers(0, 64 - width))
            y = int(place // 2 * 64 + random.integers(0, 64 - height))
            canvas.ellipse((x, y, x + width, y + height), fill=(230, 190, 160))
            for eye in (0.3, 0.7):
                left, top = x + eye * width, y + 0.4 * height
                canvas.ellipse((left - 3, top - 3, left + 3, top + 3), fill=(20, 20, 60))
            boxes.append([x, y, width, height])
        name = f"drawn/{number}.png"
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / "images" / name)
        document[name] = {"size": [SIDE, SIDE], "boxes": boxes}
    (folder / "boxes.json").write_text(json.dumps(document), encoding="utf-8")
    return folder
