"""Pictures a second, ours against the authors' way, on the same pictures in one run.

    python -m analysis.benchmarks.widerface_predicting --images WIDER_val/images

Both sides do what `featherface widerface predict` is for: from a folder of pictures to a folder of
results files. They take turns, a part of the pictures each, so that whatever else the machine does
meets both. Prints a table, and on the last line the ratio as JSON. Imports, loading the network
and the first picture of each side are outside of the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from analysis.benchmarks import authors_way
from analysis.widerface.image_folder import Entry, list_images
from analysis.widerface.predicting import predict
from featherface import load
from featherface.errors import InputError


def measure(
    images: Path, *, weights: str = "official", runtime: str = "auto", pictures: int, turns: int
) -> dict[str, Any]:
    """Both sides on the same pictures.

    Args:
        images: EVENT/PICTURE.jpg.
        pictures: how many, drawn with a fixed seed from all there are.
        turns: into how many parts they are divided.

    Returns:
        `pictures`, `ours` and `authors` (`seconds`, `cpu_seconds` of all threads together, which
        for ours include loading the network each turn, `pictures_per_second`), `ratio` of the
        seconds, the authors' seconds by stage, and what ran. Where other work takes cores away,
        threads that wait for each other lose more than pictures side by side do: the authors'
        way looks slower than it is, and `taskset -c 0` compares both on one core.
    """
    listed = list_images(images)
    entries = sorted(random.Random(0).sample(listed, min(pictures, len(listed))))
    random.Random(1).shuffle(entries)
    turns = min(turns, len(entries))
    model = load(weights)
    seconds = {"ours": 0.0, "authors": 0.0}
    cpu_seconds = {"ours": 0.0, "authors": 0.0}
    stages: dict[str, float] = {}
    made: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        warm = out / "warm.txt"
        warm.write_text(entries[0].image + "\n")
        predict(images, out / "warm", weights=weights, runtime=runtime, device="cpu", subset=warm)
        _authors(model, images, out / "warm-authors", entries[:1])
        for turn in range(turns):
            part = entries[turn::turns]
            chosen = out / f"{turn}.txt"
            chosen.write_text("".join(f"{entry.image}\n" for entry in part))
            before = time.process_time()
            made = predict(
                images, out / "ours", weights=weights, runtime=runtime, device="cpu", subset=chosen
            )
            cpu_seconds["ours"] += time.process_time() - before
            seconds["ours"] += made["seconds"]
            start, before = time.perf_counter(), time.process_time()
            for stage, spent in _authors(model, images, out / "authors", part).items():
                stages[stage] = stages.get(stage, 0.0) + spent
            cpu_seconds["authors"] += time.process_time() - before
            seconds["authors"] += time.perf_counter() - start
    count = len(entries)
    return {
        "benchmark": "widerface predicting",
        "weights": made["weights"]["name"],
        "runtime": made["runtime"],
        "threads": made["threads"],
        "cores": os.cpu_count(),
        "pictures": count,
        **{
            side: {
                "seconds": spent,
                "cpu_seconds": cpu_seconds[side],
                "pictures_per_second": count / spent,
            }
            for side, spent in seconds.items()
        },
        "authors_stages_seconds": stages,
        "ratio": seconds["authors"] / seconds["ours"],
        "versions": made["versions"],
    }


def _authors(model: Any, images: Path, out: Path, entries: list[Entry]) -> dict[str, float]:
    """Predict and write the way of the authors' script; seconds by stage."""
    total: dict[str, float] = {}
    with authors_way.torchvision_kernel():
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
                total[stage] = total.get(stage, 0.0) + spent
    return total


def main(arguments: list[str] | None = None) -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="EVENT/PICTURE.jpg")
    parser.add_argument("--weights", default="official")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--turns", type=int, default=6)
    given = parser.parse_args(arguments)
    try:
        record = measure(
            given.images,
            weights=given.weights,
            runtime=given.runtime,
            pictures=given.pictures,
            turns=given.turns,
        )
    except InputError as error:
        sys.exit(f"widerface_predicting: {error}")
    lines = [
        f"{record['pictures']} pictures, {record['weights']}, {torch.get_num_threads()} threads",
        f"{'':24}{'seconds':>10}{'CPU s':>10}{'pictures/s':>12}",
    ]
    for label, side in (("authors' way", "authors"), (f"ours ({record['runtime']})", "ours")):
        row = record[side]
        times = f"{row['seconds']:10.2f}{row['cpu_seconds']:10.2f}"
        lines.append(f"{label:24}{times}{row['pictures_per_second']:12.2f}")
    lines.append(f"{'ratio':24}{record['ratio']:10.2f}")
    lines.append(json.dumps(record))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
