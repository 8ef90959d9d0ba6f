"""From a folder of images to whole files: written, passed over, resumed, shared out."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from analysis.widerface import predicting, shards
from analysis.widerface.finding import Found, find
from analysis.widerface.image_folder import Entry
from analysis.widerface.predicting import predict
from analysis.widerface.protocol import PROTOCOLS, named
from analysis.widerface.results_folder import ResultsFolder, is_whole, to_text
from analysis.widerface.shards import Group
from featherface import CONFIGS, Detector, FeatherFace
from featherface.errors import InputError
from featherface.files import part_of
from featherface.images import read_picture
from featherface.model import save

ROOT = Path(__file__).resolve().parents[3]
SIZES = {
    "a/1": (96, 80),
    "a/2": (64, 64),
    "b/1": (50, 130),
    "b/odd.name": (33, 47),
    "b/3": (72, 64),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, portrait: Path) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for name, (height, width) in SIZES.items():
        path = folder / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.open(portrait).resize((width, height)).save(path, quality=95)
    return folder


def run(images: Path, out: Path, checkpoint: Path, **options: Any) -> dict[str, Any]:
    given = {"weights": checkpoint, "runtime": "torch", "device": "cpu", **options}
    return predict(images, out, **given)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and not p.name.endswith(".lock")
    }


def test_each_image_has_a_file_with_what_was_found(
    images: Path, tmp_path: Path, checkpoint: Path
) -> None:
    record = run(images, tmp_path, checkpoint, protocol=PROTOCOLS["exact"])
    assert (record["pictures"], record["predicted"], record["unreadable"]) == (5, 5, [])
    files = contents(tmp_path)
    assert set(files) == {"protocol.json", *(f"{name}.txt" for name in SIZES)}
    title, count, *rows = files["b/odd.name.txt"].decode().splitlines()
    assert (title, int(count)) == ("odd.name", len(rows))
    detector = Detector(checkpoint, runtime="torch", device="cpu", score_threshold=0.02)
    image = read_picture(images / "b" / "odd.name.jpg")
    boxes, scores, _ = detector.detect_arrays(image)
    written = np.array([row.split() for row in rows], dtype=np.float32)
    assert len(rows) > 10
    np.testing.assert_allclose(written[:, :2], boxes[:, :2], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(written[:, 2:4], boxes[:, 2:] - boxes[:, :2], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(written[:, 4], scores, rtol=1e-5)
    assert (np.diff(written[:, 4]) <= 0).all()


def test_the_protocol_is_part_of_the_result(images: Path, tmp_path: Path, checkpoint: Path) -> None:
    run(images, tmp_path, checkpoint, protocol=named("original", score=0.5))
    record = json.loads((tmp_path / "protocol.json").read_text())
    assert record["protocol"]["name"] == "original with score > 0.5, NMS 0.4"
    assert record["protocol"]["score_threshold"] == 0.5
    assert record["weights"]["variant"] == "retinaface"
    assert len(record["weights"]["sha256"]) == 64
    assert (record["runtime"], record["device"]) == ("torch", "cpu")
    assert record["versions"][0]["torch"] == torch.__version__.partition("+")[0]


def test_results_of_another_run_are_not_mixed_in(
    images: Path, tmp_path: Path, checkpoint: Path
) -> None:
    run(images, tmp_path, checkpoint)
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"holds results of protocol original, not exact"):
        run(images, tmp_path, checkpoint, protocol=PROTOCOLS["exact"])
    torch.manual_seed(1)
    other = tmp_path.parent / "other.safetensors"
    save(FeatherFace(CONFIGS["retinaface"]), other)
    with pytest.raises(InputError, match=r"holds results of weights random.safetensors, not other"):
        run(images, tmp_path, other)
    assert contents(tmp_path) == before
    (tmp_path / "protocol.json").write_text('{"protocol"')
    with pytest.raises(InputError, match=r"protocol\.json: not JSON"):
        run(images, tmp_path, checkpoint)
    (tmp_path / "protocol.json").unlink()
    with pytest.raises(InputError, match=r"no protocol\.json that says what made them"):
        run(images, tmp_path, checkpoint)


def test_a_field_that_an_earlier_version_did_not_write_is_null(
    images: Path, tmp_path: Path, checkpoint: Path
) -> None:
    run(images, tmp_path, checkpoint)
    note = tmp_path / "protocol.json"
    whole = json.loads(note.read_text())
    assert whole["protocol"].pop("resampling") is None
    note.write_text(json.dumps(whole))
    assert run(images, tmp_path, checkpoint)["done_before"] == 5
    whole["protocol"].pop("voting")
    note.write_text(json.dumps(whole))
    with pytest.raises(InputError, match="results of protocol voting None, not False"):
        run(images, tmp_path, checkpoint)


def test_what_is_whole_is_passed_over_and_the_rest_is_done(
    images: Path, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(images, tmp_path, checkpoint)
    whole = contents(tmp_path)
    (tmp_path / "a" / "1.txt").unlink()
    cut = tmp_path / "b" / "1.txt"
    cut.write_bytes(whole["b/1.txt"][:-30])
    part = part_of(cut)
    part.write_text("another process is writing it")
    looked_at = []

    def watched(detector: Any, image: Any, protocol: Any, name: str) -> Found:
        looked_at.append(name)
        return find(detector, image, protocol, name)

    monkeypatch.setattr(predicting, "find", watched)
    record = run(images, tmp_path, checkpoint)
    assert sorted(looked_at) == [str(images / "a" / "1.jpg"), str(images / "b" / "1.jpg")]
    assert (record["predicted"], record["done_before"]) == (2, 3)
    assert part.read_text() == "another process is writing it"
    part.unlink()
    assert contents(tmp_path) == whole
    again = run(images, tmp_path, checkpoint)
    assert (again["predicted"], again["done_before"], len(looked_at)) == (0, 5, 2)


def test_the_same_files_whatever_the_threads(
    images: Path, tmp_path: Path, checkpoint: Path
) -> None:
    before = torch.get_num_threads()
    run(images, tmp_path / "one", checkpoint, threads=1)
    run(images, tmp_path / "three", checkpoint, threads=3)
    assert contents(tmp_path / "one") == contents(tmp_path / "three")
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("given", "threads"), [("", 3), ("2", 2)])
def test_images_at_once_are_the_cores_to_use_or_what_the_environment_says(
    images: Path,
    tmp_path: Path,
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    threads: int,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 2, 5}, raising=False)
    torch_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as where two logical processors share a core
    try:
        assert run(images, tmp_path, checkpoint)["threads"] == threads
    finally:
        torch.set_num_threads(torch_threads)


class OneOfTwo(Group):
    """The first of two processes; the second does nothing."""

    def decided_by_first(self, decide: Callable[[], Any]) -> Any:
        return decide()

    def gathered(self, own: Any) -> list[Any]:
        return [own]


def test_each_of_two_processes_has_as_many_large_images(
    images: Path, tmp_path: Path, checkpoint: Path
) -> None:
    folder, out = tmp_path / "images", tmp_path / "out"
    folder.mkdir()
    for name, image in {"1": "a/1", "2": "b/odd.name", "3": "a/1", "4": "b/odd.name"}.items():
        (folder / f"{name}.jpg").write_bytes((images / f"{image}.jpg").read_bytes())
    (folder / "5.jpg").symlink_to("nowhere.jpg")
    record = run(folder, out, checkpoint, group=OneOfTwo(world=2))
    assert sorted(path.name for path in out.glob("*.txt")) == ["1.txt", "2.txt"]
    assert [item["picture"] for item in record["unreadable"]] == ["5.jpg"]


def test_unreadable_images_are_listed_and_the_rest_is_done(
    images: Path, tmp_path: Path, checkpoint: Path
) -> None:
    folder = tmp_path / "images"
    for name in ("a/1", "b/3"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jpg").write_bytes((images / f"{name}.jpg").read_bytes())
    (folder / "a" / "empty.jpg").touch()
    (folder / "a" / "two\nlines.jpg").write_bytes((images / "a" / "1.jpg").read_bytes())
    (folder / "b" / "cut.jpg").write_bytes((images / "b" / "3.jpg").read_bytes()[:400])
    (folder / "b" / "gone.jpg").symlink_to("nowhere.jpg")
    out = tmp_path / "out"
    record = run(folder, out, checkpoint)
    assert (record["pictures"], record["predicted"]) == (6, 2)
    reasons = {item["picture"]: item["reason"] for item in record["unreadable"]}
    assert list(reasons) == ["a/empty.jpg", "a/two\nlines.jpg", "b/cut.jpg", "b/gone.jpg"]
    assert reasons["a/empty.jpg"] == "an empty file"
    assert reasons["b/gone.jpg"] == "cannot be read: No such file or directory"
    assert json.loads((out / "unreadable.json").read_text())["unreadable"] == record["unreadable"]
    (folder / "b" / "cut.jpg").write_bytes((images / "b" / "3.jpg").read_bytes())
    chosen = tmp_path / "list.txt"
    chosen.write_text("b/cut.jpg\n")
    assert run(folder, out, checkpoint, subset=chosen)["predicted"] == 1
    left = json.loads((out / "unreadable.json").read_text())["unreadable"]
    assert [item["picture"] for item in left] == ["a/empty.jpg", "a/two\nlines.jpg", "b/gone.jpg"]
    for item in left:
        (folder / item["picture"]).unlink()
    run(folder, out, checkpoint)
    assert not (out / "unreadable.json").exists()


def test_results_do_not_follow_a_link_out_of_their_folder(
    images: Path, tmp_path: Path, checkpoint: Path
) -> None:
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    out.mkdir()
    (out / "a").symlink_to(outside)
    with pytest.raises(InputError, match="leads out of the folder for the results"):
        run(images, out, checkpoint)
    assert not any(outside.iterdir())


def test_two_runs_do_not_write_to_one_folder(
    images: Path, tmp_path: Path, checkpoint: Path
) -> None:
    with (
        ResultsFolder(tmp_path).alone(),
        pytest.raises(InputError, match=r"protocol\.json: cannot be written: another process"),
    ):
        run(images, tmp_path, checkpoint)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, r"threads \(=0\)"),
        ({"weights": "none.pth"}, "none.pth"),
        ({"runtime": "abacus"}, "abacus"),
        ({"device": "abacus"}, "abacus"),
        ({"subset": "none.txt"}, r"none\.txt: cannot be read"),
    ],
)
def test_bad_arguments_are_one_line(
    images: Path, tmp_path: Path, checkpoint: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(images, tmp_path / "out", checkpoint, **options)
    assert contents(tmp_path) == {}


def test_a_disk_that_fails_stops_the_run_with_its_reason(
    images: Path, tmp_path: Path, checkpoint: Path
) -> None:
    (tmp_path / "a").write_text("in the way")
    with pytest.raises(InputError, match=r"1\.txt: cannot be written: "):
        run(images, tmp_path, checkpoint)


FOUND = Found(
    np.array([[1.9, -1.9, 10.2, 20.7], [0.1, 1 / 3, 5, 6]], dtype=np.float32),
    np.array([0.99, 0.02000001], dtype=np.float32),
)


def test_numbers_read_back_as_they_were() -> None:
    text = to_text("name", FOUND, whole_pixels=False)
    rows = np.array([line.split() for line in text.decode().splitlines()[2:]], dtype=np.float32)
    np.testing.assert_array_equal(rows[:, :2], FOUND.boxes[:, :2])
    np.testing.assert_array_equal(rows[:, 2:4], FOUND.boxes[:, 2:] - FOUND.boxes[:, :2])
    np.testing.assert_array_equal(rows[:, 4], FOUND.scores)


def test_the_authors_truncate_corners() -> None:
    expected = b"name\n2\n1 -1 9 21 0.99\n0 0 5 6 0.02000001\n"
    assert to_text("name", FOUND, whole_pixels=True) == expected


def test_a_file_is_whole_or_not() -> None:
    empty = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    for found in (FOUND, empty):
        text = to_text("name", found, whole_pixels=False)
        assert is_whole(text)
        assert not any(is_whole(text[:end]) for end in range(len(text)))
    odd = Entry("a", os.fsdecode(b"\xff"), ".jpg")
    assert to_text(odd.stem, FOUND, whole_pixels=True).startswith(b"\xff\n2\n")


def test_one_process_is_a_group_of_its_own() -> None:
    assert Group().decided_by_first(lambda: 3) == 3
    assert Group().gathered("mine") == ["mine"]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"RANK": "2", "WORLD_SIZE": "2"}, r"RANK \(=2\) must be below WORLD_SIZE \(=2\)"),
        ({"RANK": "first", "WORLD_SIZE": "2"}, r"RANK \(='first'\) must be a number"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "the others did not come within 1 s"),
        ({"RANK": "1", "WORLD_SIZE": "2"}, "the others did not come within 1 s"),
    ],
)
def test_a_process_does_not_wait_for_ever_for_others_that_do_not_come(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], words: str
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    addresses = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    for name, value in (environment | addresses).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(shards, "MEETING", timedelta(seconds=1))
    with pytest.raises(InputError, match=words), shards.process_group():
        raise AssertionError("there is no such group")


def command(images: Path, out: Path, checkpoint: Path) -> list[str]:
    return [
        *("-m", "featherface", "widerface", "predict", "--weights", str(checkpoint)),
        *("--images", str(images), "--out", str(out), "--runtime", "torch", "--device", "cpu"),
    ]


def start(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("OMP_NUM_THREADS", None)
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def torchrun(processes: int) -> list[str]:
    return ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]


@pytest.mark.slow
def test_two_processes_write_what_one_does(images: Path, tmp_path: Path, checkpoint: Path) -> None:
    run(images, tmp_path / "one", checkpoint)
    together = start(*torchrun(2), *command(images, tmp_path / "two", checkpoint))
    output, errors = together.communicate(timeout=300)
    assert together.returncode == 0, errors
    assert output.count("5 of 5 images predicted") == 1
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    # What one process began, any number finish.
    for name in ("a/1.txt", "b/1.txt", "b/3.txt"):
        (tmp_path / "one" / name).unlink()
    together = start(*torchrun(2), *command(images, tmp_path / "one", checkpoint))
    output, errors = together.communicate(timeout=300)
    assert "3 of 5 images predicted, 2 were done before" in output, errors
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.slow
def test_bad_input_is_said_once_by_two_processes(
    images: Path, tmp_path: Path, checkpoint: Path
) -> None:
    (tmp_path / "none").mkdir()
    together = start(*torchrun(2), *command(tmp_path / "none", tmp_path / "out", checkpoint))
    _, errors = together.communicate(timeout=300)
    assert together.returncode != 0
    assert errors.count("none: holds no images") == 1


@pytest.fixture(scope="module")
def many(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    (folder / "a").mkdir()
    for index in range(300):
        (folder / "a" / f"{index:03d}.jpg").write_bytes((images / "a" / "1.jpg").read_bytes())
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_goes_on(
    many: Path, tmp_path: Path, checkpoint: Path, kill: signal.Signals
) -> None:
    out = tmp_path / "out"
    running = start(*command(many, out, checkpoint))
    deadline = time.monotonic() + 120
    while len(list(out.glob("a/*.txt"))) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(kill)
    _, errors = running.communicate(timeout=60)
    done = {path.name: path.stat().st_mtime_ns for path in out.glob("a/*.txt")}
    assert 20 <= len(done) < 300
    assert all(is_whole((out / "a" / name).read_bytes()) for name in done)
    if kill == signal.SIGINT:
        assert running.returncode == 130
        assert errors.splitlines()[-1].endswith("the same command goes on with the rest")
        assert not list(out.rglob(".part-*"))
    record = run(many, out, checkpoint)
    assert (record["predicted"], record["done_before"]) == (300 - len(done), len(done))
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("a/*.txt")}
    assert len(after) == 300
    assert {name: after[name] for name in done} == done
    assert len({path.read_bytes().partition(b"\n")[2] for path in out.glob("a/*.txt")}) == 1


@pytest.mark.slow
def test_where_one_process_dies_the_other_ends_and_the_rest_can_be_done(
    many: Path, tmp_path: Path, checkpoint: Path
) -> None:
    out = tmp_path / "out"
    together = start(*torchrun(2), *command(many, out, checkpoint))
    deadline = time.monotonic() + 120
    while len(list(out.glob("a/*.txt"))) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    children = Path(f"/proc/{together.pid}/task/{together.pid}/children")
    if not children.exists():
        together.kill()
        pytest.skip("this system does not list the children of a process")
    os.kill(int(children.read_text().split()[-1]), signal.SIGKILL)
    together.communicate(timeout=120)
    assert together.returncode != 0
    assert run(many, out, checkpoint)["done_before"] >= 10
    assert len(list(out.glob("a/*.txt"))) == 300


def test_damaged_notes_beside_results_are_one_line(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    identity = {"protocol": {}, "weights": {}, "runtime": "torch", "device": "cpu", "versions": {}}
    (tmp_path / "protocol.json").write_text(json.dumps({**identity, "versions": 5}))
    with pytest.raises(InputError, match=r"protocol\.json: not what"):
        folder.open_for(identity)
    (tmp_path / "protocol.json").unlink()
    for noted in (7, [1], [{"reason": "cut off"}]):
        (tmp_path / "unreadable.json").write_text(json.dumps({"unreadable": noted}))
        with pytest.raises(InputError, match=r"unreadable\.json: not a list of images"):
            folder.open_for(identity)
        with pytest.raises(InputError, match=r"unreadable\.json: not a list of images"):
            folder.write_unreadable([], {"a/1.jpg"})
