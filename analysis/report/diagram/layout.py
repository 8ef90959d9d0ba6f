"""What the two ways to lay the network out on a page have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from analysis.report.diagram.style import MARKS, path
from analysis.report.diagram.wiring import Wiring
from analysis.report.diagram.words import count, shape

Record = Mapping[str, Any]


class Frame(Protocol):
    """A page that a network is drawn on."""

    name: str
    record: Record
    size: tuple[float, float]

    def surroundings(self) -> Iterator[str]: ...
    def block(self, name: str, claims: Sequence[Record]) -> Iterator[str]: ...
    def foreground(self) -> Iterator[str]: ...


class Sheet:
    """What both directions share."""

    lanes: tuple[float, float, float]
    upright: bool

    def __init__(self, record: Record, layers: Sequence[Record]) -> None:
        self.record = record
        self.wiring = Wiring(record, layers, self.lanes, self.upright)
        self.blocks = {block["name"]: block for block in record["blocks"]}

    def bars(self, block: Record, x: float, y: float, apart: float, scale: float) -> Iterator[str]:
        """Shares of parameters and of MACs; of the latter, broken what deformable kernels take."""
        yield path(f"M{x:.1f} {y:.1f}h{scale * block['params_share']:.1f}", "bp")
        deformable = block["macs_by_kind"]["deformable_kernel"] / self.record["macs"] * scale
        solid = scale * block["macs_share"] - deformable
        y += apart
        yield path(f"M{x:.1f} {y:.1f}h{solid:.1f}", "bc")
        if deformable:
            yield path(f"M{x + solid:.1f} {y:.1f}h{deformable:.1f}", "bd")

    @property
    def cells(self) -> int:
        """Cells of the pyramid: an FPN is one."""
        config = self.record["config"]
        return int(config["cells"]) if config["pyramid"] == "bifpn" else 1

    def outputs(self) -> Iterator[tuple[str, int]]:
        """What the network says, and in how many values an anchor."""
        for name, sizes in self.blocks["heads"]["output_shapes"].items():
            yield {"logits": "classes"}.get(name, name), sizes[-1]

    def anchors(self) -> list[int]:
        """Anchors of each level: cells times anchors a cell."""
        shapes = self.blocks["shuffle"]["output_shapes"].values()
        anchors = [
            rows * columns * self.record["config"]["anchors"] for *_, rows, columns in shapes
        ]
        assert sum(anchors) == self.blocks["heads"]["output_shapes"]["boxes"][1], anchors
        return anchors

    def shapes(self, name: str) -> list[str]:
        """What a block hands on, by level."""
        if name == "heads":
            outputs = self.blocks[name]["output_shapes"].values()
            values = sum(sizes[-1] for sizes in outputs)
            return [f"{number:,}×{values}" for number in self.anchors()]
        return [shape(sizes) for sizes in self.blocks[name]["output_shapes"].values()]

    def marks(self, claims: Sequence[Record]) -> str:
        """How many claims have which verdict, as spans of a text."""
        spans = []
        for verdict in MARKS:
            number = sum(claim["verdict"] == verdict for claim in claims)
            if number:
                spans.append(f'<tspan class="{verdict[0]}v">{MARKS[verdict]} {number}</tspan>')
        return "&#160; ".join(spans)

    def totals(self) -> str:
        """What the whole network costs."""
        height, width = self.record["input"][-2:]
        return (
            f"{self.record['params']:,} parameters · {count(self.record['macs'])}MAC "
            f"for {height}×{width} pixels"
        )
