"""Block by block: which settings give a printed figure, if any."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from analysis.design_space.block_search import SETTINGS, search_block
from analysis.design_space.closed_form import READINGS
from analysis.design_space.space import SPACE
from featherface import CONFIGS, FeatherFace, InputError
from featherface.config import BLOCKS

PRINTED_WIDTHS = (32, 64, 128)  # of the backbone's levels, on the card


@pytest.mark.parametrize("variant", CONFIGS)
@pytest.mark.parametrize("block", BLOCKS)
def test_the_settings_of_a_built_block_are_found(variant: str, block: str) -> None:
    config = CONFIGS[variant]
    with torch.device("meta"):
        model = FeatherFace(config)
    params = sum(p.numel() for p in model.get_submodule(block).parameters())
    if params == 0 and block.endswith("attention"):
        return  # a block that is not there has no settings
    own = {name: getattr(config, name) for name in SETTINGS[block]}
    if config.pyramid == "fpn" and block == "pyramid":
        own["cells"] = None
    result = search_block(block, params)
    assert own in result["settings"]
    assert result["nearest"]["difference"] == 0


def everything(block: str, params: int) -> dict[str, list[Any]]:
    """The settings under every reading, with the real and the printed widths of the levels."""
    found = {}
    for reading in READINGS:
        for inputs in ((64, 128, 256), PRINTED_WIDTHS):
            result = search_block(block, params, reading, inputs)
            assert result["looked_at"] > 30
            found[f"{reading} of {inputs}"] = result["settings"]
    return found


@pytest.mark.parametrize(
    ("block", "params"),
    [("first_attention", 22_080), ("pyramid", 114_240), ("context", 148_224), ("heads", 7_136)],
)
def test_the_cards_figures_are_impossible_for_their_blocks(block: str, params: int) -> None:
    assert not any(everything(block, params).values())


def test_the_cards_second_attention_has_no_setting_that_a_network_could_have() -> None:
    found = {
        reading: settings
        for reading, settings in everything("second_attention", 22_080).items()
        if settings
    }
    # Only where scale and shift of the normalisation are left out, and then with an odd number of
    # channels, which no shuffle takes.
    assert set(found) == {f"weights and biases of {w}" for w in ((64, 128, 256), PRINTED_WIDTHS)}
    for settings in found.values():
        assert settings == [{"channels": 207, "reduction": 12}]
    hidden = 207 // 12
    assert 3 * (2 * 207 * hidden + hidden + 207 + 2 * 49) == 22_080


def test_settings_are_each_looked_at_once() -> None:
    space = replace(SPACE, channels=(8, 10, 12), reduction=(2, 10, 64))
    # Below 16 channels a reduction of 64 is impossible, and with 8 one of 10.
    assert search_block("second_attention", 1, space=space)["looked_at"] == 1 + 2 + 2
    assert search_block("context", 1, space=space)["looked_at"] == 4 * 3 + 3 * 2
    assert search_block("backbone", 213_072)["looked_at"] == 1
    assert search_block("first_attention", 1)["looked_at"] == 64
    assert search_block("first_attention", 1, inputs=PRINTED_WIDTHS)["looked_at"] == 32
    assert search_block("heads", 1)["looked_at"] == 256 * 3


def test_the_nearest_is_the_nearest() -> None:
    result = search_block("heads", 7_136)
    # 48 parameters for each anchor of each channel, and of the bias.
    best = min((abs(48 * a * (c + 1) - 7_136), c, a) for c in range(1, 257) for a in (1, 2, 3))
    assert abs(result["nearest"]["difference"]) == best[0]
    assert result["nearest"]["params"] - 7_136 == result["nearest"]["difference"]


def test_what_cannot_be_asked() -> None:
    with pytest.raises(InputError, match="unknown block 'neck'"):
        search_block("neck", 1)
    with pytest.raises(InputError, match="unknown reading 'neurons'"):
        search_block("heads", 1, "neurons")
    with pytest.raises(InputError, match="no setting of second_attention is possible"):
        search_block("second_attention", 1, space=replace(SPACE, channels=(8,), reduction=(9,)))
