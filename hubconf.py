"""Entry points of `torch.hub.load`: a network with its weights by name, or a detector."""

from __future__ import annotations

from typing import Any

import torch

from featherface import CONFIGS, Detector, FeatherFace, load

dependencies = [
    "torch",
    "torchvision",
    "numpy",
    "PIL",
    "safetensors",
    "pooch",
    "filelock",
    "onnx",
    "onnxruntime",
]

__all__ = ["detector", "featherface"]


def featherface(
    weights: str | None = "official", variant: str | None = None, device: str = "cpu"
) -> torch.nn.Module:
    """Return a network in evaluation mode.

    Args:
        weights: the name of published weights, or a checkpoint file; `None` for fresh ones.
        variant: without weights, which of `featherface.CONFIGS`; "v1" by default.
    """
    if weights is not None:
        return load(weights, device=device)
    return FeatherFace(CONFIGS[variant or "v1"]).to(device).eval()


def detector(weights: str = "v1", **options: Any) -> Detector:
    """Return `featherface.Detector(weights, **options)`: images in, faces out."""
    return Detector(weights, **options)
