"""The vocabulary of measurements: what the expressions of the ledgers may ask of a network.

Every function here builds the network that it is asked about and looks at that. A `variant` is a
name in `featherface.CONFIGS`; keyword arguments after it change settings of that configuration
(`params('v1', reduction=16)`). A ledger of another network calls them without that name, and the
keyword arguments are its factory's (see `vocabulary`). A `path` names modules or tensors as PyTorch
does (`heads.classes.0`), `*` stands for what is between two dots (`heads.classes.*`), and the empty
path for the network itself. Images are 640×640 where no size is given.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from analysis.claims.expression import (
    Expression,
    Function,
    Value,
    Vocabulary,
    parse,
)
from analysis.cost import Cost
from analysis.cost.blocks import network_cost
from analysis.cost.counters import CounterRecord, ask_counters, out_of_the_box
from analysis.cost.subject import Subject, positional, with_settings
from analysis.cost.trace import count_parameters
from analysis.design_space.search import ALL_INTEGERS, block_totals, search
from analysis.design_space.space import described
from analysis.widerface import history
from analysis.widerface.ground_truth import SUBSETS, VALIDATION_IMAGES
from featherface.blocks.deformable import DeformConv2d
from featherface.boxes import anchor_sizes as sides_of_anchors
from featherface.boxes import decode_landmarks, make_anchors
from featherface.config import (
    BACKBONE_CHANNELS,
    CONFIGS,
    LEVELS,
    ConfigError,
    FeatherFaceConfig,
    check_size,
)
from featherface.errors import InputError, among
from featherface.model import FeatherFace
from featherface.weights.published import PUBLISHED, SHIPPED

WIDERFACE = history.HISTORY
"""The record of measured average precision, one JSON object a line."""

_SIZE = 640


class MeasureError(InputError):
    """A measurement that makes no sense, such as of a module that the network does not have."""


class UntestableError(Exception):
    """A measurement that cannot be made here and now.

    Args:
        reason: what is missing, as a clause.
        tool: whether that is a program which other machines have.
    """

    def __init__(self, reason: str, *, tool: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.tool = tool


Variant = Annotated[str, CONFIGS.__getitem__]
"""The name of a variant; of others an expression is refused before anything is measured."""

Of = Annotated[str | Subject, CONFIGS.__getitem__]
"""A network: the name of a variant, or anybody's by name and inputs, which no expression writes."""


def expression(text: str) -> Expression:
    """Return the checked measurement that `text` writes; see `analysis.claims.expression.parse`."""
    return parse(text, VOCABULARY)


# --- parameters ---------------------------------------------------------------------------------


def params(variant: Of, *paths: str, **changes: Any) -> int:
    """Learnable values of the network, or of the modules and tensors at `paths`, each once."""
    tensors = _parameters(variant, paths or ("",), changes)
    return sum(tensor.numel() for tensor in tensors.values())


def params_of(variant: Of, type: str, path: str = "", **changes: Any) -> int:
    """Learnable values that modules of that class hold themselves, at or below `path`."""
    return _own_params(_below(_network(variant, changes), path, type))


def kernels(variant: Of, *paths: str, **changes: Any) -> int:
    """Weights of convolutions and linear layers alone: no biases, normalisation or scalars."""
    return _of_layers("weight", variant, paths, changes)


def biases(variant: Of, *paths: str, **changes: Any) -> int:
    """Biases of convolutions and linear layers."""
    return _of_layers("bias", variant, paths, changes)


def params_of_standard_layers(variant: Of, **changes: Any) -> int:
    """Parameters that are attributes of PyTorch's own layers.

    It is what a counter sees that knows the layers of `torch.nn` and no others: a tensor which
    the network's own code holds, such as a deformable kernel, escapes it.
    """
    modules = _network(variant, changes).modules()
    return _own_params(m for m in modules if type(m).__module__.startswith("torch.nn."))


def param_bytes(variant: Of, **changes: Any) -> int:
    """Bytes of the learnable values as the network holds them (four each, float32)."""
    network = _network(variant, changes)
    return sum(p.numel() * p.element_size() for p in network.parameters())


