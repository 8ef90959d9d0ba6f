"""The weights that the package ships."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from featherface import CONFIGS, Detector, load
from featherface.weights import published
from featherface.weights.published import SHIPPED, CheckpointError, locate

FOLDER = Path(published.__file__).parent


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_load_without_network_or_data(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FEATHERFACE_WEIGHTS", raising=False)
    model = load(name)
    assert model.config == CONFIGS[name]
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert FOLDER.joinpath(f"{name}.md").is_file()


def test_v1_finds_the_face_of_the_sample_portrait(portrait: Path) -> None:
    faces = Detector("v1", runtime="torch")(portrait)
    assert len(faces) == 1
    x1, y1, x2, y2 = faces[0].box
    assert 150 < x1 < 250 < x2 < 400
    assert 50 < y1 < 150 < y2 < 350
    assert faces[0].score > 0.9


def test_changed_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHIPPED, "v1", "0" * 64)
    with pytest.raises(CheckpointError, match="not the published file"):
        locate("v1")
