"""Checkpoints and the metadata of exported networks, read without running what is in a file."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from featherface.errors import InputError, one_line, without_warnings
from featherface.files import check_readable, named, read_bytes
from featherface.forks import Lock
from featherface.weights.keys import translate, unwrapped
from featherface.weights.published import CheckpointError

MAX_BYTES = 2**28
"""The largest file of weights that is read, also unpacked; the largest published has 3 MB."""

PREFIX = "featherface."
"""Of our keys in the metadata of exported networks."""

_DEEPEST = 4
"""Weights lie in at most so many dictionaries in one another."""

# What training scripts call the state dict inside a larger checkpoint, the likeliest first.
_CONTAINERS = (
    *("state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params"),
    *("ema_state_dict", "state_dict_ema", "model_ema", "params_ema", "ema"),
)
_AVERAGE = re.compile(r"(?<![a-z])ema(?![a-z])", re.IGNORECASE)
_OPTIMISER = re.compile(r"(?<![a-z])opt(im(i[sz]ers?)?)?(?![a-z])", re.IGNORECASE)


class _Inert:
    """Stands for an object that is no tensor: takes what its pickle gives it, and keeps nothing."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _as_dict(*_: object) -> OrderedDict[Any, Any]:
    """Stands for a kind of dictionary: the unpickler fills only those it knows."""
    return OrderedDict()


_PATHS = ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
_TYPES = ("dict", "list", "set", "tuple", "int", "float", "bool", "str", "bytes")
_INERT = (
    *("argparse.Namespace", "types.SimpleNamespace"),
    *(f"datetime.{kind}" for kind in ("datetime", "date", "timedelta", "timezone")),
    *(f"{module}.{path}" for module in ("pathlib", "pathlib._local") for path in _PATHS),
    *(f"{module}.{kind}" for module in ("builtins", "__builtin__") for kind in _TYPES),
    *("numpy.dtype", "numpy.ndarray"),
    *(f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")),
    *(f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")),
)
_STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_as_dict, "collections.defaultdict"),
    *((_Inert, name) for name in _INERT),
]
"""Classes that are saved beside weights and stay unread. Any other is refused."""

_reading = Lock()  # torch's list of known names belongs to the whole process


@dataclass(frozen=True)
class Contents:
    """Content of a file."""

    format: str  # "pytorch" or "safetensors"
    metadata: dict[str, str]
    tensors: dict[str, Tensor]  # by name in the file
    beside: dict[str, str]  # other entries, and why they are not read


def read_contents(path: Path) -> Contents:
    """Return the named tensors of a PyTorch or safetensors file, and what else it holds.

    Nothing in the file is executed: pickles are read with `weights_only=True`.

    Raises:
        CheckpointError: for a file that is missing, damaged, unsafe, or without named tensors.
    """
    if not check_readable(path, MAX_BYTES, CheckpointError):
        raise CheckpointError(f"{path}: the file is empty")
    with named(path, error=CheckpointError), path.open("rb") as file:
        start = file.read(16)
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        contents = _read_safetensors(path)
    else:
        contents = _read_pickle(path, start)
    for key, tensor in contents.tensors.items():
        kind = _unusable(tensor)
        if kind:
            raise CheckpointError(f"{path}: {key} is {kind}, not a tensor of real numbers")
    return contents


def _read_safetensors(path: Path) -> Contents:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return Contents("safetensors", dict(file.metadata() or {}), tensors, {})
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged safetensors file: {error}") from None


def _read_pickle(path: Path, start: bytes) -> Contents:
    if start.startswith(b"version ht"):
        raise CheckpointError(f"{path}: a Git LFS pointer, not the checkpoint it points to")
    if not start.startswith((b"PK", b"\x80")):
        raise CheckpointError(f"{path}: not a PyTorch checkpoint: it begins with {start[:8]!r}")
    if start.startswith(b"PK"):
        _require_state_dict(path)
    try:
        with _reading, without_warnings(), torch.serialization.safe_globals(_STAND_INS):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: refused, as reading it could run code: more than plain tensors is in it "
            f"({_reason(error)})"
        ) from None
    except Exception as error:  # a damaged file can make the unpickler fail in any way
        raise CheckpointError(
            f"{path}: a damaged checkpoint, or none of PyTorch's ({_reason(error)})"
        ) from error
    return _state_dict(path, loaded)


