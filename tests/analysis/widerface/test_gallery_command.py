"""`featherface widerface gallery`, on a benchmark made of one portrait."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from analysis.cli.widerface_gallery import NOTE

KEPT = {"easy": [1], "medium": [1], "hard": [1, 2]}
EVENTS = {
    "0--Parade": {
        "0_Parade_1": ([[50, 40, 100, 120], [200, 200, 30, 40]], KEPT),
        "0_Parade_2": ([[10, 10, 300, 500], [400, 500, 300, 300]], KEPT),
    },
    "1--Handshaking": {"1_Handshaking_1": ([[60, 60, 80, 80], [5, 5, 0, 0]], KEPT)},
}


@pytest.fixture
def setting(
    tmp_path: Path, write_ground_truth: Callable[[Path, Any], Path], portrait: Path
) -> dict[str, Path]:
    """Ground truth, predictions with two false alarms, and the images."""
    for event, images in EVENTS.items():
        (tmp_path / "images" / event).mkdir(parents=True)
        (tmp_path / "found" / event).mkdir(parents=True)
        for name in images:
            shutil.copyfile(portrait, tmp_path / "images" / event / f"{name}.jpg")
    rows = {
        "0--Parade/0_Parade_1": ["50 40 100 120 0.95", "300 300 50 50 0.7"],
        "0--Parade/0_Parade_2": ["10 10 300 500 0.2", "480 -20 900 90 0.8"],
        "1--Handshaking/1_Handshaking_1": ["60 60 80 80 0.9"],
    }
    for name, lines in rows.items():
        content = "\n".join([name.partition("/")[2], str(len(lines)), *lines]) + "\n"
        (tmp_path / "found" / f"{name}.txt").write_text(content)
    return {
        "predictions": tmp_path / "found",
        "ground-truth": write_ground_truth(tmp_path / "truth", EVENTS),
        "images": tmp_path / "images",
        "out": tmp_path / "gallery",
    }


@pytest.fixture
def run(call: Any) -> Any:
    """Calls the command with the predictions and options of a setting, and others."""

    def gallery(setting: dict[str, Path], *more: object) -> Any:
        names = ("ground-truth", "images", "out")
        options = [part for name in names for part in (f"--{name}", setting[name])]
        return call("widerface", "gallery", setting["predictions"], *options, *more)

    return gallery


def read(setting: dict[str, Path]) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((setting["out"] / "gallery.json").read_text())
    return record


def test_sheets_record_and_note(setting: dict[str, Path], run: Any) -> None:
    assert NOTE in run(setting).out.splitlines()
    record = read(setting)
    assert record["note"] == NOTE
    shown = record["misses"]["shown"]
    # One on the first image, both of the second, and the one without area on the third.
    assert [miss["height"] for miss in shown] == [500, 300, 40, 0]
    assert [miss["score"] for miss in shown] == [0.2, None, None, None]
    assert [alarm["score"] for alarm in record["false_alarms"]["shown"]] == [0.8, 0.7]
    assert (record["misses"]["total"], record["false_alarms"]["total"]) == (4, 2)
    assert record["skipped"] == {"count": 0, "pictures": []}
    for name in ("misses", "false-alarms"):
        with Image.open(setting["out"] / f"{name}.png") as sheet:
            assert sheet.width > sheet.height


def test_score_number_and_subset(setting: dict[str, Path], run: Any, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("0--Parade/0_Parade_2.jpg\n1--Handshaking/1_Handshaking_1.jpg\n")
    assert run(setting, "--score", 0.1, "--number", 1, "--subset", listed).code == 0
    record = read(setting)
    assert record["subset"]["pictures"] == 2
    assert record["misses"]["total"] == 2  # at this score the tallest is found
    assert [miss["height"] for miss in record["misses"]["shown"]] == [300]
    assert len(record["false_alarms"]["shown"]) == 1


def test_json_is_all_there_is_on_standard_output(setting: dict[str, Path], run: Any) -> None:
    assert run(setting, "--json", "-").json == read(setting)


def test_images_that_cannot_be_used_make_room_for_the_next(
    setting: dict[str, Path], run: Any
) -> None:
    (setting["images"] / "0--Parade" / "0_Parade_2.jpg").unlink()
    (setting["images"] / "1--Handshaking" / "1_Handshaking_1.jpg").write_bytes(b"no image")
    assert run(setting, "--number", 1).code == 0
    record = read(setting)
    assert [miss["rank"] for miss in record["misses"]["shown"]] == [3]
    assert record["misses"]["total"] == 4
    assert record["skipped"]["count"] == 1
    out = run(setting).out
    reasons = {each["picture"]: each["reason"] for each in read(setting)["skipped"]["pictures"]}
    assert reasons["0--Parade/0_Parade_2"] == "not there"
    assert "format that can be read" in reasons["1--Handshaking/1_Handshaking_1"]
    assert "passed over, as their images cannot be used: 2" in out
    assert "0--Parade/0_Parade_2: not there" in out


def test_a_folder_without_the_images_is_refused(
    setting: dict[str, Path], tmp_path: Path, run: Any
) -> None:
    others = tmp_path / "others"
    others.mkdir()
    assert "others: holds no images" in run({**setting, "images": others}).refusal
    Image.new("RGB", (600, 600)).save(others / "0_Parade_3.jpg")
    assert "none of the 3 images" in run({**setting, "images": others}).refusal
    assert not setting["out"].exists()


def test_nothing_to_show_is_no_error(setting: dict[str, Path], run: Any, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("1--Handshaking/1_Handshaking_1.jpg\n")
    path = setting["predictions"] / "1--Handshaking" / "1_Handshaking_1.txt"
    path.write_text("1_Handshaking_1\n2\n60 60 80 80 0.9\n5 5 0 0 0.8\n")
    assert run(setting, "--subset", listed).code == 0
    record = read(setting)
    assert record["misses"] == record["false_alarms"] == {"total": 0, "shown": []}


def test_images_of_any_kind_and_beside_the_events_are_found(
    setting: dict[str, Path], run: Any
) -> None:
    folder = setting["images"]
    (folder / "0--Parade" / "0_Parade_2.jpg").rename(folder / "0_Parade_2.JPG")
    path = folder / "1--Handshaking" / "1_Handshaking_1.jpg"
    with Image.open(path) as image:
        image.save(path.with_suffix(".webp"))
    path.unlink()
    assert run(setting).code == 0
    record = read(setting)
    assert record["skipped"]["count"] == 0
    shown = {miss["picture"] for miss in record["misses"]["shown"]}
    assert shown == {"0_Parade_1", "0_Parade_2", "1_Handshaking_1"}


@pytest.mark.parametrize("name", ["..", "../secret", "{tmp}/secret", "a\\b", "x" * 5000])
def test_no_name_leads_out_of_the_folder(
    setting: dict[str, Path],
    tmp_path: Path,
    write_ground_truth: Callable[[Path, Any], Path],
    run: Any,
    name: str,
) -> None:
    Image.new("RGB", (600, 600)).save(tmp_path / "secret.jpg")
    faces = ([[0, 0, 500, 550], [0, 0, 9, 9]], KEPT)
    name = name.format(tmp=tmp_path)
    events = {**EVENTS, "..": {"secret": faces}, "1--Handshaking": {name: faces}}
    truth = write_ground_truth(tmp_path / "evil", events)
    assert run({**setting, "ground-truth": truth}).code == 0
    skipped = {each["picture"] for each in read(setting)["skipped"]["pictures"]}
    assert skipped == {"../secret", f"1--Handshaking/{name}"}


def test_help_says_that_it_is_for_local_use(call: Any) -> None:
    out = " ".join(call("widerface", "gallery", "--help").out.split())
    assert "For local use: the images show people." in out
