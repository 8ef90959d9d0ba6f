"""The closed form against the networks that are really built, to the unit."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch

from analysis.cost.blocks import count_macs
from analysis.design_space.closed_form import (
    LAYERS,
    READINGS,
    Fields,
    block_macs,
    block_parameters,
    closed_form_macs,
    closed_form_parameters,
    macs,
    parameters,
)
from analysis.design_space.space import FAMILY, FIELDS, OPTIONAL, config_from
from featherface import CONFIGS, ConfigError, FeatherFace, FeatherFaceConfig, InputError
from featherface.config import BLOCKS

# The whole family, and between and beyond its ranges: odd channels, any reduction, more cells.
RANGES = replace(
    FAMILY,
    channels=tuple(range(1, 300)),
    cells=tuple(range(1, 11)),
    reduction=tuple(range(1, 70)),
    anchors=(1, 2, 3, 4, 5),
)

SEEDS = range(1, 11)


def draw(seed: int, count: int) -> list[tuple[FeatherFaceConfig, int, int]]:
    """Architectures that can be built, each with a picture size, all kinds equally likely."""
    rng = random.Random(seed)
    drawn: list[tuple[FeatherFaceConfig, int, int]] = []
    while len(drawn) < count:
        values = {name: rng.choice(getattr(RANGES, name)) for name in FIELDS}
        if rng.random() < 0.5:  # or SSH contexts, which want channels divisible by 4, are rare
            values["channels"] = 4 * rng.randint(1, 70)
        try:
            config = config_from(values)
        except ConfigError:
            continue
        drawn.append((config, rng.randint(32, 700), rng.randint(32, 700)))
    return drawn


def build(config: FeatherFaceConfig) -> FeatherFace:
    with torch.device("meta"):
        return FeatherFace(config).eval()


def disagreements(drawn: list[tuple[FeatherFaceConfig, int, int]]) -> list[str]:
    """Return every difference between the closed form and the built networks."""
    wrong: list[str] = []
    for config, height, width in drawn:
        model, of = build(config), Fields.of(config)
        counted = count_macs(model, height, width)
        pairs: dict[str, tuple[Any, Any]] = {
            "parameters": (
                closed_form_parameters(config),
                sum(p.numel() for p in model.parameters()),
            ),
            "macs": (closed_form_macs(config, height, width), counted.macs),
            "uncounted": ({}, counted.uncounted),
        }
        of_blocks = block_parameters(of), block_macs(of, height, width)
        for block, child in model.named_children():
            pairs[f"parameters of {block}"] = (
                int(of_blocks[0][block]),
                sum(p.numel() for p in child.parameters()),
            )
            pairs[f"macs of {block}"] = (int(of_blocks[1][block]), counted[block].macs)
        wrong += [
            f"{config} at {height}×{width}: {what}: {closed} in closed form, {built} when built"
            for what, (closed, built) in pairs.items()
            if closed != built
        ]
    return wrong


@pytest.mark.parametrize("variant", CONFIGS)
def test_named_variants_agree_with_the_built_networks(variant: str) -> None:
    assert not disagreements([(CONFIGS[variant], 640, 640), (CONFIGS[variant], 97, 33)])


def test_drawn_architectures_agree_with_the_built_networks() -> None:
    assert not disagreements(draw(seed=0, count=5))


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_hundreds_of_drawn_architectures_agree_with_the_built_networks(seed: int) -> None:
    assert not disagreements(draw(seed=seed, count=20))


def test_thop_reads_official_as_the_paper_does() -> None:
    fields = Fields.of(CONFIGS["official"])
    kernels = 3 * 9 * (64 * 32 + 64 * 16 + 3 * 16 * 16)
    scalars = 3 * (2 + 2 + 3 + 3)
    assert parameters(fields, "thop") == 592_371 - kernels - scalars == 488_661


def test_readings_leave_out_what_they_say() -> None:
    # A head of one level: 74 → 2, 4 and 10 numbers for each of two anchors.
    layers = list(LAYERS["heads"](Fields.of(CONFIGS["v1"])))[:3]
    sums = {name: sum(map(reading, layers)) for name, reading in READINGS.items()}
    assert sums == {
        "parameters": 2 * 16 * (74 + 1),
        "weights and biases": 2 * 16 * (74 + 1),
        "weights": 2 * 16 * 74,
        "thop": 2 * 16 * (74 + 1),
    }
    # A plain context: kernel, then scale and shift.
    fields = Fields.of(CONFIGS["v1"])
    assert block_parameters(fields)["context"] == 3 * (74 * 74 * 9 + 2 * 74)
    assert block_parameters(fields, "weights")["context"] == 3 * (74 * 74 * 9)


def test_blocks_are_the_models_children_in_their_order() -> None:
    assert tuple(LAYERS) == BLOCKS == tuple(n for n, _ in build(CONFIGS["v1"]).named_children())


def test_what_is_ignored_changes_nothing() -> None:
    for variant, (kind, none) in (("no-attention", ("reduction", 3)), ("retinaface", ("cells", 7))):
        config = CONFIGS[variant]
        other = replace(config, **{kind: none})
        assert kind in OPTIONAL
        assert closed_form_parameters(other) == closed_form_parameters(config)
        assert closed_form_macs(other, 64, 96) == closed_form_macs(config, 64, 96)


def test_the_other_settings_change_neither_parameters_nor_macs() -> None:
    others = [f for f in fields(FeatherFaceConfig) if f.name not in FIELDS]
    assert others
    for field in others:
        kinds = get_args(get_type_hints(FeatherFaceConfig)[field.name])
        counts = set()
        for kind in kinds:
            model = build(replace(CONFIGS["v1"], **{field.name: kind}))
            counts.add(
                (sum(p.numel() for p in model.parameters()), count_macs(model, 65, 100).macs)
            )
        assert len(kinds) > 1
        assert len(counts) == 1, field.name


def test_arrays_give_what_single_architectures_give() -> None:
    drawn = [config for config, _, _ in draw(seed=11, count=50)]
    many = Fields(**{name: np.asarray([getattr(c, name) for c in drawn]) for name in FIELDS})
    assert parameters(many).tolist() == [closed_form_parameters(c) for c in drawn]
    assert macs(many, 100, 75).tolist() == [closed_form_macs(c, 100, 75) for c in drawn]


@pytest.mark.parametrize("size", [(31, 640), (640, 0), (-640, 640), (1 << 18, 640)])
def test_impossible_sizes_are_refused(size: tuple[Any, Any]) -> None:
    with pytest.raises(InputError, match=r"^(height|width) \(=.*\) must be from 32 to"):
        closed_form_macs(CONFIGS["v1"], *size)


def test_unknown_readings_are_refused() -> None:
    with pytest.raises(InputError, match="unknown reading 'neurons'"):
        parameters(Fields.of(CONFIGS["v1"]), "neurons")
