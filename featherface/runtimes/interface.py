"""The interface of all runtimes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from featherface.images import FloatArray


class RawDetections(NamedTuple):
    """Outputs of a network for each of the N anchors of one image, in their order."""

    boxes: FloatArray  # (N, 4), encoded
    scores: FloatArray  # (N,), after the softmax
    landmarks: FloatArray  # (N, 10), encoded


Network = Callable[[FloatArray], RawDetections]
"""(1, 3, height, width) as `images.preprocess` makes it → `RawDetections`."""


class BatchNetwork:
    """A `Network` that computes batches."""

    def run(self, pixels: FloatArray) -> Sequence[FloatArray]:
        """Return boxes (batch, N, 4), scores (batch, N) and landmarks (batch, N, 10), encoded.

        Args:
            pixels: (batch, 3, height, width).
        """
        raise NotImplementedError

    def __call__(self, pixels: FloatArray) -> RawDetections:
        return RawDetections(*(rows[0] for rows in self.run(pixels)))
