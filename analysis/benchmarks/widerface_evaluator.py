"""Evaluate WIDER FACE predictions, ours against the public way, on the same files in one run.

    python -m analysis.benchmarks.widerface_evaluator --predictions DIR|TAR --ground-truth DIR

Both go from text files to the three APs. Ours runs before and after the peer, so that whatever else
the machine does meets both. Prints the ratio, and on the last line everything as JSON. Imports and
unpacking an archive, which the public way cannot read, are not timed.

With `--boxes N` ours alone evaluates N random boxes instead, to measure its memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.benchmarks import widerface_public_way as public_way
from analysis.environment import stamp
from analysis.speed.growth import peak_resident_bytes
from analysis.widerface.average_precision import evaluate_files
from analysis.widerface.ground_truth import SUBSETS, GroundTruth, read_ground_truth
from analysis.widerface.prediction_files import read_archive
from featherface.errors import InputError


def measure(predictions: Path, ground_truth: Path, runs: int = 3) -> dict[str, Any]:
    """Evaluate the same files in both ways.

    Args:
        predictions: a folder EVENT/IMAGE.txt or an archive of one, complete.
        ground_truth: the folder of the four .mat files.
        runs: how often ours runs before and after the peer; its median counts.

    Returns:
        `ours` and `public_way` (`seconds`, `cpu_seconds` and AP by subset; ours with all `runs`),
        `ratio` of the seconds and `cpu_ratio`, `largest_difference` of AP, `images`, `boxes`,
        `peak_bytes` of the process, and `environment`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        if not predictions.is_dir():
            predictions = _unpack(predictions, ground_truth, Path(scratch))
        clocks, record = _ours(predictions, ground_truth, runs)
        peak = peak_resident_bytes()
        start = read_clocks()
        theirs = public_way.evaluate(predictions, ground_truth)
        spent = read_clocks() - start
        clocks += _ours(predictions, ground_truth, runs)[0]
    middle = np.median(clocks, axis=0)
    return {
        "benchmark": "widerface evaluator",
        "images": record["images"],
        "boxes": record["boxes"],
        "ours": {
            **as_seconds(middle),
            "runs": [float(each[0]) for each in clocks],
            **{name: record[name] for name in SUBSETS},
        },
        "public_way": {**as_seconds(spent), **theirs},
        "largest_difference": max(abs(record[name] - theirs[name]) for name in SUBSETS),
        "ratio": float(spent[0] / middle[0]),
        "cpu_ratio": float(spent[1] / middle[1]),
        "peak_bytes": peak,
        "environment": stamp(torch.device("cpu"), "float64", "contiguous"),
    }


def measure_many(ground_truth: Path, boxes: int) -> dict[str, Any]:
    """Evaluate a folder of random boxes in our way; returns seconds, sizes and `peak_bytes`."""
    with tempfile.TemporaryDirectory() as scratch:
        size = write_random(Path(scratch), read_ground_truth(ground_truth), boxes)
        clocks, record = _ours(Path(scratch), ground_truth, 1)
    return {
        "benchmark": "widerface evaluator, memory",
        "images": record["images"],
        "boxes": record["boxes"],
        "text_bytes": size,
        **as_seconds(clocks[0]),
        "peak_bytes": peak_resident_bytes(),
        "environment": stamp(torch.device("cpu"), "float64", "contiguous"),
    }


def write_random(folder: Path, truth: GroundTruth, boxes: int) -> int:
    """Write equally many boxes for each image, a third near its faces; returns the text's bytes."""
    random = np.random.default_rng(0)
    count = len(truth.images)
    size = 0
    for p, share in enumerate(np.diff(np.linspace(0, boxes, count + 1).astype(int)).tolist()):
        event, image = truth.key(p)
        rows = random.uniform(0, 1000, (share, 5))
        rows[:, 2:4] /= 10
        faces = truth.boxes[truth.offsets[p] : truth.offsets[p + 1]]
        near = share // 3 if len(faces) else 0
        rows[:near, :4] = faces[random.integers(0, max(len(faces), 1), near)]
        rows[:near, :4] += random.normal(0, 2, (near, 4))
        random.shuffle(rows)
        rows[:, 4] = np.sort(random.uniform(0, 1, share))[::-1]
        path = folder / event / f"{image}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="\n") as file:
            file.write(f"{image}\n{share}\n")
            np.savetxt(file, rows, fmt=["%.2f"] * 4 + ["%.6f"])
        size += path.stat().st_size
    return size


def _ours(
    predictions: Path, ground_truth: Path, runs: int
) -> tuple[list[NDArray[np.float64]], dict[str, Any]]:
    clocks = []
    for _ in range(runs):
        start = read_clocks()
        record = evaluate_files(predictions, ground_truth).as_dict()
        clocks.append(read_clocks() - start)
    return clocks, record


def read_clocks() -> NDArray[np.float64]:
    """Return (2,): seconds on the wall, and of the processor, which others slow less."""
    return np.array([time.perf_counter(), time.process_time()])


def as_seconds(clocks: NDArray[np.float64]) -> dict[str, float]:
    """Return the two clocks by name."""
    return {"seconds": float(clocks[0]), "cpu_seconds": float(clocks[1])}


def _unpack(archive: Path, ground_truth: Path, folder: Path) -> Path:
    """Write an archive's known images to a folder; names come from the ground truth alone."""
    known = read_ground_truth(ground_truth).index
    for file in read_archive(archive, lambda _, *key: key if key in known else None):
        path = folder / file.event / f"{file.image}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(file.content)
    return folder


def main(arguments: list[str] | None = None) -> None:
    """Run the command; see the module."""
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
    print(
        f"{record['images']:,} images, {record['boxes']:,} boxes, "
        f"{record['peak_bytes'] / 1e9:.2f} GB at most"
    )
    if "ratio" in record:
        print(f"ratio {record['ratio']:.1f}, of processor time {record['cpu_ratio']:.1f}")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
