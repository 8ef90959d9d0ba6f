"""Figures and tables of times: from made-up records, the same bytes and every number in sight."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from analysis.report.plots import latency as plots
from analysis.report.plots.style import render
from analysis.report.tables import latency as tables_latency
from featherface.config import BLOCKS

ENVIRONMENT = {
    "device": "cpu",
    "device_name": "Processor X",
    "threads": 2,
    "dtype": "float32",
    "memory_format": "contiguous",
    "torch": "2.9",
    "cuda": None,
    "driver": None,
    "commit": "0123456789abcdef",
    "commit_dirty": False,
    "utc": "2026-01-01T00:00:00+00:00",
}
RULE = {"within": 0.02, "confidence": 0.95, "turns": 20, "seconds": 20.0}


def times(ms: float) -> dict[str, Any]:
    return {
        "ms_p10": 0.9 * ms,
        "ms_p50": ms,
        "ms_p90": 1.2 * ms,
        "ms_mean": 1.01 * ms,
        "n": 40,
        "p50_within": 0.011,
        "settled": True,
    }


COMMON = {
    "variant": "official",
    "input": [1, 3, 640, 640],
    "environment": ENVIRONMENT,
    "deform_kernel": "gather",
    "rule": RULE,
}
LATENCY: dict[str, Any] = {
    **COMMON,
    "record": "latency",
    "runtime": "torch",
    "first_run_ms": 321.0,
    "prepare_ms": None,
    "whole": times(100.0),
    "marked": times(101.0),
    "overhead": 0.01,
    "sum_of_blocks": times(99.0),
    "outside_blocks": 0.0198,
    "blocks": [{"name": n, **times(i + 1.0), "share": (i + 1) / 28} for i, n in enumerate(BLOCKS)],
}
GROWTH: dict[str, Any] = {
    **COMMON,
    "record": "growth",
    "kernel": "auto",
    "sizes": [
        {"input": [1, 3, 320, 320], "megapixels": 0.1024, "skipped": None, "peak_bytes": 2**20}
        | times(11.0),
        {"input": [1, 3, 640, 640], "megapixels": 0.4096, "skipped": None, "peak_bytes": 2**22}
        | times(43.0),
        {"input": [1, 3, 1600, 1600], "megapixels": 2.56, "skipped": "needs about 9.0 GiB"},
    ],
    "batches": [],
    "fits": {
        "sizes": {
            "ms_p50": {"per_megapixel": 104.2, "at_zero": 0.3, "r_squared": 1.0, "points": 2},
            "peak_bytes": {"per_megapixel": 1e7, "at_zero": 0.0, "r_squared": 1.0, "points": 2},
        },
        "batches": {"ms_p50": None, "peak_bytes": None},
    },
}


def block(name: str, intensity: float | None) -> dict[str, Any]:
    known = intensity is not None
    return {
        "name": name,
        "macs": 10**8 if known else 0,
        "bytes": 10**7 if known else 0,
        "macs_per_byte": intensity,
        "macs_per_byte_most": 2 * intensity if intensity else None,
        "ms_p50": 12.5,
        "gmacs_per_second": 8.0,
        "gigabytes_per_second": 0.8,
        "roof_gmacs_per_second": 20.0 if known else None,
        "share_of_roof": 0.375 if known else None,
        "bound": "memory" if known else None,
    }


ROOFLINE: dict[str, Any] = {
    **COMMON,
    "record": "roofline",
    "ceilings": {
        "gmacs_per_second": 77.0,
        "gigabytes_per_second": 11.0,
        "ridge_macs_per_byte": 7.0,
        "product_by": "library A",
        "copy_by": "library B",
    },
    "whole": block("whole", 2.0),
    "blocks": [block("backbone", 1.5), block("context", 12.0), block("shuffle", None)],
}
OPERATORS: dict[str, Any] = {
    **COMMON,
    "record": "operators",
    "slowdown": 0.07,
    "deformable_share": 0.6,
    "blocks": [{"block": "context", "ms": 60.0, "share": 0.6}],
    "operators": [
        {
            "block": "context",
            "part": "deformable kernel",
            "operator": "aten::mm",
            "ms": 60.0,
            "calls": 15.0,
            "share": 0.6,
        },
        *(
            {"block": "heads", "part": "", "operator": f"aten::op{i}", "ms": 2.0, "calls": 1.0}
            | {"share": 0.02}
            for i in range(20)
        ),
    ],
}
FIGURES: dict[str, Callable[[Any], Figure]] = {
    "latency": lambda record: plots.by_block([record, {**record, "deform_kernel": None}]),
    "growth": plots.growth,
    "roofline": plots.roofline,
    "operators": plots.operators,
}
RECORDS = {"latency": LATENCY, "growth": GROWTH, "roofline": ROOFLINE, "operators": OPERATORS}


def words(figure: Figure) -> str:
    found = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return "\n".join(artist.get_text() for artist in found)


def printed(record: Any) -> str:
    console = Console(width=160, record=True, quiet=False, file=open_nowhere())
    console.print(tables_latency.table(record))
    return console.export_text()


def open_nowhere() -> Any:
    import io

    return io.StringIO()


@pytest.mark.parametrize("kind", RECORDS)
def test_a_flushed_cache_is_named_below_every_table(kind: str) -> None:
    assert "L2 cache flushed" in printed({**RECORDS[kind], "flush_l2": True})
    assert "L2 cache flushed" not in printed(RECORDS[kind])


@pytest.mark.parametrize("kind", RECORDS)
def test_the_same_records_give_the_same_bytes(kind: str) -> None:
    first = render(FIGURES[kind](RECORDS[kind]), "svg")
    assert render(FIGURES[kind](copy.deepcopy(RECORDS[kind])), "svg") == first


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("latency", ["Processor X, 2 threads, float32", "100 ms", "official (gather)"]),
        ("growth", ["104 ms per megapixel", "9.54 MiB per megapixel", "R² 1.000"]),
        ("roofline", ["77.0 GMAC/s", "11.0 GB/s", "context: 37.5 % of its roof"]),
        ("operators", ["mm · deformable kernel", "60.0 %", "everything else", "18.0 %"]),
    ],
)
def test_a_figure_shows_what_the_record_says(kind: str, shown: list[str]) -> None:
    text = words(FIGURES[kind](RECORDS[kind]))
    assert [words for words in shown if words not in text] == []


def test_a_block_that_does_nothing_is_not_under_the_roof() -> None:
    assert "shuffle" not in words(plots.roofline(ROOFLINE))


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("latency", ["marks cost +1.0 %", "outside the blocks: +2.0 %", "±1.1 %", "gather"]),
        ("growth", ["needs about 9.0 GiB", "104.2 ms per megapixel", "4.0"]),
        ("roofline", ["77.0 GMAC/s by library A", "37.5 %", "nothing to do"]),
        ("operators", ["deformable kernels: 60.0 %", "+7.0 %", "15"]),
    ],
)
def test_a_table_shows_what_the_record_says(kind: str, shown: list[str]) -> None:
    text = printed(RECORDS[kind])
    assert [words for words in shown if words not in text] == []


def test_a_table_says_when_a_time_has_not_settled() -> None:
    assert "NOT SETTLED" not in printed(LATENCY)
    assert "NOT SETTLED" in printed({**LATENCY, "settled": False})


def test_a_whole_without_blocks_has_a_table() -> None:
    text = printed({**LATENCY, "runtime": "onnx", "blocks": None})
    assert "runtime onnx" in text
    assert "marks cost" not in text
