"""The network that is timed works as a trained one does, and is the same at every call."""

from __future__ import annotations

import pytest
import torch

from analysis.speed.random_network import make_random_images, make_random_network
from featherface import CONFIGS


@pytest.mark.parametrize("variant", CONFIGS)
def test_activations_keep_their_size_and_offsets_are_about_a_cell(variant: str) -> None:
    model = make_random_network(CONFIGS[variant])
    with torch.inference_mode():
        _, named = model.intermediates(make_random_images(1, 160, 192))
    spread = {name: float(x.std()) for name, x in named.items()}
    blocks = [value for name, value in spread.items() if name.count(".") == 1]
    assert min(blocks) > 0.05
    offsets = [value for name, value in spread.items() if name.endswith("offset")]
    assert bool(offsets) == ("dcn" in CONFIGS[variant].context)
    assert all(0.3 < value < 3 for value in offsets), offsets


def test_it_is_the_same_each_time_and_leaves_the_random_state_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = (make_random_network(CONFIGS["official"]).state_dict() for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert torch.equal(make_random_images(2, 32, 40), make_random_images(2, 32, 40))


def test_normalisations_keep_the_momentum_of_the_architecture() -> None:
    fresh = {
        name: getattr(module, "momentum", None)
        for name, module in make_random_network(CONFIGS["v1"]).named_modules()
    }
    assert {m for m in fresh.values() if m is not None} == {0.1, 0.01}
