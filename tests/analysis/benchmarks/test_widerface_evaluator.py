"""The evaluator's benchmark: both sides agree, and what it prints can be read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from analysis.benchmarks import widerface_evaluator as benchmark
from analysis.widerface.ground_truth import (
    ALL_FACES,
    FILES,
    SUBSETS,
    GroundTruth,
    read_ground_truth,
)


def cells(*values: object) -> np.ndarray:
    column = np.empty((len(values), 1), dtype=object)
    column[:, 0] = values
    return column


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """Two events of two pictures with up to nine faces; the subsets keep 1, 2 and all in 3."""
    random = np.random.default_rng(0)
    names = {
        "event_list": cells("a", "b"),
        "file_list": cells(cells("p", "q"), cells("r", "s")),
    }
    counts = ((9, 5), (1, 7))
    boxes = cells(*(cells(*(random.integers(5, 400, (n, 4)) for n in row)) for row in counts))
    folder = tmp_path / "truth"
    folder.mkdir()
    savemat(folder / ALL_FACES, {**names, "face_bbx_list": boxes}, do_compression=True)
    for step, subset in zip((3, 2, 1), SUBSETS, strict=True):
        numbers = [[np.arange(1, n + 1, step).reshape(-1, 1) for n in row] for row in counts]
        kept = cells(*(cells(*row) for row in numbers))
        savemat(folder / FILES[subset], {**names, "gt_list": kept}, do_compression=True)
    return folder


def write_random(folder: Path, truth: GroundTruth, boxes: int) -> None:
    """Equally many boxes for each image, a third near its faces."""
    random = np.random.default_rng(0)
    count = len(truth.images)
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


@pytest.mark.parametrize("packed", [False, True])
def test_both_ways_give_the_same_ap(
    packed: bool, truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tmp_path / "found"
    write_random(found, read_ground_truth(truth), 200)
    if packed:
        found = Path(shutil.make_archive(str(found), "tar", found))
    benchmark.main(["--predictions", str(found), "--ground-truth", str(truth), "--runs", "1"])
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (record["images"], record["boxes"]) == (4, 200)
    assert record["largest_difference"] <= 1e-12
    assert 0.2 < record["ours"]["hard"] < 1
    assert record["ratio"] == record["public_way"]["seconds"] / record["ours"]["seconds"]


def test_bad_input_is_one_line(truth: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no such file or folder|cannot be read"):
        benchmark.main(["--predictions", str(tmp_path / "x.tar"), "--ground-truth", str(truth)])
