"""An image with faces, drawn here, on which runtimes are compared without a download."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from featherface.images import RGBArray

_SIZE = (512, 600)

_FACES = (
    (170, 190, 100),
    (390, 180, 60),
    (330, 420, 120),
    (90, 460, 40),
    (60, 60, 16),
    (120, 60, 9),
)
"""Centre x and y, and half of the width of the hair, in pixels."""

_FEATURES = (
    # From the centre to the right and down, half width and half height, by the face's size; colour.
    (0.0, -0.1, 0.9, 1.2, (60, 42, 30)),  # hair
    (0.0, 0.1, 0.75, 1.05, (222, 180, 155)),  # skin
    *(
        (side * x, y, rx, ry, colour)
        for side in (-1, 1)
        for x, y, rx, ry, colour in (
            (0.3, -0.1, 0.17, 0.09, (250, 250, 250)),  # eye
            (0.3, -0.1, 0.09, 0.09, (50, 35, 30)),  # iris
            (0.3, -0.27, 0.2, 0.05, (70, 50, 40)),  # brow
        )
    ),
    (0.0, 0.25, 0.1, 0.16, (200, 150, 125)),  # nose
    (0.0, 0.62, 0.28, 0.09, (170, 80, 80)),  # mouth
)


def draw_crowd() -> RGBArray:
    """Return (600, 512, 3) uint8 RGB: six drawn faces, which the published networks find."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(90, 170, (12, 10, 3), dtype=np.uint8))
    image = coarse.resize(_SIZE, Image.Resampling.BICUBIC)
    canvas = ImageDraw.Draw(image)
    for centre_x, centre_y, size in _FACES:
        for dx, dy, rx, ry, colour in _FEATURES:
            x, y = centre_x + dx * size, centre_y + dy * size
            canvas.ellipse((x - rx * size, y - ry * size, x + rx * size, y + ry * size), colour)
    smooth = np.asarray(image.filter(ImageFilter.GaussianBlur(1.5))).astype(np.int16)
    noisy: RGBArray = (smooth + rng.integers(-8, 9, smooth.shape)).clip(0, 255).astype(np.uint8)
    return noisy
