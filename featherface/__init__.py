"""FeatherFace: a lightweight face detector, and the networks people mean by that name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featherface.blocks.heads import Outputs as Outputs
    from featherface.config import CONFIGS as CONFIGS
    from featherface.config import ConfigError as ConfigError
    from featherface.config import FeatherFaceConfig as FeatherFaceConfig
    from featherface.detector import Detector as Detector
    from featherface.drawing import draw as draw
    from featherface.errors import InputError as InputError
    from featherface.faces import Face as Face
    from featherface.faces import Results as Results
    from featherface.images import Transform as Transform
    from featherface.model import FeatherFace as FeatherFace
    from featherface.model import load as load
    from featherface.model import save as save
    from featherface.runtimes.export import export as export
    from featherface.weights.checkpoints import identify as identify

__version__ = "0.1.0"

# The modules of the public names. They are imported when first asked for, so that the command
# line answers --help without waiting for torch.
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
    "load": "model",
    "save": "model",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
