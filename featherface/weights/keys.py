"""Names of tensors: from those of the published checkpoints to ours, as `names.toml` lists them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

from featherface.config import BLOCKS

# What wrappers usually put before every name: DataParallel, DeepSpeed and AveragedModel; Lightning
# and the like, by the attribute that holds the network.
_USUAL = {"module", "model", "net", "network", "ema", "ema_model", "student", "detector"}

# What torch.compile, FSDP and activation checkpointing put before the names of any module.
_WRAPPERS = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")

# Counters that thop leaves behind in the modules it has profiled, and AveragedModel's.
_COUNTER = re.compile(r"(^|\.)(total_ops|total_params|n_averaged)$")

_MOST_WRAPPERS = 8

_TABLES = tomllib.loads(Path(__file__).with_name("names.toml").read_text("utf-8"))
_PARTS: dict[str, dict[str, str]] = _TABLES["parts"]


def _pattern(name: str) -> re.Pattern[str]:
    def group(part: re.Match[str]) -> str:
        theirs = "|".join(map(re.escape, _PARTS[part[1]])) if part[1] in _PARTS else r"\d+"
        return f"(?P<{part[1]}>{theirs})"

    return re.compile(re.sub(r"\\\{(\w+)\\\}", group, re.escape(name)))


_RULES = [(_pattern(theirs), ours) for theirs, ours in _TABLES["names"].items()]


def translate(key: str) -> str | None:
    """Return our name for a tensor of a published checkpoint, see `unwrapped`.

    It is the name whether or not any network has such a tensor; one of ours stays; `None` for a
    name of neither kind.
    """
    if key.split(".", 1)[0] in BLOCKS:
        return key
    for pattern, ours in _RULES:
        match = pattern.fullmatch(key)
        if match:
            found = match.groupdict()
            parts = {part: _PARTS.get(part, {}).get(text, text) for part, text in found.items()}
            return str(ours.format(**parts))
    return None


def unwrapped(keys: Iterable[str]) -> dict[str, str]:
    """Return the names without what wrappers, such as DataParallel and Lightning, put before them.

    That is what stands before the names that `translate` knows, if it is the same before all of
    them: usual prefixes apart, two are of two networks, and stay.
    """
    split = {key: _split(key) for key in keys}
    prefixes = {prefix for prefix, name in split.values() if translate(name) is not None}
    return {
        key: name if len(prefixes) == 1 or not prefix else key
        for key, (prefix, name) in split.items()
    }


def _split(key: str) -> tuple[tuple[str, ...], str]:
    """Return the unusual parts before a name that `translate` knows, and the name."""
    parts = _WRAPPERS.sub("", key).split(".", _MOST_WRAPPERS)
    starts = (i for i in range(len(parts)) if translate(".".join(parts[i:])) is not None)
    start = next(starts, 0)
    return tuple(part for part in parts[:start] if part not in _USUAL), ".".join(parts[start:])


def wrapper_of(key: str, bare: str) -> str:
    """Return what `unwrapped` took off: a prefix, or "…" and a part from inside of the name."""
    if key.endswith(bare):
        return key.removesuffix(bare)
    return "…" + "".join(f"{part}." for part in sorted(set(_WRAPPERS.findall(key))))


def is_counter(key: str) -> bool:
    """Return whether the name is that of a counter which a tool adds to a module."""
    return _COUNTER.search(key) is not None
