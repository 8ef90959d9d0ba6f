"""What each of the seven blocks costs, and each layer in them: parameters, MACs, activations."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from analysis.cost.macs import CONVENTIONS, count_macs, counted, summarise, trace
from analysis.cost.parameters import block_parameters, parameter_tree
from featherface.config import LEVELS, FeatherFaceConfig, config_of
from featherface.model import FeatherFace

BLOCK_CONVENTIONS = {
    "params": "values in learnable tensors, each tensor once; running statistics are not learnt",
    **CONVENTIONS,
    "activation_bytes": "of the tensors a block hands on, as float32, one picture; 0 where it "
    "hands on its input as it is",
    "share": "fraction of the network",
}
"""What each field of the records means, for those whose name does not say."""

_CONTEXTS = {
    "none": "none",
    "plain": "3×3 convolution",
    "dcnv1": "deformable convolution v1",
    "dcnv2": "deformable convolution v2",
    "ssh": "SSH",
    "ssh-dcnv1": "SSH with deformable convolutions v1",
    "ssh-dcnv2": "SSH with deformable convolutions v2",
}


def measure_blocks(
    config: FeatherFaceConfig | str, height: int = 640, width: int = 640
) -> dict[str, Any]:
    """The costs of a network and of its blocks for one (1, 3, height, width) picture.

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
    config = config_of(config) if isinstance(config, str) else config
    model = _on_meta(config)
    macs = count_macs(model, height, width)
    params = block_parameters(model)
    tree = {module.path: module for module in parameter_tree(model)}
    total_params = sum(params.values())
    handed_on = _handed_on(model, height, width)
    outputs = {name: _bytes_of_new(handed_on, name) for name in params}
    total_bytes = sum(outputs.values())

    blocks: list[dict[str, Any]] = []
    for name in params:
        kinds = macs.below(name)
        parts: list[dict[str, Any]] = [
            {
                "path": path,
                "type": tree[path].type,
                "params": tree[path].total_params,
                "macs": counted(macs.below(path)),
                "macs_by_kind": macs.below(path),
            }
            for path in _part_paths(model, name)
        ]
        assert sum(part["params"] for part in parts) == params[name], (name, parts)
        assert sum(part["macs"] for part in parts) == counted(kinds), (name, parts)
        blocks.append(
            {
                "name": name,
                "title": _titles(config)[name],
                "params": params[name],
                "params_share": params[name] / total_params,
                "macs": counted(kinds),
                "macs_share": counted(kinds) / macs.total,
                "macs_by_kind": kinds,
                "activation_bytes": outputs[name],
                "activation_share": outputs[name] / total_bytes,
                "output_shapes": {output: list(x.shape) for output, x in handed_on[name].items()},
                "parts": parts,
            }
        )
    assert sum(block["macs"] for block in blocks) == macs.total, (blocks, macs.total)
    return {
        "variant": config.variant,
        "config": asdict(config),
        "input": [1, 3, height, width],
        "params": total_params,
        "macs": macs.total,
        "macs_by_kind": macs.by_kind,
        "uncounted": macs.uncounted,
        "activation_bytes": total_bytes,
        "blocks": blocks,
        "conventions": BLOCK_CONVENTIONS,
    }


def measure_layers(
    config: FeatherFaceConfig | str, height: int = 640, width: int = 640
) -> list[dict[str, Any]]:
    """The costs of every module of a network, in the order of `nn.Module.named_modules`.

    A record's `params`, `macs` and `macs_by_kind` are of the module and everything below it;
    `own_params` and `own_macs`, of the module alone, add up over all records. `output_shapes` are
    of the tensors that its last call returned, and `output_bytes` of those of all its `calls`,
    without inputs that it handed on; a container that is never called has none.

    Args and errors as in `measure_blocks`.
    """
    config = config_of(config) if isinstance(config, str) else config
    model = _on_meta(config)
    traced = trace(model, height, width)
    macs = summarise(traced, height, width, 1)
    records: list[dict[str, Any]] = []
    for module in parameter_tree(model):
        calls = [call for call in traced.modules if call.module == module.path]
        kinds = macs.below(module.path)
        records.append(
            {
                "path": module.path,
                "name": module.path.rpartition(".")[2],
                "depth": module.depth,
                "type": module.type,
                "own_params": module.own_params,
                "params": module.total_params,
                "calls": len(calls),
                "own_macs": counted(macs.by_module.get(module.path, {})),
                "macs": counted(kinds),
                "macs_by_kind": kinds,
                "output_shapes": [list(shape) for shape in calls[-1].output_shapes]
                if calls
                else [],
                "output_bytes": sum(call.output_bytes for call in calls),
            }
        )
    assert sum(record["own_macs"] for record in records) == macs.total, macs.total
    return records


def _on_meta(config: FeatherFaceConfig) -> FeatherFace:
    with torch.device("meta"):
        return FeatherFace(config).eval()


def _titles(config: FeatherFaceConfig) -> dict[str, str]:
    cbam = f"CBAM, reduction {config.reduction}"
    pyramid = {"bifpn": f"BiFPN, {config.cells} cell{'s' * (config.cells > 1)}", "fpn": "FPN"}[
        config.pyramid
    ]
    shuffle = {"none": "none", "free": "permutation", "bottleneck": "permutation and bottleneck"}
    return {
        "backbone": "Backbone: MobileNetV1 × 0.25",
        "first_attention": "First attention: "
        + (cbam if config.first_attention_channels else "none"),
        "pyramid": f"Feature pyramid: {pyramid}",
        "second_attention": "Second attention: "
        + (cbam if config.second_attention_channels else "none"),
        "context": f"Context: {_CONTEXTS[config.context]}",
        "shuffle": f"Channel shuffle: {shuffle[config.shuffle]}",
        "heads": "Detection heads: 1×1 convolutions",
    }


def _handed_on(model: FeatherFace, height: int, width: int) -> dict[str, dict[str, Tensor]]:
    """By block, the tensors it hands on: levels, and what the heads say."""
    with torch.no_grad():
        outputs, named = model.intermediates(torch.empty(1, 3, height, width, device="meta"))
    blocks = [name for name, _ in model.named_children()]
    handed_on = {
        block: {level: named[f"{block}.{level}"] for level in LEVELS} for block in blocks[:-1]
    }
    return handed_on | {blocks[-1]: outputs._asdict()}


def _bytes_of_new(handed_on: dict[str, dict[str, Tensor]], block: str) -> int:
    """Bytes of a block's outputs, without those that the block before it already had."""
    blocks = list(handed_on)
    before = handed_on[blocks[blocks.index(block) - 1]] if block != blocks[0] else {}
    old = {id(x) for x in before.values()}
    return sum(x.numel() * x.element_size() for x in handed_on[block].values() if id(x) not in old)


def _part_paths(model: FeatherFace, block: str) -> list[str]:
    """The children of a block; of a list of modules, its elements."""
    paths = []
    for name, child in model.get_submodule(block).named_children():
        path = f"{block}.{name}"
        inside = range(len(child)) if isinstance(child, nn.ModuleList) else None
        paths += [path] if inside is None else [f"{path}.{i}" for i in inside]
    return paths