def conv_params(inputs: int, outputs: int, kernel: int, bias: bool = True, groups: int = 1) -> int:
    """Parameters of a single `nn.Conv2d` so written, which has a bias unless it says otherwise."""
    if min(inputs, outputs, kernel, groups) < 1 or inputs % groups or outputs % groups:
        raise MeasureError("a convolution has numbers from 1, and groups that divide its channels")
    with torch.device("meta"):
        return count_parameters(nn.Conv2d(inputs, outputs, kernel, bias=bias, groups=groups))


# --- computation --------------------------------------------------------------------------------


def macs(variant: Of, path: str = "", kind: str = "total", **changes: Any) -> int:
    """MACs of one image of 640×640, of the network or the module at `path`.

    The kinds are those of `analysis.cost.operators`: `conv`, `linear` and `deformable_kernel` make
    up the `total`; `offset_and_mask_conv` is part of `conv`, and `sampling` apart.
    """
    cost = _cost(_config(variant, changes))
    part = _part(cost, path, variant)
    if part.uncounted:
        names = ", ".join(part.uncounted)
        raise UntestableError(f"nothing is known about the MACs of the operators {names}")
    if path and not any(part.macs_by_kind.values()):
        raise MeasureError(f"{_title(variant)} runs no counted operator at {path!r}")
    return int(_chosen(kind, {"total": part.macs} | part.macs_by_kind, "kind of MACs"))


def counted(counter: str, quantity: str, variant: Of) -> int:
    """Return the answer of a public counter for the network at 640×640, as it is installed.

    The quantities are `value`, the number as the counter gives it; `macs`, the same in MACs; and
    `params`.

    Raises:
        UntestableError: where the counter is not installed.
    """
    records = {record.counter: record for record in _counters(_config(variant, {}))}
    record = _chosen(counter, records, "counter")
    if record.value is None:
        raise UntestableError(f"{counter} cannot be asked here: {record.reason}", tool=True)
    said = {"value": record.value, "macs": record.macs, "params": record.params}.get(quantity)
    if said is None:
        raise MeasureError(f"{counter} does not count {quantity!r}")
    return int(said)


# --- shapes -------------------------------------------------------------------------------------


def shape(
    variant: Variant, name: str, height: int = _SIZE, width: int = _SIZE, **changes: Any
) -> tuple[int, ...]:
    """Shape, without the batch, of what a forward pass names `name`.

    The names are those of `FeatherFace.intermediates`, and `input`, `boxes`, `logits` and
    `landmarks`.
    """
    shapes = _shapes(_config(variant, changes), height, width)
    if name not in shapes:
        raise MeasureError(f"{variant} computes nothing named {name!r}; {among(name, shapes)}")
    return shapes[name]


def cells(variant: Variant, level: str, height: int = _SIZE, width: int = _SIZE) -> tuple[int, ...]:
    """Rows and columns of the map that the heads read at a level (`p3`, `p4` or `p5`)."""
    return shape(variant, f"shuffle.{level}", height, width)[1:]


def stride(variant: Variant, level: str) -> float:
    """Pixels of a 640×640 image per cell of a level, in either direction."""
    return _SIZE / cells(variant, level)[0]


def anchors_per_cell(variant: Variant) -> float:
    """Anchors that the heads of the network answer for, over the cells of the three levels."""
    answered = shape(variant, "logits")[0]
    return answered / sum(math.prod(cells(variant, level)) for level in LEVELS)


def anchor_sides(variant: Variant, level: str) -> tuple[float, ...]:
    """Sides in pixels of the square anchors that boxes of a level are relative to."""
    sides = sides_of_anchors(CONFIGS[variant].anchors)
    found: tuple[float, ...] = _chosen(level, dict(zip(LEVELS, sides, strict=True)), "level")
    return found


def landmark_points(variant: Variant) -> tuple[int, ...]:
    """Return the shape of an anchor's decoded landmarks: (points, coordinates)."""
    count, size = shape(variant, "landmarks")
    anchors = make_anchors(_SIZE, _SIZE, CONFIGS[variant].anchors)
    return tuple(decode_landmarks(torch.zeros(count, size), anchors).shape[1:])


# --- structure ----------------------------------------------------------------------------------


def channels(variant: Of, path: str, **changes: Any) -> Value:
    """(inputs, outputs) of the convolution or linear layer at `path`; one pair each for `*`."""
    return _each(variant, path, changes, _channels)


def channels_per_anchor(variant: Variant, path: str) -> Value:
    """As `channels`, with the outputs that one of a cell's anchors gets."""
    anchors = anchors_per_cell(variant)
    return _each(
        variant, path, {}, lambda layer: (_channels(layer)[0], _channels(layer)[1] / anchors)
    )


