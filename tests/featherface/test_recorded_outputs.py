"""The networks compute what they computed when `recorded_outputs.npz` was written.

The published implementations' outputs, which `test_published_outputs.py` compares with, are not in
the repository. These are our own: networks with weights drawn from a fixed seed, so that a change
of any operator is noticed without them. Write the file anew, after a change that is meant, with
`python tests/featherface/test_recorded_outputs.py`.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from featherface import CONFIGS, FeatherFace
from featherface.blocks.deform_kernel import deform_kernel
from featherface.boxes import MEAN_BGR

FILE = Path(__file__).with_name("recorded_outputs.npz")
SIZES = ((96, 128), (97, 131))  # an odd size pads and pools differently
EVERY = 17  # anchors between two that are recorded
TOLERANCE = 2e-4  # of the largest number: processors round differently, a changed network does more


def fill(model: nn.Module) -> None:
    """Set every parameter and buffer from a seed that depends on its name alone."""
    for name, tensor in model.state_dict().items():
        random = np.random.RandomState(zlib.crc32(name.encode()))
        if name.endswith("running_var") or (name.endswith("weight") and tensor.ndim == 1):
            values = random.uniform(0.7, 1.4, tensor.shape)
        elif tensor.ndim > 1:
            values = random.standard_normal(tuple(tensor.shape)) * (1.5 / tensor[0].numel()) ** 0.5
        elif tensor.is_floating_point():
            values = random.uniform(0.05, 0.3, tensor.shape)
        else:
            continue  # num_batches_tracked
        tensor.copy_(torch.from_numpy(np.asarray(values)))


def outputs_of(variant: str, size: tuple[int, int]) -> dict[str, npt.NDArray[np.float32]]:
    """Return some anchors' outputs, and the mean and the deviation of every intermediate."""
    model = FeatherFace(CONFIGS[variant]).eval()
    image = np.random.RandomState(0).randint(0, 256, (3, *size)).astype(np.float32)
    with torch.no_grad():
        fill(model)
        pixels = torch.from_numpy(image) - torch.tensor(MEAN_BGR)[:, None, None]
        outputs, named = model.intermediates(pixels[None])
    found = {name: array[0, ::EVERY].numpy() for name, array in outputs._asdict().items()}
    found |= {name: torch.stack([x.mean(), x.std()]).numpy() for name, x in named.items()}
    return {f"{variant}-{size[0]}x{size[1]}/{name}": array for name, array in found.items()}


@pytest.mark.parametrize("kernel", ["gather", "torchvision"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("variant", CONFIGS)
def test_outputs_are_the_recorded_ones(variant: str, size: tuple[int, int], kernel: str) -> None:
    with deform_kernel(kernel):  # type: ignore[arg-type]
        found = outputs_of(variant, size)
    with np.load(FILE) as file:
        recorded = {name: file[name] for name in file if name.split("/")[0] == _key(variant, size)}
    assert found.keys() == recorded.keys()
    off = {
        name: float(np.abs(found[name] - expected).max())
        for name, expected in recorded.items()
        if not np.allclose(found[name], expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())
    }
    assert off == {}


@pytest.mark.parametrize("variant", CONFIGS)
def test_a_changed_normalisation_is_noticed(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Changed(nn.BatchNorm2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * 1.002

    monkeypatch.setattr(nn, "BatchNorm2d", Changed)
    found = outputs_of(variant, SIZES[0])
    with np.load(FILE) as file:
        name = f"{_key(variant, SIZES[0])}/logits"
        expected = file[name]
    assert np.abs(found[name] - expected).max() > TOLERANCE * np.abs(expected).max()


def _key(variant: str, size: tuple[int, int]) -> str:
    return f"{variant}-{size[0]}x{size[1]}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for variant in CONFIGS:
        for size in SIZES:
            arrays |= outputs_of(variant, size)
    np.savez_compressed(FILE, **arrays)
    print(f"{FILE}: {FILE.stat().st_size} bytes")
