from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.maps import Maps, load_for_maps, measure_maps, npz, structure_record
from analysis.maps.gates import gate_records
from analysis.maps.observation import Observation, prepare
from featherface import CONFIGS, FeatherFace, InputError
from featherface.model import save


def speckled(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def fresh(variant: str) -> FeatherFace:
    torch.manual_seed(0)
    return FeatherFace(CONFIGS[variant]).eval()


@pytest.fixture(scope="module")
def small() -> Maps:
    return measure_maps(fresh("official"), speckled(33, 50), weights="fresh", score_threshold=0.3)


def test_a_record_is_json_and_of_the_network_and_picture(small: Maps) -> None:
    record = json.loads(json.dumps(small.record, allow_nan=False))
    assert record["picture"] | {"name": ""} == {
        "name": "",
        "height": 33,
        "width": 50,
        "input": [33, 50],
    }
    assert [(v["rows"], v["columns"]) for v in record["levels"]] == [(5, 7), (3, 4), (2, 2)]
    assert record["variant"] == "official"
    assert len(record["attention"]) == 6
    assert len(record["context"]) == 15
    assert record["faces"]  # a fresh network takes everything for half a face
    assert record["positions_from"] == "faces"
    assert len(record["points"]) == len(record["positions"]) * 15
    assert [len(r["faces"]) for r in record["effects"]] == [len(record["faces"])] * 26


def test_a_callers_autocast_changes_nothing(small: Maps) -> None:
    with torch.autocast("cpu"):
        again = measure_maps(
            fresh("official"), speckled(33, 50), weights="fresh", score_threshold=0.3
        )
    assert again.record == small.record


def test_without_a_face_the_strongest_anchor_is_shown() -> None:
    record = measure_maps(
        fresh("no-attention"), speckled(40, 40), weights="fresh", score_threshold=0.99
    ).record
    assert (record["faces"], record["positions_from"]) == ([], "strongest anchor")
    assert record["attention"] == []
    (position,) = record["positions"]
    assert all(0 <= value <= 40 for value in position)
    assert record["strongest"]["score"] > 0.1
    assert all(r["displacement"]["inside"] is None for r in record["context"])
    assert all(r["mean_score"] is None and r["found"] == 0 for r in record["effects"])


def test_positions_are_those_given_and_must_be_on_the_picture() -> None:
    model = fresh("v1-deformable")
    record = measure_maps(model, speckled(40, 60), weights="x", at=[(0, 0), (60, 40)]).record
    assert record["positions"] == [[0, 0], [60, 40]]
    cells = [r["cell"] for r in record["points"] if r["level"] == "p3"]
    assert cells == [[0, 0], [4, 7]]
    assert {r["branch"] for r in record["points"]} == {"single"}
    assert {json.dumps(r["mask"]) for r in record["points"]} == {"null"}
    with pytest.raises(InputError, match="61,40"):
        measure_maps(model, speckled(40, 60), weights="x", at=[(61, 40)])


def test_arrays_come_back_from_the_same_bytes(small: Maps) -> None:
    content = npz(small.arrays)
    assert content == npz(dict(small.arrays))
    with np.load(io.BytesIO(content)) as arrays:
        assert set(arrays) == set(small.arrays)
        assert arrays["first_attention.p4.channel_gate"].shape == (128,)
        assert arrays["second_attention.p4.spatial_gate"].shape == (3, 4)
        assert arrays["context.p5.c2.offset"].shape == (18, 2, 2)
        assert arrays["context.p3.a.mask"].shape == (9, 5, 7)
        assert arrays["p3.x"].tolist() == [0.5 + 8 * j for j in range(7)]
        assert arrays["p5.y"].tolist() == [0.5, 32.5]
        assert len(arrays["boxes"]) == len(small.record["faces"])


def test_what_gates_changed_is_arithmetic() -> None:
    model = fresh("v1")
    before = np.array([[[2.0, -4.0]], [[0.0, 6.0]]], np.float32)  # two channels, two cells
    gated = before / 4
    arrays = {
        "backbone.p3": before,
        "first_attention.p3": np.maximum(before + gated, 0),
        "first_attention.p3.gated": gated,
        "first_attention.p3.spatial_gate": np.array([[0.25, 0.75]], np.float32),
        "first_attention.p3.channel_gate": np.array([0.1, 0.5], np.float32),
    }
    prepared = prepare(model, np.zeros((32, 32, 3), np.uint8))
    prepared = replace(prepared, pixels=prepared.pixels[..., :8, :16])
    face = {"box": [8, 0, 16, 8], "score": 0.9, "landmarks": [[0, 0]] * 5}
    seen = Observation(prepared, model.config, arrays, [face], face)
    (record,) = gate_records(seen)
    assert record["cells_inside"] == 1
    assert record["activation"] == {
        "before": {"all": 3.0, "inside": 5.0, "outside": 1.0},
        "gated": {"all": 0.75, "inside": 1.25, "outside": 0.25},
        "relu_alone": {"all": 2.0, "inside": 3.0, "outside": 1.0},
        "after": {"all": 2.5, "inside": 3.75, "outside": 1.25},
    }
    assert record["gain"] == {"all": 0.25, "inside": 0.25, "outside": 0.25}
    assert record["spatial"]["inside"]["mean"] == 0.75
    assert record["channel"] == {"sorted": [0.5, 0.1], "order": [1, 0], "mean": 0.3}


def test_structure_is_known_without_weights() -> None:
    official = structure_record(CONFIGS["official"])
    assert [v["channels"] for v in official["attention"]["first_attention"]] == [64, 128, 256]
    assert [v["reduced"] for v in official["attention"]["first_attention"]] == [4, 8, 16]
    assert official["deformable"]["taps"] == 45
    assert "official" in official["weights"]
    assert structure_record(CONFIGS["v1"])["deformable"] is None
    assert structure_record(CONFIGS["v1"])["weights"] == ["v1"]
    drawn = structure_record(CONFIGS["v1-deformable"])["deformable"]
    assert (drawn["version"], drawn["masks"], drawn["branches"]) == (1, False, ["single"])


def test_what_has_nothing_to_show_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither attention nor deformable"):
        load_for_maps("retinaface")
    with pytest.raises(InputError, match=r"no trained weights .* official"):
        load_for_maps("v1-deformable")
    save(fresh("retinaface"), tmp_path / "r.safetensors")
    with pytest.raises(InputError, match=r"r\.safetensors.*neither"):
        load_for_maps(tmp_path / "r.safetensors")


@pytest.mark.slow
def test_trained_gates_turn_away_from_faces(weights: Path, portrait: Path) -> None:
    """Measure again what the site tells of `official`, on the same image."""
    model = load_for_maps(weights / "official.pth")
    record = measure_maps(model, portrait, weights="official").record
    assert len(record["faces"]) == 1
    gates = {(r["stage"], r["level"]): r["spatial"] for r in record["attention"]}
    for level in ("p3", "p4", "p5"):
        spatial = gates["second_attention", level]
        assert spatial["inside"]["mean"] < spatial["outside"]["mean"]
    recorded = Path(__file__).resolve().parents[3] / "docs" / "results" / "maps.json"
    if not recorded.exists():
        pytest.skip("no maps are recorded")
    kept = json.loads(recorded.read_text(encoding="utf-8"))["maps"]["official"]
    assert _far(record["attention"], kept["attention"]) < 0.01
    assert _far(record["context"], kept["context"]) < 0.01


def _far(a: Any, b: Any) -> float:
    """The largest difference between numbers of two records of one form, relative to them."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        return max((_far(a[key], b[key]) for key in a if key != "order"), default=0.0)
    if isinstance(a, list):
        assert len(a) == len(b)
        return max((_far(x, y) for x, y in zip(a, b, strict=True)), default=0.0)
    if isinstance(a, float) and not math.isclose(a, b, abs_tol=1e-3):
        return abs(a - b) / max(abs(a), abs(b))
    return 0.0
