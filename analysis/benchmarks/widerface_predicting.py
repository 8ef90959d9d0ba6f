"""Predict images of WIDER FACE, ours against the authors' way, on the same images in one run.

    python -m analysis.benchmarks.widerface_predicting --images WIDER_val/images

Both go from a folder of images to a folder of results files. They take turns, a part of the images
each, so that whatever else the machine does meets both. Prints the ratio, and on the last line
everything as JSON. Imports and the first image of each side are not timed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analysis.benchmarks import authors_way
from analysis.benchmarks.widerface_evaluator import as_seconds, read_clocks
from analysis.environment import stamp
from analysis.widerface.image_folder import Entry, list_images
from analysis.widerface.predicting import predict
from featherface import load
from featherface.errors import InputError
from featherface.model import FeatherFace


def measure(
    images: Path, *, weights: str = "official", runtime: str = "auto", pictures: int, turns: int
) -> dict[str, Any]:
    """Predict the same images in both ways.

    Args:
        images: EVENT/IMAGE.jpg.
        pictures: how many, drawn with a fixed seed from all there are.
        turns: into how many parts they are divided.

    Returns:
        `pictures`, `ours` and `authors` (`seconds`, `cpu_seconds` of all threads together, which
        for ours include loading the network each turn, `pictures_per_second`), `ratio` of the
        seconds, the authors' seconds by stage, and what ran. On a busy machine threads that wait
        for each other lose more than images side by side, so that the authors' way looks slower
        than it is; `taskset -c 0` compares both on one core.
    """
    listed = list_images(images)
    entries = random.Random(0).sample(listed, min(pictures, len(listed)))
    turns = min(turns, len(entries))
    model = load(weights)
    spent = {"ours": np.zeros(2), "authors": np.zeros(2)}
    stages: defaultdict[str, float] = defaultdict(float)
    made: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)

        def ours(part: list[Entry], folder: str) -> dict[str, Any]:
            chosen = out / "chosen.txt"
            chosen.write_text("".join(f"{entry.image}\n" for entry in part), encoding="utf-8")
            return predict(
                images, out / folder, weights=weights, runtime=runtime, device="cpu", subset=chosen
            )

        ours(entries[:1], "warm")
        _authors(model, images, out / "warm-authors", entries[:1])
        for turn in range(turns):
            part = entries[turn::turns]
            start = read_clocks()
            made = ours(part, "ours")
            spent["ours"] += made["seconds"], (read_clocks() - start)[1]
            start = read_clocks()
            for stage, seconds in _authors(model, images, out / "authors", part).items():
                stages[stage] += seconds
            spent["authors"] += read_clocks() - start
    count = len(entries)
    return {
        "benchmark": "widerface predicting",
        "weights": made["weights"]["name"],
        "runtime": made["runtime"],
        "threads": made["threads"],
        "pictures": count,
        **{
            side: {**as_seconds(clocks), "pictures_per_second": float(count / clocks[0])}
            for side, clocks in spent.items()
        },
        "authors_stages_seconds": dict(stages),
        "ratio": float(spent["authors"][0] / spent["ours"][0]),
        "environment": stamp(torch.device("cpu"), "float32", "contiguous"),
    }


def _authors(model: FeatherFace, images: Path, out: Path, entries: list[Entry]) -> dict[str, float]:
    """Predict and write as the authors' script does; returns the seconds by stage."""
    total: defaultdict[str, float] = defaultdict(float)
    for entry in entries:
        faces, seconds = authors_way.detect(model, images / entry.image)
        path = out / entry.result
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            file.write(f"{entry.stem}\n{len(faces)}\n")
            for face in faces:
                x, y, right, bottom = (int(number) for number in face[:4])
                file.write(f"{x} {y} {right - x} {bottom - y} {face[4]} \n")
        for stage, spent in seconds.items():
            total[stage] += spent
    return total


def main(arguments: list[str] | None = None) -> None:
    """Run the command; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="EVENT/IMAGE.jpg")
    parser.add_argument("--weights", default="official")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--turns", type=int, default=6)
    try:
        record = measure(**vars(parser.parse_args(arguments)))
    except InputError as error:
        sys.exit(f"widerface_predicting: {error}")
    print(f"{record['pictures']} images, {record['weights']}, ours with {record['runtime']}")
    print(f"ratio {record['ratio']:.2f}")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
