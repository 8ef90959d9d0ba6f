from __future__ import annotations

import numpy as np
import torch
from torch import nn

from analysis.maps.ablations import COMPARED, comparison
from analysis.maps.observation import prepare
from featherface import CONFIGS, FeatherFace


def test_each_state_has_the_points_that_its_network_samples() -> None:
    torch.manual_seed(0)
    model = FeatherFace(CONFIGS["official"]).eval()
    for name, parameter in model.context.named_parameters():
        if ".offset." in name or ".mask." in name:
            nn.init.normal_(parameter, std=0.1)
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    states = {s["id"]: s["points"] for s in comparison(model, prepare(model, image), (20, 20))}
    assert list(states) == ["as-is", *COMPARED]
    assert all(point["points"] == point["regular"] for point in states["offsets-zero"])
    assert not any(point["points"] == point["regular"] for point in states["as-is"])
    assert all(point["mask"] == [1.0] * 9 for point in states["masks-one"])
    first = [points[0]["points"] for points in states.values()]
    assert first[0] == first[2]  # masks move no point of the first branch
    assert first[0] != first[3]  # gates change what the offsets are predicted from


def test_only_what_a_network_has_is_compared() -> None:
    model = FeatherFace(CONFIGS["v1"]).eval()
    image = np.zeros((40, 48, 3), np.uint8)
    states = comparison(model, prepare(model, image), (20, 20))
    assert [state["id"] for state in states] == ["as-is", "gates-zero", "cbam-bypass"]
