"""Files that are taken out of the ground truth's archive, and archives that are refused."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from analysis.widerface import fetch
from featherface.errors import InputError

CONTENTS = {name: f"contents of {name}".encode() for name in fetch.GROUND_TRUTH}


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other contents are the published ones: the archive is not here."""
    hashes = {name: hashlib.sha256(text).hexdigest() for name, text in CONTENTS.items()}
    monkeypatch.setattr(fetch, "GROUND_TRUTH", hashes)


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


def test_the_recorded_hashes_are_those_of_the_benchmark(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    for name, sha256 in fetch.GROUND_TRUTH.items():
        content = (shared / "wider" / "ground_truth" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256


def test_the_four_files_are_taken_wherever_they_lie(tmp_path: Path) -> None:
    members = {f"eval_tools/ground_truth/{name}": text for name, text in CONTENTS.items()}
    members |= {f"__MACOSX/ground_truth/{name}": b"something else" for name in CONTENTS}
    members["eval_tools/wider_eval.m"] = b"code"
    taken = fetch.take_ground_truth(archive(tmp_path / "a.zip", members), tmp_path / "truth")
    assert {path.name: path.read_bytes() for path in taken.iterdir()} == CONTENTS


def test_names_that_climb_write_nothing_outside(tmp_path: Path) -> None:
    members = {f"../../{name}": text for name, text in CONTENTS.items()}
    members["../outside.txt"] = members["/absolute.txt"] = b"x"
    folder = tmp_path / "a" / "b"
    fetch.take_ground_truth(archive(tmp_path / "a.zip", members), folder)
    written = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert written == {"a.zip", *(f"a/b/{name}" for name in CONTENTS)}


def test_other_contents_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    members = {**CONTENTS, "wider_hard_val.mat": b"tampered"}
    with pytest.raises(InputError, match=r"lacks the published wider_hard_val\.mat"):
        fetch.take_ground_truth(archive(tmp_path / "a.zip", members), tmp_path / "truth")
    assert not (tmp_path / "truth").exists()


def test_what_is_no_archive_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"<html>moved</html>")
    for path in (tmp_path / "a.zip", tmp_path / "none.zip"):
        with pytest.raises(InputError, match="cannot be read"):
            fetch.take_ground_truth(path, tmp_path / "truth")


def test_files_that_are_there_are_not_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in CONTENTS.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(fetch, "GROUND_TRUTH_URL", "http://127.0.0.1:9/eval_tools.zip")
    assert fetch.fetch_ground_truth(tmp_path) == tmp_path
    (tmp_path / "wider_easy_val.mat").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"cannot be downloaded from http://127\.0\.0\.1:9/"):
        fetch.fetch_ground_truth(tmp_path)


def test_images_half_unpacked_are_not_taken_for_all(tmp_path: Path) -> None:
    event = tmp_path / "widerface" / "WIDER_val" / "images" / "0--Parade"
    event.mkdir(parents=True)
    (event / "one.jpg").touch()
    with pytest.raises(InputError, match="holds 1 of 3,226 images"):
        fetch.fetch_images(tmp_path)


def test_images_that_cannot_be_had_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("no\nroute")

    monkeypatch.setattr("torchvision.datasets.WIDERFace", offline)
    with pytest.raises(InputError, match=r"cannot be downloaded to .*: no route"):
        fetch.fetch_images(tmp_path)
