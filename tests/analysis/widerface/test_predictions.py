"""Reading predictions from each source, what is tolerated, and what is an error."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.widerface import prediction_files, prediction_records
from analysis.widerface.ground_truth import GroundTruth, read_ground_truth
from analysis.widerface.image_folder import key_of
from analysis.widerface.prediction_text import ImageText, parse
from analysis.widerface.predictions import Predictions, read_predictions
from featherface.errors import InputError

FILES = {
    "0--Parade/0_Parade_1.txt": "0_Parade_1\n2\n10 10 40 40 0.9\n100 10 20 30 0.25\n",
    "0--Parade/0_Parade_2.txt": "0--Parade/0_Parade_2.jpg\n1\n50.5 60 3e1 30 1e-3\n",
    "1--Handshaking/1_Handshaking_1.txt": "1_Handshaking_1\n0\n",
}
ROWS = [[10, 10, 40, 40, 0.9], [100, 10, 20, 30, 0.25], [50.5, 60, 30, 30, 0.001]]


@pytest.fixture
def truth(truth_folder: Path) -> GroundTruth:
    return read_ground_truth(truth_folder)


def write(folder: Path, files: dict[str, str | bytes] | dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def tar(path: Path, files: list[tuple[str, str]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return path


def same(read: Predictions) -> None:
    assert read.image.tolist() == [0, 1, 2]
    assert read.offsets.tolist() == [0, 2, 3, 3]
    assert read.rows.tolist() == ROWS
    assert (read.extra, read.retitled, read.miscounted) == ((), (), ())


def test_a_folder_at_any_depth(truth: GroundTruth, tmp_path: Path) -> None:
    same(read_predictions(write(tmp_path / "a", FILES), truth))
    deeper = {f"run/txt/{name}": text for name, text in FILES.items()}
    upper = {name.replace(".txt", ".TXT"): text for name, text in FILES.items()}
    same(read_predictions(write(tmp_path / "c", upper), truth))
    hidden = {".cache/0--Parade/0_Parade_1.txt": "x", "0--Parade/._0_Parade_1.txt": "\0"}
    made = {"protocol.json": "{}"}
    same(read_predictions(write(tmp_path / "b", {**deeper, **hidden, **made}), truth))


def test_a_folder_that_contains_itself(truth: GroundTruth, tmp_path: Path) -> None:
    folder = write(tmp_path / "a", FILES)
    (folder / "1--Handshaking/again").symlink_to(folder, target_is_directory=True)
    same(read_predictions(folder, truth))


@pytest.mark.parametrize("prefix", ["", "./", "a/b/", "../../etc/", "/"])
@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz", "tar.xz", "tar.bz2", "zip"])
def test_archives(truth: GroundTruth, tmp_path: Path, ending: str, prefix: str) -> None:
    path = tmp_path / f"found.{ending}"
    files = [(prefix + name, text) for name, text in FILES.items()]
    if ending == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files:
                archive.writestr(name, text)
    else:
        kind = {"tar": "", "tgz": ":gz"}.get(ending, f":{ending[4:]}")
        tar(path, files, "w" + kind)
    before = sorted(tmp_path.rglob("*"))
    same(read_predictions(path, truth))
    assert sorted(tmp_path.rglob("*")) == before  # nothing was unpacked


def test_what_was_added_to_a_tar_last_counts(truth: GroundTruth, tmp_path: Path) -> None:
    name = "0--Parade/0_Parade_1.txt"
    first = [(name, "0_Parade_1\n1\n1 1 1 1 1\n")]
    same(read_predictions(tar(tmp_path / "a.tar", first + list(FILES.items())), truth))


RECORDS = [
    {"event": "0--Parade", "picture": "0_Parade_1.jpg", "boxes": ROWS[:2]},
    {"event": "0--Parade", "picture": "0_Parade_2", "boxes": ROWS[2:]},
    {"event": "1--Handshaking", "picture": "1_Handshaking_1", "boxes": []},
]


def write_json_lines(path: Path) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    return path


def write_parquet(path: Path, **columns: object) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [
        (record["event"], record["picture"], *row)
        for record in RECORDS
        for row in record["boxes"] or [[None] * 5]  # type: ignore[attr-defined]
    ]
    names = ("event", "picture", "x", "y", "w", "h", "score")
    found = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) | columns
    table = {name: column for name, column in found.items() if column is not None}
    parquet.write_table(pyarrow.table(table), path, compression="zstd")
    return path


def test_json_lines_and_parquet(truth: GroundTruth, tmp_path: Path) -> None:
    same(read_predictions(write_json_lines(tmp_path / "found.jsonl"), truth))
    same(read_predictions(write_parquet(tmp_path / "found.parquet"), truth))


def test_a_flat_folder_and_an_archive_of_one(truth: GroundTruth, tmp_path: Path) -> None:
    flat = {Path(name).name: content for name, content in FILES.items()}
    same(read_predictions(write(tmp_path / "a", flat), truth))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in flat.items():
            archive.writestr(f"run/{name}", content)
    same(read_predictions(tmp_path / "a.zip", truth))
    (tmp_path / "a" / "0_Parade_9.txt").write_text("0_Parade_9\n1\n1 2 3 4 7.5\n")
    read = read_predictions(tmp_path / "a", truth)
    assert [Path(name).name for name in read.extra] == ["0_Parade_9.txt"]
    assert read.rows[:, 4].max() == 7.5  # as in a folder of the event: it scales all scores
    (tmp_path / "a" / "0_Parade_9.txt").unlink()
    part = truth.only([key_of("0--Parade/0_Parade_2")])
    read = read_predictions(tmp_path / "a", part)
    assert (read.rows.tolist(), read.extra) == ([ROWS[2]], ())


def test_an_empty_file_is_an_image_without_faces(truth: GroundTruth, tmp_path: Path) -> None:
    files = {**FILES, "1--Handshaking/1_Handshaking_1.txt": "\n"}
    read = read_predictions(write(tmp_path / "a", files), truth)
    assert [Path(name).name for name in read.blank] == ["1_Handshaking_1.txt"]
    same(read)


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("mark", ["", "# ", "#", "\ufeff# "])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_one_file_for_all_images(
    truth: GroundTruth, tmp_path: Path, mark: str, counted: bool, end: str
) -> None:
    sections = []
    for name, content in FILES.items():
        _, count, *rows = content.splitlines()
        title = f"{mark}{name.replace('.txt', '.jpg')}"
        mark = mark.removeprefix("\ufeff")  # which starts the file alone
        sections += [title, *([count] if counted else []), *rows]
    folder = write(tmp_path / "a", {"all.txt": end.join(sections)})
    same(read_predictions(folder, truth))
    same(read_predictions(folder / "all.txt", truth))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no line EVENT/IMAGE.jpg"),
        ("10 10 40 40 0.9\n# 0--Parade/0_Parade_1.jpg\n", "no line EVENT/IMAGE.jpg"),
        ("# 0--Parade/0_Parade_1.jpg\n1 2 3 4\n", "0_Parade_1.jpg:3: 4 values"),
        ("# 9--Elsewhere/x.jpg\n", "holds no EVENT"),
        ("# 0--Parade/0_Parade_1.jpg\n" * 2, "0_Parade_1.jpg: the image is there twice"),
        ("\0#\0 \0a\0/\0", "all.txt:1: null bytes, as in UTF-16"),
    ],
)
def test_a_malformed_file_for_all(
    truth: GroundTruth, tmp_path: Path, content: str, words: str
) -> None:
    (tmp_path / "all.txt").write_text(content)
    with pytest.raises(InputError, match=words):
        read_predictions(tmp_path / "all.txt", truth)


def test_parquet_rows_in_any_order_and_precision(truth: GroundTruth, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {
        "event": ["0--Parade"] * 4,
        "picture": ["0_Parade_2.jpg", "0_Parade_1", "nobody", "0_Parade_2.jpg"],
        "x": pyarrow.array([1, 2, 3, 4], pyarrow.int16()),
        "y": pyarrow.array([0.5] * 4, pyarrow.float32()),
        **{name: [1.0] * 4 for name in ("w", "h", "score")},
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    read = read_predictions(tmp_path / "a.parquet", truth)
    rows = {
        int(p): read.rows[a:b, 0].tolist()
        for p, a, b in zip(read.image, read.offsets, read.offsets[1:], strict=False)
    }
    assert rows == {0: [2.0], 1: [1.0, 4.0], -1: [3.0]}


def text(content: str | bytes) -> list[list[float]]:
    data = content.encode() if isinstance(content, str) else content
    (boxes,) = parse([ImageText("file", "e", "p", data)])
    return boxes.rows.tolist()


@pytest.mark.parametrize(
    "body",
    [
        "1 2 3 4 0.5\n5 6 7 8 0.25\n",
        "1 2 3 4 0.5\n5 6 7 8 0.25",
        "1 2 3 4 0.5 \n5 6 7 8 0.25 \n\n",
        "\n1 2 3 4 0.5\n\n  \n5 6 7 8 0.25\n",
        "1.0\t2.\t3e0  +4 .5\n 05 6E0 7 8 2.5e-1\n",
        "1 2 3 4 0.5\r\n5 6 7 8 0.25\r\n",
    ],
)
@pytest.mark.parametrize("title", ["p", "e/p.jpg", "\ufeffp", "p "])
def test_what_is_tolerated(title: str, body: str) -> None:
    assert text(f"{title}\n2\n{body}") == [[1, 2, 3, 4, 0.5], [5, 6, 7, 8, 0.25]]


def test_an_image_may_be_named_by_a_number() -> None:
    (boxes,) = parse([ImageText("1.txt", "e", "1", b"1\n1\n1 2 3 4 0.5\n")])
    assert (boxes.title, boxes.rows.tolist()) == ("1", [[1, 2, 3, 4, 0.5]])


def test_old_mac_line_ends() -> None:
    assert text("p\r1\r1 2 3 4 0.5\r") == [[1, 2, 3, 4, 0.5]]


@pytest.mark.parametrize(
    ("content", "where", "words"),
    [
        ("1 2 3 4 0.5\n1 2 3 4 0.5\n", 1, "the image's name"),
        ("1\n0\n", 1, "the image's name"),
        ("p\n2\n".encode("utf-16"), 1, "null bytes, as in UTF-16"),
        ("p\n", 2, "number of boxes"),
        ("p\nmany\n", 2, "number of boxes"),
        ("p\n-1\n", 2, "number of boxes"),
        ("p\n" + "9" * 5000 + "\n", 2, "number of boxes"),
        ("p\n1 2 3 4 0.5\n", 2, "number of boxes"),
        ("p\n2\n1 2 3 4 0.5\n1 2 3 4\n", 4, "4 values"),
        ("p\n1\n1 2 3 4 0.5 6\n", 3, "6 values"),
        # Ten numbers in two lines, but not five in each.
        ("p\n2\n1 2 3 4\n0.5 1 2 3 4 0.5\n", 3, "4 values"),
        ("p\n1\n1 2 3 x 0.5\n", 3, "not five numbers"),
        ("p\n1\n\n1 2 3 4-5 6\n", 4, "not five numbers"),
        ("p\n1\n1 2 3 1.2.3 4\n", 3, "not five numbers"),
        ("p\n1\n1 2 3 1e 4\n", 3, "not five numbers"),
        ("p\n1\n1 2 3 4 - \n", 3, "not five numbers"),
        ("p\n1\n1,2,3,4,0.5\n", 3, "1 values"),
        ("p\n1\n1 2 3 4 nan\n", 3, "not finite"),
        ("p\n1\n1 2 3 -inf 0.5\n", 3, "not finite"),
        ("p\n1\n1 2 3 1e999 0.5\n", 3, "not finite"),
        (b"p\n1\n1 2 3 \x00 0.5\n", 3, "not five numbers"),
    ],
)
def test_malformed_files_say_file_line_and_reason(
    content: str | bytes, where: int, words: str
) -> None:
    with pytest.raises(InputError, match=words) as raised:
        text(content)
    assert str(raised.value).startswith(f"file:{where}: ")


def test_the_malformed_one_of_many_is_named() -> None:
    good = ImageText("good", "e", "p", b"p\n1\n1 2 3 4 0.5\n")
    bad = ImageText("bad", "e", "q", b"q\n1\n1 2 3 4\n")
    with pytest.raises(InputError, match=r"^bad:3: "):
        list(parse([good, bad, good]))


token = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.builds(
        "{}{}.{}e{}".format,
        st.sampled_from(["", "+", "-"]),
        st.integers(0, 10**25),
        st.integers(0, 10**25),
        st.integers(-99, 99),
    ),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.tuples(*[token] * 5), max_size=4), min_size=1, max_size=4))
def test_numbers_are_what_float_makes_of_them(files: list[list[tuple[str, ...]]]) -> None:
    texts = [
        ImageText("f", "e", "p", "\n".join(["p", "0", *map(" ".join, rows)]).encode())
        for rows in files
    ]
    for boxes, rows in zip(parse(texts), files, strict=True):
        expected = np.array([[float(t) for t in row] for row in rows]).reshape(-1, 5)
        assert np.array_equal(boxes.rows, expected)


@settings(max_examples=60, deadline=None)
@given(st.text("0123456789.eE+- \n\t", max_size=60))
def test_any_body_is_read_as_line_by_line(body: str) -> None:
    lines = [line.split() for line in body.split("\n")]
    try:
        expected = [[float(token) for token in line] for line in lines if line]
        fits = all(len(row) == 5 and np.isfinite(row).all() for row in expected)
    except ValueError:
        fits = False
    if fits:
        assert text(f"p\n0\n{body}") == expected
    else:
        with pytest.raises(InputError):
            text(f"p\n0\n{body}")


def test_a_title_that_names_another_image_counts(truth: GroundTruth, tmp_path: Path) -> None:
    files = {
        "0--Parade/a.txt": FILES["0--Parade/0_Parade_1.txt"],
        "0--Parade/0_Parade_2.txt": "whatever\n3\n1 2 3 4 0.5\n",
    }
    read = read_predictions(write(tmp_path / "a", files), truth)
    assert sorted(read.image.tolist()) == [0, 1]
    assert len(read.retitled) == 2
    assert read.miscounted[0].endswith("0_Parade_2.txt: says 3, has 1")


def test_one_image_from_two_files_is_an_error(truth: GroundTruth, tmp_path: Path) -> None:
    twice = {f"{run}/{name}": text for run in "ab" for name, text in FILES.items()}
    with pytest.raises(InputError, match="0--Parade/0_Parade_1 is there twice"):
        read_predictions(write(tmp_path / "a", twice), truth)


def test_extra_files_are_listed(truth: GroundTruth, tmp_path: Path) -> None:
    extra = {
        "readme.txt": "not read",
        "9--Elsewhere/x.txt": "not read",
        "0--Parade/image.jpg": "not read",
        "0--Parade/0_Parade_9.txt": "0_Parade_9\n1\n1 2 3 4 7.5\n",
    }
    read = read_predictions(write(tmp_path / "a", {**FILES, **extra}), truth)
    assert {Path(name).name for name in read.extra} == {Path(name).name for name in extra}
    assert read.rows[:, 4].max() == 7.5  # enters the scaling of all scores
    assert (read.image == -1).sum() == 1


def test_a_subset_leaves_out_what_it_does_not_list(truth: GroundTruth, tmp_path: Path) -> None:
    part = truth.only([key_of("0--Parade/0_Parade_2.jpg")])
    others = {**FILES, "0--Parade/0_Parade_1.txt": "broken, and not looked at"}
    folder = write(tmp_path / "a", others)
    for source in (folder, write_json_lines(tmp_path / "a.jsonl")):
        read = read_predictions(source, part)
        assert (read.rows.tolist(), read.extra) == ([ROWS[2]], ())


def test_a_pipe_is_refused_and_not_waited_for(truth: GroundTruth, tmp_path: Path) -> None:
    folder = write(tmp_path / "a", FILES)
    os.mkfifo(folder / "1--Handshaking/pipe.txt")
    with pytest.raises(InputError, match=r"pipe\.txt: neither a file nor a folder"):
        read_predictions(folder, truth)


def test_what_predict_could_not_read_is_known(truth: GroundTruth, tmp_path: Path) -> None:
    noted = {"unreadable": [{"picture": "0--Parade/0_Parade_2.jpg", "reason": "cut off"}]}
    files = {
        **{name: text for name, text in FILES.items() if "0_Parade_2" not in name},
        "protocol.json": "{}",
        "unreadable.json": json.dumps(noted),
        "0--Parade/notes.json": "{}",
    }
    folder = write(tmp_path / "a", files)
    read = read_predictions(folder, truth)
    assert read.unreadable == ("0--Parade/0_Parade_2.jpg",)
    assert read.extra == (str(folder / "0--Parade/notes.json"),)
    without = truth.only([key_of("0--Parade/0_Parade_1.jpg")])
    assert read_predictions(folder, without).unreadable == ()


@pytest.mark.parametrize("content", ["", "[]", '{"unreadable": [1]}', "[" * 100_000, b"\xff"])
def test_a_damaged_list_of_unreadable_images(
    truth: GroundTruth, tmp_path: Path, content: str | bytes
) -> None:
    folder = write(tmp_path / "a", {**FILES, "unreadable.json": content})
    with pytest.raises(InputError, match=r"unreadable\.json: "):
        read_predictions(folder, truth)


def test_the_file_of_one_image_is_not_all_predictions(truth: GroundTruth, tmp_path: Path) -> None:
    path = write(tmp_path, FILES) / "0--Parade" / "0_Parade_1.txt"
    with pytest.raises(InputError, match=r"0_Parade_1\.txt: of one image only"):
        read_predictions(path, truth)


@pytest.mark.parametrize("name", ["nothing", "a.exe", "empty"])
def test_what_holds_no_predictions(truth: GroundTruth, tmp_path: Path, name: str) -> None:
    (tmp_path / "a.exe").write_bytes(b"MZ")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        read_predictions(tmp_path / name, truth)


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.xz", "tar.bz2"])
def test_a_damaged_archive_is_one_line(truth: GroundTruth, tmp_path: Path, ending: str) -> None:
    kind = ending[4:]
    path = tar(tmp_path / f"a.{ending}", list(FILES.items()), f"w:{kind}")
    whole = path.read_bytes()
    cuts = [0, 1, 300, 512, 1024, 1400, 2048] if ending == "tar" else [0, 1, 20, len(whole) // 2]
    for cut in cuts:
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError, match=f"a.{ending}"):
            read_predictions(path, truth)
    for at in range(10, len(whole) - 10, max(1, len(whole) // 40)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with contextlib.suppress(InputError):  # any other exception is a failure
            read_predictions(path, truth)


def test_a_zip_with_a_member_of_no_name(truth: GroundTruth, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {"?": "", **FILES}.items():
            archive.writestr(name, content)
    path.write_bytes(path.read_bytes().replace(b"?", b"\0"))
    same(read_predictions(path, truth))


def test_damage_to_parquet_is_one_line(truth: GroundTruth, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet")
    whole = path.read_bytes()
    for at in range(0, len(whole), len(whole) // 200):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with contextlib.suppress(InputError):  # any other exception is a failure
            read_predictions(path, truth)


def test_a_tar_whose_header_broke_in_the_middle(truth: GroundTruth, tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", list(FILES.items()))
    content = bytearray(path.read_bytes())
    content[1024 + 150] ^= 0xFF  # in the second member's checksum
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="breaks off after 1 members"):
        read_predictions(path, truth)


def test_archives_that_unpack_to_too_much(
    truth: GroundTruth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = tmp_path / "a.tar.gz"
    member = tarfile.TarInfo("0--Parade/0_Parade_1.txt")
    member.size = 1 << 40
    bomb.write_bytes(gzip.compress(member.tobuf()))
    with pytest.raises(InputError, match="more than 1,073,741,824 bytes"):
        read_predictions(bomb, truth)
    path = tar(tmp_path / "b.tar", list(FILES.items()))
    header = tarfile.TarInfo("name")
    header.type, header.size = tarfile.XHDTYPE, 1 << 32
    bomb.write_bytes(gzip.compress(header.tobuf()))
    with pytest.raises(InputError, match="a member's header has"):
        read_predictions(bomb, truth)
    for limit, words in (
        ("FILE_LIMIT", r"0_Parade_1\.txt: 47 bytes"),
        ("TOTAL_LIMIT", r"more than (the )?20 "),
        ("COUNT_LIMIT", "more than 1 files"),
    ):
        monkeypatch.setattr(prediction_files, limit, 1 if limit == "COUNT_LIMIT" else 20)
        for source in (path, write(tmp_path / "folder", FILES)):
            with pytest.raises(InputError, match=words):
                read_predictions(source, truth)
        monkeypatch.undo()
    monkeypatch.setattr(prediction_records, "BOX_LIMIT", 2)
    for source in (path, write_parquet(tmp_path / "a.parquet")):
        with pytest.raises(InputError, match=r"more than 2 (boxes|rows)"):
            read_predictions(source, truth)


def test_one_file_of_too_many_images(truth: GroundTruth, tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text("#\n" * 200_000)
    with pytest.raises(InputError, match="more than 100,000 images"):
        read_predictions(tmp_path / "all.txt", truth)


def test_long_names_do_not_pile_up(truth: GroundTruth, tmp_path: Path) -> None:
    name = b"/" * (prediction_files.HEADER_LIMIT - 512)
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, len(name)
    block = header.tobuf() + name + b"\0" * (-len(name) % 512)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(block * 2000, 1))
    with pytest.raises(InputError, match="a damaged archive"):
        read_predictions(tmp_path / "a.tar.gz", truth)


def test_a_member_with_a_name_that_no_file_can_have(truth: GroundTruth, tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", [("x/" * 3000, "")])
    with pytest.raises(InputError, match=r"a path of [\d,]+ characters"):
        read_predictions(path, truth)


def test_a_zip_of_too_many_members_is_not_listed(truth: GroundTruth, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", "")
    content = bytearray(path.read_bytes())
    content[-10:-6] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match="the list of its members has 1,073,741,824 bytes"):
        read_predictions(path, truth)


def test_folders_too_deep(truth: GroundTruth, tmp_path: Path) -> None:
    write(tmp_path / "a", {"/".join("abcdefghijklmnopq") + "/x.txt": ""})
    with pytest.raises(InputError, match="more than 16 folders deep"):
        read_predictions(tmp_path / "a", truth)


def test_a_name_that_is_not_utf8_is_a_name(truth: GroundTruth, tmp_path: Path) -> None:
    path = write_json_lines(tmp_path / "a.jsonl")
    text = path.read_text() + '{"event": "0--Parade", "picture": "a\\udcff", "boxes": []}\n'
    path.write_text(text)
    assert len(read_predictions(path, truth).extra) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "should be a valid dictionary"),
        ('{"event": "0--Parade", "picture": "x"}', "boxes: Field required"),
        ('{"event": 1, "picture": "x", "boxes": []}', "event: Input should be a valid string"),
        ('{"event": "a", "picture": "x", "boxes": [[1, 2, 3, 4]]}', "at least 5 items"),
        ('{"event": "a", "picture": "x", "boxes": [[1, 2, 3, 4, true]]}', "a valid number"),
        ('{"event": "a", "picture": "x", "boxes": [[1, 2, 3, 4, NaN]]}', "a finite number"),
        ('{"event": "a", "picture": "x", "boxes": [[1, 2, 3, 4, 1' + "0" * 400 + "]]}", "number"),
    ],
)
def test_malformed_json_lines(truth: GroundTruth, tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "a.jsonl"
    good = json.dumps({"event": "0--Parade", "picture": "0_Parade_1", "boxes": []})
    path.write_text(f"{good}\n\n{line}\n")
    with pytest.raises(InputError, match=words) as raised:
        read_predictions(path, truth)
    assert str(raised.value).startswith(f"{path}:3: ")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"x": None}, "no column x"),
        ({"x": ["one"] * 4}, "column x holds no numbers"),
        ({"x": [np.inf] * 4}, "row 1: not finite"),
        ({"x": [np.nan] * 4}, "row 1: not finite"),
        ({"event": [None] * 4}, "column event holds no texts"),
        ({"picture": [b"0_Parade_1"] * 4}, "column picture holds no texts"),
    ],
)
def test_malformed_parquet(
    truth: GroundTruth, tmp_path: Path, columns: dict[str, object], words: str
) -> None:
    path = write_parquet(tmp_path / "a.parquet", **columns)
    with pytest.raises(InputError, match=words):
        read_predictions(path, truth)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_predictions(path, truth)
