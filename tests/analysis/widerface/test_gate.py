"""The gate that fails the day AP falls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.widerface import history
from analysis.widerface.history import Row, expect, falls
from featherface.errors import InputError

SHA = "0123456789abcdef" * 4


def evaluated(easy: float | None = 0.9, subset: str | None = None) -> dict[str, Any]:
    return {
        "easy": easy,
        "medium": 0.8,
        "hard": 0.7,
        "images": 3226 if subset is None else 10,
        "subset": None if subset is None else {"pictures": 10, "sha256": subset},
    }


def row(source: str, easy: float, **changes: Any) -> Row:
    fields: dict[str, Any] = {
        "date": "2026-01-31",
        "source": source,
        "by": "somebody",
        "detector": "official",
        "checkpoint_sha256": SHA,
        "protocol": {"name": "original"},
        "runtime": "torch",
        "images": 3226,
        "easy": easy,
        "medium": 0.8,
        "hard": 0.7,
        "boxes": 1,
        "versions": {},
        "device": "CPU",
    }
    return Row.model_validate(fields | changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "history.jsonl"
    for one in (
        row("measured", 0.91),
        row("published", 0.95),
        row("measured", 0.5, protocol={"name": "multi-scale"}),
        row("measured", 0.6, images=10, images_sha256=SHA),
        row("published", 0.92, detector="another"),
    ):
        history.append(one, path)
    return path


def test_what_was_measured_counts_before_what_was_published(path: Path) -> None:
    assert expect("official", evaluated(), "original", path)["easy"] == 0.91
    assert expect("another", evaluated(), "original", path)["easy"] == 0.92


def test_a_name_comes_before_a_file_that_is_called_so(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("official", "before"):
        Path(name).write_text(json.dumps(evaluated(0.5)), encoding="utf-8")
    assert expect("official", evaluated(), "original", path)["easy"] == 0.91
    assert expect("./official", evaluated(), "original", path)["easy"] == 0.5
    assert expect("before", evaluated(), "original", path)["easy"] == 0.5


def test_other_protocols_and_images_are_no_expectation(path: Path) -> None:
    assert expect("official", evaluated(), "multi-scale", path)["easy"] == 0.5
    assert expect("official", evaluated(subset=SHA), "original", path)["easy"] == 0.6
    with pytest.raises(InputError, match=r"'offical' .*, did you mean 'official'"):
        expect("offical", evaluated(), "original", path)
    with pytest.raises(InputError, match="under the protocol 'orignal', nor of any other"):
        expect("official", evaluated(), "orignal", path)
    with pytest.raises(InputError, match="no AP of 'official' on these 10 images"):
        expect("official", evaluated(subset="f" * 64), "original", path)
    with pytest.raises(InputError, match="no AP of 'retinaface' on these 3,226 images"):
        expect("retinaface", evaluated(), "original", path)
    other_ground_truth = evaluated() | {"images": 15}
    with pytest.raises(InputError, match="no AP of 'official' on these 15 images"):
        expect("official", other_ground_truth, "original", path)


def test_a_fall_is_named_and_a_rise_is_none(path: Path) -> None:
    expected = expect("official", evaluated(), "original", path)
    assert falls(evaluated(0.91), expected, 0) == []
    assert falls(evaluated(0.99), expected, 0) == []
    assert falls(evaluated(0.9095), expected, 0.001) == []
    (line,) = falls(evaluated(0.9085), expected, 0.001)
    assert line.startswith("easy: AP is 0.908500, expected 0.910000")
    assert len(falls(evaluated(None), expected, 1)) == 1
    with pytest.raises(InputError, match="tolerance"):
        falls(evaluated(), expected, -0.1)


def test_expectations_can_be_given_as_numbers_or_as_an_earlier_record(tmp_path: Path) -> None:
    assert expect("0.9,0.8,0.7", evaluated(), "original")["hard"] == 0.7
    for wrong in ("0.9,0.8", "a,b,c", "90,80,70", "nan,0,0", "0.5", "95.3%", "0.9 0.8 0.7"):
        with pytest.raises(InputError, match="must be three AP from 0 to 1"):
            expect(wrong, evaluated(), "original")
    for name in ("before", "before.json"):
        record = tmp_path / name
        record.write_text(json.dumps(evaluated(0.93)), encoding="utf-8")
        assert expect(str(record), evaluated(), "original")["easy"] == 0.93
    with pytest.raises(InputError, match="other images"):
        expect(str(record), evaluated(subset=SHA), "original")
    made = {"predicted_by": {"protocol": {"name": "multi-scale"}}}
    record.write_text(json.dumps(evaluated(0.93) | made), encoding="utf-8")
    assert expect(str(record), evaluated(), "multi-scale")["easy"] == 0.93
    with pytest.raises(InputError, match="under the protocol 'multi-scale', not 'original'"):
        expect(str(record), evaluated(), "original")
    record.write_text(json.dumps(evaluated() | {"easy": 10**400}), encoding="utf-8")
    with pytest.raises(InputError, match=r"before\.json must be three AP from 0 to 1"):
        expect(str(record), evaluated(), "original")
    record.write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="not the record of an evaluation"):
        expect(str(record), evaluated(), "original")
