"""Checkpoints: tell which network a file holds, load that network, save one.

A file becomes named tensors (`reading`), the tensors tell the architecture (`architecture`), and
only a complete and fitting set becomes a network. Each step can fail with one clear line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from featherface.config import CONFIGS, FeatherFaceConfig, read_config
from featherface.errors import InputError
from featherface.files import named, write_bytes
from featherface.model import FeatherFace
from featherface.weights.architecture import (
    expected_shapes,
    infer,
    is_most_of,
    nearest_variant,
)
from featherface.weights.keys import is_counter, translate, unwrapped, wrapper_of
from featherface.weights.published import (
    PUBLISHED,
    SHIPPED,
    CheckpointError,
    locate,
    sha256_of,
)
from featherface.weights.reading import Contents, read_contents, read_tensors

__all__ = [
    "PUBLISHED",
    "CheckpointError",
    "Identity",
    "expected_shapes",
    "identify",
    "load",
    "locate",
    "read_tensors",
    "save",
]

_FORMAT = "featherface 1"


@dataclass(frozen=True)
class Misshapen:
    """A tensor of another shape than the architecture's."""

    key: str  # in the file
    shape: tuple[int, ...]
    expected: tuple[int, ...]


@dataclass(frozen=True)
class Identity:
    """Which architecture a checkpoint holds, and how completely. See `identify`."""

    file: str
    sha256: str
    format: str  # "pytorch", "safetensors" or "onnx"
    published: str | None  # the published checkpoint with these bytes
    variant: str | None  # the name of the architecture, if it has one and nothing is extra
    config: FeatherFaceConfig | None  # None where no network of the family explains the tensors
    parameters: int  # learnable numbers in the file
    tensors: int
    stray: dict[str, str] = field(default_factory=dict)  # key in the file → why it is stray
    missing: list[str] = field(default_factory=list)  # our names; of the nearest without a config
    misshapen: list[Misshapen] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)  # keys of learnable tensors it has no place for
    extra_parameters: int = 0
    undetermined: dict[str, str] = field(default_factory=dict)  # config field → what is assumed
    nearest: str | None = None  # the variant that shares most, where the file holds none exactly
    difference: dict[str, tuple[object, object]] = field(default_factory=dict)  # (here, nearest)

    @property
    def complete(self) -> bool:
        """Whether the file holds every tensor of the architecture, in its shape, and no other."""
        return self.config is not None and not (self.missing or self.misshapen or self.extra)

    def as_dict(self) -> dict[str, Any]:
        """Return what `featherface identify --json` writes."""
        return {**asdict(self), "complete": self.complete}


@dataclass(frozen=True)
class _Sorted:
    """Tensors of a file, sorted by what becomes of them."""

    tensors: dict[str, Tensor]  # by our name
    keys: dict[str, str]  # our name → name in the file
    stray: dict[str, str]  # name in the file → why nothing here has that name
    unmapped: dict[str, Tensor]  # the strays that are no counters


