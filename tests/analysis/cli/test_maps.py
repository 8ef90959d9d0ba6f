from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from featherface import CONFIGS, FeatherFace
from featherface.model import save


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "fresh.safetensors"
    save(FeatherFace(CONFIGS["v1-deformable"]).eval(), path)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "speckled.png"
    pixels = np.random.default_rng(0).integers(0, 256, (33, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_tables_for_people(call: Any, checkpoint: Path, picture: Path) -> None:
    result = call("maps", picture, "--weights", checkpoint, "--score", 0.3)
    assert (result.code, result.err) == (0, "")
    for words in ("speckled.png", "Attention:", "Deformable context:", "all offsets 0", "bypassed"):
        assert words in result.out


def test_positions_may_be_given_again_and_again(call: Any, checkpoint: Path, picture: Path) -> None:
    places = ("--at", "3,4.5", "--at", "20,30")
    result = call("maps", *places, "--weights", checkpoint, picture, "--json", "-")
    assert result.code == 0, result.err
    (record,) = result.json
    assert record["positions"] == [[3, 4.5], [20, 30]]
    assert record["positions_from"] == "given"


@pytest.mark.slow
def test_files_are_written_and_listed(
    call: Any, checkpoint: Path, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "maps"
    arguments = (picture, "--weights", checkpoint, "--out", out, "--npz", "--theme", "dark")
    result = call("maps", *arguments, "--format", "png", "--longer-side", 64)
    assert result.code == 0, result.err
    (record,) = json.loads((out / "maps.json").read_text(encoding="utf-8"))
    assert record["picture"]["input"] == [42, 64]
    assert {Path(path) for path in record["files"]} == set(out.iterdir()) - {out / "maps.json"}
    assert all(path in result.out for path in record["files"])
    assert len(list(out.glob(f"{picture.stem}-*-effects.png"))) == 1
    with np.load(next(out.glob("*.npz"))) as arrays:
        assert arrays["context.p3.offset"].shape == (18, 6, 8)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--weights", "retinaface"], "neither attention nor deformable"),
        (["--weights", "v1-deformable"], "no trained weights"),
        (["--score", "1"], "'--score': must be below 1"),
        (["--npz"], "--out"),
        (["--at", "3"], "--at"),
        (["--at", "nan,3", "--weights", "v1"], "--at (=nan,3) is not on"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_one_line(call: Any, picture: Path, arguments: list[str], words: str) -> None:
    assert words in call("maps", picture, *arguments).refusal


def test_what_cannot_be_used_is_told_after_the_rest(
    call: Any, checkpoint: Path, picture: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    result = call("maps", broken, picture, "--weights", checkpoint)
    assert result.code == 2
    assert "broken.png" in result.err
    assert "speckled.png" in result.out