def kernel(variant: Of, path: str, **changes: Any) -> Value:
    """Height and width of the convolution's kernel at `path`; one pair each for `*`."""
    return _each(variant, path, changes, lambda layer: tuple(_weight(layer).shape[2:]))


def step(variant: Of, path: str) -> Value:
    """Stride of the convolution at `path`, the same in both directions; one each for `*`."""
    return _each(variant, path, {}, lambda layer: _square(_conv(layer).stride))


def padding(variant: Of, path: str) -> Value:
    """Padding of the convolution at `path`, the same on all sides; one each for `*`."""
    return _each(variant, path, {}, lambda layer: _square(_conv(layer).padding))


def groups(variant: Of, path: str) -> Value:
    """Groups of the convolution at `path`: 1 if dense, its channels if depthwise."""
    return _each(variant, path, {}, lambda layer: _conv(layer).groups)


def modules(variant: Of, path: str, type: str = "", **changes: Any) -> int:
    """Return the number of modules at `path` or, with a `type`, of that class at or below it."""
    network = _network(variant, changes)
    if not type:
        return len(_matching(path, dict(network.named_modules())))
    return len(_below(network, path, type))


def dense_convs(variant: Of, path: str, kernel: int) -> int:
    """Convolutions below `path` with a kernel of that size, every output seeing all inputs."""
    return sum(
        isinstance(module, _CONVOLUTIONS)
        and set(_weight(module).shape[2:]) == {kernel}
        and getattr(module, "groups", 1) == 1
        for module in _below(_network(variant), path)
    )


def setting(variant: Variant, name: str) -> Value:
    """A field of the configuration that the network is built from."""
    value: Value = _chosen(name, dataclasses.asdict(CONFIGS[variant]), "setting")
    return value


def differences(variant: Variant, other: Variant) -> tuple[str, ...]:
    """Names of the settings in which two variants differ, by more than rounding."""
    names = CONFIGS[variant].difference(CONFIGS[other])
    return tuple(name for name in names if name != "mean_pooling")


def can_be_built(variant: Variant, **changes: Any) -> bool:
    """Return whether a network with these settings exists."""
    try:
        _config(variant, changes)
    except ConfigError:
        return False
    return True


def pyramid_passes_on(variant: Variant, source: str, target: str) -> bool:
    """Return whether the pyramid's input at level `source` reaches its output at `target`."""
    places = {level: i for i, level in enumerate(LEVELS)}
    start, end = (_chosen(level, places, "level") for level in (source, target))
    levels = [
        torch.ones(1, width, 8 >> i, 8 >> i, requires_grad=i == start)
        for i, width in enumerate(BACKBONE_CHANNELS)
    ]
    output = _network(variant).pyramid(levels)[end]
    (gradient,) = torch.autograd.grad(output.sum(), levels[start], allow_unused=True)
    return gradient is not None and bool(gradient.abs().sum() > 0)


def shuffle_groups(variant: Variant) -> int:
    """Groups of the channel shuffle, read off what it does to numbered channels.

    A shuffle of g groups (ShuffleNet) puts channel i + j·C/g at place i·g + j. 1 where the
    channels stay as they are.
    """
    network = _network(variant)
    width = network.config.channels
    numbered = torch.arange(float(width)).reshape(1, width, 1, 1)
    if not network.shuffle.levels:
        return 1
    shuffle = network.shuffle.levels[0]
    moved = getattr(shuffle, "permute", shuffle)(numbered).flatten().tolist()
    for g in (g for g in range(1, width + 1) if width % g == 0):
        if moved == numbered.reshape(g, -1).T.flatten().tolist():
            return g
    raise MeasureError(f"{variant} moves channels in another way than a channel shuffle")


# --- the design space ---------------------------------------------------------------------------


def architectures(
    variant: Variant, *kept: str, total: int, reading: str = "parameters", **fixed: Any
) -> int:
    """Return the number of architectures of the design space with that many parameters.

    Only those that have the fields `kept` as the variant has them, and the fields `fixed` so. The
    readings of "parameters" are those of `analysis.design_space.closed_form`.
    """
    fixed = _settings(variant, kept) | fixed
    return int(search(total, fixed=fixed, reading=reading)["found"])


