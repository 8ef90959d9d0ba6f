from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from analysis.maps.ablations import Ablation, ablate, ablations, match
from featherface import CONFIGS, FeatherFace

LEVELS = ("p3", "p4", "p5")


def lively(variant: str) -> FeatherFace:
    """A network whose offsets, masks and gates differ from place to place."""
    torch.manual_seed(0)
    model = FeatherFace(CONFIGS[variant]).eval()
    for name, parameter in model.context.named_parameters():
        if ".offset." in name or ".mask." in name:
            nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture(scope="module")
def model() -> FeatherFace:
    return lively("official")


@pytest.fixture(scope="module")
def picture() -> Tensor:
    torch.manual_seed(1)
    return 50 * torch.randn(1, 3, 70, 96)


@pytest.fixture(scope="module")
def known(model: FeatherFace) -> dict[str, Ablation]:
    return {a.id: a for a in ablations(model.config)}


def named_under(model: FeatherFace, ablation: Ablation, picture: Tensor) -> dict[str, Tensor]:
    with torch.inference_mode(), ablate(model, ablation):
        return model.intermediates(picture)[1]


def of(named: dict[str, Tensor], ending: str) -> Iterator[tuple[str, Tensor]]:
    return ((name, x) for name, x in named.items() if name.endswith(ending))


def test_everything_changes_the_answer_and_nothing_is_left_behind(
    model: FeatherFace, picture: Tensor, known: dict[str, Ablation]
) -> None:
    with torch.inference_mode():
        before = model(picture).logits
        for ablation in known.values():
            with ablate(model, ablation):
                assert not torch.equal(model(picture).logits, before), ablation.id
            assert torch.equal(model(picture).logits, before), ablation.id


def test_an_error_inside_leaves_the_network_as_it_was(
    model: FeatherFace, picture: Tensor, known: dict[str, Ablation]
) -> None:
    with torch.inference_mode():
        before = model(picture).logits
        with pytest.raises(KeyError), ablate(model, known["nothing-left"]):
            raise KeyError
        assert torch.equal(model(picture).logits, before)


def test_offsets_zero_and_masks_one_make_plain_convolutions(
    model: FeatherFace, picture: Tensor, known: dict[str, Ablation]
) -> None:
    conv = model.context.levels[0].a
    named = named_under(model, known["plain"], picture)
    x = named["second_attention.p3"]
    with torch.inference_mode():
        a = F.relu(conv.norm(F.conv2d(x, conv.conv.weight, padding=1)))
    assert torch.allclose(named["context.p3"][:, :32], a, atol=1e-5)


@pytest.mark.parametrize(
    ("id", "zeroed"),
    [
        ("offsets-zero", "context."),
        ("offsets-zero-p4", "context.p4."),
        ("offsets-zero-c1", ".c1."),
    ],
)
def test_offsets_are_zero_where_it_says(
    model: FeatherFace, picture: Tensor, known: dict[str, Ablation], id: str, zeroed: str
) -> None:
    named = named_under(model, known[id], picture)
    for name, offset in of(named, ".offset"):
        assert bool((offset == 0).all()) == (zeroed in name), name


def test_mean_offsets_are_the_same_everywhere_and_not_zero(
    model: FeatherFace, picture: Tensor, known: dict[str, Ablation]
) -> None:
    before = named_under(model, Ablation("", "", "", {}), picture)
    named = named_under(model, known["offsets-mean"], picture)
    name = "context.p3.a.offset"  # its input is not changed by the other branches
    assert torch.equal(named[name], named[name][..., :1, :1].expand_as(named[name]))
    assert torch.allclose(named[name][0, :, 0, 0], before[name].mean((0, 2, 3)))


def test_masks_are_one(model: FeatherFace, picture: Tensor, known: dict[str, Ablation]) -> None:
    named = named_under(model, known["masks-one"], picture)
    assert all((mask == 1).all() for _, mask in of(named, ".mask"))


@pytest.mark.parametrize(
    ("id", "stage", "level"),
    [
        ("cbam-bypass-first", "first_attention", None),
        ("cbam-bypass-second", "second_attention", None),
        ("cbam-bypass-second-p4", "second_attention", "p4"),
        ("cbam-bypass", None, None),
    ],
)
def test_a_bypassed_attention_passes_its_input_on(
    model: FeatherFace,
    picture: Tensor,
    known: dict[str, Ablation],
    id: str,
    stage: str | None,
    level: str | None,
) -> None:
    named = named_under(model, known[id], picture)
    for attention, source in (("first_attention", "backbone"), ("second_attention", "pyramid")):
        for where in LEVELS:
            same = torch.equal(named[f"{attention}.{where}"], named[f"{source}.{where}"])
            assert same == (stage in (None, attention) and level in (None, where)), where


def test_gates_at_their_ends_and_level(
    model: FeatherFace, picture: Tensor, known: dict[str, Ablation]
) -> None:
    for id, factor in (("gates-zero", 1), ("gates-one", 2)):
        named = named_under(model, known[id], picture)
        for level in LEVELS:
            x = named[f"pyramid.{level}"]
            assert torch.equal(named[f"second_attention.{level}"], F.relu(factor * x))
    named = named_under(model, known["spatial-mean"], picture)
    assert all(x.amax() - x.amin() < 1e-6 for _, x in of(named, ".spatial_gate"))
    named = named_under(model, known["channel-mean"], picture)
    assert all(x.amax() - x.amin() < 1e-6 for _, x in of(named, ".channel_gate"))


@pytest.mark.parametrize(
    ("variant", "parts"),
    [
        ("official", {"offsets", "masks", "offsets and masks", "gates", "everything"}),
        ("no-attention", {"offsets", "masks", "offsets and masks"}),
        ("v1", {"gates"}),
        ("v1-deformable", {"offsets", "gates", "everything"}),
        ("retinaface", set()),
    ],
)
def test_parts_that_can_be_ablated(variant: str, parts: set[str]) -> None:
    found = ablations(CONFIGS[variant])
    assert {i.part for i in found} == parts
    assert len({i.id for i in found}) == len(found)


@pytest.mark.parametrize("variant", ["v1", "v1-deformable", "no-attention"])
def test_each_changes_every_variant(variant: str, picture: Tensor) -> None:
    model = lively(variant)
    with torch.inference_mode():
        before = model(picture).logits
        for ablation in ablations(model.config):
            with ablate(model, ablation):
                assert not torch.equal(model(picture).logits, before), ablation.id


def test_faces_are_matched_by_their_boxes_best_first() -> None:
    before = [[0, 0, 10, 10], [0, 0, 10, 8], [50, 50, 60, 60]]
    after = [[0, 0, 10, 9.9], [100, 100, 110, 110], [0, 0, 10, 6]]
    first, second, third = match(before, after)
    assert first == (0, pytest.approx(0.99))
    assert second == (2, pytest.approx(0.75))  # not the better one, which is taken
    assert third is None
    assert match([], after) == []
    assert match(before, []) == [None] * 3
