"""The formulas against the closed form that they are made from."""

from __future__ import annotations

import random
from typing import Any

import pytest

from analysis.cost.blocks import network_cost
from analysis.design_space.closed_form import Fields, block_macs, block_parameters
from analysis.design_space.formulas import DECIDES, formulas
from analysis.design_space.space import FAMILY, FIELDS, described
from featherface import CONFIGS, FeatherFaceConfig
from featherface.config import ConfigError


def letters(config: FeatherFaceConfig) -> dict[str, int]:
    c, r = config.channels, config.reduction
    floors = {"h": c // 2, "q": c // 4, "m": c // r, "m3": 64 // r, "m4": 128 // r, "m5": 256 // r}
    return floors | {"c": c, "n": config.cells, "a": config.anchors}


def drawn(count: int) -> list[FeatherFaceConfig]:
    rng = random.Random(0)
    found: list[FeatherFaceConfig] = []
    while len(found) < count:
        values: dict[str, Any] = {name: rng.choice(getattr(FAMILY, name)) for name in FIELDS}
        try:
            found.append(FeatherFaceConfig(**values))
        except ConfigError:
            continue
    return found


@pytest.mark.parametrize("size", [(640, 640), (97, 450)])
def test_formulas_give_what_the_closed_form_gives(size: tuple[int, int]) -> None:
    by_block = formulas(*size)
    for config in [*CONFIGS.values(), *drawn(200)]:
        fields = Fields.of(config)
        expected = {
            "params": block_parameters(fields),
            "thop": block_parameters(fields, "thop"),
            "macs": block_macs(fields, *size),
        }
        for block, kinds in by_block.items():
            kind = getattr(config, DECIDES[block]) if block in DECIDES else ""
            values = {
                quantity: eval(formula, {}, letters(config))
                for quantity, formula in kinds[kind].items()
            }
            for quantity, counts in expected.items():
                assert values[quantity] == counts[block], (described(config), block, quantity)


@pytest.mark.parametrize("variant", CONFIGS)
def test_kernels_cost_what_the_built_network_spends_in_them(variant: str) -> None:
    config = CONFIGS[variant]
    kinds = formulas(97, 450)["context"]
    found = eval(kinds[config.context]["kernel_macs"], {}, letters(config))
    assert found == network_cost(variant, 97, 450).macs_by_kind["deformable_kernel"]


def test_a_formula_can_be_read() -> None:
    by_block = formulas()
    assert by_block["heads"][""]["params"] == "48*a*c + 48*a"
    assert by_block["context"]["plain"]["params"] == "27*c*c + 6*c"
    assert by_block["shuffle"]["free"]["params"] == "0"
