"""Growth with size: fits, what is skipped, and peak memory in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from analysis.speed import growth
from analysis.speed.setting import Setting
from analysis.speed.timing import Rule
from featherface.errors import InputError

ROOT = Path(__file__).resolve().parents[3]


def point(megapixels: float, ms: float, skipped: str | None = None) -> dict[str, Any]:
    return {"megapixels": megapixels, "ms_p50": ms, "skipped": skipped}


def test_a_line_is_found_again() -> None:
    points = [point(x, 3 + 40 * x) for x in (0.1, 0.4, 1.0)] + [point(9, 0, "too large")]
    found = growth.fit(points, "ms_p50")
    assert found is not None
    assert found["per_megapixel"] == pytest.approx(40)
    assert found["at_zero"] == pytest.approx(3)
    assert found["r_squared"] == pytest.approx(1)
    assert found["points"] == 3


def test_what_a_line_does_not_explain_is_in_r_squared() -> None:
    found = growth.fit([point(0, 0), point(1, 1), point(2, 0)], "ms_p50")
    assert found is not None
    assert found["per_megapixel"] == pytest.approx(0)
    assert found["r_squared"] == pytest.approx(0)


def test_one_size_makes_no_line() -> None:
    assert growth.fit([point(1, 5), point(1, 6)], "ms_p50") is None


def fake(monkeypatch: pytest.MonkeyPatch, free: int) -> list[list[int]]:
    """No processes: a byte a pixel, a millisecond a thousand pixels. Returns what was measured."""
    done: list[list[int]] = []

    class Process:
        def __init__(self, *_: Any) -> None: ...
        def __enter__(self) -> Process:
            return self

        def __exit__(self, *_: object) -> None: ...
        def submit(self, _: Any, point: Setting, rule: Rule) -> Any:
            done.append(list(point.shapes[0].shape))
            pixels = point.batch * point.height * point.width
            row = {"ms_p50": pixels / 1e3, "peak_bytes": pixels, "settled": True}
            return SimpleNamespace(result=lambda: {**row, "others_load": 0.25 * len(done)})

    monkeypatch.setattr(growth, "ProcessPoolExecutor", Process)
    monkeypatch.setattr(growth, "memory_free", lambda device: free)
    return done


def test_both_series_share_their_points_and_are_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    done = fake(monkeypatch, 10**9)
    found = growth.measure_growth(
        Setting(height=200, width=200), Rule(), sizes=(200, 100), batches=(1, 2)
    )
    one, two, four = [1, 3, 100, 100], [1, 3, 200, 200], [2, 3, 200, 200]
    assert done == [one, two, four]  # smallest first, none twice
    assert [row["input"] for row in found["sizes"]] == [one, two]
    assert [row["input"] for row in found["batches"]] == [two, four]
    assert found["fits"]["sizes"]["ms_p50"]["per_megapixel"] == pytest.approx(1000)
    assert found["fits"]["batches"]["peak_bytes"]["per_megapixel"] == pytest.approx(1e6)
    assert found["others_load"] == 0.75  # the most of any point
    assert found["doubts"] == ["other processes took 75 % of the processors"]


def test_what_needs_more_memory_than_there_is_is_skipped_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake(monkeypatch, 30_000)
    found = growth.measure_growth(
        Setting(height=100, width=100), Rule(), sizes=(100, 150, 200), batches=(1, 2)
    )
    skipped = [row["skipped"] for row in found["sizes"]]
    assert skipped[:2] == [None, None]
    assert "GiB are free" in skipped[2]


MEASURE = """
from analysis.speed.growth import peak_resident_bytes
hundred = 100 * 2**20
before = peak_resident_bytes()
held = bytearray(b"x") * hundred
after = peak_resident_bytes()
del held
assert hundred <= after - before < 1.2 * hundred, (before, after)
assert peak_resident_bytes() > after - 2**20  # the kernel counts in batches of pages
"""


@pytest.mark.slow
def test_the_peak_is_of_this_process_and_does_not_fall() -> None:
    large = bytearray(b"x") * (300 * 2**20)  # what the parent holds is not the child's
    done = subprocess.run([sys.executable, "-c", MEASURE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    del large


@pytest.mark.slow
def test_larger_pictures_take_more_memory_each_in_a_fresh_process() -> None:
    rule = Rule(seconds=0.0)
    found = growth.measure_growth(
        Setting("v1", height=64, width=64), rule, sizes=(64, 640), batches=(1,)
    )
    small, large = found["sizes"]
    assert small["n"] == large["n"] == 3
    # At least the two largest neighbouring activations of the backbone, 8 and 16 channels.
    assert large["peak_bytes"] > 4 * 24 * 320 * 320


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into the process as Linux shows it")
def test_an_interrupt_ends_the_process_beside_without_a_word() -> None:
    command = (sys.executable, "-m", "featherface", "latency", "--growth", "--seconds", "600")
    with subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:

        def measures() -> bool:
            return any(
                "torch" in Path(loaded.path).name
                for child in psutil.Process(process.pid).children()
                for loaded in child.memory_maps()
            )

        while process.poll() is None and not measures():
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, said = process.communicate()
    assert (process.returncode, said) == (130, "")


@pytest.mark.slow
def test_what_cannot_be_run_comes_back_from_the_process_as_one_line() -> None:
    setting = Setting(height=32, width=32, dtype="bfloat16", kernel="torchvision")
    with pytest.raises(InputError, match="cannot be run"):
        growth.measure_growth(setting, Rule(seconds=0.0), sizes=(), batches=(1,))
