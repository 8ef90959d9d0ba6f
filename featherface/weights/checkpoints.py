"""Checkpoints: read them safely, tell which network they hold, load that network.

A checkpoint is read in three steps, each of which can fail with one clear line before anything
is built: the file becomes named tensors (`read_tensors`), the tensors tell the architecture
(`identify`), and only a complete and fitting set becomes a network (`load`).
"""

from __future__ import annotations

import json
import os
import pickle
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from featherface.config import BLOCKS, CONFIGS, ConfigError, Context, FeatherFaceConfig
from featherface.model import FeatherFace
from featherface.weights.keys import is_leftover_of_thop, translate, unwrapped
from featherface.weights.published import PUBLISHED, CheckpointError, locate, sha256_of

__all__ = [
    "PUBLISHED",
    "CheckpointError",
    "Identity",
    "identify",
    "load",
    "locate",
    "read_tensors",
    "save",
]

_FORMAT = "featherface 1"

# What training scripts call the state dict inside a larger checkpoint.
_STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")

_REDUCTIONS = (2, 4, 8, 12, 16, 24, 32, 48, 64)  # the usual ones, where several would fit


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
    format: str  # "pytorch" or "safetensors"
    published: str | None  # the published checkpoint with these bytes
    variant: str | None  # the name of the architecture, if it has one
    config: FeatherFaceConfig | None  # None where no network of the family explains the tensors
    parameters: int  # learnable numbers in the file
    tensors: int
    stray: dict[str, str] = field(default_factory=dict)  # key in the file → why it is stray
    missing: list[str] = field(default_factory=list)  # our names; of the nearest without a config
    misshapen: list[Misshapen] = field(default_factory=list)
    undetermined: dict[str, str] = field(default_factory=dict)  # config field → what is assumed
    nearest: str | None = None  # the variant that shares most, where the file holds none exactly
    difference: dict[str, tuple[object, object]] = field(default_factory=dict)  # (here, nearest)

    @property
    def complete(self) -> bool:
        """Whether every tensor of the architecture is there, in its shape."""
        return self.config is not None and not self.missing and not self.misshapen

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "complete": self.complete}


@dataclass(frozen=True)
class _Contents:
    """Tensors of a file, sorted by what becomes of them."""

    format: str
    metadata: dict[str, str]
    tensors: dict[str, Tensor]  # by our name
    keys: dict[str, str]  # our name → name in the file
    stray: dict[str, str]  # name in the file → why nothing here has that name
    unmapped: dict[str, Tensor]  # the strays that hold learnable numbers, all the same


