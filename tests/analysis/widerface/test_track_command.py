"""`featherface widerface track`: rows, figures, reuse, and one line for bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from analysis.widerface import history, predicting, tracking
from featherface import CONFIGS, FeatherFace
from featherface.errors import InputError
from featherface.model import save

FIGURES = ("training", "curves", "height", "events")


@pytest.fixture
def small(tmp_path: Path, truth_folder: Path, portrait: Path) -> list[object]:
    """The arguments for two random networks, on one of the small ground truth's images."""
    event = tmp_path / "images" / "0--Parade"
    event.mkdir(parents=True)
    Image.open(portrait).resize((96, 96)).save(event / "0_Parade_2.jpg")
    for seed in (10, 20):
        torch.manual_seed(seed)
        save(FeatherFace(CONFIGS["retinaface"]), tmp_path / f"epoch_{seed}.safetensors")
    (tmp_path / "list.txt").write_text("0--Parade/0_Parade_2.jpg\n")
    return [
        *("widerface", "track"),
        *(tmp_path / f"epoch_{seed}.safetensors" for seed in (10, 20)),
        *("--images", tmp_path / "images", "--ground-truth", truth_folder),
        *("--subset", tmp_path / "list.txt", "--runtime", "torch", "--device", "cpu"),
        *("--out", tmp_path / "out", "--history", tmp_path / "history.jsonl"),
    ]


@pytest.mark.slow
def test_rows_are_added_once_and_figures_drawn(
    call: Any, small: list[object], tmp_path: Path
) -> None:
    code, out, err = call(*small)
    assert code == 0
    rows = history.read(tmp_path / "history.jsonl")
    assert [(row.detector, row.epoch) for row in rows] == [("epoch_10", 10), ("epoch_20", 20)]
    assert rows[0].checkpoint_sha256 != rows[1].checkpoint_sha256
    for name in FIGURES:
        assert (tmp_path / "out" / f"{name}.svg").read_text().rstrip().endswith("</svg>")
    assert "1 (subset)" in out
    assert err.count(": added epoch_") == 2

    again = call(*small, "--json", "-")
    printed = again.json
    assert printed == json.loads((tmp_path / "out" / "track.json").read_text())
    assert printed == [row.model_dump(mode="json") for row in rows]
    assert history.read(tmp_path / "history.jsonl") == rows  # the second run is no news
    assert "added" not in again.err


@pytest.mark.slow
def test_nothing_is_recorded_unasked(call: Any, small: list[object], tmp_path: Path) -> None:
    assert call(*small, "--no-history").code == 0
    assert not (tmp_path / "history.jsonl").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["none.pth"], "none.pth: no such file"),
        (["{tmp}/list.txt"], "list.txt: not a PyTorch checkpoint"),
        (["{tmp}/list.onnx"], "list.onnx: not an ONNX model"),
        (["--subset", "{tmp}/other.txt"], "is not in the ground truth"),
        (["--history", "{tmp}/damaged.jsonl"], "damaged.jsonl, line 1: damaged"),
        (["--subset", "{tmp}/absent.txt"], "images: lacks 1 of the 1 images to evaluate"),
        (["--subset", "{tmp}/faceless.txt"], "without faces of easy, medium, hard have no AP"),
        (["--subset", "{tmp}/all.txt"], "truth: of 3 images, where WIDER FACE's validation set"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_predicted(
    call: Any,
    small: list[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    words: str,
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("predicted")

    monkeypatch.setattr(tracking, "predict", never)
    (tmp_path / "list.onnx").write_bytes(b"no network")
    (tmp_path / "other.txt").write_text("0--Parade/0_Parade_3.jpg\n")
    (tmp_path / "absent.txt").write_text("0--Parade/0_Parade_1.jpg\n")
    (tmp_path / "faceless.txt").write_text("1--Handshaking/1_Handshaking_1.jpg\n")
    names = ("0--Parade/0_Parade_1", "0--Parade/0_Parade_2", "1--Handshaking/1_Handshaking_1")
    (tmp_path / "all.txt").write_text("\n".join(names))
    (tmp_path / "damaged.jsonl").write_text('{"date": ')
    assert words in call(*small, *(each.format(tmp=tmp_path) for each in more)).refusal
    assert not (tmp_path / "out").exists()


def test_a_image_that_cannot_be_read_gives_no_row(
    call: Any, small: list[object], tmp_path: Path
) -> None:
    (tmp_path / "images" / "0--Parade" / "0_Parade_2.jpg").write_bytes(b"no image")
    said = call(*small).refusal
    assert "1 images could not be read, the first 0--Parade/0_Parade_2.jpg" in said
    assert not (tmp_path / "history.jsonl").exists()


def test_checkpoints_of_one_name_are_told_apart_by_their_folders() -> None:
    given = ["official", "a/best.pth", "b/best.pth", "official", "a/last.pth"]
    assert tracking.names(given) == {
        "official": "official",
        "a-best": "a/best.pth",
        "b-best": "b/best.pth",
        "last": "a/last.pth",
    }
    with pytest.raises(InputError, match=r"x/a/best\.pth and y/a/best\.pth would both be called"):
        tracking.names(["x/a/best.pth", "y/a/best.pth"])


@pytest.mark.slow
def test_an_exported_network_is_known_by_its_own_bytes(small: list[object], tmp_path: Path) -> None:
    from featherface.runtimes.export import export
    from featherface.weights.published import sha256_of

    path = tmp_path / "epoch_10.onnx"
    export(tmp_path / "epoch_10.safetensors", path)
    made = [
        predicting.predict(
            tmp_path / "images", tmp_path / name, weights=weights, runtime="onnx", device="cpu"
        )
        for name, weights in (("a", path), ("b", tmp_path / "epoch_10.safetensors"))
    ]
    exported, original = (each["weights"] for each in made)
    assert exported["sha256"] == sha256_of(path)
    assert exported["exported_from"]["sha256"] == original["sha256"]
    for key in ("variant", "parameters"):
        assert exported[key] == original[key]
    results = [tmp_path / name / "0--Parade" / "0_Parade_2.txt" for name in "ab"]
    assert results[0].read_bytes() == results[1].read_bytes()


@pytest.mark.slow
def test_published_checkpoints_on_three_images(
    call: Any, shared: Path, weights: Path, tmp_path: Path
) -> None:
    listed = (shared / "wider" / "subset.txt").read_text().split()[:3]
    (tmp_path / "list.txt").write_text("\n".join(listed))
    given = [
        *("widerface", "track"),
        *(weights / f"official-epoch-{epoch}.pth" for epoch in ("010", "225")),
        *("--images", shared / "wider" / "images"),
        *("--ground-truth", shared / "wider" / "ground_truth", "--subset", tmp_path / "list.txt"),
        *("--out", tmp_path / "out", "--history", tmp_path / "history.jsonl"),
    ]
    assert call(*given).code == 0
    rows = history.read(tmp_path / "history.jsonl")
    assert [(row.checkpoint, row.epoch, row.params) for row in rows] == [
        ("official-epoch-010", 10, 592371),
        ("official-epoch-225", 225, 592371),
    ]
    assert {(row.images, row.images_sha256 is None) for row in rows} == {(3, False)}
    assert rows[1].average > rows[0].average  # it had learnt little after ten epochs
    assert all((tmp_path / "out" / f"{name}.svg").is_file() for name in FIGURES)
    code, _, err = call(*given)
    assert (code, "added" in err) == (0, False)
    assert history.read(tmp_path / "history.jsonl") == rows