def load(source: str | Path, *, device: torch.device | str = "cpu") -> FeatherFace:
    """Return a network with its weights, in evaluation mode.

    Args:
        source: a name in `PUBLISHED` or `SHIPPED` ("v1"), or a file: a PyTorch state
            dict under published or our own names, alone or as training tools wrap it, or this
            package's safetensors.

    Raises:
        CheckpointError: one line, and nothing is built, where the file is missing, damaged or
            unsafe, where its sha256 is not the published one, where tensors are missing,
            misshapen, not finite, or fit nowhere.
    """
    path = _resolve(source)
    if path.suffix.lower() == ".onnx":
        raise CheckpointError(f"{path}: an exported network, which Detector runs; not a checkpoint")
    contents = read_contents(path)
    sorted_ = _sort(contents.tensors)
    identity = _identify(path, contents, sorted_)
    _require_usable(path, sorted_, identity)
    assert identity.config is not None
    with torch.device("cpu"):  # whatever torch's default device is
        model = FeatherFace(identity.config)
    state = {
        name: sorted_.tensors.get(name, value)  # only num_batches_tracked may be absent
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(state, strict=True)
    return model.to(device).eval()


def save(model: FeatherFace, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a network as safetensors, its configuration in the metadata; whole or not at all.

    Args:
        metadata: more to note beside the configuration.

    Raises:
        InputError: where the file cannot be written.
    """
    noted = {
        **(metadata or {}),
        "format": _FORMAT,
        "config": json.dumps(asdict(model.config)),
        "variant": model.config.variant or "",
    }
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    write_bytes(path, safetensors.torch.save(tensors, metadata=noted))


def identify(source: str | Path) -> Identity:
    """Return which variant or configuration a checkpoint holds, told from its tensors alone.

    Of a network that `export` has written, what its metadata state is returned.

    Args:
        source: as for `load`.

    Returns:
        What is known, also where it is not enough to build a network: for tensors that no
        named variant has, the nearest one and in which fields it differs.

    Raises:
        CheckpointError: where the file is unavailable, cannot be read, or holds no tensors.
    """
    path = _resolve(source)
    if path.suffix.lower() == ".onnx":
        return _identify_exported(path)
    contents = read_contents(path)
    return _identify(path, contents, _sort(contents.tensors))


def _resolve(source: str | Path) -> Path:
    name = str(source)
    if name in PUBLISHED or name in SHIPPED:
        return locate(name)
    path = Path(source)
    with named(name, error=CheckpointError):
        found = path.exists()
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, not a checkpoint")
    if not found:
        if name in CONFIGS:
            raise CheckpointError(
                f"{name}: no trained weights of this variant are published; give a checkpoint "
                f"file, or one of {', '.join(PUBLISHED)}"
            )
        raise CheckpointError(
            f"{path}: no such file, nor the name of weights ({', '.join((*SHIPPED, *PUBLISHED))})"
        )
    return path


def _sort(found: dict[str, Tensor]) -> _Sorted:
    tensors: dict[str, Tensor] = {}
    keys: dict[str, str] = {}
    stray: dict[str, str] = {}
    unmapped: dict[str, Tensor] = {}
    for key, tensor in found.items():
        bare = unwrapped(key)
        name = translate(bare)
        if is_counter(bare):
            stray[key] = "a counter left behind by a tool"
        elif name is None:
            stray[key] = "no network of the family has a tensor of this name"
            unmapped[key] = tensor
        elif name in tensors:
            stray[key] = f"the same tensor as {keys[name]}"
            if tensor.shape != tensors[name].shape or not torch.equal(tensor, tensors[name]):
                stray[key] = f"another tensor in the place of {keys[name]}"
                unmapped[key] = tensor
        else:
            tensors[name] = tensor
            keys[name] = key
    return _Sorted(tensors, keys, stray, unmapped)


def _identify(path: Path, contents: Contents, sorted_: _Sorted) -> Identity:
    sha256 = sha256_of(path)
    published = next((p.name for p in PUBLISHED.values() if p.sha256 == sha256), None)
    shapes = {name: tuple(tensor.shape) for name, tensor in sorted_.tensors.items()}
    config = _stated_config(path, contents)
    undetermined: dict[str, str] = {}
    if config is None:
        config, undetermined = infer(shapes, sorted_.keys.values())
    stray = dict(sorted_.stray)
    missing: list[str] = []
    misshapen: list[Misshapen] = []
    extra = dict(sorted_.unmapped) if config else {}
    variant = config.variant if config else None
    nearest = nearest_variant(shapes) if variant is None or _learnable(extra) else None
    # A file without a whole block is no network, but may be most of one.
    against = config or (CONFIGS[nearest] if nearest and is_most_of(nearest, shapes) else None)
    if against is not None:
        expected = expected_shapes(against)
        for name in shapes.keys() - expected.keys():
            stray[sorted_.keys[name]] = "the architecture has no such tensor"
            if config:
                extra[sorted_.keys[name]] = sorted_.tensors[name]
        missing = [n for n in expected if n not in shapes and not _optional(n)]
        misshapen = [
            Misshapen(sorted_.keys[name], shapes[name], expected[name])
            for name in expected
            if name in shapes and shapes[name] != expected[name]
        ]
    if _learnable(extra):  # whatever these do, the network is not the variant
        variant, nearest = None, nearest or variant
    stray |= {
        f"{prefix}*": "the prefix of a wrapper, taken off every name"
        for prefix in {wrapper_of(key) for key in sorted_.keys.values()} - {""}
    }
    return Identity(
        file=str(path),
        sha256=sha256,
        format=contents.format,
        published=published,
        variant=variant,
        config=config,
        parameters=_learnable({**sorted_.tensors, **sorted_.unmapped}),
        tensors=len(contents.tensors),
        stray=dict(sorted({**stray, **contents.beside}.items())),
        missing=missing,
        misshapen=misshapen,
        extra=sorted(extra),
        extra_parameters=_learnable(extra),
        undetermined=undetermined,
        nearest=nearest,
        difference=config.difference(CONFIGS[nearest]) if config and nearest else {},
    )


def _identify_exported(path: Path) -> Identity:
    from featherface.runtimes.export import read_stated

    stated, initializers = read_stated(path)
    config = read_config(stated.get("config", ""), str(path))
    parameters = {n: s for n, s in expected_shapes(config).items() if not _is_buffer(n)}
    by_sha256 = {p.sha256: p.name for p in PUBLISHED.values()}
    return Identity(
        file=str(path),
        sha256=sha256_of(path),
        format="onnx",
        published=by_sha256.get(stated.get("weights_sha256", "")),
        variant=config.variant,
        config=config,
        parameters=sum(torch.Size(shape).numel() for shape in parameters.values()),
        tensors=initializers,
        undetermined={"config": "as the metadata state it; the graph is not compared"},
        nearest=None if config.variant else nearest_variant(expected_shapes(config)),
    )


def _require_usable(path: Path, sorted_: _Sorted, identity: Identity) -> None:
    if identity.config is None:
        reason = identity.undetermined.get("config")
        lacking = f", which has {len(identity.missing)} more" if identity.missing else ""
        raise CheckpointError(
            f"{path}: no network of the family: {len(sorted_.tensors)} of {identity.tensors} "
            f"tensors have a known name (nearest: {identity.nearest}{lacking})"
            + (f"; {reason}" if reason else "")
        )
    what = identity.variant or identity.nearest or "its architecture"
    if identity.missing:
        raise CheckpointError(
            f"{path}: {len(identity.missing)} tensors of {what} missing, "
            f"first {identity.missing[0]}"
        )
    if identity.misshapen:
        first = identity.misshapen[0]
        raise CheckpointError(
            f"{path}: {len(identity.misshapen)} tensors misshapen for {what}, first {first.key}: "
            f"{first.shape} instead of {first.expected}"
        )
    if identity.extra:
        raise CheckpointError(
            f"{path}: {len(identity.extra)} tensors ({identity.extra_parameters:,} learnable "
            f"numbers) fit nowhere in {what}, first {identity.extra[0]}"
        )
    for name, tensor in sorted_.tensors.items():
        key = sorted_.keys[name]
        if tensor.is_floating_point():
            if not torch.isfinite(tensor).all():
                raise CheckpointError(f"{path}: {key} holds NaN or infinity")
        elif not _optional(name):
            raise CheckpointError(f"{path}: {key} holds {tensor.dtype}, not real numbers")


def _optional(name: str) -> bool:
    """Checkpoints of old PyTorch lack BatchNorm's step counter; nothing reads it."""
    return name.endswith("num_batches_tracked")


def _is_buffer(name: str) -> bool:
    return name.endswith(("running_mean", "running_var")) or _optional(name)


def _learnable(tensors: dict[str, Tensor]) -> int:
    return sum(
        tensor.numel()
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not _is_buffer(name)
    )


def _stated_config(path: Path, contents: Contents) -> FeatherFaceConfig | None:
    """The configuration that a file of ours says it holds."""
    if contents.metadata.get("format") != _FORMAT:
        return None
    try:
        return read_config(contents.metadata.get("config", ""), str(path))
    except InputError as error:
        raise CheckpointError(str(error)) from error
