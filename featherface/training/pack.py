"""One file with all images of a folder, re-encoded smaller: `python -m featherface.training.pack`.

For a machine to which only so many bytes can be carried: a zip of WebP images and `boxes.json`.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from featherface.errors import InputError
from featherface.files import write_bytes
from featherface.training.data import BOXES, IMAGES, DataError, Sample, packed_name, read_source


def pack(folder: str | Path, file: str | Path, quality: int) -> int:
    """Write the images of a folder as a pack, WebP at a quality of 0 to 100; return its bytes.

    Raises:
        DataError: where the folder holds no training data, or an image of it cannot be read.
    """
    if not (Path(folder) / BOXES).is_file():
        raise DataError(f"{folder}: not a folder with {BOXES}")
    source = read_source(folder)

    def encoded(sample: Sample) -> bytes:
        content = io.BytesIO()
        image = Image.fromarray(source.read(sample))
        try:
            image.save(content, "WEBP", quality=quality, method=4)
        except (OSError, ValueError) as error:  # WebP has at most 16,383 pixels a side
            raise DataError(f"{sample.name}: cannot be written as WebP: {error}") from None
        return content.getvalue()

    twice = [name for name, count in Counter(map(packed_name, source.samples)).items() if count > 1]
    if twice:
        raise DataError(f"{folder}: several images would be {twice[0]} in the pack; rename them")

    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive, ThreadPoolExecutor() as pool:
        archive.write(Path(folder) / BOXES, BOXES, zipfile.ZIP_DEFLATED)
        for sample, content in zip(source.samples, pool.map(encoded, source.samples), strict=True):
            archive.writestr(f"{IMAGES}/{packed_name(sample)}", content)
    write_bytes(file, written.getvalue())
    return len(written.getvalue())


def main(arguments: Sequence[str] | None = None) -> int:
    """Pack what the command line names; exit code 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m featherface.training.pack")
    parser.add_argument("folder", help="with images/ and boxes.json")
    parser.add_argument("file", help="the pack, a zip")
    parser.add_argument(
        "--quality", type=int, choices=range(101), metavar="Q", default=60, help="of WebP, 0 to 100"
    )
    options = parser.parse_args(arguments)
    try:
        size = pack(options.folder, options.file, options.quality)
    except InputError as error:
        parser.exit(2, f"featherface: {error}\n")
    print(f"{options.file}: {size:,} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
