"""`featherface widerface evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.cli import main as cli


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


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as raised:
        cli.main(["widerface", "evaluate", *map(str, arguments)])
    return int(raised.value.code or 0)


def test_records_tables_and_remarks(
    found: Path, truth_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, curves = tmp_path / "record.json", tmp_path / "curves.json"
    code = run(
        *("--predictions", found, "--ground-truth", truth_folder, "--by-height", "--by-event"),
        *("--json", record, "--curves", curves),
    )
    out, err = capsys.readouterr()
    assert code == 0
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
    assert len(json.loads(curves.read_text())["hard"]["recall"]) == 1000


def test_a_subset_is_marked(
    found: Path, truth_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("0--Parade/0_Parade_2.jpg\n")
    code = run(
        *("--predictions", found, "--ground-truth", truth_folder),
        *("--subset", listed, "--json", "-"),
    )
    written = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (written["images"], written["subset"]["pictures"]) == (1, 1)
    assert written["faces"] == {"easy": 1, "medium": 1, "hard": 1}


def test_a_gate(found: Path, truth_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--predictions", found, "--ground-truth", truth_folder)
    assert run(*given, "--expect", "0.8,0.8,0.6") == 0
    assert run(*given, "--expect", "0.9,0.8,0.6") == 1
    assert "easy: AP is 0.833333" in capsys.readouterr().err
    assert run(*given, "--expect", "0.9,0.8,0.6", "--tolerance", "0.1") == 0
    capsys.readouterr()
    assert run(*given, "--expect", "0.9,0.8,0.6", "--json", "-") == 1
    gate = json.loads(capsys.readouterr().out)["expected"]
    assert (gate["easy"], gate["source"], gate["tolerance"]) == (0.9, "as given", 0.001)
    assert [line.partition(":")[0] for line in gate["fallen"]] == ["easy"]


def test_bad_input_is_one_line_and_leaves_nothing(
    found: Path, truth_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (found / "0--Parade/0_Parade_2.txt").write_text("0_Parade_2\n1\n1 2 3 4\n")
    record = tmp_path / "record.json"
    code = run("--predictions", found, "--ground-truth", truth_folder, "--json", record)
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert "0_Parade_2.txt:3: 4 values" in err
    assert not record.exists()
