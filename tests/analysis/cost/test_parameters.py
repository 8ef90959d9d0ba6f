"""Parameters: small networks counted by hand, and the totals of the five variants."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from analysis.cost.parameters import block_parameters, count_parameters, is_below, parameter_tree
from featherface.config import CONFIGS
from featherface.model import FeatherFace

# Measured on the reference implementations.
TOTALS = {
    "v1": 487_103,
    "v1-deformable": 523_121,
    "official": 592_371,
    "no-attention": 489_015,
    "retinaface": 426_608,
}
BLOCKS = {
    "v1": {
        "backbone": 213_072,
        "first_attention": 293 + 742 + 2_921,
        "pyramid": 113_610,
        "second_attention": 3 * 323,
        "context": 3 * 49_432,
        "shuffle": 0,
        "heads": 7_200,
    },
    "official": {
        "backbone": 213_072,
        "first_attention": 11_528,
        "pyramid": 112_606,
        "second_attention": 2_040,
        "context": 232_965,
        "shuffle": 13_920,
        "heads": 6_240,
    },
}


def on_meta(variant: str) -> FeatherFace:
    with torch.device("meta"):
        return FeatherFace(variant)


def test_counts_weights_and_biases_but_no_buffers() -> None:
    network = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.Linear(7, 4, bias=False))
    assert count_parameters(network) == (5 * 2 * 3 * 3 + 5) + (5 + 5) + 7 * 4


def test_counts_frozen_parameters() -> None:
    network = nn.Linear(3, 4)
    network.weight.requires_grad_(False)
    assert count_parameters(network) == 3 * 4 + 4


def test_counts_a_shared_tensor_once() -> None:
    network = nn.ModuleDict({"one": nn.Linear(3, 4), "two": nn.Linear(3, 4, bias=False)})
    network["two"].weight = network["one"].weight
    assert count_parameters(network) == 3 * 4 + 4
    tree = {record.path: record for record in parameter_tree(network)}
    assert tree["one"].own_params == 3 * 4 + 4
    assert tree["two"].own_params == 0
    assert tree[""].total_params == 3 * 4 + 4


def test_tree_of_nested_modules() -> None:
    inner = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    network = nn.ModuleDict({"a": inner, "ab": nn.Linear(5, 1)})
    network.scale = nn.Parameter(torch.ones(6))
    rows = [
        (record.path, record.depth, record.type, record.own_params, record.total_params)
        for record in parameter_tree(network)
    ]
    assert rows == [
        ("", 0, "ModuleDict", 6, 6 + (3 * 2 + 2) + (5 + 1)),
        ("a", 1, "Sequential", 0, 3 * 2 + 2),  # and not what "ab" has
        ("a.0", 2, "Linear", 3 * 2 + 2, 3 * 2 + 2),
        ("a.1", 2, "ReLU", 0, 0),
        ("ab", 1, "Linear", 5 + 1, 5 + 1),
    ]


def test_record_as_dict() -> None:
    assert parameter_tree(nn.Linear(3, 4))[0].as_dict() == {
        "path": "",
        "depth": 0,
        "type": "Linear",
        "own_params": 16,
        "total_params": 16,
    }


@pytest.mark.parametrize(
    ("path", "ancestor", "expected"),
    [
        ("a.b", "", True),
        ("a.b", "a", True),
        ("a.b", "a.b", True),
        ("ab", "a", False),
        ("a", "a.b", False),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_is_below(path: str, ancestor: str, expected: bool) -> None:
    assert is_below(path, ancestor) is expected


@pytest.mark.parametrize("variant", CONFIGS)
def test_totals_of_the_variants(variant: str) -> None:
    model = on_meta(variant)
    assert count_parameters(model) == TOTALS[variant]
    blocks = block_parameters(model)
    assert list(blocks) == [name for name, _ in model.named_children()]
    assert sum(blocks.values()) == TOTALS[variant]


@pytest.mark.parametrize("variant", BLOCKS)
def test_blocks_of_the_variants(variant: str) -> None:
    assert block_parameters(on_meta(variant)) == BLOCKS[variant]


def test_blocks_must_add_up() -> None:
    model = on_meta("v1")
    model.stray = nn.Parameter(torch.ones(1))  # outside of every block
    with pytest.raises(AssertionError):
        block_parameters(model)
