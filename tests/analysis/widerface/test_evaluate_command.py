"""`featherface widerface evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

EVALUATE = ("widerface", "evaluate")


@pytest.fixture
def found(tmp_path: Path) -> Path:
    folder = tmp_path / "found"
    for name, rows in (
        ("0--Parade/0_Parade_1", ["10 10 40 40 0.9", "100 10 20 30 0.5", "400 9 5 5 0.3"]),
        ("0--Parade/0_Parade_2", ["50 60 30 30 0.1"]),
    ):
        path = folder / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([path.stem, str(len(rows)), *rows]) + "\n")
    return folder


def test_records_tables_and_remarks(
    call: Any, found: Path, truth_folder: Path, tmp_path: Path
) -> None:
    record, curves = tmp_path / "record.json", tmp_path / "curves.json"
    _, out, err = call(
        *(*EVALUATE, found, "--ground-truth", truth_folder, "--by-height", "--by-event"),
        *("--json", record, "--curves", curves),
    )
    written = json.loads(record.read_text())
    # Easy: one face before any false box, the other after the one false box, and one ignored.
    assert written["easy"] == pytest.approx(1 / 2 + 1 / 2 * 2 / 3, abs=1e-12)
    assert written["medium"] == pytest.approx(2 / 3 + 1 / 3 * 3 / 4, abs=1e-12)
    assert written["hard"] == pytest.approx(2 / 4 + 1 / 4 * 3 / 4, abs=1e-12)
    assert written["mean"] == pytest.approx(sum(written[k] for k in ("easy", "medium", "hard")) / 3)
    assert (written["images"], written["boxes"], written["missing"]) == (3, 4, 1)
    assert written["missing_pictures"] == ["1--Handshaking/1_Handshaking_1"]
    assert written["subset"] is None
    assert [remark["kind"] for remark in written["remarks"]] == ["missing", "faceless"]
    assert "1 of 3 images have no predictions" in err
    assert "0.83333" in out
    assert "0--Parade" in out
    assert sum(bucket["faces"] for bucket in written["by_height"]) == 4
    drawn = json.loads(curves.read_text())
    assert len(drawn["hard"]["recall"]) == len(drawn["thresholds"]) == 1000
    assert drawn["thresholds"][::333] == pytest.approx([0.999, 0.666, 0.333, 0])


def test_images_without_boxes_are_counted(call: Any, found: Path, truth_folder: Path) -> None:
    given = (*EVALUATE, found, "--ground-truth", truth_folder, "--json", "-")
    assert call(*given).json["without_boxes"] == 0
    (found / "1--Handshaking").mkdir(exist_ok=True)
    (found / "1--Handshaking" / "1_Handshaking_1.txt").write_text("1_Handshaking_1\n0\n")
    written = call(*given).json
    assert (written["without_boxes"], written["boxes"], written["missing"]) == (1, 4, 0)


def test_a_subset_is_marked(call: Any, found: Path, truth_folder: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("0--Parade/0_Parade_2.jpg\n")
    given = (*EVALUATE, found, "--ground-truth", truth_folder)
    written = call(*given, "--subset", listed, "--json", "-").json
    assert (written["images"], written["subset"]["pictures"]) == (1, 1)
    assert written["faces"] == {"easy": 1, "medium": 1, "hard": 1}


def test_a_gate(call: Any, found: Path, truth_folder: Path) -> None:
    given = (*EVALUATE, found, "--ground-truth", truth_folder)
    assert call(*given, "--expect", "0.8,0.8,0.6").code == 0
    assert call(*given, "--expect", "0.9,0.8,0.6", "--tolerance", "0.1").code == 0
    fallen = call(*given, "--expect", "0.9,0.8,0.6")
    assert fallen.code == 1
    assert "easy: AP is 0.833333" in fallen.err
    gate = call(*given, "--expect", "0.9,0.8,0.6", "--json", "-").json["expected"]
    assert (gate["easy"], gate["source"], gate["tolerance"]) == (0.9, "as given", 0.001)
    assert [line.partition(":")[0] for line in gate["fallen"]] == ["easy"]
    assert "--protocol is that of the AP to --expect" in call(*given, "--protocol", "1600").refusal


def test_two_records_are_not_written_to_one_file(
    call: Any,
    found: Path,
    truth_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link.json").symlink_to("x.json")
    given = (*EVALUATE, found, "--ground-truth", truth_folder, "--json", "x.json")
    for name in ("x.json", tmp_path / "x.json", "link.json"):
        assert "--curves and --json name one file" in call(*given, "--curves", name).refusal
    assert not Path("x.json").exists()


def test_bad_input_is_one_line_and_leaves_nothing(
    call: Any, found: Path, truth_folder: Path, tmp_path: Path
) -> None:
    (found / "0--Parade/0_Parade_2.txt").write_text("0_Parade_2\n1\n1 2 3 4\n")
    record = tmp_path / "record.json"
    said = call(*EVALUATE, found, "--ground-truth", truth_folder, "--json", record).refusal
    assert "0_Parade_2.txt:3: 4 values" in said
    assert not record.exists()
