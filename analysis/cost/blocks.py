"""The cost of each block and each layer of a network, as JSON documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import nn

from analysis.cost.operators import CONVENTIONS
from analysis.cost.subject import Input, make_inputs
from analysis.cost.trace import Cost, counted, measure
from featherface.blocks.heads import Outputs
from featherface.config import CONFIGS, LEVELS, FeatherFaceConfig, check_size
from featherface.model import FeatherFace

_ACTIVATION_BYTES = "of the tensors a block hands on, {}; 0 where it hands on its input as it is"

BLOCK_CONVENTIONS = {
    "params": "values in learnable tensors, each tensor once; running statistics are not learnt",
    **CONVENTIONS,
    "activation_bytes": _ACTIVATION_BYTES.format("in their own type"),
    "share": "fraction of the network",
}
"""The definitions of those fields of the records whose name does not say it."""

_CONTEXTS = {
    "none": "none",
    "plain": "3×3 convolution",
    "dcnv1": "deformable convolution v1",
    "dcnv2": "deformable convolution v2",
    "ssh": "SSH",
    "ssh-dcnv1": "SSH with deformable convolutions v1",
    "ssh-dcnv2": "SSH with deformable convolutions v2",
}


def count_macs(model: nn.Module, height: int, width: int, batch: int = 1) -> Cost:
    """Return the cost of a network for (batch, C, height, width) images, C as its first layer.

    Raises:
        SizeError: for a size that the networks of the family do not take.
        CostError: for a network that does not run with such images.
    """
    check_size(height, width, batch)
    kernels = (m for m in model.modules() if isinstance(m, nn.Conv2d))
    channels = next((kernel.in_channels for kernel in kernels), 3)
    return measure(model, make_inputs(model, [Input((batch, channels, height, width))]))


def network_cost(
    config: FeatherFaceConfig | str,
    height: int = 640,
    width: int = 640,
    batch: int = 1,
    dtype: torch.dtype = torch.float32,
) -> Cost:
    """Return the cost of a network of the family, by module.

    Raises:
        ConfigError: for an unknown variant.
        SizeError: for a size that the networks do not take.
    """
    with torch.device("meta"):
        return count_macs(FeatherFace(config).to(dtype), height, width, batch)


def measure_blocks(
    config: FeatherFaceConfig | str, height: int = 640, width: int = 640, batch: int = 1
) -> dict[str, Any]:
    """Return the costs of a network of the family and of its blocks.

    Args:
        config: the architecture, or the name of a variant in `CONFIGS`.

    Returns:
        A JSON document: the network's totals and, in `blocks`, one record per block in the
        network's order. A block's `parts` are the modules it is directly made of.

    Raises:
        ConfigError: for an unknown variant.
        SizeError: for a size that the networks do not take.
        AssertionError: where blocks do not add up to the network, or parts to their block.
    """
    config = CONFIGS[config] if isinstance(config, str) else config
    cost = network_cost(config, height, width, batch)
    document = describe_blocks(cost, [batch, 3, height, width], _titles(config))
    images = "one image" if batch == 1 else f"{batch} images"
    activations = _ACTIVATION_BYTES.format(f"as float32, {images}")
    document["conventions"] = {**BLOCK_CONVENTIONS, "activation_bytes": activations}
    for block in document["blocks"]:
        names = LEVELS if block["name"] != "heads" else Outputs._fields
        # Behind the outputs come intermediate results, which are no outputs of the block.
        shapes = block["output_shapes"].values()
        block["output_shapes"] = dict(zip(names, shapes, strict=False))
    return {"variant": config.variant, "config": asdict(config), **document}


def measure_layers(
    config: FeatherFaceConfig | str, height: int = 640, width: int = 640
) -> list[dict[str, Any]]:
    """Return the costs of every module of a network of the family, see `describe_layers`.

    Args and errors as in `measure_blocks`.
    """
    return describe_layers(network_cost(config, height, width))


def describe_blocks(
    cost: Cost, inputs: Any, titles: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the costs of any network and of its direct children as a JSON document.

    Args:
        cost: from `analysis.cost.measure`.
        inputs: the shapes it was measured with, as the document is to state them.
        titles: of the children, by name; else the names of their classes.

    What the network has or runs itself stands in a last block without a name, if it is anything.

    Raises:
        AssertionError: where blocks do not add up to the network, or parts to their block.
    """
    whole = {
        "params": cost.params,
        "macs": cost.macs,
        "activation": sum(part.output_bytes for part in cost.children or [cost]),
    }
    blocks = [_block(child, whole, (titles or {}).get(child.path)) for child in cost.children]
    if cost.own_params or any(cost.own_macs.values()) or not blocks:
        own = replace(cost, children=[], output_bytes=0 if blocks else cost.output_bytes)
        blocks.append(_block(own, whole, "the network itself"))
    for key in ("params", "macs"):
        assert sum(block[key] for block in blocks) == whole[key], (key, blocks)
    return {
        "input": inputs,
        "params": whole["params"],
        "macs": whole["macs"],
        "macs_by_kind": cost.macs_by_kind,
        "uncounted": cost.uncounted,
        "activation_bytes": sum(block["activation_bytes"] for block in blocks),
        "blocks": blocks,
        "conventions": BLOCK_CONVENTIONS,
    }


