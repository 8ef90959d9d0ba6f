"""FeatherFace: seven blocks, in the order of the card."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm, remove_spectral_norm
from torch.nn.utils.weight_norm import WeightNorm, remove_weight_norm

from featherface.blocks.assembly import Blocks
from featherface.blocks.heads import Outputs
from featherface.blocks.levels import Named, run_named
from featherface.config import CONFIGS, LEVELS, MIN_SIZE, FeatherFaceConfig
from featherface.errors import InputError, first_sentence
from featherface.weights.checkpoints import read_checkpoint, write_checkpoint


class FeatherFace(Blocks):
    """A network of the family; its direct children are the card's blocks.

    Args:
        config: the architecture, or the name of a variant in `CONFIGS`.
        weights: the name of published weights or a checkpoint of this architecture, see
            `featherface.load`; `None` for fresh ones.

    Raises:
        InputError: for weights of another architecture, or that cannot be loaded.
    """

    def __init__(self, config: FeatherFaceConfig | str, weights: str | Path | None = None) -> None:
        config = CONFIGS[config] if isinstance(config, str) else config
        super().__init__(config)
        self.config = config
        if weights is not None:
            held, state = read_checkpoint(weights)
            if held != config:
                raise InputError(
                    f"{weights}: weights of {held.variant or held}, not of "
                    f"{config.variant or config}"
                )
            _set_state(self, state)

    def forward(self, pictures: Tensor) -> Outputs:
        """Return what the network says of each anchor.

        Args:
            pictures: (batch, 3, height, width) float, BGR 0–255 minus `boxes.MEAN_BGR`; height
                and width from 32 up, not necessarily multiples of 32.

        Raises:
            ValueError: for another shape.
        """
        return self._run(pictures, None)

    def intermediates(self, pictures: Tensor) -> tuple[Outputs, dict[str, Tensor]]:
        """Return the outputs and, from the same forward pass, the intermediate results by name.

        The names are `BLOCK.LEVEL` for what each block puts out (`backbone.p3`, …,
        `shuffle.p5`), `first_attention.LEVEL.channel_gate` (batch, C, 1, 1) and
        `….spatial_gate` (batch, 1, H, W) for the gates of both attentions, `….gated` for the
        input times both gates (before the residual), and below `context`
        the deformable convolutions' `offset` (batch, 18, H, W) and `mask` (batch, 9, H, W), as
        `context.p4.b1.offset` in an SSH context and `context.p4.offset` in a single one.
        """
        named: Named = {}
        outputs = self._run(pictures, named)
        return outputs, named

    def _run(self, pictures: Tensor, named: Named | None) -> Outputs:
        if pictures.ndim != 4 or pictures.shape[1] != 3:
            raise ValueError(
                f"images (of shape {tuple(pictures.shape)}) must be (batch, 3, height, width)"
            )
        height, width = pictures.shape[-2:]
        if height < MIN_SIZE or width < MIN_SIZE:
            raise ValueError(
                f"images (of {height}×{width} pixels) must be at least {MIN_SIZE}×{MIN_SIZE}"
            )
        levels = self.backbone(pictures)
        _record(named, "backbone", levels)
        levels = run_named(self.first_attention, levels, named, "first_attention")
        _record(named, "first_attention", levels)
        levels = self.pyramid(levels)
        _record(named, "pyramid", levels)
        levels = run_named(self.second_attention, levels, named, "second_attention")
        _record(named, "second_attention", levels)
        levels = run_named(self.context, levels, named, "context")
        _record(named, "context", levels)
        levels = self.shuffle(levels)
        _record(named, "shuffle", levels)
        outputs: Outputs = self.heads(levels)
        return outputs


def _record(named: Named | None, block: str, levels: list[Tensor]) -> None:
    if named is not None:
        named |= {f"{block}.{level}": x for level, x in zip(LEVELS, levels, strict=True)}


def load(source: str | Path, *, device: torch.device | str = "cpu") -> FeatherFace:
    """Return a network with its weights, in evaluation mode.

    Args:
        source: the name of shipped ("v1") or published weights, or a file: a PyTorch state
            dict under published or our own names, alone or as training tools wrap it, or this
            package's safetensors.

    Raises:
        CheckpointError: one line, and nothing is built, where the file is missing, damaged or
            unsafe, where its sha256 is not the published one, where tensors are missing,
            misshapen, not finite, or fit nowhere.
    """
    config, state = read_checkpoint(source)
    with torch.device("cpu"):  # whatever torch's default device is
        model = FeatherFace(config)
    _set_state(model, state)
    return model.to(device).eval()


def plain_copy(model: FeatherFace) -> FeatherFace:
    """Return a copy of a model that has its weights as plain parameters.

    Those that parametrizations, pruning, weight or spectral norm compute are as they are now.

    Raises:
        InputError: for a model whose tensors have no values, or that PyTorch cannot copy.
    """
    _require_values(model)
    # PyTorch does not copy tensors that are computed from others.
    attributes = chain.from_iterable(vars(module).values() for module in model.modules())
    computed = [x for x in attributes if isinstance(x, Tensor) and not x.is_leaf]
    try:
        copied = copy.deepcopy(model, {id(x): x.detach().clone() for x in computed})
    except (RuntimeError, TypeError) as error:  # a hook or an attribute holds a lock, say
        raise InputError(f"the model cannot be copied: {first_sentence(error)}") from None
    with torch.no_grad():
        for module in copied.modules():
            _make_plain(module)
    return copied


def _require_values(model: FeatherFace) -> None:
    if any(tensor.is_meta for tensor in chain(model.parameters(), model.buffers())):
        raise InputError("the model is on the meta device, where tensors have no values")


def _computes_weights(module: torch.nn.Module) -> bool:
    """Return whether a module has what `_make_plain` takes off."""
    kinds = (prune.BasePruningMethod, WeightNorm, SpectralNorm)
    hooks = module._forward_pre_hooks.values()
    return parametrize.is_parametrized(module) or any(isinstance(hook, kinds) for hook in hooks)


def _make_plain(module: torch.nn.Module) -> None:
    for hook in list(module._forward_pre_hooks.values()):
        if isinstance(hook, prune.BasePruningMethod):
            prune.remove(module, hook._tensor_name)  # type: ignore[no-untyped-call]
        elif isinstance(hook, WeightNorm):
            remove_weight_norm(module, hook.name)
        elif isinstance(hook, SpectralNorm):
            remove_spectral_norm(module, hook.name)
    if parametrize.is_parametrized(module):
        assert isinstance(module.parametrizations, torch.nn.ModuleDict)
        values = {name: getattr(module, name) for name in module.parametrizations}
        # PyTorch's own removal changes the class, which the original has as well.
        module.__class__ = type(module).__bases__[0]
        del module.parametrizations
        for name, value in values.items():
            module.register_parameter(name, torch.nn.Parameter(value.clone()))


def save(model: FeatherFace, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a network as safetensors, its configuration in the metadata; whole or not at all.

    Weights that pruning and the like compute are written as they are now. Values that are not
    finite are written, too, though `load` refuses them.

    Args:
        metadata: more to note beside the configuration.

    Raises:
        InputError: for what is no such network or has other tensors, and for one with computed
            weights that cannot be copied; where the file cannot be written.
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    if not isinstance(model, FeatherFace):
        raise InputError(f"model (of type {type(model).__name__}) must be a FeatherFace")
    _require_values(model)
    plain = plain_copy(model) if any(map(_computes_weights, model.modules())) else model
    write_checkpoint(path, model.config, plain.state_dict(), metadata)


def _set_state(model: FeatherFace, state: Mapping[str, Tensor]) -> None:
    # In float32 whatever torch's default is: running variances are more than float16 can hold.
    model.float()
    # Of all tensors, only num_batches_tracked may be absent.
    model.load_state_dict({**model.state_dict(), **state}, strict=True)