def load(source: str | Path, *, device: torch.device | str = "cpu") -> FeatherFace:
    """A network with its weights, in evaluation mode.

    Args:
        source: the name of a published checkpoint (`PUBLISHED`), or a file: a PyTorch state
            dict under published or our own names, or this package's safetensors.

    Raises:
        CheckpointError: one line, and nothing is built, where the file is missing, damaged or
            unsafe, where its sha256 is not the published one, where tensors are missing,
            misshapen, not finite, or fit nowhere.
    """
    path = _resolve(source)
    contents = _read(path)
    identity = _identify(path, contents)
    _require_usable(path, contents, identity)
    assert identity.config is not None
    model = FeatherFace(identity.config)
    state = {
        name: contents.tensors.get(name, value)  # only num_batches_tracked may be absent
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(state, strict=True)
    return model.to(device).eval()


def save(model: FeatherFace, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a network as safetensors, its configuration in the metadata; whole or not at all.

    Args:
        metadata: more to note beside the configuration.

    Raises:
        CheckpointError: where the file cannot be written.
    """
    path = Path(path)
    noted = {
        **(metadata or {}),
        "format": _FORMAT,
        "config": json.dumps(asdict(model.config)),
        "variant": model.config.variant or "",
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _state(model)}
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        save_file(tensors, part, metadata=noted)
        part.replace(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def identify(source: str | Path) -> Identity:
    """From the tensors alone: which variant or configuration a checkpoint holds.

    Args:
        source: as for `load`.

    Returns:
        What is known, also where it is not enough to build a network: for tensors that no
        named variant has, the nearest one and in which fields it differs.

    Raises:
        CheckpointError: where the file cannot be had or read, or holds no tensors.
    """
    path = _resolve(source)
    return _identify(path, _read(path))


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The named tensors of a PyTorch or safetensors file, names as in the file.

    Nothing in the file is executed: pickles are read with `weights_only=True`.

    Raises:
        CheckpointError: for a file that is missing, damaged, unsafe, or without named tensors.
    """
    return _open(Path(path))[2]


def _resolve(source: str | Path) -> Path:
    name = str(source)
    if name in PUBLISHED:
        return locate(name)
    path = Path(source)
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, not a checkpoint")
    if not path.exists():
        if name in CONFIGS:
            raise CheckpointError(
                f"{name}: no trained weights of this variant are published; give a checkpoint "
                f"file, or one of {', '.join(PUBLISHED)}"
            )
        raise CheckpointError(
            f"{path}: no such file, nor the name of published weights ({', '.join(PUBLISHED)})"
        )
    return path


def _open(path: Path) -> tuple[str, dict[str, str], dict[str, Tensor]]:
    """Format, metadata and named tensors of a file."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not start:
        raise CheckpointError(f"{path}: the file is empty")
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        try:
            with safe_open(path, framework="pt") as file:
                metadata = dict(file.metadata() or {})
                return "safetensors", metadata, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(f"{path}: damaged safetensors file: {error}") from error
    return "pytorch", {}, _tensors_of(path, _unpickle(path, start))


def _unpickle(path: Path, start: bytes) -> object:
    if start.startswith(b"version ht"):
        raise CheckpointError(f"{path}: a Git LFS pointer, not the checkpoint it points to")
    if not start.startswith((b"PK", b"\x80")):
        raise CheckpointError(f"{path}: not a PyTorch checkpoint: it begins with {start[:8]!r}")
    try:
        with warnings.catch_warnings():  # about pickle protocols; what matters is raised
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: refused, as reading it could run code: more than plain tensors is in it "
            f"({_reason(error)})"
        ) from error
    except Exception as error:  # a damaged file can make the unpickler fail in any way
        raise CheckpointError(
            f"{path}: a damaged checkpoint, or none of PyTorch's ({_reason(error)})"
        ) from error


def _reason(error: Exception) -> str:
    """What torch says is wrong, without its advice on how to load the file all the same."""
    text = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    wanted = re.search(r"GLOBAL (\S+) was not an allowed", text)
    if wanted:
        return f"it asks for {wanted[1]}"
    return re.split(r"\.\s|\n", text)[0][:160] if text else type(error).__name__


def _tensors_of(path: Path, loaded: object) -> dict[str, Tensor]:
    if isinstance(loaded, Mapping):
        for key in _STATE_DICT_KEYS:
            if isinstance(loaded.get(key), Mapping):
                loaded = loaded[key]
                break
    if isinstance(loaded, Mapping):
        tensors = {k: v for k, v in loaded.items() if isinstance(k, str) and _is_tensor(v)}
        if tensors:
            return tensors
    kind = "no named tensors" if isinstance(loaded, Mapping) else f"a {type(loaded).__name__}"
    raise CheckpointError(f"{path}: holds {kind}, not a state dict")


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def _read(path: Path) -> _Contents:
    file_format, metadata, found = _open(path)
    tensors: dict[str, Tensor] = {}
    keys: dict[str, str] = {}
    stray: dict[str, str] = {}
    unmapped: dict[str, Tensor] = {}
    for key, tensor in found.items():
        bare = unwrapped(key)
        name = translate(bare)
        if is_leftover_of_thop(bare):
            stray[key] = "a counter left behind by thop"
        elif name is None:
            stray[key] = "no network of the family has a tensor of this name"
            unmapped[key] = tensor
        elif name in tensors:
            stray[key] = f"the same tensor as {keys[name]}"
            unmapped[key] = tensor
        else:
            tensors[name] = tensor
            keys[name] = key
    return _Contents(file_format, metadata, tensors, keys, stray, unmapped)


def _identify(path: Path, contents: _Contents) -> Identity:
    sha256 = sha256_of(path)
    published = next((p.name for p in PUBLISHED.values() if p.sha256 == sha256), None)
    shapes = {name: tuple(tensor.shape) for name, tensor in contents.tensors.items()}
    config = _stated_config(path, contents)
    undetermined: dict[str, str] = {}
    if config is None:
        config, undetermined = _infer(shapes, contents.keys.values())
    variant = config.variant if config else None
    nearest = None if variant else _nearest(shapes)
    stray = dict(contents.stray)
    missing: list[str] = []
    misshapen: list[Misshapen] = []
    # A file without a whole block is no network, but may be most of one.
    against = config or (CONFIGS[nearest] if nearest and _is_most_of(nearest, shapes) else None)
    if against is not None:
        expected = expected_shapes(against)
        for name in shapes.keys() - expected.keys():
            stray[contents.keys[name]] = "the architecture has no such tensor"
        missing = [n for n in expected if n not in shapes and not _optional(n)]
        misshapen = [
            Misshapen(contents.keys[name], shapes[name], expected[name])
            for name in expected
            if name in shapes and shapes[name] != expected[name]
        ]
    for prefix in sorted({k[: -len(unwrapped(k))] for k in contents.keys.values()} - {""}):
        stray[f"{prefix}*"] = "the prefix of a wrapper, taken off every name"
    return Identity(
        file=str(path),
        sha256=sha256,
        format=contents.format,
        published=published,
        variant=variant,
        config=config,
        parameters=_learnable(contents),
        tensors=len(contents.tensors) + len(contents.stray),
        stray=dict(sorted(stray.items())),
        missing=missing,
        misshapen=misshapen,
        undetermined=undetermined,
        nearest=nearest,
        difference=config.difference(CONFIGS[nearest]) if config and nearest else {},
    )


def _require_usable(path: Path, contents: _Contents, identity: Identity) -> None:
    if identity.config is None:
        lacking = f", which has {len(identity.missing)} more" if identity.missing else ""
        raise CheckpointError(
            f"{path}: no network of the family: {len(contents.tensors)} of {identity.tensors} "
            f"tensors have a known name (nearest: {identity.nearest}{lacking})"
        )
    what = identity.variant or "its architecture"
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
    extra = [*contents.unmapped, *(contents.keys[n] for n in _unexpected(contents, identity))]
    if extra:
        raise CheckpointError(
            f"{path}: {len(extra)} tensors fit nowhere in {what}, first {extra[0]}"
        )
    for name, tensor in contents.tensors.items():
        key = contents.keys[name]
        if tensor.is_floating_point():
            if not torch.isfinite(tensor).all():
                raise CheckpointError(f"{path}: {key} holds NaN or infinity")
        elif not _optional(name):
            raise CheckpointError(f"{path}: {key} holds {tensor.dtype}, not real numbers")


def _unexpected(contents: _Contents, identity: Identity) -> list[str]:
    assert identity.config is not None
    expected = expected_shapes(identity.config)
    return [name for name in contents.tensors if name not in expected]


def _optional(name: str) -> bool:
    """Checkpoints of old PyTorch lack BatchNorm's step counter; nothing reads it."""
    return name.endswith(".num_batches_tracked")


def _learnable(contents: _Contents) -> int:
    tensors = {**contents.tensors, **contents.unmapped}
    return sum(
        tensor.numel()
        for name, tensor in tensors.items()
        if not name.endswith((".running_mean", ".running_var")) and not _optional(name)
    )


@cache
def expected_shapes(config: FeatherFaceConfig) -> dict[str, tuple[int, ...]]:
    """The tensors of an architecture by name, with their shapes; no memory is taken for them."""
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in _state(FeatherFace(config))}


def _state(model: FeatherFace) -> Iterable[tuple[str, Tensor]]:
    return model.state_dict().items()


def _stated_config(path: Path, contents: _Contents) -> FeatherFaceConfig | None:
    """The configuration that a file of ours says it holds."""
    if contents.metadata.get("format") != _FORMAT:
        return None
    try:
        return FeatherFaceConfig(**json.loads(contents.metadata["config"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: unusable configuration in its metadata: {error}") from error


def _nearest(shapes: dict[str, tuple[int, ...]]) -> str:
    def differing(variant: str) -> int:
        return len(expected_shapes(CONFIGS[variant]).keys() ^ shapes.keys())

    return max(CONFIGS, key=lambda variant: (_shared(variant, shapes), -differing(variant)))


def _is_most_of(variant: str, shapes: dict[str, tuple[int, ...]]) -> bool:
    return 2 * _shared(variant, shapes) > len(expected_shapes(CONFIGS[variant]))


def _shared(variant: str, shapes: dict[str, tuple[int, ...]]) -> int:
    expected = expected_shapes(CONFIGS[variant])
    return sum(shapes.get(name) == shape for name, shape in expected.items())


def _infer(
    shapes: dict[str, tuple[int, ...]], keys: Iterable[str]
) -> tuple[FeatherFaceConfig | None, dict[str, str]]:
    """The architecture that explains most of the tensors, and what they cannot tell.

    Each setting is decided by a majority of the tensors that bear on it, so that one that is
    missing or misshapen does not change the answer but shows up as such.
    """
    if not all(any(name.startswith(f"{block}.") for name in shapes) for block in _ALWAYS):
        return None, {}
    votes = _Votes(shapes)
    channels = votes.most(
        size for name, shape in shapes.items() for size in _channel_votes(name, shape)
    )
    anchors = votes.most(
        shape[0] // per_anchor
        for kind, per_anchor in (("boxes", 4), ("classes", 2), ("landmarks", 10))
        for name, shape in votes.matching(f"heads.{kind}.")
    )
    first, second = (votes.matching(f"{which}_attention.") for which in ("first", "second"))
    attention = (("none", "pyramid"), ("backbone", "both"))[bool(first)][bool(second)]
    bifpn = votes.matching("pyramid.cells.")
    cells = 1 + max((int(name.split(".")[2]) for name, _ in bifpn), default=0)
    undetermined: dict[str, str] = {}
    lowest, highest = _reduction_range(shapes)
    reduction = next((r for r in _REDUCTIONS if lowest <= r <= highest), lowest)
    bottleneck = bool(votes.matching("shuffle."))
    like_v1 = any(unwrapped(k).startswith(("backbone_cbam_", "attention_cbam_")) for k in keys)
    if channels is None or not anchors:
        return None, {}
    try:
        config = FeatherFaceConfig(
            channels=channels,
            pyramid="bifpn" if bifpn else "fpn",
            cells=cells if bifpn else CONFIGS["retinaface"].cells,
            attention=attention,  # type: ignore[arg-type]
            reduction=reduction if first or second else CONFIGS["no-attention"].reduction,
            context=_context(votes),
            shuffle="bottleneck" if bottleneck else "free",
            shuffle_order="interleave" if like_v1 else "deinterleave",
            mean_pooling="window" if like_v1 else "adaptive",
            anchors=anchors,
        )
    except ConfigError:
        return None, {}
    named = next(
        (c for c in CONFIGS.values() if expected_shapes(c) == expected_shapes(config)), None
    )
    assumed = "from the variant of that name" if named else "by default"
    config = named or config
    if (first or second) and lowest != highest:
        undetermined["reduction"] = (
            f"{config.reduction} {assumed}; {lowest} to {highest} have the same tensors"
        )
    if not bottleneck:
        undetermined["shuffle"] = f"{config.shuffle} {assumed}; it has no tensors"
    if config.shuffle != "none":
        undetermined["shuffle_order"] = f"{config.shuffle_order} {assumed}; it has no tensors"
    return config, undetermined


# The blocks that no configuration leaves without tensors.
_ALWAYS = ("backbone", "pyramid", "heads")
assert set(_ALWAYS) < set(BLOCKS)


class _Votes:
    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self._shapes = shapes

    def matching(self, prefix: str) -> list[tuple[str, tuple[int, ...]]]:
        """Tensors of at least one dimension below a prefix."""
        return [(n, s) for n, s in self._shapes.items() if n.startswith(prefix) and s]

    def having(self, prefix: str, *parts: str) -> bool:
        return any(any(part in name for part in parts) for name, _ in self.matching(prefix))

    @staticmethod
    def most(votes: Iterable[int]) -> int | None:
        counted = Counter(votes).most_common(1)
        return counted[0][0] if counted else None


def _channel_votes(name: str, shape: tuple[int, ...]) -> list[int]:
    """What a tensor says of the width of the pyramid."""
    if name.startswith("heads.") and len(shape) == 4:
        return [shape[1]]
    if name.startswith("pyramid.") and shape and ".fuse_" not in name:
        return [shape[0]]
    return []


def _reduction_range(shapes: dict[str, tuple[int, ...]]) -> tuple[int, int]:
    """Every reduction r with C // r = hidden units, for all channel gates at once."""
    ranges: Counter[tuple[int, int]] = Counter()
    for name, shape in shapes.items():
        if name.endswith(".channel.reduce.weight") and len(shape) == 2 and min(shape) > 0:
            hidden, channels = shape
            ranges[channels // (hidden + 1) + 1, channels // hidden] += 1
    best = max(
        ((sum(n for (a, b), n in ranges.items() if a <= low <= b), low) for low, _ in ranges),
        default=(0, 1),
        key=lambda found: (found[0], -found[1]),
    )[1]
    fitting = [(low, high) for low, high in ranges if low <= best <= high]
    return best, min((high for _, high in fitting), default=best)


def _context(votes: _Votes) -> Context:
    ssh = votes.having("context.", ".a.", ".b1.", ".b2.", ".c1.", ".c2.")
    if votes.having("context.", ".conv.mask."):
        return "ssh-dcnv2" if ssh else "dcnv2"
    if votes.having("context.", ".conv.offset."):
        return "ssh-dcnv1" if ssh else "dcnv1"
    if ssh:
        return "ssh"
    return "plain" if votes.matching("context.") else "none"