def describe_layers(cost: Cost, depth: int | None = None) -> list[dict[str, Any]]:
    """Return the costs of every module, in the order of `nn.Module.named_modules`.

    A record's `params`, `macs` and `macs_by_kind` are of the module and everything below it;
    `own_params` and `own_macs`, of the module alone, add up over all records. `output_shapes` are
    of the tensors that its last call returned, and `output_bytes` of those of all its `calls`,
    without inputs that it handed on; a container that is never called has none.

    Args:
        depth: leave out the modules below this depth; the network has 0, its children 1.
    """
    records = []
    for part in cost.walk():
        own_depth = part.path.count(".") + 1 if part.path else 0
        if depth is not None and own_depth > depth:
            continue
        kinds = part.macs_by_kind
        records.append(
            {
                "path": part.path,
                "name": part.path.rpartition(".")[2],
                "depth": own_depth,
                "type": part.type,
                "own_params": part.own_params,
                "params": part.params,
                "calls": part.calls,
                "own_macs": counted(part.own_macs),
                "macs": counted(kinds),
                "macs_by_kind": kinds,
                "output_shapes": [list(shape) for shape in part.output_shapes],
                "output_bytes": part.output_bytes,
            }
        )
    return records


def _block(block: Cost, whole: Mapping[str, int], title: str | None) -> dict[str, Any]:
    parts = _parts(block)
    for key, own in (("params", block.own_params), ("macs", counted(block.own_macs))):
        inside = sum(part[key] for part in parts)
        assert not parts or inside + own == getattr(block, key), (block, parts)
    shapes = [list(shape) for shape in block.output_shapes]
    names = ["output"] if len(shapes) == 1 else map(str, range(len(shapes)))
    return {
        "name": block.path,
        "title": title or f"{block.path}: {block.type}",
        "params": block.params,
        "params_share": _share(block.params, whole["params"]),
        "macs": block.macs,
        "macs_share": _share(block.macs, whole["macs"]),
        "macs_by_kind": block.macs_by_kind,
        "activation_bytes": block.output_bytes,
        "activation_share": _share(block.output_bytes, whole["activation"]),
        "output_shapes": dict(zip(names, shapes, strict=True)),
        "parts": parts,
    }


def _parts(block: Cost) -> list[dict[str, Any]]:
    """Return records of the children of a block; of a list of modules, its elements."""
    parts: list[Cost] = []
    for child in block.children:
        parts += child.children if child.type == "ModuleList" else [child]
    return [
        {
            "path": part.path,
            "type": part.type,
            "params": part.params,
            "macs": part.macs,
            "macs_by_kind": part.macs_by_kind,
        }
        for part in parts
    ]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _titles(config: FeatherFaceConfig) -> dict[str, str]:
    cbam = f"CBAM, reduction {config.reduction}"
    pyramid = {"bifpn": f"BiFPN, {config.cells} cell{'s' * (config.cells > 1)}", "fpn": "FPN"}
    shuffle = {"none": "none", "free": "permutation", "bottleneck": "permutation and bottleneck"}
    return {
        "backbone": "Backbone: MobileNetV1 × 0.25",
        "first_attention": "First attention: "
        + (cbam if config.first_attention_channels else "none"),
        "pyramid": f"Feature pyramid: {pyramid[config.pyramid]}",
        "second_attention": "Second attention: "
        + (cbam if config.second_attention_channels else "none"),
        "context": f"Context: {_CONTEXTS[config.context]}",
        "shuffle": f"Channel shuffle: {shuffle[config.shuffle]}",
        "heads": "Detection heads: 1×1 convolutions",
    }
