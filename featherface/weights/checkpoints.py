"""Checkpoints: tell which network a file holds, read and write its tensors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from featherface.config import CONFIGS, FeatherFaceConfig, read_config
from featherface.errors import InputError
from featherface.files import write_bytes
from featherface.weights.architecture import (
    expected_shapes,
    infer,
    is_most_of,
    nearest_variant,
)
from featherface.weights.keys import is_counter, translate, unwrapped, wrapper_of
from featherface.weights.published import (
    CheckpointError,
    file_of,
    locate,
    published_name,
    sha256_of,
)
from featherface.weights.reading import read_contents, read_stated

_FORMAT = "featherface 1"


@dataclass(frozen=True)
class Misshapen:
    """A tensor of another shape than the architecture's."""

    key: str  # in the file
    shape: tuple[int, ...]
    expected: tuple[int, ...]


@dataclass(frozen=True)
class Identity:
    """The architecture that a checkpoint holds, and how completely. See `identify`."""

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
        """True where the file holds each tensor of the architecture, in its shape, and no other."""
        return self.config is not None and not (self.missing or self.misshapen or self.extra)

    def as_dict(self) -> dict[str, Any]:
        """Return what `featherface identify --json` writes."""
        return {**asdict(self), "complete": self.complete}


def read_checkpoint(source: str | Path) -> tuple[FeatherFaceConfig, dict[str, Tensor]]:
    """Return the configuration that weights are of, and their tensors by our names.

    See `featherface.load` for the argument and the errors.
    """
    path = file_of(source) or locate(str(source))
    if path.suffix.lower() == ".onnx":
        raise CheckpointError(f"{path}: an exported network, which Detector runs; not a checkpoint")
    checkpoint = _Checkpoint(path)
    identity = checkpoint.identify()
    reason = next(checkpoint.faults(identity), None)
    if reason or identity.config is None:
        raise CheckpointError(f"{path}: {reason}")
    expected = expected_shapes(identity.config)
    state = {k: v for k, v in checkpoint.tensors.items() if k in expected}
    # A counter that was rounded to half precision counts nothing.
    return identity.config, {
        k: v for k, v in state.items() if not (_optional(k) and v.is_floating_point())
    }


