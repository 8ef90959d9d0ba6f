"""The command `featherface train`: what it writes, and its exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from analysis.cli.train import _shown
from featherface import FeatherFace, save

SETTINGS = ["--teacher", "none", "--steps", "1", "--crop", "64", "--batch", "2", "--device", "cpu"]


def folder(path: Path) -> Path:
    """Two grey images, each with one face."""
    (path / "images").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 64), (128, 128, 128)).save(path / "images" / name)
    boxes = {name: {"boxes": [[20, 20, 24, 24]]} for name in ("a.png", "b.png")}
    (path / "boxes.json").write_text(json.dumps(boxes))
    return path


def test_weights_log_and_checkpoint_are_written(tmp_path: Path, call: Any) -> None:
    data, out = folder(tmp_path / "data"), tmp_path / "run"
    options = ("--data", data, "--out", out, "--holdout", 1, "--json", "-")
    record = call("train", *SETTINGS, *options).json
    assert record["weights"] == str(out / "weights.safetensors")
    assert record["end"]["step"] == 1
    assert set(record["measured"]) >= {"ap", "ap_large", "boxes_an_image"}
    assert {path.name for path in out.iterdir()} == {
        "checkpoint.pt",
        ".checkpoint.pt.lock",
        "log.jsonl",
        "weights.safetensors",
    }


@pytest.mark.parametrize("terminal", [True, False])
def test_losses_are_a_table_on_a_terminal_and_lines_elsewhere(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with _shown() as show:
        show({"event": "start", "step": 0, "recipe": {}})
        show({"event": "loss", "step": 7, "loss": 1.23456789})
    shown = capsys.readouterr().err
    assert "start: step 0\n" in shown
    assert ("loss: step 7, loss 1.2346\n" in shown) != terminal
    assert (
        any({"│", "loss", "1.2346"} <= set(line.split()) for line in shown.split("\n")) == terminal
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--minutes", "1"], "give either steps or minutes"),
        (["--crop", "65"], "size of the crops (=65) must be a multiple of 32"),
        (["--holdout", "2"], "holdout (=2) leaves none of 2 images"),
        (["--start", "none.pth"], "none.pth"),
        (["--backbone", "teacher"], "needs a teacher"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, call: Any, options: list[str], said: str
) -> None:
    data = folder(tmp_path / "data")
    common = ("--data", data, "--out", tmp_path / "run", "--holdout", 0)
    assert said in call("train", *SETTINGS, *common, *options).refusal
    assert not (tmp_path / "run").exists()


def test_a_file_is_started_from_that_is_called_as_published_weights(
    tmp_path: Path, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = folder(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    save(FeatherFace("retinaface"), tmp_path / "v1.safetensors")
    (tmp_path / "v1.safetensors").rename("v1")
    common = ("--data", data, "--out", tmp_path / "run", "--holdout", 0)
    assert "'./v1') holds no v1" in call("train", *SETTINGS, *common, "--start", "./v1").refusal
