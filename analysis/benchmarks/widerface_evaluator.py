"""Evaluating WIDER FACE predictions, ours against the public way, on the same files in one run.

    python -m analysis.benchmarks.widerface_evaluator --predictions DIR|TAR --ground-truth DIR

Both go from text files to the three APs. Ours runs before and after the peer, so that whatever else
the machine does meets both. Prints a table, and on the last line the ratio as JSON. Imports are
outside of the clock; so is unpacking an archive, which the public way cannot read.

With `--boxes N` ours alone evaluates N random boxes instead, to see the memory that takes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.benchmarks import widerface_public_way as public_way
from analysis.widerface.average_precision import evaluate_files
from analysis.widerface.ground_truth import SUBSETS, GroundTruth, read_ground_truth
from analysis.widerface.prediction_files import read_archive
from featherface.errors import InputError


def measure(predictions: Path, ground_truth: Path, runs: int = 3) -> dict[str, Any]:
    """Both sides on the same files.

    Args:
        predictions: a folder EVENT/PICTURE.txt or an archive of one, complete.
        ground_truth: the folder of the four .mat files.
        runs: how often ours runs before and after the peer; its median counts.

    Returns:
        `ours` and `public_way` (`seconds`, `cpu_seconds` and AP by subset; ours with all `runs`),
        `ratio` of the seconds and `cpu_ratio`, `largest_difference` of AP, `images`, `boxes`,
        `peak_bytes` of the process, and what ran.
    """
    with tempfile.TemporaryDirectory() as scratch:
        if not predictions.is_dir():
            predictions = _unpack(predictions, ground_truth, Path(scratch))
        clocks, record = _ours(predictions, ground_truth, runs)
        peak = _peak_bytes()
        start = _clocks()
        theirs = public_way.evaluate(predictions, ground_truth)
        spent = _clocks() - start
        clocks += _ours(predictions, ground_truth, runs)[0]
    middle = np.median(clocks, axis=0)
    return {
        "benchmark": "widerface evaluator",
        "images": record["images"],
        "boxes": record["boxes"],
        "ours": {
            "seconds": float(middle[0]),
            "cpu_seconds": float(middle[1]),
            "runs": [float(each[0]) for each in clocks],
            **{name: record[name] for name in SUBSETS},
        },
        "public_way": {"seconds": float(spent[0]), "cpu_seconds": float(spent[1]), **theirs},
        "largest_difference": max(abs(record[name] - theirs[name]) for name in SUBSETS),
        "ratio": float(spent[0] / middle[0]),
        "cpu_ratio": float(spent[1] / middle[1]),
        "peak_bytes": peak,
        **_machine(),
    }


def measure_many(ground_truth: Path, boxes: int) -> dict[str, Any]:
    """Ours alone, on a folder of random boxes.

    Returns:
        `seconds`, `images`, `boxes`, `text_bytes` and `peak_bytes` of the whole process.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "predictions"
        size = write_random(folder, read_ground_truth(ground_truth), boxes)
        clocks, record = _ours(folder, ground_truth, 1)
    return {
        "benchmark": "widerface evaluator, memory",
        "images": record["images"],
        "boxes": record["boxes"],
        "text_bytes": size,
        "seconds": float(clocks[0][0]),
        "cpu_seconds": float(clocks[0][1]),
        "peak_bytes": _peak_bytes(),
        **_machine(),
    }


def write_random(folder: Path, truth: GroundTruth, boxes: int, seed: int = 0) -> int:
    """Write as many boxes for each picture, some near its faces, in falling order of score.

    Returns:
        How many bytes of text that are.
    """
    random = np.random.default_rng(seed)
    count = len(truth.images)
    shares = np.diff(np.linspace(0, boxes, count + 1).astype(int))
    size = 0
    for p, share in enumerate(shares.tolist()):
        event, picture = truth.key(p)
        rows = np.empty((share, 5))
        rows[:, :2], rows[:, 2:4] = random.uniform(0, 1000, (2, share, 2)) * [[[1.0]], [[0.1]]]
        faces = truth.boxes[truth.offsets[p] : truth.offsets[p + 1]]
        near = share // 3 if len(faces) else 0
        rows[:near, :4] = faces[random.integers(0, max(len(faces), 1), near)]
        rows[:near, :4] += random.normal(0, 2, (near, 4))
        random.shuffle(rows)
        rows[:, 4] = np.sort(random.uniform(0, 1, share))[::-1]
        lines = "\n".join(
            "%.2f %.2f %.2f %.2f %.6f" % tuple(row)  # noqa: UP031 - half the time of an f-string
            for row in rows.tolist()
        )
        text = f"{picture}\n{share}\n{lines}\n"
        path = folder / event / f"{picture}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        size += len(text)
    return size


def _ours(
    predictions: Path, ground_truth: Path, runs: int
) -> tuple[list[NDArray[np.float64]], dict[str, Any]]:
    clocks = []
    for _ in range(runs):
        start = _clocks()
        record = evaluate_files(predictions, ground_truth).as_dict()
        clocks.append(_clocks() - start)
    return clocks, record


def _clocks() -> NDArray[np.float64]:
    """(2,): seconds on the wall, and of the processor, which others on the machine slow less."""
    return np.array([time.perf_counter(), time.process_time()])


def _unpack(archive: Path, ground_truth: Path, folder: Path) -> Path:
    """Write an archive's known pictures to a folder; names come from the ground truth alone."""
    known = read_ground_truth(ground_truth).index
    for file in read_archive(archive, lambda _, *key: key if key in known else None):
        path = folder / file.event / f"{file.image}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(file.content)
    return folder


def _peak_bytes() -> int | None:
    """The most memory the process ever had; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }


def _table(record: dict[str, Any]) -> list[str]:
    peak = record["peak_bytes"]
    lines = [
        f"{record['images']:,} pictures, {record['boxes']:,} boxes, "
        f"{'unknown' if peak is None else f'{peak / 1e9:.2f} GB'} at most"
    ]
    if "ratio" not in record:
        return [*lines, f"{record['seconds']:.2f} s"]
    lines.append(
        f"{'':16}{'seconds':>10}{'of CPU':>10}" + "".join(f"{name:>10}" for name in SUBSETS)
    )
    for label, side in (("public way", "public_way"), ("ours", "ours")):
        values = "".join(f"{record[side][name]:10.5f}" for name in SUBSETS)
        clocks = f"{record[side]['seconds']:10.3f}{record[side]['cpu_seconds']:10.3f}"
        lines.append(f"{label:16}{clocks}{values}")
    return [*lines, f"{'ratio':16}{record['ratio']:10.1f}{record['cpu_ratio']:10.1f}"]


def main(arguments: list[str] | None = None) -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ground-truth", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, help="a folder or an archive, complete")
    parser.add_argument("--runs", type=int, default=3, help="of ours, before and after the peer")
    parser.add_argument("--boxes", type=int, help="so many random boxes instead, ours alone")
    given = parser.parse_args(arguments)
    if (given.predictions is None) == (given.boxes is None):
        parser.error("give either --predictions or --boxes")
    try:
        record = (
            measure(given.predictions, given.ground_truth, given.runs)
            if given.predictions
            else measure_many(given.ground_truth, given.boxes)
        )
    except InputError as error:
        sys.exit(f"widerface_evaluator: {error}")
    sys.stdout.write("\n".join([*_table(record), json.dumps(record)]) + "\n")


if __name__ == "__main__":
    main()
