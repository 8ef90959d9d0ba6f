"""Faces: boxes and landmarks, crops, aligned crops, arrays and tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from featherface.drawing import draw
from featherface.errors import InputError
from featherface.images import FloatArray, Picture, RGBArray, describe, read_picture

if TYPE_CHECKING:
    import pandas as pd

POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""The five landmarks in their order; left and right as seen in the image."""

# The five points in an aligned crop of 112×112 pixels (ArcFace, Deng et al. 2019), where the
# first pixel's centre is at 0.
_TEMPLATE = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ]
)
_TEMPLATE_SIZE = 112


class Source:
    """The image that faces were found on, read again when somebody asks for its pixels."""

    def __init__(self, image: Picture, *, bgr: bool = False) -> None:
        self.image = image
        self.bgr = bgr

    @property
    def name(self) -> str:
        """The image's file, or a description of it."""
        return describe(self.image)

    @cached_property
    def pixels(self) -> RGBArray:
        """(height, width, 3) uint8 RGB, kept from the first use on."""
        return read_picture(self.image, bgr=self.bgr)


@dataclass(frozen=True)
class Face:
    """A face that was found; places are in pixels of the upright original image.

    x grows to the right and y downwards, from the upper left corner of the upper left pixel.
    """

    box: tuple[float, float, float, float]
    """x1, y1, x2, y2: left, top, right, bottom. As in the official protocol it is not clipped:
    the box of a face at the edge may leave the image."""
    score: float
    """Confidence, from 0 to 1."""
    landmarks: tuple[tuple[float, float], ...]
    """Five (x, y): the left eye, the right eye, the tip of the nose, the left corner of the mouth
    and the right one; left and right as seen in the image."""
    source: Source | None = field(default=None, repr=False, compare=False)
    """The image, for `crop` and `align`."""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values: `box` (4 numbers), `score`, `landmarks` (5 pairs)."""
        return {
            "box": list(self.box),
            "score": self.score,
            "landmarks": [list(point) for point in self.landmarks],
        }

    def crop(self, margin: float = 0.0) -> Image.Image:
        """Return the part of the image in the box, clipped to the image.

        Args:
            margin: widens the box on each side by this fraction of its width and height.

        Raises:
            InputError: where the box lies outside of the image, or the image is not known.
        """
        pixels = self._pixels()
        x1, y1, x2, y2 = self.box
        dx, dy = margin * (x2 - x1), margin * (y2 - y1)
        left, top = max(0, round(x1 - dx)), max(0, round(y1 - dy))
        part = pixels[top : max(top, round(y2 + dy)), left : max(left, round(x2 + dx))]
        if not part.size:
            raise InputError(f"box {tuple(map(round, self.box))} holds no pixel of the image")
        return Image.fromarray(part)

    def align(self, size: int = 112) -> Image.Image:
        """Return a square crop of `size` pixels, aligned as models of face recognition expect it.

        The similarity (rotation, scale, shift) that brings the landmarks nearest to ArcFace's
        template, in least squares (Umeyama 1991), sampled bilinearly; black outside of the
        image. Pixel centres are whole numbers, as in OpenCV.
        """
        pixels = self._pixels()
        scale, shift = _similarity(_TEMPLATE * size / _TEMPLATE_SIZE, np.array(self.landmarks))
        a, b = scale.real, scale.imag
        # Pillow asks where the *corner* of a pixel of the crop comes from: centres are 0.5 off.
        x = shift.real + 0.5 - 0.5 * (a - b)
        y = shift.imag + 0.5 - 0.5 * (a + b)
        return Image.fromarray(pixels).transform(
            (size, size),
            Image.Transform.AFFINE,
            (a, -b, x, b, a, y),
            resample=Image.Resampling.BILINEAR,
        )

    def _pixels(self) -> RGBArray:
        if self.source is None:
            raise InputError("the image of this face is not known: it was not made by a Detector")
        return self.source.pixels


def _similarity(
    start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]
) -> tuple[complex, complex]:
    """Return the complex numbers of least Σ|scale · start + shift − end|², points as x + iy."""
    p, q = start @ (1, 1j), end @ (1, 1j)
    centred = p - p.mean()
    scale = complex(np.vdot(centred, q - q.mean()) / np.vdot(centred, centred).real)
    return scale, complex(q.mean() - scale * p.mean())


class Results(list[Face]):
    """The faces of one image, by falling score: a list that prints, draws and converts itself."""

    def __init__(self, faces: Iterable[Face], source: Source) -> None:
        super().__init__(faces)
        self.source = source

    @property
    def boxes(self) -> FloatArray:
        """(n, 4) float32: x1, y1, x2, y2."""
        return np.array([face.box for face in self], np.float32).reshape(-1, 4)

    @property
    def scores(self) -> FloatArray:
        """(n,) float32."""
        return np.array([face.score for face in self], np.float32)

    @property
    def landmarks(self) -> FloatArray:
        """(n, 5, 2) float32, see `POINTS`."""
        return np.array([face.landmarks for face in self], np.float32).reshape(-1, 5, 2)

    def draw(self) -> Image.Image:
        """Return the image with the faces on it, see `featherface.draw`."""
        return draw(self.source.pixels, self)

    def to_pandas(self) -> pd.DataFrame:
        """Return a table: `x1`, `y1`, `x2`, `y2`, `score`, and `left_eye_x` to `right_mouth_y`."""
        import pandas as pd

        names = [f"{point}_{axis}" for point in POINTS for axis in "xy"]
        values = [(*face.box, face.score, *sum(face.landmarks, ())) for face in self]
        return pd.DataFrame(values, columns=["x1", "y1", "x2", "y2", "score", *names])

    def __repr__(self) -> str:
        count = f"{len(self)} face{'' if len(self) == 1 else 's'} on {self.source.name}"
        faces = (f"  {f.score:.2f} at {tuple(round(v) for v in f.box)}" for f in self)
        return "\n".join([count, *faces])

    def _repr_png_(self) -> bytes:
        """Return the image with the faces as PNG, for notebooks."""
        content = BytesIO()
        self.draw().save(content, format="PNG")
        return content.getvalue()
