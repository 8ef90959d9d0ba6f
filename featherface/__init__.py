"""FeatherFace: a lightweight face detector, and the networks people mean by that name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featherface.blocks.heads import Outputs
    from featherface.config import CONFIGS, ConfigError, FeatherFaceConfig
    from featherface.detector import Detector
    from featherface.drawing import draw
    from featherface.errors import InputError
    from featherface.faces import Face, Results
    from featherface.images import Transform
    from featherface.model import FeatherFace
    from featherface.runtimes.export import export
    from featherface.weights.checkpoints import identify, load, save

__version__ = "0.1.0"

# Where each public name lives. They are imported when first asked for, so that the command line
# answers --help without waiting for torch.
_HOMES = {
    "CONFIGS": "config",
    "ConfigError": "config",
    "Detector": "detector",
    "Face": "faces",
    "FeatherFace": "model",
    "FeatherFaceConfig": "config",
    "InputError": "errors",
    "Outputs": "blocks.heads",
    "Results": "faces",
    "Transform": "images",
    "draw": "drawing",
    "export": "runtimes.export",
    "identify": "weights.checkpoints",
    "load": "weights.checkpoints",
    "save": "weights.checkpoints",
}

__all__ = [
    "CONFIGS",
    "ConfigError",
    "Detector",
    "Face",
    "FeatherFace",
    "FeatherFaceConfig",
    "InputError",
    "Outputs",
    "Results",
    "Transform",
    "draw",
    "export",
    "identify",
    "load",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
