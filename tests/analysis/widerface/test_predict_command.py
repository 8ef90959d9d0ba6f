"""`featherface widerface predict` and `fetch`: exit codes, one line for bad input, records."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from analysis.widerface import breakdown, fetch, history, image_folder, mat_file, predicting
from featherface.errors import InputError


@pytest.fixture
def arguments(tmp_path: Path, portrait: Path, checkpoint: Path) -> list[str]:
    event = tmp_path / "images" / "a"
    event.mkdir(parents=True)
    Image.open(portrait).resize((64, 64)).save(event / "1.jpg")
    return [
        *("widerface", "predict", "--weights", str(checkpoint)),
        *("--images", str(tmp_path / "images"), "--out", str(tmp_path / "out")),
        *("--runtime", "torch", "--device", "cpu"),
    ]


def test_records_are_printed_as_json(call: Any, arguments: list[str]) -> None:
    printed = call(*arguments, "--json", "-")
    assert (printed.code, printed.err) == (0, "")
    assert (printed.json["pictures"], printed.json["predicted"]) == (1, 1)
    assert printed.json["protocol"]["name"] == "original"
    assert "0 of 1 images predicted, 1 were done before" in call(*arguments).out


def test_an_unreadable_image_is_told_and_fails(
    call: Any, arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "images" / "a" / "2.jpg").write_bytes(b"no image")
    code, out, err = call(*arguments)
    assert code == 2
    assert "1 of 2 images predicted, 1 cannot be read" in out
    assert err.startswith("featherface: a/2.jpg: ")
    assert err.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="names are text on this system")
def test_names_that_are_not_utf8_lose_nothing(
    call: Any, arguments: list[str], tmp_path: Path
) -> None:
    event = tmp_path / "images" / "a"
    (event / "1.jpg").rename(event / os.fsdecode(b"caf\xe9.jpg"))
    (event / os.fsdecode(b"bad\xe9.jpg")).write_bytes(b"no image")
    assert call(*arguments, "--json", tmp_path / "record.json").code == 2
    assert (tmp_path / "out" / "a" / os.fsdecode(b"caf\xe9.txt")).read_bytes()[:5] == b"caf\xe9\n"
    for record in (tmp_path / "record.json", tmp_path / "out" / "unreadable.json"):
        (item,) = json.loads(record.read_text(encoding="utf-8"))["unreadable"]
        assert os.fsencode(item["picture"]) == b"a/bad\xe9.jpg"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
@pytest.mark.parametrize(
    "read",
    [
        image_folder.read_list,
        history.read,
        breakdown.read,
        lambda path: fetch.take_ground_truth(path, path.parent),
        lambda path: mat_file.read_mat(path, ["x"]),
    ],
)
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: cannot be read: not a regular file"):
        read(tmp_path / "pipe")


def test_an_interruption_says_how_to_go_on(
    call: Any, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(predicting, "find", interrupted)
    code, out, err = call(*arguments)
    assert (code, out) == (130, "")
    assert "keeps what is done" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("more", ["--score=2", "--nms=-1", "--weights=v1-deformable"])
def test_bad_input_is_one_line(call: Any, arguments: list[str], more: str) -> None:
    assert call(*arguments, more).refusal


def test_fetching_without_a_network_is_one_line(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "GROUND_TRUTH_URL", "http://127.0.0.1:9/eval_tools.zip")
    said = call("widerface", "fetch", "--out", tmp_path / "data").refusal
    assert "the ground truth cannot be downloaded" in said
