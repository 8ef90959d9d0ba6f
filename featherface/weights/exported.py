"""Reads the metadata of exported networks, in their ONNX files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from featherface.errors import InputError
from featherface.files import read_bytes

MAX_BYTES = 2**28
"""Of an ONNX file."""

PREFIX = "featherface."
"""Of our keys in the metadata."""


def read_stated(path: Path) -> tuple[dict[str, str], int]:
    """Return the metadata of an exported file, and how many constants its graph has.

    Raises:
        InputError: for a file that is no ONNX model, or was not exported by this package.
    """
    import onnx

    content = read_bytes(path, MAX_BYTES)
    try:
        proto = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own classes differ by version
        raise InputError(f"{path}: not an ONNX model: {error}") from error
    properties = {entry.key: entry.value for entry in proto.metadata_props}
    return stated(properties, str(path)), len(proto.graph.initializer)


def stated(properties: Mapping[str, str], name: str) -> dict[str, str]:
    """Return an exported file's metadata without our prefix.

    Raises:
        InputError: where there are none, as in another program's file.
    """
    ours = {
        key.removeprefix(PREFIX): value
        for key, value in properties.items()
        if key.startswith(PREFIX)
    }
    if not ours:
        raise InputError(f"{name}: an ONNX model, but not one exported by featherface")
    return ours
