"""Sources of training data, and what is said of those that are none."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from featherface.errors import InputError
from featherface.training.augment import Augment
from featherface.training.data import WIDER_FACE, DataError, decode, read_source, split
from featherface.training.pack import main as pack


def test_a_pack_holds_what_its_folder_does(drawn: Path, tmp_path: Path) -> None:
    assert pack([str(drawn), str(tmp_path / "pack.zip"), "--quality", "95"]) == 0
    folder, packed = read_source(drawn), read_source(tmp_path / "pack.zip")
    assert packed.samples == folder.samples
    assert packed.sha256 == folder.sha256
    ours, theirs = (decode(source, source.samples, "cpu") for source in (folder, packed))
    assert torch.equal(ours.boxes, theirs.boxes)
    assert (ours.pixels.float() - theirs.pixels.float()).abs().mean() < 4


def test_a_pack_is_not_packed_again(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack([str(drawn), str(tmp_path / "pack.zip")])
    with pytest.raises(SystemExit, match="2"):
        pack([str(tmp_path / "pack.zip"), str(tmp_path / "again.zip")])
    assert "pack.zip: not a folder with boxes.json" in capsys.readouterr().err


def test_a_damaged_image_of_a_pack_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pack.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("boxes.json", '{"a.png": {"boxes": []}}')
        archive.writestr("images/a.webp", "a" * 1000)
        entry = archive.getinfo("images/a.webp")
    content = bytearray(path.read_bytes())
    content[entry.header_offset + 30 + len(entry.filename)] ^= 0xFF  # of the compressed data
    path.write_bytes(content)
    source = read_source(path)
    with pytest.raises(DataError, match=r"images/a.webp: cannot be read: Error -3"):
        source.read(source.samples[0])


def test_images_that_cannot_be_packed_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    for names, said in (
        (["a.jpg", "a.png"], "several images would be a.webp in the pack; rename them"),
        (["wide.png"], "wide.png: cannot be written as WebP"),
    ):
        for name in names:
            Image.new("L", (16_384, 1)).save(tmp_path / "images" / name)
        (tmp_path / "boxes.json").write_text(json.dumps({name: {"boxes": []} for name in names}))
        with pytest.raises(SystemExit, match="2"):
            pack([str(tmp_path), str(tmp_path / "pack.zip")])
        assert said in capsys.readouterr().err
        assert not (tmp_path / "pack.zip").exists()


def test_images_are_blue_first_and_reduced_with_their_faces(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (40, 20), (200, 100, 50)).save(tmp_path / "images" / "a.png")
    (tmp_path / "boxes.json").write_text(json.dumps({"a.png": {"boxes": [[10, 4, 8, 10]]}}))
    source = read_source(tmp_path)
    images = decode(source, source.samples, "cpu", longest=20)
    assert images.pixels.shape == (1, 3, 20, 20)
    assert images.pixels[0, :, 5, 5].tolist() == [50, 100, 200]
    assert images.pixels[0, :, 15, 5].tolist() == [104, 117, 123]  # around the image
    assert images.extents.tolist() == [[20, 10]]
    assert images.boxes.tolist() == [[[5, 2, 9, 7]]]


def test_what_is_outside_of_an_image_is_cut_off(tmp_path: Path) -> None:
    boxes = [[-10, 5, 30, 100], [50, 50, 20, 20], [-1e308, 0, 1e308, 8], [1e308, 0, 1e308, 8]]
    (tmp_path / "images").mkdir()
    Image.new("L", (40, 20)).save(tmp_path / "images" / "a.png")
    (tmp_path / "boxes.json").write_text(json.dumps({"a.png": {"boxes": boxes}}))
    source = read_source(tmp_path)
    images = decode(source, source.samples, "cpu")
    assert images.boxes.tolist() == [
        [[0, 5, 20, 20], [40, 20, 40, 20], [0, 0, 0, 8], [40, 0, 40, 8]]
    ]
    _, faces = Augment(64, (1, 1), 4, "cpu").whole(images, torch.tensor([0]), 1.0)
    assert faces.valid.tolist() == [[True, False, False, False]]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_label_txt_of_retinaface(tmp_path: Path, end: str) -> None:
    points = "1 2 0.0 3 4 0.0 5 6 0.0 7 8 0.0 9 10 0.0"
    missing = " ".join(["-1.0"] * 15)
    lines = ["# e/a b.jpg", f"10 20 30 40 {points} 0.8", f"1 2 3 4 {missing} 0.3", "# e/b.jpg", ""]
    (tmp_path / "label.txt").write_bytes(end.join(lines).encode("utf-8-sig"))
    source = read_source(tmp_path)
    assert [sample.name for sample in source.samples] == ["e/a b.jpg", "e/b.jpg"]
    assert source.samples[0].boxes == [[10, 20, 30, 40], [1, 2, 3, 4]]
    assert source.samples[0].landmarks == [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], None]
    assert source.samples[1].boxes == []
    assert source.images == tmp_path / "images"


@pytest.mark.parametrize("inside", [".", "widerface"])
def test_wider_face_as_torchvision_unpacks_it(tmp_path: Path, inside: str) -> None:
    split_folder = tmp_path / inside / "wider_face_split"
    split_folder.mkdir(parents=True)
    (split_folder / "wider_face_train_bbx_gt.txt").write_text(
        "e/a.jpg\n2\n1 2 3 4 0 0 0 0 0 0\n5 6 7 8 0 0 0 1 0 0\n\n"
        "e/none.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n"
        "e/z.jpg\n1\n9 9 9 9 0 0 0 0 0 0\n"
    )
    source = read_source(tmp_path)
    assert [(s.name, s.boxes) for s in source.samples] == [
        ("e/a.jpg", [[1, 2, 3, 4]]),  # the second is marked as invalid
        ("e/none.jpg", []),
        ("e/z.jpg", [[9, 9, 9, 9]]),
    ]
    assert source.images == tmp_path / inside / "WIDER_train" / "images"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not understood"),
        ("{}", "names no image"),
        ('{"a.png": {}}', "'a.png' is not followed by"),
        ('{"a.png": [[1, 2, 3, 4]]}', "'a.png' is not followed by"),
        ('{"a.png": {"boxes": [[1, 2, 3]]}}', "a box of a.png does not have four numbers"),
        ('{"a.png": {"boxes": [[1, 2, 3, NaN]]}}', "a box of a.png is not finite"),
        ('{"a.png": {"boxes": [[1, 2, 3, 1' + "0" * 400 + "]]}}", "not understood: int too large"),
        ("[" * 100_000, "not understood: maximum recursion"),
        ('{"../a.png": {"boxes": []}}', "lies outside the folder of images"),
        ('{"": {"boxes": []}}', "lies outside the folder of images"),
        ('{"a.png": {"boxes": []}, "a.png": {"boxes": []}}', "names a.png twice"),
        ('[[3, {"boxes": []}]]', "3 is no name of an image"),
    ],
)
def test_bad_annotations_are_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "boxes.json").write_text(content)
    with pytest.raises(DataError, match="boxes.json: .*" + said):
        read_source(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("label.txt", "1 2 3 4\n", "'1 2 3 4' is no line of 19 numbers"),
        ("label.txt", "0 " * 19 + "\n# a.jpg\n", "a face before the first line '# NAME'"),
        ("label.txt", "# a.jpg\n# a.jpg\n", "names a.jpg twice"),
        (WIDER_FACE, "a.jpg\n", "invalid literal for int"),
        (WIDER_FACE, "a.jpg\n-1\n1 2 3 4\n", "a.jpg: 0 lines of boxes, not -1"),
        (WIDER_FACE, "a.jpg\n2\n1 2 3 4\n", "a.jpg: 1 lines of boxes, not 2"),
        (WIDER_FACE, "a.jpg\n0\nb.jpg\n1\n1 2 3 4\n", "'b.jpg' is no line of 4 numbers"),
    ],
)
def test_bad_lists_are_named(tmp_path: Path, file: str, content: str, said: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content)
    with pytest.raises(DataError, match=f"{Path(file).name}: .*{said}"):
        read_source(tmp_path)


def test_what_holds_no_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither a pack nor a folder with boxes\.json"):
        read_source(tmp_path)
    for name in ("x.zip", "wider_face_train.mat"):
        (tmp_path / name).write_bytes(b"none")
        instead = r"give a pack or a folder with boxes\.json, label\.txt or wider_face_split/\S+txt"
        with pytest.raises(DataError, match=rf"{name}: no pack of training data .*{instead}$"):
            read_source(tmp_path / name)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_text('{"a.png": {"boxes": []}}')
    source = read_source(tmp_path)
    with pytest.raises(InputError, match=r"a\.png: cannot be read"):
        decode(source, source.samples, "cpu")


def test_what_is_held_out_is_spread_and_not_trained_on(drawn: Path) -> None:
    samples = read_source(drawn).samples
    kept, held = split(samples, 2)
    assert [samples.index(sample) for sample in held] == [0, 4]
    assert sorted(kept + held, key=lambda s: s.name) == samples
    with pytest.raises(DataError, match="leaves none"):
        split(samples, 8)
