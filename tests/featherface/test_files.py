from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from featherface import InputError, records
from featherface.files import (
    list_images,
    locked,
    read_bytes,
    read_text,
    to_json,
    write_bytes,
    write_json,
    write_text,
)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.json"
    write_json(path, {"b": 1, "a": "é"})
    write_json(path, {"b": 2, "a": "é"})
    assert path.read_bytes() == '{\n "b": 2,\n "a": "é"\n}\n'.encode()
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_what_cannot_be_written_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.txt"
    write_text(path, "old")

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"x\.txt: cannot be written: No space left"):
        write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_text(tmp_path / "x" / "y.txt", "")


def test_json_has_no_numbers_that_are_none() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json({"x": float("nan")})


def hostile(folder: Path) -> list[Path | str]:
    """Paths that no file can be read from or written to."""
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "folder").mkdir()
    too_long = [folder / ("x" * 300), folder / "/".join(["y" * 200] * 30)]
    others = [folder / "loop", folder / "a\0b", folder / "folder", Path(__file__) / "x"]
    return ["", *too_long, *others]


def test_every_hostile_path_is_one_line_to_readers_and_writers(tmp_path: Path) -> None:
    for path in hostile(tmp_path):
        for act in (
            lambda path: read_bytes(path),
            lambda path: write_bytes(path, b"x"),
            lambda path: records.append(path, {}),
            lambda path: records.read(path),
        ):
            with pytest.raises(InputError, match=r"cannot be (read|written)|empty path") as found:
                act(path)
            assert "\n" not in str(found.value)
    assert {p.name for p in tmp_path.iterdir()} == {"folder", "loop", ".loop.lock"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(InputError, match="not a regular file"):
            read_bytes(path)
    with pytest.raises(InputError, match="cannot be written"):  # nobody reads it
        write_bytes(tmp_path / "pipe", b"x")
    write_bytes("/dev/null", b"x")
    monkeypatch.delattr(os, "O_NONBLOCK")  # as on Windows, whose null device is not set so
    monkeypatch.delattr(os, "set_blocking")
    write_bytes("/dev/null", b"x")
    assert Path("/dev/null").is_char_device()


def test_more_than_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert read_bytes(path, limit=5) == b"12345"
    with pytest.raises(InputError, match=r"5 bytes, more than the 4"):
        read_bytes(path, limit=4)
    path.write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match="not UTF-8 text"):
        read_text(path)


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize(
    "raised",
    [
        NotImplementedError("use SoftFileLock instead"),
        *(OSError(code, os.strerror(code)) for code in (errno.ENOLCK, errno.EOPNOTSUPP)),
    ],
)
def test_a_file_system_without_locks_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, wait: bool
) -> None:
    def acquire(self: FileLock, **options: object) -> None:
        raise raised

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with (
        pytest.raises(InputError, match=r"x: cannot be written: the file system has no locks$"),
        locked(tmp_path / "x", wait=wait),
    ):
        raise AssertionError("there is no such lock")


@pytest.mark.filterwarnings("ignore:flock not supported:UserWarning")
@pytest.mark.parametrize("missing", [True, False])
def test_a_held_lock_is_waited_for_or_refused_without_another_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: bool
) -> None:
    fcntl = pytest.importorskip("fcntl")
    pytest.importorskip("filelock", minversion="4", reason="does without flock since then")
    real, path = fcntl.flock, tmp_path / "x"

    def flock(file: int, operation: int) -> None:
        # A shared lock, only to look, would have an attempt of a third process refused.
        assert not operation & fcntl.LOCK_SH
        if missing:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        real(file, operation)

    def wait_for_it() -> bool:
        with locked(path):
            return True

    monkeypatch.setattr(fcntl, "flock", flock)
    with ThreadPoolExecutor() as pool:
        with locked(path):
            refused = pytest.raises(InputError, match="another process is writing it")
            with refused, locked(path, wait=False):
                raise AssertionError("it is held")
            waiting = pool.submit(wait_for_it)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.2)
        assert waiting.result(timeout=60)


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_names_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_bytes(tmp_path / name)
    with pytest.raises(InputError, match="cannot be written"):
        write_bytes(tmp_path / name, b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="this system does not name open files")
def test_an_open_pipe_is_written_to_by_its_name() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe:
        write_bytes(f"/dev/fd/{writing}", b"as with --json >(jq .)")
        os.close(writing)
        assert pipe.read() == b"as with --json >(jq .)"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_a_name_that_is_not_utf8_survives_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    write_json(tmp_path / "x.json", {name: "é"})
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {name: "é"}
    assert str(InputError(f"{name}:\x1b[1m red")) == "caf\\udce9.png:\\x1b[1m red"


def test_threads_that_write_one_file_leave_one_of_their_contents(tmp_path: Path) -> None:
    contents = [bytes([i]) * 10_000 for i in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_bytes(tmp_path / "x", content), contents))
    assert (tmp_path / "x").read_bytes() in contents
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_images_in_a_folder_are_told_by_their_endings(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.jfif", "c.avif", "notes.txt", "._b.JPG", ".hidden/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path, recursive=True) or ()][-1] == "c.avif"
    assert [path.name for path in list_images(tmp_path) or ()] == ["a.jfif", "b.JPG", "c.avif"]


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=f"{tmp_path.name}: cannot be read: Permission denied"):
        list_images(tmp_path)
    monkeypatch.undo()
    with pytest.raises(InputError, match="cannot be read: embedded null"):
        list_images("a\0/*")
