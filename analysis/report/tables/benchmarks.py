"""Benchmarks as tables for a terminal. Takes records alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

_WAYS = {
    "authors": "authors' way: eager, torchvision's kernel",
    "ours": "eager, our deformable kernel",
    "onnx": "ONNX Runtime",
    "cuda-graph": "CUDA graph",
}


def detector_speed(record: Mapping[str, Any]) -> Iterator[Table | str]:
    """What `analysis.benchmarks.detector_speed.measure` returns."""
    height, width = record["input"][-2:]
    table = _table(f"One picture of {height}×{width} through the network")
    for name in ("network", "way"):
        table.add_column(name)
    for name in ("ms p50", "± %", "n", "times faster", "GMAC/s", "of the ceiling"):
        table.add_column(name, justify="right")
    for network in record["networks"]:
        for key, way in network["ways"].items():
            if "not_measured" in way:
                table.add_row(network["variant"], _WAYS[key], way["not_measured"])
                continue
            table.add_row(
                network["variant"],
                _WAYS[key],
                *_times(way),
                f"{way['times_faster']:.2f}",
                f"{way['gmacs_per_second']:.1f}",
                f"{100 * way['share_of_ceiling']:.0f} %",
            )
    yield table
    yield f"ceiling: {record['ceiling']['gmacs_per_second']:.1f} GMAC/s, {record['ceiling']['of']}"
    pictures = record["pictures"]
    if "not_measured" in pictures:
        yield f"from a picture to faces: not measured; {pictures['not_measured']}"
        return
    size = f"{pictures['width']}×{pictures['height']}"
    table = _table(f"From file to faces: {pictures['picture']}, {size}")
    table.add_column("way")
    for name in ("ms p50", "± %", "n", "times faster"):
        table.add_column(name, justify="right")
    for key, way in pictures["ways"].items():
        table.add_row(_WAYS[key], *_times(way), f"{way['times_faster']:.2f}")
    yield from (f"DOUBT: {doubt}" for doubt in record["doubts"])
    reference = pictures["ways"]["authors"]["ms_p50"]
    for peer in pictures["peers"]:
        if "not_measured" not in peer:
            faster = f"{reference / peer['ms_p50']:.2f}"
            name = f"{peer['name']} ({peer['package']} {peer['version']}), {peer['faces']} faces"
            table.add_row(name, *_times(peer), faster)
    yield table
    for peer in pictures["peers"]:
        if "not_measured" in peer:
            yield f"{peer['name']}: not measured; {peer['not_measured']}"


def _times(record: Mapping[str, Any]) -> tuple[str, str, str]:
    within = record["p50_within"]
    return (
        f"{record['ms_p50']:.1f}",
        "" if within is None else f"{100 * within:.1f}",
        f"{record['n']:,}",
    )


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold")