def write_checkpoint(
    path: str | Path,
    config: FeatherFaceConfig,
    state: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write tensors and the configuration they are of as safetensors. See `featherface.save`.

    Counters that tools have left among them are left out.

    Raises:
        InputError: where they are not the tensors of that configuration, or cannot be written.
    """
    expected = expected_shapes(config)
    state = {name: tensor for name, tensor in state.items() if not is_counter(name)}
    for name in sorted(expected.keys() | state.keys()):
        if not isinstance(state.get(name), Tensor) or state[name].shape != expected.get(name):
            raise InputError(f"{path}: not written: {name} is not as the model's configuration is")
    noted = {
        **(metadata or {}),
        "format": _FORMAT,
        "config": json.dumps(asdict(config)),
        "variant": config.variant or "",
    }
    # Each its own: two of a model may share their memory.
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in state.items()
    }
    write_bytes(path, safetensors.torch.save(tensors, metadata=noted))


def identify(source: str | Path) -> Identity:
    """Return which variant or configuration a checkpoint holds, told from its tensors alone.

    Of a network that `export` has written, what its metadata state is returned. For tensors that
    no named variant has, the nearest one is named, and in which fields it differs.

    Args:
        source: as for `load`.

    Raises:
        CheckpointError: where the file is unavailable, cannot be read, or holds no tensors.
    """
    path = file_of(source) or locate(str(source))
    if path.suffix.lower() == ".onnx":
        return _identify_exported(path)
    return _Checkpoint(path).identify()


class _Checkpoint:
    """The tensors of a file, sorted by what becomes of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.contents = read_contents(path)
        self.tensors: dict[str, Tensor] = {}  # by our name
        self.keys: dict[str, str] = {}  # our name → name in the file
        self.stray: dict[str, str] = {}  # name in the file → why nothing here has that name
        self.unmapped: dict[str, Tensor] = {}  # the strays that are no counters
        self.bare = unwrapped(self.contents.tensors)  # name in the file → without wrappers
        for key, tensor in self.contents.tensors.items():
            bare = self.bare[key]
            name = translate(bare)
            if is_counter(bare):
                self.stray[key] = "a counter left behind by a tool"
            elif name is None:
                self.stray[key] = "no network of the family has a tensor of this name"
                self.unmapped[key] = tensor
            elif name not in self.tensors:
                self.tensors[name] = tensor
                self.keys[name] = key
            elif torch.equal(tensor, self.tensors[name]):
                self.stray[key] = f"the same tensor as {self.keys[name]}"
            else:
                self.stray[key] = f"another tensor in the place of {self.keys[name]}"
                self.unmapped[key] = tensor

    def identify(self) -> Identity:
        sha256 = sha256_of(self.path)
        shapes = {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}
        config = self._stated_config()
        undetermined: dict[str, str] = {}
        if config is None:
            config, undetermined = infer(shapes, [self.bare[key] for key in self.keys.values()])
        extra = dict(self.unmapped) if config else {}
        variant = config.variant if config else None
        nearest = None
        if shapes and (variant is None or _learnable(extra)):
            nearest = nearest_variant(shapes)
        # A file without a whole block is no network, but may be most of one.
        against = config or (CONFIGS[nearest] if nearest and is_most_of(nearest, shapes) else None)
        expected = expected_shapes(against) if against else {}
        unexpected = [name for name in shapes if against and name not in expected]
        if config:
            extra |= {self.keys[name]: self.tensors[name] for name in unexpected}
        if _learnable(extra):  # whatever these do, the network is not the variant
            variant, nearest = None, nearest or variant
        wrappers = {wrapper_of(key, self.bare[key]) for key in self.keys.values()} - {""}
        stray = {
            **self.stray,
            **{self.keys[name]: "the architecture has no such tensor" for name in unexpected},
            **{f"{w}*": "the prefix of a wrapper, taken off every name" for w in wrappers},
            **self.contents.beside,
        }
        return Identity(
            file=str(self.path),
            sha256=sha256,
            format=self.contents.format,
            published=published_name(sha256),
            variant=variant,
            config=config,
            parameters=_learnable({**self.tensors, **self.unmapped}),
            tensors=len(self.contents.tensors),
            stray=dict(sorted(stray.items())),
            missing=[name for name in expected if name not in shapes and not _optional(name)],
            misshapen=[
                Misshapen(self.keys[name], shapes[name], shape)
                for name, shape in expected.items()
                if shapes.get(name, shape) != shape
            ],
            extra=sorted(extra),
            extra_parameters=_learnable(extra),
            undetermined=undetermined,
            nearest=nearest,
            difference=config.difference(CONFIGS[nearest]) if config and nearest else {},
        )

    def faults(self, identity: Identity) -> Iterator[str]:
        """Yield why no network can be built."""
        what = identity.variant or identity.nearest or "its architecture"
        missing, misshapen, extra = identity.missing, identity.misshapen, identity.extra
        if identity.config is None:
            lacking = f", which has {len(missing)} more" if missing else ""
            nearest = f" (nearest: {identity.nearest}{lacking})" if identity.nearest else ""
            reason = identity.undetermined.get("config")
            yield (
                f"no network of the family: {len(self.tensors)} of {identity.tensors} tensors "
                f"have a known name{nearest}" + (f"; {reason}" if reason else "")
            )
        if missing:
            yield f"{len(missing)} tensors of {what} missing, first {missing[0]}"
        for wrong in misshapen:
            yield (
                f"{len(misshapen)} tensors misshapen for {what}, first {wrong.key}: "
                f"{wrong.shape} instead of {wrong.expected}"
            )
        if extra:
            yield (
                f"{len(extra)} tensors ({identity.extra_parameters:,} learnable numbers) fit "
                f"nowhere in {what}, first {extra[0]}"
            )
        for name, tensor in self.tensors.items():
            if _optional(name):
                continue
            if not tensor.is_floating_point():
                yield f"{self.keys[name]} holds {tensor.dtype}, not real numbers"
            elif not torch.isfinite(tensor.float()).all():  # as it is loaded
                yield f"{self.keys[name]} holds NaN or infinity"

    def _stated_config(self) -> FeatherFaceConfig | None:
        """Return the configuration that a file of ours says it holds."""
        metadata = self.contents.metadata
        if metadata.get("format") != _FORMAT:
            return None
        try:
            return read_config(metadata.get("config", ""), str(self.path))
        except InputError as error:
            raise CheckpointError(str(error)) from None


def _identify_exported(path: Path) -> Identity:
    stated, initializers = read_stated(path)
    config = read_config(stated.get("config", ""), str(path))
    expected = expected_shapes(config)
    return Identity(
        file=str(path),
        sha256=sha256_of(path),
        format="onnx",
        published=published_name(stated.get("weights_sha256", "")),
        variant=config.variant,
        config=config,
        parameters=sum(torch.Size(s).numel() for n, s in expected.items() if not _is_buffer(n)),
        tensors=initializers,
        undetermined={"config": "as the metadata state it; the graph is not compared"},
        nearest=None if config.variant else nearest_variant(expected),
    )


def _optional(name: str) -> bool:
    """Return whether the name is of a BatchNorm's step counter, which old checkpoints lack."""
    return name.endswith("num_batches_tracked")


def _is_buffer(name: str) -> bool:
    return name.endswith(("running_mean", "running_var")) or _optional(name)


def _learnable(tensors: dict[str, Tensor]) -> int:
    return sum(
        tensor.numel()
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not _is_buffer(name)
    )