def architectures_looked_at(variant: Variant, *kept: str, **fixed: Any) -> int:
    """Return the number of architectures among which `architectures` counts."""
    fixed = _settings(variant, kept) | fixed
    return int(search(0, fixed=fixed, limit=0)["looked_at"])


def settings_of_block(
    variant: Variant, block: str, *kept: str, total: int, reading: str = "parameters"
) -> int:
    """Return the number of settings of that block with that many parameters, `kept` as they are."""
    return int((_totals(variant, block, kept, reading) == total).sum())


def nearest_of_block(
    variant: Variant, block: str, *kept: str, total: int, reading: str = "parameters"
) -> int:
    """Return the number of parameters nearest to `total` that a setting of that block has."""
    totals = _totals(variant, block, kept, reading)
    return int(totals[abs(totals - total).argmin()])


# --- accuracy -----------------------------------------------------------------------------------


def ap(variant: Variant, subset: str, weights: str = "") -> float:
    """Return the average precision, in percent, measured on all validation images of WIDER FACE.

    Read from the last row of `docs/results/widerface.jsonl` that says `"source": "measured"`, was
    made under the protocol `original`, counts all 3,226 images and carries the sha256 of the
    weights.

    Args:
        subset: `easy`, `medium`, `hard` or `mean`, their mean.
        weights: a published checkpoint of the variant, by default the one of its name; or
            "paper", the weights of the paper's authors, which were never published.

    Raises:
        UntestableError: where there are no such weights, or no such row.
    """
    name = weights or variant
    if name == "paper":
        raise UntestableError("the paper's authors published no weights")
    if name in SHIPPED:
        raise UntestableError(
            f"nobody but this project has published weights of {name}, and these were trained on "
            "validation images"
        )
    if name not in PUBLISHED:
        raise UntestableError(f"nobody has published trained weights of {name}")
    published = PUBLISHED[name]
    if published.variant != variant:
        raise MeasureError(f"the weights {name} are of {published.variant}, not of {variant}")
    found = _measured_ap(variant, subset, published.sha256, VALIDATION_IMAGES)
    if found is None:
        raise UntestableError(
            f"the AP of {name} on all {VALIDATION_IMAGES:,} validation images of WIDER FACE "
            f"has not been measured here: docs/results/widerface.jsonl has no such row; to add it: "
            f"featherface widerface track {name} --images DIR --ground-truth DIR"
        )
    return found


def ap_of_part(variant: Variant, subset: str, images: int) -> float:
    """Return the average precision, in percent, measured on some of the validation images.

    It compares weights with each other, and is no evidence of AP on the benchmark.

    Args:
        subset: as for `ap`.
        images: how many; rows of so many are read, of the weights that have the variant's name.

    Raises:
        UntestableError: where there are no such weights, or no such row.
    """
    published = PUBLISHED.get(variant)
    sha256 = published.sha256 if published else SHIPPED.get(variant)
    found = _measured_ap(variant, subset, sha256, images)
    if found is None:
        raise UntestableError(f"the AP of {variant} on {images} images has not been measured here")
    return found


def recorded_ap(variant: Variant, subset: str) -> float:
    """Return the AP, in percent, that the publisher of the weights recorded; not measured here."""
    published = PUBLISHED.get(variant)
    if published is None or published.recorded is None:
        raise UntestableError(f"no publisher recorded the AP of {variant}")
    return _ap({name: getattr(published.recorded, name) / 100 for name in SUBSETS}, subset)


def unavailable(reason: str) -> float:
    """Never has a value, for the reason given: of a claim that cannot be tested here."""
    raise UntestableError(reason)


# --- arithmetic ---------------------------------------------------------------------------------


def percent(part: float, whole: float) -> float:
    """100 · part / whole."""
    return 100 * part / whole


def mean(*values: float) -> float:
    """Arithmetic mean."""
    return math.fsum(values) / len(values)


def cut(value: float, unit: float) -> float:
    """`value` without what is beyond the last whole `unit`: cut off, not rounded."""
    if unit <= 0:
        raise MeasureError(f"unit (={unit}) must be above 0")
    return math.floor(value / unit) * unit


# --- what the measurements share ---------------------------------------------------------------


