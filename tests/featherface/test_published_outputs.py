"""The networks compute what the published implementations compute, block by block."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from featherface import load
from featherface.boxes import MEAN_BGR

# The references' names of blocks → ours. Their CBAM modules end before the residual and ReLU.
NAMES = [
    (r"body\.(\d)", "backbone.p{}", 3),
    (r"ba(?:cb)?kbone_(\d)_cbam\.0|backbone_cbam_(\d)\.0", "first_attention.p{}.gated", 3),
    (r"bi?fpn\.(\d)", "pyramid.p{}", 3),
    (r"bif_cbam_(\d)\.0|attention_cbam_(\d)\.0", "second_attention.p{}.gated", 3),
    (r"(?:ssh|dcn)(\d)\.0", "context.p{}", 2),
    (r"(?:ssh(\d)_cs|cs(\d))\.0", "shuffle.p{}", 2),
]
VECTORS = [
    f"{variant}-{size}"
    for variant in ("v1", "official", "no-attention", "retinaface")
    for size in ("96x128", "160x160")
]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the references ran: with more, sums are grouped, and so rounded, differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def ours(block: str) -> str:
    for pattern, name, first in NAMES:
        match = re.fullmatch(pattern.replace("bi?fpn", "(?:bi)?fpn"), block)
        if match:
            index = next(group for group in match.groups() if group)
            return name.format(int(index) + first)
    raise AssertionError(f"no block of ours is the reference's {block!r}")


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("vector", VECTORS)
def test_every_block_equals_the_reference(shared: Path, weights: Path, vector: str) -> None:
    variant = vector.rsplit("-", 1)[0]
    source = shared / "vectors" / "v1-random.pth" if variant == "v1" else weights / f"{variant}.pth"
    model = load(source)
    assert model.config.variant == variant
    with np.load(shared / "vectors" / f"{vector}.npz") as file:
        reference = {name: torch.from_numpy(file[name]) for name in file}
    picture = reference.pop("image_bgr").permute(2, 0, 1)[None].float()
    with torch.no_grad():
        outputs, named = model.intermediates(picture - torch.tensor(MEAN_BGR)[:, None, None])
    found = {f"block.{block}": named[ours(block)] for block in blocks(reference)}
    found["boxes_raw"], found["landmarks_raw"] = outputs.boxes, outputs.landmarks
    found["scores"] = outputs.logits.softmax(-1)
    assert found.keys() == reference.keys()
    differences = {name: float((found[name] - reference[name]).abs().max()) for name in found}
    bars = {name: 1e-5 if name == "scores" else 1e-4 for name in found}
    assert {n: d for n, d in differences.items() if not d <= bars[n]} == {}


def blocks(reference: dict[str, torch.Tensor]) -> list[str]:
    found = [name.removeprefix("block.") for name in reference if name.startswith("block.")]
    assert len(found) >= 9
    return found
