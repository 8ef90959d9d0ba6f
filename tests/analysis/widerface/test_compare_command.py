"""`featherface widerface compare`: tables, JSON, remarks, one line for bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FACE = "10 10 40 40"
NOWHERE = "400 9 5 5"


def write(folder: Path, rows: list[str]) -> Path:
    path = folder / "0--Parade" / "0_Parade_1.txt"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(["0_Parade_1", str(len(rows)), *rows]) + "\n")
    return folder


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """A finds nothing but a false alarm; B finds a face. B's folder has an odd name."""
    a = write(tmp_path / "a", [f"{NOWHERE} 0.9", f"{NOWHERE} 0.8"])
    return a, write(tmp_path / "b [/bold]", [f"{FACE} 0.9", f"{NOWHERE} 0.6"])


def test_what_changed_is_shown(call: Any, two: tuple[Path, Path], truth_folder: Path) -> None:
    code, out, err = call("widerface", "compare", *two, "--ground-truth", truth_folder)
    assert code == 0
    assert "b [/bold], read at score 0.5" in out
    assert "Tallest of 1 faces that B found, A did not" in out
    assert "10, 10, 40, 40" in out
    assert "The 1 events that moved most" in out  # the other has no faces
    assert "featherface: A: 2 of 3 images have no predictions" in err
    assert "featherface: A: average precision is next to nothing" in err
    assert "featherface: B: 2 of 3 images" in err


def test_json_alone_is_printed(call: Any, two: tuple[Path, Path], truth_folder: Path) -> None:
    given = (*two, "--ground-truth", truth_folder, "--json", "-")
    record = call("widerface", "compare", *given).json
    assert (record["a"], record["b"]) == tuple(map(str, two))
    assert record["subsets"]["easy"]["only_b"] == 1
    assert record["subsets"]["easy"]["false_alarms"] == {"a": 2, "b": 1}
    assert record["gained"] == [
        {
            "picture": "0--Parade/0_Parade_1",
            "box": [10, 10, 40, 40],
            "subsets": ["easy", "medium", "hard"],
        }
    ]
    assert [remark["kind"] for remark in record["remarks"]["b"]] == ["missing", "faceless"]


def test_two_sources_of_the_same_boxes_differ_in_nothing(
    call: Any, two: tuple[Path, Path], truth_folder: Path, tmp_path: Path
) -> None:
    lines = tmp_path / "b.jsonl"
    boxes = [[10, 10, 40, 40, 0.9], [400, 9, 5, 5, 0.6]]
    lines.write_text(json.dumps({"event": "0--Parade", "picture": "0_Parade_1", "boxes": boxes}))
    given = (two[1], lines, "--ground-truth", truth_folder, "--json", "-")
    record = call("widerface", "compare", *given).json
    assert record["gained"] == record["lost"] == record["pictures"] == []
    assert [one["difference"] for one in record["subsets"].values()] == [0, 0, 0]


def test_a_score_that_is_no_number_is_one_line(
    call: Any, two: tuple[Path, Path], truth_folder: Path
) -> None:
    given = (*two, "--ground-truth", truth_folder, "--score", "nan")
    assert "--score" in call("widerface", "compare", *given).refusal


def test_damaged_predictions_are_one_line_and_leave_nothing(
    call: Any, two: tuple[Path, Path], truth_folder: Path, tmp_path: Path
) -> None:
    (two[1] / "0--Parade" / "0_Parade_1.txt").write_text("0_Parade_1\n1\n1 2 3 four 0.5\n")
    record = tmp_path / "record.json"
    given = (*two, "--ground-truth", truth_folder, "--json", record)
    said = call("widerface", "compare", *given).refusal
    assert "0_Parade_1.txt:3: not five numbers" in said
    assert not record.exists()
