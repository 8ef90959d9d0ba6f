"""Evaluate WIDER FACE predictions, ours against the public way, on the same files in one run.

    python -m analysis.benchmarks.widerface_evaluator --predictions DIR|TAR --ground-truth DIR

Both go from text files to the three APs. Ours runs before and after the peer, so that whatever else
the machine does meets both. Prints the ratio, and on the last line everything as JSON. Imports and
unpacking an archive, which the public way cannot read, are not timed.
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
from analysis.widerface.ground_truth import SUBSETS, read_ground_truth
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
    parser.add_argument(
        "--predictions", type=Path, required=True, help="a folder or an archive, complete"
    )
    parser.add_argument("--runs", type=int, default=3, help="of ours, before and after the peer")
    try:
        record = measure(**vars(parser.parse_args(arguments)))
    except InputError as error:
        sys.exit(f"widerface_evaluator: {error}")
    print(
        f"{record['images']:,} images, {record['boxes']:,} boxes, "
        f"{record['peak_bytes'] / 1e9:.2f} GB at most"
    )
    print(f"ratio {record['ratio']:.1f}, of processor time {record['cpu_ratio']:.1f}")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
