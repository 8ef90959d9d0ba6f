"""Which pictures a folder holds, and which names are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from analysis.widerface.picture_folder import Entry, list_pictures
from featherface.errors import InputError


def make(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def names(folder: Path, subset: Path | None = None) -> list[str]:
    return [entry.picture for entry in list_pictures(folder, subset)]


def test_events_and_pictures_beside_them(tmp_path: Path) -> None:
    make(tmp_path, "b/2.jpg", "b/1.JPEG", "a/x.y.png", "top.jpg")
    make(tmp_path, "b/notes.txt", ".hidden/3.jpg", "b/._1.jpg", "b/.DS_Store")
    assert names(tmp_path) == ["top.jpg", "a/x.y.png", "b/1.JPEG", "b/2.jpg"]
    assert list_pictures(tmp_path)[1].result == "a/x.y.txt"


def test_a_subset_is_looked_up_among_the_names(tmp_path: Path) -> None:
    make(tmp_path / "images", "a/1.jpg", "a/2.jpg", "b/1.jpg")
    make(tmp_path, "outside.jpg")
    listed = tmp_path / "list.txt"
    listed.write_text("b/1.jpg\r\n\na/2.jpg\nb/1.jpg\n")
    assert names(tmp_path / "images", listed) == ["a/2.jpg", "b/1.jpg"]
    for line in ("../outside.jpg", "a/../a/1.jpg", "/etc/passwd", "a/3.jpg"):
        listed.write_text(f"a/1.jpg\n{line}\n")
        with pytest.raises(InputError, match="1 of its 2 pictures are not in"):
            names(tmp_path / "images", listed)
    # As for evaluating: a byte order mark, the other slash, no ending.
    listed.write_bytes(b"\xef\xbb\xbfb\\1.jpg\na/2\r\na/2.jpg\n")
    assert names(tmp_path / "images", listed) == ["a/2.jpg", "b/1.jpg"]
    listed.write_text("\n")
    with pytest.raises(InputError, match="names no pictures"):
        names(tmp_path / "images", listed)
    listed.write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"list\.txt: cannot be read"):
        names(tmp_path / "images", listed)


def test_links_are_read_but_name_nothing(tmp_path: Path) -> None:
    make(tmp_path, "elsewhere/1.jpg", "images/b/2.jpg")
    (tmp_path / "images" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images" / "b" / "3.jpg").symlink_to(tmp_path / "elsewhere" / "1.jpg")
    (tmp_path / "images" / "b" / "4.jpg").symlink_to("nowhere.jpg")
    assert names(tmp_path / "images") == ["a/1.jpg", "b/2.jpg", "b/3.jpg", "b/4.jpg"]


def test_the_folder_above_is_not_the_folder(tmp_path: Path) -> None:
    make(tmp_path, "images/a/1.jpg")
    with pytest.raises(InputError, match=r"deeper than EVENT/PICTURE in it; is .*images meant"):
        list_pictures(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "holds no pictures"),
        (("a/notes.txt",), "holds no pictures"),
        (("a/1.jpg", "a/1.png"), r"a/1\.jpg and a/1\.png would have the same results file"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list_pictures(make(tmp_path, *files))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        list_pictures(tmp_path / "none")


def test_names_no_results_file_can_have(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff\xe9")
    make(tmp_path, "a/ordinary.jpg", "a/two\nlines.jpg", f"a/{'x' * 220}.jpg", f"a/{odd}.jpg")
    found = {entry.stem: entry.unusable for entry in list_pictures(tmp_path)}
    assert found["ordinary"] is None
    assert found[odd] is None
    assert "control characters" in str(found["two\nlines"])
    assert "longer than 200 bytes" in str(found["x" * 220])
    assert Entry("a\tb", "c", ".jpg").unusable is not None
