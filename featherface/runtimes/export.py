"""Networks as ONNX files with metadata, compared with PyTorch before they are written."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

import featherface
from featherface.boxes import MEAN_BGR, VARIANCES, anchor_sizes
from featherface.config import MIN_SIZE, STRIDES
from featherface.errors import InputError, one_line, printable
from featherface.files import named, write_bytes
from featherface.images import Picture, read_picture
from featherface.model import FeatherFace, load, plain_copy
from featherface.runtimes import agreement
from featherface.runtimes.onnx_session import open_session, run
from featherface.weights.checkpoints import identify
from featherface.weights.reading import PREFIX

FORMAT = "2"
"""Of the metadata, the inputs and the outputs: a file of another format is refused."""

GRAPH = "4"
"""Of the nodes between: counted up with every change, as a cached graph is then made again."""


class ExportError(InputError):
    """A network that cannot be exported here; the message says why."""


def export(
    weights: str | Path | FeatherFace,
    out: str | Path,
    *,
    pictures: Iterable[Picture] = (),
    described: str | None = None,
) -> dict[str, Any]:
    """Write a network as ONNX with real `DeformConv` nodes (opset 19).

    The file's inputs and outputs are those of `onnx_graph.build_graph`, for any batch and any size
    from 32×32. Its metadata hold under `featherface.` all that is needed to use it: `variant`,
    `config`, `weights`, `weights_sha256`, `state_sha256`, `preprocessing`, `decoding`, `versions`,
    `format`. The same weights and versions give the same bytes.

    Args:
        weights: the name of published weights, a checkpoint, or a model.
        out: the file; it appears whole and after the comparison, or not at all.
        pictures: compared on besides the default one; see `agreement.compare`.
        described: what the metadata call the weights of a model, such as "random, seed 0".

    Returns:
        `file`, `sha256`, `bytes`, `variant`, `weights`, `weights_sha256`, `state_sha256`,
        `opset`, `nodes` (operator → count), and `check`, what `agreement.compare` returns.

    Raises:
        DisagreementError: where ONNX Runtime's answer is not PyTorch's.
        ExportError: for weights that are not finite, or where the file cannot be written.
        InputError: for a model that cannot be copied.
        RuntimeUnavailableError: where ONNX Runtime is not installed, or too old for DeformConv.
        CheckpointError: for weights that are unavailable or unusable.
        PictureError: for a picture that cannot be used.
    """
    out = Path(out)
    with named(out, "written", ExportError):
        if out.is_dir():
            raise ExportError(f"{out}: a folder, not a file")
    compared = [read_picture(picture) for picture in pictures]
    if isinstance(weights, FeatherFace):
        source = {"weights": described or "a model in memory", "weights_sha256": ""}
        model = plain_copy(weights)
    else:
        identity = identify(weights)
        name = identity.published or Path(weights).name
        source = {"weights": name, "weights_sha256": identity.sha256}
        model = load(weights)
    content, record = exported(model, source, compared)
    write_bytes(out, content)
    return {"file": str(out), **record}


def exported(
    model: FeatherFace,
    source: dict[str, str],
    pictures: Iterable[np.ndarray[Any, Any]] = (),
    lanes: int = 1,
) -> tuple[bytes, dict[str, Any]]:
    """Return the bytes of the ONNX file, compared with PyTorch, and the record without `file`.

    Args:
        source: `weights` and `weights_sha256` for the metadata.
        lanes: see `onnx_graph.build_graph`.

    Raises:
        DisagreementError, ExportError, RuntimeUnavailableError: as `export`.
    """
    import onnx

    from featherface.runtimes.onnx_graph import OPSET, build_graph

    state = state_sha256(model)
    if not all(t.isfinite().all() for t in model.state_dict().values()):
        raise ExportError("the network's weights hold NaN or infinity")
    try:
        proto = build_graph(model, lanes)
    except Exception as error:  # of any class, where modules are not those of the family
        raise ExportError(
            f"the network has been changed so that it is not exported: {type(error).__name__}: "
            f"{one_line(error)}"
        ) from error
    proto.producer_name = "featherface"
    proto.producer_version = featherface.__version__
    for key, value in _metadata(model, source | {"state_sha256": state}).items():
        proto.metadata_props.add(key=PREFIX + key, value=printable(value))
    onnx.checker.check_model(proto, full_check=True)
    content: bytes = proto.SerializeToString(deterministic=True)
    session = open_session(content, "the exported network")
    check = agreement.compare(
        model, lambda pixels: run(session, pixels, "the exported network"), pictures
    )
    return content, {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "variant": model.config.variant,
        **source,
        "state_sha256": state,
        "opset": OPSET,
        "nodes": dict(sorted(Counter(node.op_type for node in proto.graph.node).items())),
        "check": check,
    }


def state_sha256(model: FeatherFace) -> str:
    """Return the sha256 of the configuration and of every tensor used in evaluation, by name.

    Raises:
        ExportError: for a network whose state is not tensors alone, as of a quantised one.
    """
    digest = hashlib.sha256(json.dumps(asdict(model.config), sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        if name.endswith("num_batches_tracked"):
            continue  # used in training alone
        if not isinstance(tensor, torch.Tensor):
            raise ExportError(f"{name} of the network is no tensor, as where layers are quantised")
        digest.update(f"{name} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _metadata(model: FeatherFace, source: dict[str, str]) -> dict[str, str]:
    """Every value is text, the composed ones JSON."""
    composed = {
        "config": asdict(model.config),
        "preprocessing": {
            "channels": "BGR",
            "range": [0, 255],
            "mean": list(MEAN_BGR),
            "scale": 1,
            "layout": "batch, channel, row, column",
            "smallest": MIN_SIZE,
            "smaller": "padded with the mean at the right and the bottom",
        },
        "decoding": {
            "strides": list(STRIDES),
            "anchor_sizes": [list(sizes) for sizes in anchor_sizes(model.config.anchors)],
            "anchor_order": "level, row, column, size",
            "anchor_centre": "(column + 0.5) · stride, (row + 0.5) · stride",
            "variances": list(VARIANCES),
        },
        "versions": versions(),
    }
    return {
        "format": FORMAT,
        "variant": model.config.variant or "",
        **source,
        **{key: json.dumps(value, ensure_ascii=False) for key, value in composed.items()},
    }


def versions() -> dict[str, str]:
    """Return the versions of what decides the exported file's bytes."""
    import onnx

    from featherface.runtimes.onnx_graph import OPSET

    return {
        "featherface": featherface.__version__,
        "torch": str(torch.__version__),
        "onnx": str(onnx.__version__),
        "opset": str(OPSET),
    }
