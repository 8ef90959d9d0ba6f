"""Block by block: which settings give a printed figure, if any."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.design_space.closed_form import READINGS
from analysis.design_space.search import ALL_INTEGERS, block_totals
from analysis.design_space.space import SPACE, described
from featherface import CONFIGS, FeatherFace, InputError
from featherface.config import BLOCKS


@pytest.mark.parametrize("variant", CONFIGS)
@pytest.mark.parametrize("block", BLOCKS)
def test_a_built_block_has_the_parameters_of_its_settings(variant: str, block: str) -> None:
    config = CONFIGS[variant]
    with torch.device("meta"):
        params = sum(p.numel() for p in FeatherFace(config).get_submodule(block).parameters())
    if params == 0 and block.endswith("attention"):
        return  # a block that is not there has no settings
    own = {name: value for name, value in described(config).items() if value is not None}
    assert block_totals(block, space=ALL_INTEGERS.narrowed(own)).tolist() == [params]
    assert params in block_totals(block)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize(
    ("block", "params"),
    [("first_attention", 22_080), ("pyramid", 114_240), ("context", 148_224), ("heads", 7_136)],
)
def test_the_cards_figures_are_impossible_for_their_blocks(
    block: str, params: int, reading: str
) -> None:
    assert params not in block_totals(block, reading)


def test_the_cards_second_attention_has_no_setting_that_a_network_could_have() -> None:
    # Only where scale and shift of the normalisation are left out, and then with an odd number of
    # channels, which no shuffle takes.
    found = {
        reading: np.count_nonzero(block_totals("second_attention", reading) == 22_080)
        for reading in READINGS
    }
    assert found == {"parameters": 0, "weights and biases": 1, "weights": 0, "thop": 0}
    odd = ALL_INTEGERS.narrowed({"channels": 207, "reduction": 12})
    assert block_totals("second_attention", "weights and biases", odd) == [22_080]


def test_settings_are_each_looked_at_once() -> None:
    space = replace(SPACE, channels=(8, 10, 12), reduction=(2, 10, 64))
    # Below 16 channels a reduction of 64 is impossible, and with 8 one of 10.
    assert len(block_totals("second_attention", space=space)) == 1 + 2 + 2
    assert len(block_totals("context", space=space)) == 4 * 3 + 3 * 2
    assert len(block_totals("backbone")) == 1
    assert len(block_totals("first_attention")) == 64
    assert len(block_totals("heads")) == 256 * 3


def test_what_cannot_be_asked() -> None:
    with pytest.raises(InputError, match="unknown block 'neck'"):
        block_totals("neck")
    with pytest.raises(InputError, match="unknown reading 'neurons'"):
        block_totals("heads", "neurons")
