"""The source of every number on a page: the records it is made from, or where it is stated."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.report.pages.records import Record, Records
from analysis.report.table import Column, Table, code
from analysis.widerface.ground_truth import VALIDATION_IMAGES
from analysis.widerface.matching import THRESHOLDS

FILES: Mapping[str, str | None] = {
    "blocks": "blocks.json",
    "layers": "layers.json",
    "counters": "counters.json",
    "verdict": "verdicts.json",
    "verdicts": "verdicts.json",
    "totals": "design_space.json",
    "landscape": "design_space.json",
    "maps": "maps.json",
    "torchvision": "torchvision.json",
    "publications": "provenance.json",
    "card_line": "provenance.json",
    "docs": None,
    "sources": None,
    "quotes": None,
}
"""The file below docs/results/ that an attribute of `Records` is read from; None for ledgers."""

FIGURES: Mapping[str, str | None] = {
    "architecture": "blocks.json",
    "design-space": "design_space.json",
    "sensitivity": "design_space.json",
    "latency": "latency.jsonl",
    "operators": "operators.jsonl",
    "roofline": "roofline.jsonl",
    "growth": "growth.jsonl",
    "maps": "maps.json",
    "widerface-training": "widerface.jsonl",
    "widerface": "widerface-breakdown.json",
    "faces": None,
}
"""The file that a figure is drawn from, by the start of its name; the first that fits counts.

None for what `featherface report` finds with the weights in the package while it draws.
"""

STATED = {
    "640": ("height and width of the input that MACs are given for", "analysis/report/results.py"),
    f"{VALIDATION_IMAGES:,}": (
        "images of WIDER FACE’s validation set",
        "analysis/widerface/ground_truth.py",
    ),
    f"{THRESHOLDS:,}": (
        "thresholds of WIDER FACE’s average precision",
        "analysis/widerface/matching.py",
    ),
    "52": (
        "channels of the authors’ network that has the second card’s first total",
        "featherface search",
    ),
    "112": ("side of an aligned face in pixels, as ArcFace takes it", "docs/use/faces.md"),
    "2000": ("parameters that the second card prints", "the second card’s ledger"),
    "245": (
        "million MACs of RetinaFace at 320×320, by YuNet’s table",
        "https://github.com/ShiqiYu/libfacedetection.train/tree/02246e7",
    ),
    "480": ("height of VGA images, 640 pixels wide", "the sources of rows under that protocol"),
    "0.25": ("width of the backbone, a fraction of MobileNetV1’s", "featherface/config.py"),
    "0.50": ("score from which Detector takes a face", "featherface/detector.py"),
    "0.5": ("the mask of a point in a figure’s legend", "analysis/report/plots/maps/offsets.py"),
    "16": ("megabytes of the detector on the page Try it", "scripts/web_detector.py"),
    "3.11": ("the oldest Python that is supported", "pyproject.toml"),
}
"""Numbers that pages state and no record holds: what each is, and the file that sets it."""


class Noted:
    """Records that note in `files` which files what is read of them comes from."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.files: set[str] = set()
        self.lines = _Lines(records.lines, self.files)

    def __getattr__(self, name: str) -> Any:
        if file := FILES[name]:
            self.files.add(file)
        return getattr(self._records, name)


class _Lines(Mapping[str, Sequence[Record]]):
    def __init__(self, lines: Mapping[str, Sequence[Record]], files: set[str]) -> None:
        self._lines, self._files = lines, files

    def __getitem__(self, name: str) -> Sequence[Record]:
        rows = self._lines[name]
        self._files.add(name)
        return rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


def drawn_from(fragment: str) -> set[str]:
    """Return the files that the figures of a fragment are drawn from."""
    names = re.findall(r"figures/([\w-]+)\.svg", fragment)
    return {file for file in map(file_of_figure, names) if file is not None}


def file_of_figure(name: str) -> str | None:
    """Return the file that a figure is drawn from; see `FIGURES`."""
    return next(file for start, file in FIGURES.items() if name.startswith(start))


def line(page: str, files: Mapping[str, set[str]], up: str = "") -> str:
    """Return a line that names the records behind the numbers of a page.

    Args:
        page: Markdown with the names of the fragments that it includes.
        files: by fragment, those that it was made from.
        up: the way from the page's folder to that of all pages.
    """
    included = re.findall(r'^--8<-- "([^"]+)"$', page, re.MULTILINE)
    names = sorted(set().union(*(files.get(name, set()) for name in included)))
    links = ", ".join(f"[{name}]({up}results/{name})" for name in names)
    return (
        f"Numbers and figures on this page are made from the records {links}. "
        f"[What no record holds]({up}method.md#stated) is listed with its source.\n"
    )


def stated() -> str:
    """Return a table of the numbers that no record holds."""
    columns = (
        Column("number", lambda item: item[0]),
        Column("what it is", lambda item: item[1][0], width=2),
        Column("where it is set", lambda item: item[1][1], code, width=1),
    )
    return Table(
        "Numbers on these pages that no record holds", columns, list(STATED.items())
    ).html()
