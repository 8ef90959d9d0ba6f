"""`featherface latency`: what is recorded, and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.report.tables.latency import growth
from analysis.speed import latest, self_check, setting
from featherface.records import read

QUICK = ("latency", "--variant", "retinaface", "--size", 32, 32, "--seconds", 0, "--device", "cpu")


@pytest.fixture
def doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "MOST_OTHER_LOAD", -1.0)
    monkeypatch.setattr(self_check.OtherLoad, "share", 0.5)
    monkeypatch.setattr(self_check, "_busy", lambda: 0.0)  # so that the share stays


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.speed.latency.doubts", lambda records, _: [[] for _ in records])


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "latency.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("doubtful")
def test_a_doubtful_measurement_is_recorded_only_when_asked(tmp_path: Path, call: Any) -> None:
    refused = call(*QUICK, "--record", tmp_path)
    assert refused.code == 1
    assert "latency of retinaface (torch) not recorded" in refused.err
    assert "other processes took 50 % of the processors" in refused.err
    assert not (tmp_path / "latency.jsonl").exists()
    assert call(*QUICK, "--record", tmp_path, "--record-doubtful").code == 0
    (row,) = rows(tmp_path)
    assert "other processes took 50 % of the processors" in row["doubts"]


@pytest.mark.usefixtures("trusted")
def test_runtimes_and_batches_are_recorded_each(tmp_path: Path, call: Any) -> None:
    both = ("--runtime", "torch", "--runtime", "onnx", "--batch", 1, "--batch", 2)
    assert call(*QUICK, *both, "--record", tmp_path).code == 0
    found = [(row["runtime"], row["input"][0]) for row in rows(tmp_path)]
    assert found == [("torch", 1), ("onnx", 1), ("torch", 2), ("onnx", 2)]


@pytest.mark.usefixtures("trusted")
def test_the_smallest_batch_is_measured_first_in_every_dtype(tmp_path: Path, call: Any) -> None:
    each = ("--dtype", "float32", "--dtype", "float64", "--batch", 1, "--batch", 2)
    assert call(*QUICK, *each, "--record", tmp_path).code == 0
    found = [(row["input"][0], row["environment"]["dtype"]) for row in rows(tmp_path)]
    assert found == [(1, "float32"), (1, "float64"), (2, "float32"), (2, "float64")]


@pytest.mark.usefixtures("trusted")
def test_a_record_that_could_not_be_read_again_is_not_written(
    tmp_path: Path, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(latest.FIELDS["latency"], "moon", str)
    assert "latency.jsonl: a record without 'moon'" in call(*QUICK, "--record", tmp_path).refusal
    assert not (tmp_path / "latency.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runtime", "onnx", "--roofline"], "--roofline looks into PyTorch's operators"),
        (["--runtime", "cuda-graph"], "'cuda-graph' runs on CUDA"),
        (["--all"], "--all already has every measurement"),
        (["--model", "torchvision:alexnet"], "--model and --variant each name a network"),
        (["--device", "mps"], "'mps' is none of cpu, cuda, cuda:N"),
        (["--size", "640", "640", "--input", "1 4 32 32"], "--input must be N 3 H W"),
        (["--size", "640", "640", "--input", "1 3 9 9 float16"], "--input must be N 3 H W"),
        (["--input", "1 3 64 64"], "--input and --size each name a size"),
    ],
)
def test_what_cannot_be_measured_is_one_line(arguments: list[str], message: str, call: Any) -> None:
    assert message in call(*QUICK, *arguments).refusal


@pytest.mark.parametrize(
    "arguments",
    [
        ("latency", "--size", 5000, 5000),
        ("latency", "--size", 500, 500, "--batch", 100, "--operators"),
        ("bench", "--size", 5000, 5000),
    ],
    ids=lambda arguments: " ".join(map(str, arguments)),
)
def test_images_that_do_not_fit_into_memory_are_refused(
    arguments: tuple[Any, ...], call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setting, "memory_free", lambda _: 10**9)
    said = call(*arguments, "--device", "cpu", "--seconds", 0).refusal
    assert "25,000,000 pixels need about 2.9 GiB of memory; 0.9 GiB are free" in said


def test_the_estimate_of_memory_is_above_what_is_on_record() -> None:
    path = Path(__file__).parents[3] / "docs" / "results" / "growth.jsonl"
    rows = read(path, latest.FIELDS["growth"])
    points = [point for row in rows for point in row["sizes"] + row["batches"]]
    most = max(point["peak_bytes"] / point["megapixels"] / 1e6 for point in points)
    assert most < setting.BYTES_A_PIXEL < 1.5 * most


def test_a_table_of_growth_has_inputs_that_are_no_images() -> None:
    path = Path(__file__).parents[3] / "docs" / "results" / "growth.jsonl"
    row = read(path, latest.FIELDS["growth"])[-1]
    for inputs in ([7], [2, 7], [1, 3, 16, 32, 32]):
        points = [{**point, "input": inputs} for point in row["batches"]]
        text = growth({**row, "sizes": [], "batches": points}).markdown()
        assert f"| {' × '.join(map(str, inputs))} |" in text


def test_another_network_is_measured_by_its_name(tmp_path: Path, call: Any) -> None:
    model = ("--model", "torchvision:squeezenet1_1", "--input", 2, 3, 32, 32)
    options = ("--seconds", 0, "--device", "cpu", "--record", tmp_path, "--record-doubtful")
    done = call("latency", *model, *options)
    assert done.code == 0
    assert "torchvision:squeezenet1_1 at 2×3×32×32" in done.out
    (row,) = rows(tmp_path)
    assert (row["variant"], row["model"], row["input"]) == (None, model[1], [2, 3, 32, 32])
    assert [block["name"] for block in row["blocks"]] == ["features", "classifier"]
