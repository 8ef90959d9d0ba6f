"""Reading the ground truth, choosing pictures of it, and saying what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from analysis.widerface.ground_truth import ALL_FACES, FILES, read_ground_truth, read_subset
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
    part = truth.only(read_subset(listed))
    again = truth.only(["0--Parade/0_Parade_2", "1--Handshaking/1_Handshaking_1.jpg"] * 2)
    assert part.subset is not None
    assert part.subset == again.subset
    assert part.subset.pictures == 2
    assert part.pictures == ("0_Parade_2", "1_Handshaking_1")
    assert part.boxes.tolist() == [[50, 60, 30, 30]]
    assert part.faces == {"easy": 1, "medium": 1, "hard": 1}
    assert part.outside == {("0--Parade", "0_Parade_1")}
    everything = ["/".join(truth.key(p)) for p in range(3)]
    assert truth.only(everything).subset is None


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["0--Parade/nobody.jpg"], "'0--Parade/nobody' is no picture"),
        (["0_Parade_1.jpg"], "is no picture"),
        ([], "it is empty"),
    ],
)
def test_a_subset_of_what_is_not_there_is_an_error(
    truth_folder: Path, names: list[str], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        read_ground_truth(truth_folder).only(names)


def test_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"\xff\xfe\xfa")
    for name in ("list", "nothing", "."):
        with pytest.raises(InputError, match="cannot be read"):
            read_subset(tmp_path / name)


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
    (truth_folder / FILES["hard"]).unlink()
    with pytest.raises(InputError, match=r"wider_hard_val\.mat: no such file"):
        read_ground_truth(truth_folder)


@pytest.mark.parametrize("name", [ALL_FACES, FILES["medium"]])
@pytest.mark.parametrize("content", [b"", b"no mat file", b"MATLAB 5.0 MAT-file" * 40])
def test_a_file_that_is_no_mat_file(truth_folder: Path, name: str, content: bytes) -> None:
    (truth_folder / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        read_ground_truth(truth_folder)


@pytest.mark.filterwarnings("ignore")  # scipy's about what it reads
def test_damaged_files_are_one_line(truth_folder: Path) -> None:
    whole = (truth_folder / ALL_FACES).read_bytes()
    truth = read_ground_truth(truth_folder)
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        length = len(whole) if random.random() < 0.7 else int(random.integers(129, len(whole)))
        damaged = bytearray(whole[:length])
        damaged[random.integers(128, length)] ^= 1 << random.integers(8)
        (truth_folder / ALL_FACES).write_bytes(bytes(damaged))
        try:
            read = read_ground_truth(truth_folder)
        except InputError:
            refused += 1
        else:  # a bit that means nothing, as after the end of a stream
            assert np.array_equal(read.boxes, truth.boxes)
    assert refused > 190


def test_a_file_that_unpacks_to_too_much(
    truth_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.widerface.mat_file.LIMIT", 100)
    with pytest.raises(InputError, match="unpacks to more than 100 bytes"):
        read_ground_truth(truth_folder)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        (ALL_FACES, {"face_bbx_list": None}, "holds no face_bbx_list"),
        (ALL_FACES, {"face_bbx_list": np.ones((2, 1))}, "no column of cells"),
        (ALL_FACES, {"face_bbx_list": cell(cell(np.ones((2, 4))))}, "2 events"),
        (ALL_FACES, {"event_list": cell(np.ones(3), "b")}, "where a name should be"),
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
        (FILES["easy"], {"gt_list": cell(cell([1]), cell([]))}, "as many pictures"),
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


def test_the_benchmarks_own(shared: Path) -> None:
    truth = read_ground_truth(shared / "wider/ground_truth")
    assert (len(truth.events), len(truth.pictures), len(truth.boxes)) == (61, 3226, 39708)
    part = truth.only(read_subset(shared / "wider/subset.txt"))
    assert len(part.pictures) == 488
