"""Latency: what the marks measure, with a clock of our own, and what is refused."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.speed import latest
from analysis.speed.latency import measure_latencies, measure_latency
from analysis.speed.random_network import make_random_images, make_random_network
from analysis.speed.running import Subject, entered
from analysis.speed.setting import Setting
from analysis.speed.timing import Clock, Rule
from featherface import CONFIGS
from featherface.config import BLOCKS
from featherface.errors import InputError
from featherface.records import append, read

SHORT = Rule(seconds=0.0)


class Ticking(Clock):
    """A clock on which a millisecond passes at every look."""

    def __init__(self) -> None:
        self.looks = 0
        self.settled_at = -1

    def mark(self) -> int:
        self.looks += 1
        return self.looks

    def settle(self) -> None:
        self.settled_at = self.looks

    def ms_between(self, first: int, second: int) -> float:
        assert self.settled_at >= second, "times are read after waiting for them"
        return float(second - first)


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return measure_latency(Setting(height=64, width=96, threads=1), SHORT)


def test_every_block_is_marked_before_and_after_and_nothing_stays_behind() -> None:
    model = make_random_network(CONFIGS["v1"])
    clock = Ticking()
    subject = Subject(Setting("v1"), model, (make_random_images(1, 32, 32),), clock)
    times = subject.time_blocks()
    # Two looks for the whole, two for each of seven blocks; the whole spans all of them.
    assert clock.looks == 16
    assert times == {"marked": 15.0, **dict.fromkeys(BLOCKS, 1.0)}
    assert not any(child._forward_hooks or child._forward_pre_hooks for child in model.children())
    assert subject.time() == 1.0


def test_the_cache_is_flushed_before_the_clock_starts() -> None:
    clock = Ticking()
    looks: list[int] = []
    subject = Subject(
        Setting("v1"),
        make_random_network(CONFIGS["v1"]),
        (make_random_images(1, 32, 32),),
        clock,
        lambda: looks.append(clock.looks),  # type: ignore[arg-type]
    )
    subject.time()
    subject.time_blocks()
    assert looks == [0, 2]


def test_a_record_is_plain_and_its_parts_belong_together(record: dict[str, Any]) -> None:
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert tuple(block["name"] for block in record["blocks"]) == BLOCKS
    assert record["input"] == [1, 3, 64, 96]
    assert record["environment"]["threads"] == 1
    assert sum(block["share"] for block in record["blocks"]) == pytest.approx(1)
    whole, marked = record["whole"], record["marked"]
    assert 0 <= record["outside_blocks"] < 1
    assert whole["n"] == marked["n"] == record["blocks"][0]["n"] == 3
    assert 0 < whole["ms_p10"] <= whole["ms_p50"] <= whole["ms_p90"]
    assert record["first_run_ms"] > 0
    assert not whole["settled"]  # three runs say nothing


def test_a_record_can_be_kept(record: dict[str, Any], tmp_path: Any) -> None:
    append(tmp_path / "latency.jsonl", record)
    assert read(tmp_path / "latency.jsonl", latest.FIELDS["latency"]) == [record]


@pytest.mark.parametrize(
    ("variant", "kernel", "ran"),
    [
        ("official", "torchvision", "torchvision"),
        ("official", "gather", "gather"),
        ("retinaface", "auto", None),
    ],
)
def test_a_record_says_which_deformable_kernel_ran(
    variant: str, kernel: str, ran: str | None
) -> None:
    setting = Setting(variant, height=32, width=32, kernel=kernel)
    assert measure_latency(setting, SHORT)["deform_kernel"] == ran


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
@pytest.mark.parametrize("variant", ["v1", "official"])  # random offsets amplify rounding
def test_exported_networks_are_timed_as_a_whole(
    variant: str, runtime: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = "onnxruntime" if runtime == "onnx" else runtime
    if importlib.util.find_spec(package) is None:  # importing openvino would send an event
        pytest.skip(f"{package} is not installed")
    monkeypatch.setenv("FEATHERFACE_CACHE", str(tmp_path))
    setting = Setting(variant, height=32, width=32, threads=1, runtime=runtime)
    found = measure_latency(setting, SHORT)
    assert (found["runtime"], found["blocks"]) == (runtime, None)
    assert found["whole"]["ms_p50"] > 0
    assert found["prepare_ms"] > 0
    assert not list(tmp_path.iterdir())  # nobody detects with these weights


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_other_dtypes_and_memory_formats_are_what_runs(dtype: str) -> None:
    setting = Setting("v1", height=32, width=32, dtype=dtype, memory_format="channels-last")
    with entered(setting) as subject:
        assert subject.images.dtype == getattr(torch, dtype)
        assert subject.images.is_contiguous(memory_format=torch.channels_last)
        assert subject.model(subject.images).boxes.dtype == getattr(torch, dtype)


def test_an_operator_without_a_kernel_for_the_dtype_is_one_line() -> None:
    setting = Setting("official", height=32, width=32, dtype="bfloat16", kernel="torchvision")
    with pytest.raises(InputError, match=r"official with dtype bfloat16.*cannot be run") as caught:
        measure_latency(setting, SHORT)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variant": "v9"}, "variant"),
        ({"height": 31}, "height"),
        ({"batch": 0}, "batch"),
        ({"device": "gpu"}, "device"),
        ({"dtype": "int8"}, "dtype"),
        ({"threads": 0}, "threads"),
        ({"memory_format": "rows"}, "memory_format"),
        ({"kernel": "magic"}, "kernel"),
        ({"flush_l2": True}, "L2"),
        ({"runtime": "fast"}, r"runtime \(='fast'\)"),
        ({"runtime": "cuda-graph"}, "'cuda-graph' runs on CUDA, not on device 'cpu'"),
        ({"runtime": "onnx", "dtype": "float64"}, "in float32"),
        ({"runtime": "openvino", "memory_format": "channels-last"}, "contiguous"),
    ],
)
def test_bad_settings_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure_latency(Setting(height=32, width=32).at(**change), SHORT)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("runtime", ["torch", "cuda-graph"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_cuda_events_time_the_blocks(runtime: str, dtype: str) -> None:
    setting = Setting("official", device="cuda", flush_l2=True, runtime=runtime, dtype=dtype)
    found = measure_latency(setting, Rule(seconds=0.2))
    assert found["environment"]["cuda"] == torch.version.cuda
    assert found["outside_blocks"] < 0.5
    assert all(block["ms_p50"] >= 0 for block in found["blocks"])
    assert found["deform_kernel"] == ("torchvision" if runtime == "torch" else "gather")


@pytest.mark.slow
def test_a_compiled_network_is_timed_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    try:
        found = measure_latency(Setting("v1", height=64, width=64, runtime="compile"), SHORT)
    except InputError as error:
        pytest.skip(f"torch.compile does not work here: {error}")
    assert (found["runtime"], found["blocks"], found["deform_kernel"]) == ("compile", None, None)
    assert found["first_run_ms"] > found["whole"]["ms_p50"] > 0


def test_variants_take_turns_and_each_has_its_kernel() -> None:
    settings = [
        Setting("official", height=32, width=32, kernel=kernel)
        for kernel in ("gather", "torchvision")
    ]
    found = measure_latencies([*settings, Setting("v1", height=32, width=32)], SHORT)
    assert [each["deform_kernel"] for each in found] == ["gather", "torchvision", None]
    assert [each["variant"] for each in found] == ["official", "official", "v1"]
    assert {each["whole"]["turns"] for each in found} == {3}
    assert all(isinstance(each["settled"], bool) for each in found)
    assert len({each["others_load"] for each in found}) == 1
    # The context deforms: by another kernel, it is not "the same block".
    assert not [doubt for each in found for doubt in each["doubts"] if "context" in doubt]


def row(**changes: Any) -> dict[str, Any]:
    environment = {
        "device": "cpu",
        "device_name": "A",
        "dtype": "float32",
        "memory_format": "contiguous",
        "threads": 2,
        "utc": "0",
    }
    environment |= {key: changes.pop(key) for key in list(changes) if key in environment}
    base = {"record": "latency", "variant": "v1", "runtime": "torch", "input": [1, 3, 64, 64]}
    return {**base, "environment": environment, **changes}


def test_the_latest_of_a_kind_takes_the_place_of_earlier_ones() -> None:
    rows = [row(n=1), row(n=2, threads=1), row(n=3), row(n=4, variant="official")]
    assert [r["n"] for r in latest.latest(rows)] == [3, 2, 4]
    changed = row(n=5, variant=None, model="v1", settings={"reduction": 16})
    assert [r["n"] for r in latest.latest([row(n=1), changed])] == [1, 5]
    assert latest.network_name(changed) == "v1 with reduction=16"
    assert list(latest.by_machine(rows)) == ["A, 2 threads, float32", "A, 1 thread, float32"]


def test_rows_of_another_layout_or_precision_are_not_among_those_of_the_last_cpu() -> None:
    rows = [
        row(n=1, utc="1"),
        row(n=2, utc="2", memory_format="channels-last"),
        row(n=3, utc="3", memory_format="channels-last", threads=1),
        row(n=4, utc="4", dtype="float64"),
        row(n=5, utc="5", device="cuda:0"),
        row(n=6, utc="6", device="cuda:0", memory_format="channels-last"),
    ]
    assert [r["n"] for r in latest.measured_last(rows, "cpu", [1, 3, 64, 64])] == [1]
    assert [r["n"] for r in latest.measured_last(rows, "cuda", [1, 3, 64, 64])] == [5, 6]


def test_rows_of_a_flushed_cache_are_not_among_those_of_the_last_gpu() -> None:
    gpu = {"device": "cuda:0", "device_name": "G"}
    rows = [row(n=1, flush_l2=False, **gpu), row(n=2, flush_l2=True, utc="1", **gpu)]
    assert [r["n"] for r in latest.latest(rows)] == [1, 2]
    assert [r["n"] for r in latest.measured_last(rows, "cuda", [1, 3, 64, 64])] == [1]
    assert latest.measured_last(rows[1:], "cuda", [1, 3, 64, 64]) == []


def test_a_gpu_row_is_told_from_a_cpu_row() -> None:
    gpu = row(device="cuda:0", device_name="G")
    assert latest.machine(gpu["environment"]) == "G, float32"
