"""The command `featherface train`: what it writes, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from analysis.cli.main import main

SETTINGS = ["--teacher", "none", "--steps", "1", "--crop", "64", "--batch", "2", "--device", "cpu"]


def folder(path: Path) -> Path:
    """Two grey images, each with one face."""
    (path / "images").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 64), (128, 128, 128)).save(path / "images" / name)
    boxes = {name: {"boxes": [[20, 20, 24, 24]]} for name in ("a.png", "b.png")}
    (path / "boxes.json").write_text(json.dumps(boxes))
    return path


def run(arguments: list[str]) -> object:
    with pytest.raises(SystemExit) as ended:
        main(["train", *arguments])
    return ended.value.code


def test_weights_log_and_checkpoint_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = folder(tmp_path / "data"), tmp_path / "run"
    options = ["--data", str(data), "--out", str(out), "--holdout", "1", "--json", "-"]
    assert run([*SETTINGS, *options]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["weights"] == str(out / "weights.safetensors")
    assert record["end"]["step"] == 1
    assert set(record["measured"]) >= {"ap", "ap_large", "boxes_an_image"}
    assert {path.name for path in out.iterdir()} == {
        "checkpoint.pt",
        "log.jsonl",
        "weights.safetensors",
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--variant", "v9"], "'v9' is not one of"),
        (["--minutes", "1"], "give either steps or minutes"),
        (["--data", "nowhere"], "nowhere: no such file or folder"),
        (["--holdout", "2"], "holdout (=2) leaves none of 2 images"),
        (["--start", "none.pth"], "none.pth"),
        (["--backbone", "teacher"], "needs a teacher"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    data = folder(tmp_path / "data")
    common = ["--data", str(data), "--out", str(tmp_path / "run"), "--holdout", "0"]
    assert run([*SETTINGS, *common, *options]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert said in errors[-1]
    assert not any("Traceback" in line for line in errors)
