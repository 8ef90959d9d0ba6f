"""Tables of benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.report.formats import fixed, share
from analysis.report.table import Column, Table

_WAYS = {
    "authors": "authors' way: eager, torchvision's kernel",
    "ours": "eager, our deformable kernel",
    "onnx": "ONNX Runtime",
    "openvino": "OpenVINO",
    "cuda-graph": "CUDA graph",
}

_TIMES = (
    Column("p50", lambda way: way.get("ms_p50"), fixed(1), unit="ms"),
    Column("within", lambda way: way.get("p50_within"), share),
    Column("settled", lambda way: way.get("settled"), lambda settled: "yes" if settled else "NO"),
    Column("n", lambda way: way.get("n"), fixed(0)),
    Column("times faster", lambda way: way.get("times_faster"), fixed(2)),
)


def detector_speed(record: Mapping[str, Any]) -> Iterator[Table]:
    """Yield the tables of a record of `analysis.benchmarks.detector_speed.measure`."""
    height, width = record["input"][-2:]
    ceiling, images = record["ceiling"], record["pictures"]
    ways = [
        {"network": network["variant"], "way": _WAYS[key], **way}
        for network in record["networks"]
        for key, way in network["ways"].items()
    ]
    yield Table(
        f"One image of {height}×{width} through the network",
        (
            Column("network", "network"),
            Column("way", "way"),
            *_TIMES,
            Column("GMAC/s", lambda way: way.get("gmacs_per_second"), fixed(1)),
            Column("of the ceiling", lambda way: way.get("share_of_ceiling"), share),
        ),
        ways,
        notes=(
            f"ceiling: {ceiling['gmacs_per_second']:.1f} GMAC/s, {ceiling['of']}",
            *_not_measured(ways, "way"),
            *_not_measured([{"what": "from file to faces", **images}], "what"),
            *(f"DOUBT: {doubt}" for doubt in record["doubts"]),
        ),
    )
    if "not_measured" in images:
        return
    rows = [{"way": _WAYS[key], **way} for key, way in images["ways"].items()]
    for peer in images["peers"]:
        if "not_measured" not in peer:
            name = f"{peer['name']} ({peer['package']} {peer['version']}), {peer['faces']} faces"
            faster = images["ways"]["authors"]["ms_p50"] / peer["ms_p50"]
            rows.append({**peer, "way": name, "times_faster": faster})
    yield Table(
        f"From file to faces: {images['picture']}, {images['width']}×{images['height']}",
        (Column("way", "way"), *_TIMES),
        rows,
        notes=tuple(_not_measured(images["peers"], "name")),
    )


def _not_measured(rows: list[dict[str, Any]], name: str) -> Iterator[str]:
    for row in rows:
        if "not_measured" in row:
            yield f"{row[name]}: not measured; {row['not_measured']}"
