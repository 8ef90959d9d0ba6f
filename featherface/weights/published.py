"""Published checkpoints, as `published.toml` lists them, and how to get one."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from featherface.config import CONFIGS
from featherface.errors import InputError, among, first_cause
from featherface.files import CACHE_VARIABLE, cache_folder, named

if TYPE_CHECKING:
    from featherface.images import Transform


class CheckpointError(InputError):
    """A checkpoint that is missing, unreadable or unusable; the message names the file and why."""


@dataclass(frozen=True)
class Recorded:
    """Average precision that a publication records for its weights, WIDER FACE val, in percent."""

    easy: float
    medium: float
    hard: float
    source: str


@dataclass(frozen=True)
class Published:
    """One published checkpoint, bytes as published."""

    name: str
    variant: str
    repository: str  # on GitHub
    revision: str
    path: str  # inside the repository
    sha256: str
    licence: str
    recorded: Recorded | None

    @property
    def url(self) -> str:
        """The address of the bytes."""
        return f"https://github.com/{self.repository}/raw/{self.revision}/{self.path}"

    @property
    def file(self) -> str:
        """The file's name in a folder of weights."""
        return f"{self.name}.pth"

    def transforms(self, size: int | tuple[int, int] | None = None) -> Transform:
        """Return the pre-processing that the network expects, as torchvision's weights do."""
        from featherface.images import Transform

        return Transform(size)


def _published() -> Iterator[Published]:
    entries = tomllib.loads(Path(__file__).with_name("published.toml").read_text("utf-8"))
    for name, entry in entries.items():
        recorded = entry.pop("recorded", None)
        yield Published(name, **entry, recorded=Recorded(**recorded) if recorded else None)


PUBLISHED = {checkpoint.name: checkpoint for checkpoint in _published()}

_FOLDER_VARIABLE = "FEATHERFACE_WEIGHTS"

SHIPPED: dict[str, str] = {"v1": "e76284dcbabb2d9d5895f2df72b263502f665696c2764bd98cd1f5433d2f8d4c"}
"""Weights that this project trained and ships: name → sha256 of `NAME.safetensors` in this folder.

`NAME.md` beside each is its model card.
"""


def file_of(source: str | Path) -> Path | None:
    """Return the file that weights are in, or `None` for a name that `locate` knows.

    Raises:
        CheckpointError: for a folder, and for what is neither a file nor such a name.
    """
    if not isinstance(source, str | os.PathLike):
        raise CheckpointError(
            f"weights (of type {type(source).__name__}) must be a name or a file; Detector and "
            "export also take a FeatherFace"
        )
    name = str(source)
    if name in PUBLISHED or name in SHIPPED:
        return None
    path = Path(source)
    with named(name, error=CheckpointError):
        found = path.exists()
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, not a checkpoint")
    if found:
        return path
    if name in CONFIGS:
        raise CheckpointError(
            f"{name}: no trained weights of this variant are published; give a checkpoint "
            f"file, or one of {', '.join(PUBLISHED)}"
        )
    raise CheckpointError(
        f"{name}: no such file, nor the name of weights; {among(name, (*SHIPPED, *PUBLISHED))}"
    )


def locate(name: str) -> Path:
    """Return the file of shipped or published weights, downloaded if it is not here yet.

    Shipped weights lie in the package. Published ones are looked for as `NAME.pth` in the folder
    that `FEATHERFACE_WEIGHTS` names, in `shared/weights` beside a checkout of the project, and in
    the user's cache, into which they are downloaded otherwise. Wherever a file lies, its sha256
    must be the recorded one.

    Args:
        name: one of `SHIPPED` or `PUBLISHED`; `file_of` refuses what is neither.

    Raises:
        CheckpointError: for a folder that does not exist, a file with another sha256, or a
            download that fails.
    """
    if name in SHIPPED:
        return _verified(Path(__file__).with_name(f"{name}.safetensors"), SHIPPED[name])
    checkpoint = PUBLISHED[name]
    for folder in _folders():
        path = folder / checkpoint.file
        if path.is_file():
            return _verified(path, checkpoint.sha256)
    return _download(checkpoint)


def published_name(sha256: str) -> str | None:
    """Return the name of the published checkpoint with this sha256."""
    return next((each.name for each in PUBLISHED.values() if each.sha256 == sha256), None)


def sha256_of(path: Path) -> str:
    """Return the file's sha256 as hexadecimal digits.

    Raises:
        CheckpointError: where the file cannot be read.
    """
    with named(path, error=CheckpointError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folders() -> list[Path]:
    beside_checkout = Path(__file__).resolve().parents[3] / "shared" / "weights"
    given = os.environ.get(_FOLDER_VARIABLE)
    if not given:
        return [beside_checkout]
    if not Path(given).is_dir():
        raise CheckpointError(f"{given}: {_FOLDER_VARIABLE} names it, but it is not a folder")
    return [Path(given), beside_checkout]


def _verified(path: Path, sha256: str) -> Path:
    found = sha256_of(path)
    if found != sha256:
        raise CheckpointError(
            f"{path}: not the published file: sha256 {found[:12]}… instead of {sha256[:12]}…"
        )
    return path


def _download(checkpoint: Published) -> Path:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    cache = cache_folder()
    if cache is None:
        raise CheckpointError(
            f"{checkpoint.name}: no folder for downloads is known, as HOME is not set; name one in "
            f"{CACHE_VARIABLE}"
        )
    kept = cache / "weights" / checkpoint.file
    if kept.is_file() and sha256_of(kept) != checkpoint.sha256:
        kept.unlink()  # damaged in the cache: fetched again
    try:
        return Path(
            pooch.retrieve(
                checkpoint.url,
                known_hash=f"sha256:{checkpoint.sha256}",
                fname=kept.name,
                path=kept.parent,
            )
        )
    except (OSError, ValueError) as error:  # requests' errors are OSErrors, a wrong hash is not
        raise CheckpointError(
            f"{checkpoint.name}: cannot be downloaded from {checkpoint.url} "
            f"({first_cause(error)}); put the file as {checkpoint.file} into a folder and name it "
            f"in {_FOLDER_VARIABLE}"
        ) from None
