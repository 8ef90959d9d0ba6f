"""Reading the ground truth, choosing images of it, and saying what is wrong with it."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from analysis.widerface.ground_truth import (
    ALL_FACES,
    FILES,
    VALIDATION_IMAGES,
    GroundTruth,
    read_ground_truth,
)
from analysis.widerface.image_folder import key_of, read_list
from featherface.errors import InputError


def test_faces_subsets_and_names(truth_folder: Path) -> None:
    truth = read_ground_truth(truth_folder)
    assert truth.events == ("0--Parade", "1--Handshaking")
    assert [truth.key(p) for p in range(3)] == [
        ("0--Parade", "0_Parade_1"),
        ("0--Parade", "0_Parade_2"),
        ("1--Handshaking", "1_Handshaking_1"),
    ]
    assert truth.boxes[1].tolist() == [100, 10, 20, 30]
    assert truth.offsets.tolist() == [0, 3, 4, 4]
    assert truth.kept.tolist() == [
        [True, False, False, True],
        [True, True, False, True],
        [True, True, True, True],
    ]
    assert truth.faces == {"easy": 2, "medium": 3, "hard": 4}


def test_a_subset_is_marked_and_does_not_depend_on_how_it_is_listed(
    truth_folder: Path, tmp_path: Path
) -> None:
    truth = read_ground_truth(truth_folder)
    listed = tmp_path / "subset.txt"
    listed.write_bytes(
        b"\xef\xbb\xbf1--Handshaking/1_Handshaking_1.jpg\r\n\r\n0--Parade/0_Parade_2.jpg\r\n"
    )
    part = truth.only(read_list(listed))
    again = truth.only(
        map(key_of, ["x/0--Parade/0_Parade_2.JPG", "./1--Handshaking/1_Handshaking_1"] * 2)
    )
    assert part.subset is not None
    assert part.subset == again.subset
    assert part.subset.pictures == 2
    assert part.images == ("0_Parade_2", "1_Handshaking_1")
    assert part.boxes.tolist() == [[50, 60, 30, 30]]
    assert part.faces == {"easy": 1, "medium": 1, "hard": 1}
    assert part.outside == {("0--Parade", "0_Parade_1")}
    everything = [truth.key(p) for p in range(3)]
    assert truth.only(everything).subset is None


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["0--Parade/nobody.jpg"], "'0--Parade/nobody' is not in"),
        (["0_Parade_1.jpg"], "is not in the ground truth"),
        ([], "it is empty"),
    ],
)
def test_a_subset_of_what_is_not_there_is_an_error(
    truth_folder: Path, names: list[str], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        read_ground_truth(truth_folder).only(map(key_of, names))


@pytest.mark.parametrize(
    ("content", "words"),
    [("a/b.jpg\n".encode("utf-16"), "not text"), (b" \n\n", "is empty"), (None, "No such")],
)
def test_a_list_that_cannot_be_read(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "list"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_list(path)


def change(path: Path, **values: Any) -> None:
    content = {k: v for k, v in loadmat(path).items() if not k.startswith("__")}
    content.update(values)
    savemat(path, {k: v for k, v in content.items() if v is not None}, do_compression=True)


def cell(*values: Any) -> np.ndarray:
    column = np.empty((len(values), 1), dtype=object)
    column[:, 0] = values
    return column


def test_a_missing_folder_or_file_is_named(truth_folder: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_ground_truth(truth_folder / "elsewhere")
    with pytest.raises(InputError, match=f"is {truth_folder} meant"):
        read_ground_truth(truth_folder.parent)
    (truth_folder / FILES["hard"]).unlink()
    with pytest.raises(InputError, match=r"wider_hard_val\.mat: no such file"):
        read_ground_truth(truth_folder)


@pytest.mark.parametrize("name", [ALL_FACES, FILES["medium"]])
@pytest.mark.parametrize(
    "content",
    [b"", b"no mat file", b"MATLAB 5.0 MAT-file" * 40, b"MATLAB 7.3".ljust(124) + b"\0\2IM"],
)
def test_a_file_that_is_no_mat_file(truth_folder: Path, name: str, content: bytes) -> None:
    (truth_folder / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: not a little-endian .mat file"):
        read_ground_truth(truth_folder)


def same(one: GroundTruth, other: GroundTruth) -> bool:
    arrays = ("boxes", "offsets", "kept", "event")
    alike = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
    return alike and (one.events, one.images) == (other.events, other.images)


@pytest.fixture(scope="module", params=[True, False], ids=["compressed", "plain"])
def stored(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    write_ground_truth: Callable[..., Path],
) -> Path:
    folder = write_ground_truth(tmp_path_factory.mktemp("truth"))
    for name in (ALL_FACES, FILES["easy"]):
        content = {k: v for k, v in loadmat(folder / name).items() if not k.startswith("__")}
        savemat(folder / name, content, do_compression=request.param)
    return folder


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_does_more_than_be_refused(stored: Path, data: st.DataObject) -> None:
    path = stored / data.draw(st.sampled_from([ALL_FACES, FILES["easy"]]))
    whole = path.read_bytes()
    changed = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    places = st.tuples(st.integers(0, max(0, len(changed) - 1)), st.binary(min_size=1, max_size=8))
    for at, value in data.draw(st.lists(places, max_size=4)):
        changed[at : at + len(value)] = value
    path.write_bytes(changed)
    try:
        with contextlib.suppress(InputError):  # any other exception is a failure
            read_ground_truth(stored)
    finally:
        path.write_bytes(whole)


def test_other_data_sets_may_write_rows_of_cells_and_names_with_an_ending(
    truth_folder: Path,
) -> None:
    truth = read_ground_truth(truth_folder)
    for name in (ALL_FACES, *FILES.values()):
        lists = loadmat(truth_folder / name)
        change(truth_folder / name, **{k: v.T for k, v in lists.items() if k.endswith("_list")})
    names = cell(cell("0_Parade_1.jpg", "0_Parade_2.JPG"), cell("1_Handshaking_1.png"))
    change(truth_folder / ALL_FACES, file_list=names)
    assert same(read_ground_truth(truth_folder), truth)


def test_a_damaged_stream_is_noticed(truth_folder: Path) -> None:
    path = truth_folder / ALL_FACES
    whole, truth = path.read_bytes(), read_ground_truth(truth_folder)
    for at in range(128, len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        try:
            assert same(read_ground_truth(truth_folder), truth)  # a bit that means nothing
        except InputError:
            continue


def test_a_file_that_unpacks_to_too_much(truth_folder: Path) -> None:
    path = truth_folder / ALL_FACES
    packed = zlib.compress(bytes(1 << 26))
    path.write_bytes(path.read_bytes()[:128] + struct.pack("<II", 15, len(packed)) + packed)
    with pytest.raises(InputError, match="unpacks to more than 33,554,432 bytes"):
        read_ground_truth(truth_folder)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        (ALL_FACES, {"face_bbx_list": None}, "holds no face_bbx_list"),
        (ALL_FACES, {"face_bbx_list": np.ones((2, 1))}, "where a column of cells should be"),
        (ALL_FACES, {"face_bbx_list": cell(cell(np.ones((2, 4))))}, "differ in length"),
        (ALL_FACES, {"event_list": cell(np.ones(3), "b")}, "where a name should be"),
        (ALL_FACES, {"event_list": cell("a", "\x1b[31mb")}, "where a name should be"),
        (
            ALL_FACES,
            dict.fromkeys(("event_list", "file_list", "face_bbx_list"), cell()),
            "lists no images",
        ),
        (
            ALL_FACES,
            {"face_bbx_list": cell(cell(np.ones((1, 3)), np.ones((1, 4))), cell(np.ones((1, 4))))},
            "x, y, width and height",
        ),
        (
            ALL_FACES,
            {"face_bbx_list": cell(cell(np.full((1, 4), np.nan), np.ones((1, 4))), cell([]))},
            "not finite",
        ),
        (FILES["easy"], {"gt_list": None}, "holds no gt_list"),
        (FILES["easy"], {"event_list": cell("a", "b")}, "its events are not"),
        (FILES["easy"], {"gt_list": cell(cell([1]), cell([]))}, "as many images"),
        (FILES["easy"], {"gt_list": cell(cell([4], [1]), cell([]))}, "a face that is not there"),
        (FILES["easy"], {"gt_list": cell(cell([0], [1]), cell([]))}, "a face that is not there"),
        (FILES["easy"], {"gt_list": cell(cell([1, 1], [1]), cell([]))}, "a face twice"),
    ],
)
def test_other_contents_are_named(
    truth_folder: Path, name: str, values: dict[str, Any], words: str
) -> None:
    change(truth_folder / name, **values)
    with pytest.raises(InputError, match=words) as raised:
        read_ground_truth(truth_folder)
    assert name in str(raised.value)


def test_the_benchmarks_own_is_read_as_scipy_reads_it(shared: Path) -> None:
    folder = shared / "wider/ground_truth"
    truth = read_ground_truth(folder)
    assert (len(truth.events), len(truth.images)) == (61, VALIDATION_IMAGES)
    boxes = loadmat(folder / ALL_FACES, variable_names=["face_bbx_list"])["face_bbx_list"]
    flat = [box for event in boxes[:, 0] for box in event[:, 0]]
    assert np.array_equal(truth.boxes, np.concatenate(flat))
    part = read_ground_truth(folder, shared / "wider/subset.txt")
    assert len(part.images) == 488