_OF_ANY_NETWORK: tuple[Function, ...] = (
    *(params, params_of, kernels, biases, params_of_standard_layers, param_bytes, macs),
    *(channels, kernel, step, padding, groups, modules, dense_convs),
)
_OF_NO_NETWORK: tuple[Function, ...] = (conv_params, percent, mean, cut, unavailable)
_OF_THE_FAMILY: tuple[Function, ...] = (
    *(counted, shape, cells, stride, anchors_per_cell, anchor_sides, landmark_points),
    *(channels_per_anchor, setting, differences, can_be_built, pyramid_passes_on, shuffle_groups),
    *(architectures, architectures_looked_at, settings_of_block, nearest_of_block),
    *(ap, ap_of_part, recorded_ap),
)


def _by_name(*functions: Function) -> dict[str, Function]:
    return {function.__name__: function for function in functions}


VOCABULARY: Vocabulary = _by_name(*_OF_ANY_NETWORK, *_OF_THE_FAMILY, *_OF_NO_NETWORK)
"""Every function above, by name."""


def vocabulary(subject: Subject | None) -> Vocabulary:
    """Return the measurements of one network of anybody's, or of the networks of the family.

    Those of one network are called without its name: `params('head')`.
    """
    if subject is None:
        return VOCABULARY
    bound: dict[str, Function] = {
        name: functools.partial(f, subject) for name, f in _by_name(*_OF_ANY_NETWORK).items()
    }
    bound["shape"] = functools.partial(_shape, subject)
    bound["counted"] = functools.partial(counted, variant=subject)
    return bound | _by_name(*_OF_NO_NETWORK)


def _chosen(name: str, known: Mapping[str, Any], what: str) -> Any:
    if name not in known:
        raise MeasureError(f"there is no {what} {name!r}; {among(name, known)}")
    return known[name]


def _settings(variant: str, names: tuple[str, ...]) -> dict[str, Any]:
    own = described(CONFIGS[variant])
    return {name: _chosen(name, own, "field") for name in names}


def _totals(variant: str, block: str, kept: tuple[str, ...], reading: str) -> NDArray[Any]:
    return block_totals(block, reading, ALL_INTEGERS.narrowed(_settings(variant, kept)))


def _config(variant: Of, changes: Mapping[str, Any]) -> Any:
    if isinstance(variant, Subject):
        return variant.with_arguments(changes)
    return with_settings(CONFIGS[variant], changes)


def _network(variant: Of, changes: Mapping[str, Any] | None = None) -> Any:
    return _built(_config(variant, changes or {}))


@functools.cache
def _built(config: FeatherFaceConfig | Subject) -> Any:
    if isinstance(config, Subject):
        return config.load_bare()
    with torch.random.fork_rng(devices=[]):
        return FeatherFace(config).eval()


@functools.cache
def _cost(config: FeatherFaceConfig | Subject) -> Cost:
    if not isinstance(config, Subject):
        return network_cost(config, _SIZE, _SIZE)
    return config.measure(_built(config))


def _part(cost: Cost, path: str, variant: Of) -> Cost:
    try:
        return cost[path]
    except KeyError:
        known = _modules_like(path, (part.path for part in cost.walk()))
        raise MeasureError(f"{_title(variant)} runs no module {path!r}; {known}") from None


@functools.cache
def _counters(config: FeatherFaceConfig | Subject) -> list[CounterRecord]:
    if not isinstance(config, Subject):
        return out_of_the_box(config, _SIZE, _SIZE)
    network = config.load()
    return ask_counters(network, positional(network, config.inputs), _cost(config))


def _shape(subject: Subject, path: str = "") -> Value:
    """Shape, without the batch, of the tensor that the module at `path` returned last."""
    shapes = _part(_cost(subject), path, subject).output_shapes
    if len(shapes) != 1:
        raise MeasureError(f"{subject.model} returns {len(shapes)} tensors at {path!r}, not one")
    return shapes[0][1:]


@functools.cache
def _shapes(config: FeatherFaceConfig, height: int, width: int) -> dict[str, tuple[int, ...]]:
    check_size(height, width)
    with torch.inference_mode(), torch.device("meta"):
        images = torch.zeros(1, 3, height, width)
        outputs, named = FeatherFace(config).eval().intermediates(images)
    tensors = {"input": images} | outputs._asdict() | named
    return {name: tuple(tensor.shape[1:]) for name, tensor in tensors.items()}


def _modules_like(path: str, paths: Iterable[str]) -> str:
    """Return what to say of a path that is none, without the empty one of the network itself."""
    return among(path, filter(None, paths), most=10)


