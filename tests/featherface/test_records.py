"""Append-only records: nothing is lost, and nothing damaged passes for whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from featherface import records
from featherface.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
FIELDS: records.Fields = {"name": str, "n": int, "ap": float | None}
RECORD: dict[str, Any] = {"name": "größer\nals", "n": 3, "ap": 0.5, "more": [1, {"a": None}]}


def test_what_is_appended_is_read_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history.jsonl"
    assert records.read(path) == []
    records.append(path, RECORD)
    records.append(path, {**RECORD, "ap": None})
    assert records.read(path, FIELDS) == [RECORD, {**RECORD, "ap": None}]
    assert path.read_bytes().count(b"\n") == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": "3"}, r"n \(='3'\) must be of type int"),
        ({"n": True}, r"n \(=True\) must be of type int"),
        ({"n": None}, r"n \(=None\) must be of type int"),
        ({"ap": "x"}, r"ap \(='x'\) must be of type float \| None"),
    ],
)
def test_a_record_of_another_shape_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "h.jsonl"
    with pytest.raises(InputError, match=r"h\.jsonl: " + message):
        records.append(path, RECORD | change, FIELDS)
    assert not path.exists()
    records.append(path, RECORD | change)
    with pytest.raises(InputError, match=r"h\.jsonl, line 1: " + message):
        records.read(path, FIELDS)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    records.append(tmp_path / "h.jsonl", {"name": "x"})
    with pytest.raises(InputError, match="without 'n'"):
        records.read(tmp_path / "h.jsonl", FIELDS)


def test_a_bool_field_takes_a_bool(tmp_path: Path) -> None:
    records.append(tmp_path / "h.jsonl", {"dirty": True})
    for kind in (bool, bool | None):
        assert records.read(tmp_path / "h.jsonl", {"dirty": kind}) == [{"dirty": True}]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_means_no_record(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        records.append(tmp_path / "h.jsonl", {"ap": value})
    assert not (tmp_path / "h.jsonl").exists()


@pytest.mark.parametrize("damage", [b'{"name": "cu', b"[1, 2]", b"\xff\xfe", b"NaN,", b" "])
def test_a_damaged_last_line_is_named_and_kept(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "h.jsonl"
    records.append(path, RECORD)
    before = path.read_bytes() + damage
    path.write_bytes(before)
    with pytest.raises(InputError, match=r"h\.jsonl, line 2: damaged"):
        records.read(path)
    with pytest.raises(InputError, match=r"h\.jsonl, its last line: damaged"):
        records.append(path, RECORD)
    assert path.read_bytes() == before


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    path.write_bytes(b'{"n": 1}\n\n{"n": 2}\n')
    with pytest.raises(InputError, match="line 2: damaged"):
        records.read(path)


def test_a_last_line_without_its_end_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    long = {"text": "x" * 100_000}
    path.write_bytes(b'{"n": 1}\n' + json.dumps(long).encode())
    records.append(path, {"n": 2})
    assert records.read(path) == [{"n": 1}, long, {"n": 2}]


def test_a_folder_in_the_way_is_one_line(tmp_path: Path) -> None:
    for act in (lambda: records.append(tmp_path, {}), lambda: records.read(tmp_path)):
        with pytest.raises(InputError, match=r"cannot be (written|read)"):
            act()


def test_a_short_write_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "h.jsonl"
    records.append(path, RECORD)
    before = path.read_bytes()
    whole = os.write
    monkeypatch.setattr(os, "write", lambda file, content: whole(file, content[:5]))
    with pytest.raises(InputError, match=r"5 of .* bytes written"):
        records.append(path, RECORD)
    assert path.read_bytes() == before


WRITER = """
import sys
from featherface import records
for i in range(200):
    records.append(sys.argv[1], {"who": sys.argv[2], "i": i, "text": "x" * 20_000})
"""


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), who], cwd=ROOT) for who in "ab"
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    found = records.read(path)
    for who in "ab":  # everything is there, and in the writer's own order
        assert [r["i"] for r in found if r["who"] == who] == list(range(200))
    assert all(len(r["text"]) == 20_000 for r in found)
