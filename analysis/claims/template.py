"""A ledger to fill in, `template.yaml`."""

from __future__ import annotations

import re
from pathlib import Path

from featherface.errors import InputError
from featherface.files import read_text, write_bytes


def write_template(name: str) -> Path:
    """Write NAME.yaml, a ledger to fill in, in the current folder, and return its path.

    Raises:
        InputError: for a name that is no identifier, or a file that is there.
    """
    name = name.removesuffix(".yaml")
    path = Path(f"{name}.yaml")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise InputError(f"name (={name!r}) must be lower-case letters, digits and hyphens")
    if path.exists():
        raise InputError(f"{path}: is there already")
    template = read_text(Path(__file__).with_suffix(".yaml")).replace("NAME", name)
    write_bytes(path, template.encode())
    return path