def _matching(path: str, names: Iterable[str], below: bool = False) -> list[str]:
    pattern = re.escape(path).replace(r"\*", "[^.]+")
    if below:
        pattern = rf"{pattern}(\..+)?" if path else ".*"
    return [name for name in names if re.fullmatch(pattern, name)]


def _below(network: nn.Module, path: str, type: str = "") -> list[nn.Module]:
    """Return the modules at `path` and in them, each once; of the class of that name alone."""
    named = dict(network.named_modules())
    found = (named[name] for name in _matching(path, named, below=True))
    return [module for module in found if type in ("", module.__class__.__name__)]


def _own_params(modules: Iterable[nn.Module]) -> int:
    """Return the number of learnable values that modules hold themselves."""
    return sum(p.numel() for module in modules for p in module.parameters(recurse=False))


def _parameters(
    variant: Of, paths: tuple[str, ...], changes: Mapping[str, Any]
) -> dict[str, Tensor]:
    """The learnable tensors at or below any of the paths, by name."""
    network = _network(variant, changes)
    named = dict(network.named_parameters())
    found: dict[str, Tensor] = {}
    for path in paths:
        below = _matching(path, named, below=True)
        modules = dict(network.named_modules())
        if not below and not _matching(path, modules):
            known = _modules_like(path, {**modules, **named})
            raise MeasureError(f"{_title(variant)} has no module or tensor {path!r}; {known}")
        found |= {name: named[name] for name in below}
    return found


def _of_layers(tensor: str, variant: Of, paths: tuple[str, ...], changes: Mapping[str, Any]) -> int:
    network = _network(variant, changes)
    layers = {
        f"{name}.{tensor}"
        for name, module in network.named_modules()
        if isinstance(module, (*_CONVOLUTIONS, nn.Linear))
    }
    parameters = _parameters(variant, paths or ("",), changes)
    return sum(tensor.numel() for name, tensor in parameters.items() if name in layers)


def _each(
    variant: Of, path: str, changes: Mapping[str, Any], look: Callable[[nn.Module], Value]
) -> Value:
    network = _network(variant, changes)
    named = dict(network.named_modules())
    values = tuple(look(named[name]) for name in _matching(path, named))
    if not values:
        known = _modules_like(path, named)
        raise MeasureError(f"{_title(variant)} has no module {path!r}; {known}")
    return values if "*" in path else values[0]


_CONVOLUTIONS = (_ConvNd, DeformConv2d, torchvision.ops.DeformConv2d)


def _weight(layer: nn.Module) -> Tensor:
    if not isinstance(layer, (*_CONVOLUTIONS, nn.Linear)):
        raise MeasureError(f"{type(layer).__name__} is no convolution or linear layer")
    return layer.weight


def _conv(layer: nn.Module) -> _ConvNd:
    if not isinstance(layer, _ConvNd):
        raise MeasureError(f"{type(layer).__name__} is no ordinary convolution")
    return layer


def _channels(layer: nn.Module) -> tuple[int, int]:
    outputs, inputs = _weight(layer).shape[:2]
    groups = getattr(layer, "groups", 1)
    if getattr(layer, "transposed", False):  # whose weight has them the other way round
        return outputs, inputs * groups
    return inputs * groups, outputs


def _square(sides: tuple[int, ...] | str) -> int:
    if isinstance(sides, str) or len(set(sides)) != 1:
        raise MeasureError(f"{sides} is not the same in both directions")
    return sides[0]


def _title(variant: Of) -> str:
    return variant.model if isinstance(variant, Subject) else variant


def _ap(fractions: Mapping[str, float], subset: str) -> float:
    parts = {name: (name,) for name in SUBSETS} | {"mean": SUBSETS}
    return mean(*(100 * fractions[name] for name in _chosen(subset, parts, "subset")))


def _measured_ap(variant: str, subset: str, sha256: str | None, images: int) -> float | None:
    """AP in the last row of the history that measures these weights on so many images."""
    if not WIDERFACE.exists():
        raise UntestableError("this installation comes without docs/results", tool=True)
    wanted = ("measured", variant, "original", images, sha256)
    for row in reversed(history.read(WIDERFACE)):
        name = row.protocol.name
        if (row.source, row.variant, name, row.images, row.checkpoint_sha256) == wanted:
            return _ap(row.model_dump(), subset)
    return None
