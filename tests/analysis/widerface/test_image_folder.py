"""Images that a folder holds, and names that are refused."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from analysis.widerface.image_folder import Entry, list_images, read_list
from featherface.errors import InputError


def make(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def names(folder: Path, subset: Path | None = None) -> list[str]:
    return [entry.image for entry in list_images(folder, subset)]


def test_events_and_images_beside_them(tmp_path: Path) -> None:
    make(tmp_path, "b/2.jpg", "b/1.JPEG", "a/x.y.png", "top.jpg")
    make(tmp_path, "b/notes.txt", ".hidden/3.jpg", "b/._1.jpg", "b/.DS_Store")
    assert names(tmp_path) == ["top.jpg", "a/x.y.png", "b/1.JPEG", "b/2.jpg"]
    assert list_images(tmp_path)[1].result == "a/x.y.txt"


def test_a_subset_is_looked_up_among_the_names(tmp_path: Path) -> None:
    make(tmp_path / "images", "a/1.jpg", "a/2.jpg", "b/1.jpg")
    make(tmp_path, "outside.jpg")
    listed = tmp_path / "list.txt"
    listed.write_text("b/1.jpg\r\n\na/2.jpg\nb/1.jpg\n")
    assert names(tmp_path / "images", listed) == ["a/2.jpg", "b/1.jpg"]
    for line in ("../outside.jpg", "outside.jpg", "/etc/passwd", "a/3.jpg"):
        listed.write_text(f"a/1.jpg\n{line}\n")
        with pytest.raises(InputError, match="1 of its 2 images are not in"):
            names(tmp_path / "images", listed)


@pytest.mark.parametrize("prefix", ["./", "/", "/data/WIDER_val/images/", "a\\", "\ufeff"])
@pytest.mark.parametrize("name", ["b/1.jpg", "b/1.JPG", "b/1", "b\\1.jpg"])
def test_a_subset_is_listed_as_tools_list_it(tmp_path: Path, prefix: str, name: str) -> None:
    make(tmp_path / "images", "a/1.jpg", "b/1.jpg")
    (tmp_path / "list.txt").write_text(f"{prefix}{name}\r\n")
    assert names(tmp_path / "images", tmp_path / "list.txt") == ["b/1.jpg"]


def test_a_subset_of_images_without_events_and_of_any_name(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9.png")
    make(tmp_path / "images", "1.jpg", "2.jpg", odd)
    (tmp_path / "list.txt").write_bytes(b"/data/images/1.jpg\n./caf\xe9.png\n")
    assert names(tmp_path / "images", tmp_path / "list.txt") == ["1.jpg", odd]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_lines_of_a_list_end_at_line_ends_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: encoding)
    text = "a/x\x85y.jpg\r\na/x\x0cy.jpg\ra/z.jpg\n"
    (tmp_path / "list.txt").write_bytes(text.encode(encoding))
    assert read_list(tmp_path / "list.txt") == [("a", "x\x85y"), ("a", "x\x0cy"), ("a", "z")]


def test_links_are_read_but_name_nothing(tmp_path: Path) -> None:
    make(tmp_path, "elsewhere/1.jpg", "images/b/2.jpg")
    (tmp_path / "images" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images" / "b" / "3.jpg").symlink_to(tmp_path / "elsewhere" / "1.jpg")
    (tmp_path / "images" / "b" / "4.jpg").symlink_to("nowhere.jpg")
    assert names(tmp_path / "images") == ["a/1.jpg", "b/2.jpg", "b/3.jpg", "b/4.jpg"]


def test_the_folder_above_is_not_the_folder(tmp_path: Path) -> None:
    make(tmp_path, "images/a/1.jpg")
    with pytest.raises(InputError, match=r"deeper than EVENT/IMAGE; is .*images meant"):
        list_images(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "holds no images"),
        (("a/notes.txt",), "holds no images"),
        (("a/1.jpg", "a/1.png"), r"a/1\.jpg and a/1\.png would have the same results file"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list_images(make(tmp_path, *files))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        list_images(tmp_path / "none")


def test_names_no_results_file_can_have(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff\xe9")
    make(tmp_path, "a/ordinary.jpg", "a/two\nlines.jpg", f"a/{'x' * 245}.jpg", f"a/{odd}.jpg")
    found = {entry.stem: entry.unusable for entry in list_images(tmp_path)}
    assert found["ordinary"] is None
    assert found[odd] is None
    assert "control characters" in str(found["two\nlines"])
    assert "longer than 240 bytes" in str(found["x" * 245])
    assert Entry("a\tb", "c", ".jpg").unusable is not None
