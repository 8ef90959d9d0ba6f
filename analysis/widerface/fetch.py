"""Download of WIDER FACE's images and ground truth from where their authors keep them.

Of neither archive a sha256 is published. `torchvision.datasets.WIDERFace` checks the images' by
md5; of the ground truth's, the four `.mat` files in it are checked, each by its sha256, before any
of them is written.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import zipfile
from pathlib import Path

from analysis.widerface.ground_truth import VALIDATION_IMAGES
from analysis.widerface.prediction_files import DAMAGED
from featherface.errors import InputError, first_cause
from featherface.files import read_bytes, write_bytes
from featherface.weights.published import sha256_of

GROUND_TRUTH_URL = "http://shuoyang1213.me/WIDERFACE/support/eval_script/eval_tools.zip"

GROUND_TRUTH = {
    "wider_easy_val.mat": "c2fb672d16f75653eb89fb8bc437a7d060896a71cd7a65c1a5a3e4479024099c",
    "wider_face_val.mat": "1dfe6a9853950f9dde256b5e8bb75d8f272e6bc02a15ae1968f5a9b883f458cb",
    "wider_hard_val.mat": "bb1af19dc5bc4dd9517dd8ae8096326c68175f2c3411763bdd4f23fa98638b78",
    "wider_medium_val.mat": "4a031970bc132cef5cfacd05068aabcf4fe15d4a31a1e9f4f00eb134fdf449c1",
}
"""The files that the benchmark's evaluation reads, and their sha256."""

_LARGEST = 10_000_000  # bytes: more than ten times the largest of them


def fetch_ground_truth(folder: str | Path) -> Path:
    """Return the folder of the four `.mat` files, downloaded unless they are there and sound."""
    folder = Path(folder)
    if all(
        (folder / name).is_file() and sha256_of(folder / name) == sha256
        for name, sha256 in GROUND_TRUTH.items()
    ):
        return folder
    import pooch

    pooch.get_logger().setLevel("ERROR")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            # None: no hash of the archive is published; what is taken out of it is checked.
            archive = pooch.retrieve(GROUND_TRUTH_URL, None, "eval_tools.zip", scratch)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
            raise InputError(
                f"the ground truth cannot be downloaded from {GROUND_TRUTH_URL}: "
                f"{first_cause(error)}"
            ) from None
        return take_ground_truth(archive, folder)


def take_ground_truth(archive: str | Path, folder: str | Path) -> Path:
    """Take the four `.mat` files out of `eval_tools.zip`, and return their folder.

    Raises:
        InputError: for a file that is no zip, or does not hold the published four.
    """
    folder = Path(folder)
    contents: dict[str, bytes] = {}
    packed = io.BytesIO(read_bytes(archive))
    try:
        with zipfile.ZipFile(packed) as opened:
            for member in opened.infolist():
                name = member.filename.replace("\\", "/").rpartition("/")[2]
                if name not in GROUND_TRUTH or member.file_size > _LARGEST:
                    continue
                content = opened.read(member)
                # macOS puts a file of the same name, with other contents, beside each.
                if hashlib.sha256(content).hexdigest() == GROUND_TRUTH[name]:
                    contents[name] = content
    except (OSError, *DAMAGED) as error:
        raise InputError(f"{archive}: cannot be read as a zip: {first_cause(error)}") from None
    missing = ", ".join(sorted(GROUND_TRUTH.keys() - contents.keys()))
    if missing:
        raise InputError(f"{archive}: lacks the published {missing} (by name and sha256)")
    for name, content in contents.items():
        write_bytes(folder / name, content)
    return folder


def fetch_images(folder: str | Path) -> Path:
    """Return `folder`/widerface/WIDER_val/images, downloaded unless it is there.

    `torchvision` fetches training and test images too, 3.4 GB in all, through `gdown`, which
    must be installed.
    """
    from torchvision.datasets import WIDERFace

    folder = Path(folder)
    images = folder / "widerface" / "WIDER_val" / "images"
    try:
        if not images.is_dir():
            WIDERFace(str(folder), split="val", download=True)
    except Exception as error:  # gdown, requests, zipfile and torchvision, each in its own way
        raise InputError(
            f"images cannot be downloaded to {folder}: {first_cause(error)}"
        ) from error
    found = sum(1 for _ in images.glob("*/*.jpg"))
    if found != VALIDATION_IMAGES:  # torchvision does not notice an interrupted unpacking
        count = f"{found:,} of {VALIDATION_IMAGES:,} images"
        raise InputError(f"{images}: holds {count}; remove {images.parent} and fetch again")
    return images
