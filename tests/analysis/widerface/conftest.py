"""A small benchmark on disk: the four .mat files in the shape of WIDER FACE's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.widerface.ground_truth import ALL_FACES, FILES

Faces = Sequence[Sequence[float]]
Events = Mapping[str, Mapping[str, tuple[Faces, Mapping[str, Sequence[int]]]]]
"""By event and image: boxes, and by subset the numbers, from 1, of the faces it keeps."""


def cells(values: Sequence[Any]) -> np.ndarray:
    """A MATLAB column of cells."""
    column = np.empty((len(values), 1), dtype=object)
    for i, value in enumerate(values):
        column[i, 0] = value
    return column


def write(folder: Path, events: Events) -> Path:
    from scipy.io import savemat

    folder.mkdir(parents=True, exist_ok=True)
    names = {
        "event_list": cells(list(events)),
        "file_list": cells([cells(list(images)) for images in events.values()]),
    }
    faces = [
        cells([np.array(boxes, dtype=np.int32).reshape(-1, 4) for boxes, _ in images.values()])
        for images in events.values()
    ]
    savemat(folder / ALL_FACES, {**names, "face_bbx_list": cells(faces)}, do_compression=True)
    for subset, name in FILES.items():
        kept = [
            cells([np.array(k[subset], dtype=np.uint8).reshape(-1, 1) for _, k in images.values()])
            for images in events.values()
        ]
        savemat(folder / name, {**names, "gt_list": cells(kept)}, do_compression=True)
    return folder


SMALL: Events = {
    "0--Parade": {
        "0_Parade_1": (
            [[10, 10, 40, 40], [100, 10, 20, 30], [200, 200, 8, 9]],
            {"easy": [1], "medium": [1, 2], "hard": [1, 2, 3]},
        ),
        "0_Parade_2": ([[50, 60, 30, 30]], {"easy": [1], "medium": [1], "hard": [1]}),
    },
    "1--Handshaking": {"1_Handshaking_1": ([], {"easy": [], "medium": [], "hard": []})},
}
"""Two events, three images, four faces; the last image has none."""


@pytest.fixture(scope="session")
def write_ground_truth() -> Callable[..., Path]:
    """Writes a ground truth, the small one by default, to a folder."""
    return lambda folder, events=SMALL: write(folder, events)


@pytest.fixture
def truth_folder(tmp_path: Path) -> Path:
    """The small ground truth on disk."""
    return write(tmp_path / "truth", SMALL)
