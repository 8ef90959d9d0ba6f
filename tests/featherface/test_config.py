from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace

import pytest

from featherface import CONFIGS, ConfigError, FeatherFace, FeatherFaceConfig


def test_the_variants_are_five() -> None:
    assert list(CONFIGS) == ["v1", "v1-deformable", "official", "no-attention", "retinaface"]


@pytest.mark.parametrize("name", CONFIGS)
def test_a_variant_knows_its_name(name: str) -> None:
    assert CONFIGS[name].variant == name
    assert replace(CONFIGS[name], channels=60).variant is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": 74}, ["channels (=74)", "divisible by 4", "ssh-dcnv2"]),
        ({"channels": 0}, ["channels (=0)", "at least 1"]),
        ({"channels": 64.0}, ["channels (=64.0)", "integer"]),
        ({"channels": True}, ["channels (=True)", "integer"]),
        ({"reduction": 65}, ["reduction (=65)", "64 channels"]),
        ({"channels": 32, "reduction": 48}, ["reduction (=48)", "32 channels"]),
        ({"channels": 33, "context": "plain", "reduction": 8}, ["channels (=33)", "even"]),
        ({"cells": 0}, ["cells (=0)"]),
        ({"anchors": -1}, ["anchors (=-1)"]),
        ({"channels": 4100}, ["channels (=4100)", "at most 4096"]),
        ({"channels": 10**5000}, ["more than twelve digits", "at most 4096"]),
        ({"cells": 10**9}, ["cells (=1000000000)", "at most 64"]),
        ({"anchors": 10**9}, ["anchors (=1000000000)", "at most 64"]),
        ({"channels": "9" * 5000}, ["channels (='999", "integer"]),
        ({"context": "dcn"}, ["context (='dcn')", "ssh-dcnv2"]),
        ({"attention": None}, ["attention (=None)", "none, backbone"]),
        ({"pyramid": "pan"}, ["pyramid (='pan')"]),
        ({"shuffle": "random"}, ["shuffle (='random')"]),
        ({"shuffle_order": "up"}, ["shuffle_order (='up')"]),
        ({"mean_pooling": "max"}, ["mean_pooling (='max')"]),
    ],
)
def test_what_cannot_be_built_is_named(changes: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        FeatherFaceConfig(**changes)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


def test_a_reduction_binds_only_the_attention_there_is() -> None:
    FeatherFaceConfig(channels=32, attention="backbone", reduction=48)
    FeatherFaceConfig(channels=32, attention="none", reduction=4096)
    with pytest.raises(ConfigError, match=r"reduction \(=48\)"):
        FeatherFaceConfig(channels=32, attention="pyramid", reduction=48)


def test_an_odd_width_is_fine_where_nothing_is_shuffled() -> None:
    FeatherFaceConfig(channels=33, context="plain", shuffle="none", reduction=8)


def test_a_configuration_is_frozen_and_hashable() -> None:
    config = CONFIGS["official"]
    with pytest.raises(FrozenInstanceError):
        config.channels = 3  # type: ignore[misc]
    assert {config: 1}[replace(config)] == 1


def test_the_difference_lists_both_values() -> None:
    assert CONFIGS["v1"].difference(CONFIGS["v1-deformable"]) == {"context": ("plain", "dcnv1")}


@pytest.mark.parametrize("look_up", [CONFIGS.__getitem__, FeatherFace])
def test_an_unknown_variant_lists_the_known(look_up: Callable[[str], object]) -> None:
    with pytest.raises(ConfigError, match=r"^variant \(='v2'\).*v1, v1-deformable, off") as caught:
        look_up("v2")
    assert isinstance(caught.value, KeyError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_the_variants_are_a_mapping_as_any() -> None:
    assert "v2" not in CONFIGS
    assert CONFIGS.get("v2") is None
    assert pickle.loads(pickle.dumps(CONFIGS)) == copy.deepcopy(CONFIGS) == dict(CONFIGS)
    assert repr(CONFIGS) == repr(dict(CONFIGS))