def _require_state_dict(path: Path) -> None:
    """Refuse archives of other kinds, and those that would unpack to more than is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [entry.filename for entry in archive.infolist()]
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return  # damaged; PyTorch says how
    if size > MAX_BYTES:
        raise CheckpointError(f"{path}: unpacks to {size:,} bytes, more than {MAX_BYTES:,}")
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise CheckpointError(f"{path}: a TorchScript archive, not a state dict")
    if names and not any(name.endswith("data.pkl") for name in names):
        raise CheckpointError(
            f"{path}: a zip archive, but no checkpoint of PyTorch: it begins with {names[0]:.60}"
        )


def _reason(error: Exception) -> str:
    """Return what torch says is wrong, without its advice on how to load the file all the same."""
    text = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    wanted = re.search(r"GLOBAL (\S+) was not an allowed", text)
    if wanted:
        return f"it asks for {wanted[1]:.100}"
    return re.split(r"\.\s|\n", text)[0][:160] if text else type(error).__name__


def _state_dict(path: Path, loaded: object) -> Contents:
    """Return the tensors, from wherever a training tool has put them."""
    if not isinstance(loaded, Mapping):
        kind = type(loaded).__name__
        raise CheckpointError(f"{path}: holds an object of type {kind}, not a state dict")
    mappings = _mappings(loaded)
    found = {at: tensors for at, inner in mappings.items() if (tensors := _named_tensors(inner))}
    if not found:
        raise CheckpointError(f"{path}: holds no named tensors, not a state dict")
    container = _container(found)
    inside = {at: found[at] for at in found if at[: len(container)] == container}
    sizes = {at: _known_names(tensors) for at, tensors in inside.items()}
    if not any(sizes.values()):
        sizes = {at: len(tensors) for at, tensors in inside.items()}
    most = max(sizes.values())
    first, *others = sorted((at for at in sizes if 2 * sizes[at] > most), key=_is_average)
    if others and _is_average(first) == _is_average(others[0]):
        named = ", ".join(".".join(at) or "the file itself" for at in (first, *others))
        raise CheckpointError(
            f"{path}: holds several sets of weights: {named:.200}; save one alone"
        )
    tensors = found.pop(first)
    beside = {
        ".".join(at): "another set of weights, not read"
        for at, other in found.items()
        if 2 * len(other) > len(tensors)
    }
    for key in mappings[first].keys() - tensors.keys():
        beside.setdefault(str(key), "not a tensor")
    return Contents("pytorch", {}, tensors, beside)


def _container(found: Mapping[tuple[str, ...], dict[str, Tensor]]) -> tuple[str, ...]:
    """Return the keys that lead to where the usual names say the weights are; () without any."""
    at: tuple[str, ...] = ()
    most = max(map(len, found.values()))
    while 2 * len(found.get(at, {})) <= most:  # else the weights are here
        below = {path[len(at)] for path in found if path[: len(at)] == at and path != at}
        name = next((name for name in _CONTAINERS if name in below), None)
        if name is None:
            break
        at = (*at, name)
    return at


def _known_names(tensors: Mapping[str, Tensor]) -> int:
    return sum(translate(name) is not None for name in unwrapped(tensors).values())


def _mappings(loaded: Mapping[Any, Any]) -> dict[tuple[str, ...], Mapping[Any, Any]]:
    """Return the dictionaries in a file by the keys that lead to them, each once.

    States of optimisers, which name their tensors as the weights, are left out.
    """
    found: dict[tuple[str, ...], Mapping[Any, Any]] = {(): loaded}
    pending: list[tuple[str, ...]] = [()]
    seen = {id(loaded)}
    for at in pending:
        for key, value in found[at].items():
            if not isinstance(value, Mapping) or _OPTIMISER.search(str(key)):
                continue
            if id(value) not in seen and len(at) < _DEEPEST:
                seen.add(id(value))
                pending.append((*at, str(key)))
                found[pending[-1]] = value
    return found


def _named_tensors(loaded: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {k: v for k, v in loaded.items() if isinstance(k, str) and isinstance(v, Tensor)}


def _is_average(at: tuple[str, ...]) -> bool:
    return any(_AVERAGE.search(name) for name in at)


def _unusable(tensor: Tensor) -> str | None:
    if tensor.is_meta:
        return "without values, on the device meta"
    if tensor.is_quantized:
        return "quantised"
    return None if tensor.layout == torch.strided else "sparse"


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
        raise InputError(f"{path}: not an ONNX model: {one_line(error)}") from error
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
