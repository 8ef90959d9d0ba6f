"""The vocabulary of measurements, against figures that one can work out by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analysis.claims import measurements as measure
from analysis.claims.measurements import MeasureError, UntestableError, expression
from featherface.config import CONFIGS
from featherface.errors import InputError
from featherface.weights.published import PUBLISHED, SHIPPED

STEM = 3 * 8 * 3 * 3
CBAM_P3 = (64 * 1 + 1) + (1 * 64 + 64) + 2 * 7 * 7 + 2  # reduction 48: one hidden channel
HEADS = 3 * (74 + 1) * 2 * (2 + 4 + 10)
FUSIONS = 2 + 2 + 3 + 3  # of one cell


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("params('v1')", 487_103),
        ("params('v1', 'heads')", HEADS),
        ("params('v1', 'heads', 'heads.classes')", HEADS),  # each once
        ("params('v1', 'heads.classes.*')", 3 * (74 + 1) * 4),
        ("params('v1', 'heads.classes.0.bias')", 4),
        ("params('v1', 'backbone.stem.conv', 'backbone.stem.norm')", STEM + 2 * 8),
        ("params('v1', 'shuffle')", 0),
        ("params('v1', 'first_attention.levels.0')", CBAM_P3),
        ("params('v1', 'heads', anchors=1)", HEADS // 2),
        ("params('official', 'pyramid.cells.*.*.weight')", 3 * FUSIONS),
        ("kernels('v1', 'heads')", 3 * 74 * 2 * 16),
        ("biases('v1', 'heads')", 3 * 2 * 16),
        ("kernels('v1', 'first_attention.levels.0')", 2 * 64 + 2 * 7 * 7),
        ("kernels('v1-deformable', 'context.levels.0')", (74 + 18) * 74 * 9),
        ("biases('v1-deformable', 'context.levels.0')", 18),
        ("kernels('v1') + biases('v1')", 487_103 - 2 * FUSIONS - (5_472 + 6 + 6 + 444 + 13 * 148)),
        ("params_of_standard_layers('official')", 592_371 - 3 * 34_560 - 3 * FUSIONS),
        ("params_of_standard_layers('retinaface')", 426_608),
        ("param_bytes('v1')", 4 * 487_103),
        ("conv_params(3, 8, 3)", STEM + 8),
        ("conv_params(8, 8, 3, bias=False, groups=8)", 8 * 3 * 3),
        ("macs('retinaface')", 981_145_600),
        ("macs('official')", 953_498_176 + 290_304_000),
        ("macs('official', kind='deformable_kernel')", 290_304_000),
        ("macs('v1', 'heads')", (80**2 + 40**2 + 20**2) * 74 * 2 * 16),
        ("macs('v1', 'backbone.stem')", 320**2 * STEM),
        ("shape('v1', 'input', 96, 128)", (3, 96, 128)),
        ("shape('v1', 'backbone.p4', 97, 129)", (128, 7, 9)),
        ("shape('v1', 'logits', 96, 128)", (2 * (12 * 16 + 6 * 8 + 3 * 4), 2)),
        ("shape('v1', 'first_attention.p3.channel_gate', 64, 64)", (64, 1, 1)),
        ("shape('v1', 'pyramid.p3', 64, 64, channels=62)", (62, 8, 8)),
        ("cells('v1', 'p5')", (20, 20)),
        ("stride('v1', 'p3')", 8),
        ("anchors_per_cell('v1')", 2),
        ("anchor_sides('v1', 'p4')", (64, 128)),
        ("landmark_points('v1')", (5, 2)),
        ("channels('v1', 'heads.boxes.1')", (74, 8)),
        ("channels('v1', 'heads.boxes.*')", ((74, 8),) * 3),
        ("channels('v1', 'backbone.stages.0.0.depthwise.conv')", (8, 8)),
        ("channels('v1', 'second_attention.levels.0.channel.expand')", (74 // 48, 74)),
        ("channels('official', 'context.levels.0.b2.conv')", (16, 16)),
        ("channels_per_anchor('v1', 'heads.boxes.1')", (74, 4)),
        ("kernel('v1', 'first_attention.levels.*.spatial.conv')", ((7, 7),) * 3),
        ("kernel('v1-deformable', 'context.levels.2.conv')", (3, 3)),
        ("step('v1', 'backbone.stem.conv')", 2),
        ("padding('v1', 'first_attention.levels.0.spatial.conv')", 3),
        ("groups('v1', 'pyramid.cells.0.conv_p3_out.depthwise')", 74),
        ("modules('official', 'context', 'DeformConv2d')", 3 * 5),
        ("modules('official', '', 'CBAM')", 6),
        ("modules('no-attention', '', 'CBAM')", 0),
        ("modules('v1', 'pyramid.cells.*')", 2),
        ("modules('v1', 'nothing.like.this')", 0),
        ("dense_convs('v1', 'pyramid', 3)", 0),
        ("dense_convs('retinaface', 'pyramid', 3)", 2),
        ("dense_convs('v1-deformable', 'context', 3)", 3 * 2),  # kernels and offset predictions
        ("setting('v1', 'reduction')", CONFIGS["v1"].reduction),
        ("differences('v1', 'v1-deformable')", ("context",)),
        ("differences('v1', 'v1')", ()),
        ("can_be_built('v1', context='ssh-dcnv2')", False),
        ("can_be_built('v1', context='dcnv2')", True),
        ("pyramid_passes_on('v1', 'p3', 'p5')", True),
        ("pyramid_passes_on('retinaface', 'p5', 'p3')", True),
        ("pyramid_passes_on('retinaface', 'p3', 'p5')", False),
        ("shuffle_groups('v1')", 2),
        ("shuffle_groups('official')", 64 // 2),  # the inverse of the shuffle of two groups
        ("shuffle_groups('retinaface')", 1),
        ("percent(1, 8)", 12.5),
        ("mean(1, 2, 6)", 3),
        ("cut(1013.9, 10)", 1010),
        ("cut(-1.5, 1)", -2),
    ],
)
def test_words_measure_what_they_say(text: str, value: Any) -> None:
    assert expression(text).evaluate() == value


def test_recorded_ap_is_the_publishers() -> None:
    recorded = PUBLISHED["official"].recorded
    assert recorded is not None
    mean = (recorded.easy + recorded.medium + recorded.hard) / 3
    found = expression("recorded_ap('official', 'mean')").evaluate()
    assert found == pytest.approx(mean, rel=1e-12)
    with pytest.raises(UntestableError, match="no publisher recorded the AP of v1"):
        expression("recorded_ap('v1', 'easy')").evaluate()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("params('v1', 'hedas')", "v1 has no module or tensor 'hedas'; did you mean 'heads'?"),
        ("params('v1', 'zzz')", "v1 has no module or tensor 'zzz'; known: backbone, "),
        ("macs('v1', 'zzz')", "v1 runs no module 'zzz'; known: backbone, "),
        ("params('v1', '*.nothing')", "v1 has no module or tensor '*.nothing'"),
        ("macs('v1', 'hedas')", "v1 runs no module 'hedas'; did you mean 'heads'?"),
        ("macs('v1', kind='magic')", "no kind of MACs 'magic'; known: total, conv, "),
        ("shape('v1', 'p3')", "v1 computes nothing named 'p3'"),
        ("macs('v1', 'shuffle.levels.0')", "v1 runs no counted operator at 'shuffle.levels.0'"),
        ("channels('v1', 'heads')", "Heads is no convolution or linear layer"),
        ("channels('v1', 'heads.*.9')", "v1 has no module 'heads.*.9'"),
        ("step('v1', 'first_attention.levels.0.channel.reduce')", "Linear is no ordinary"),
        ("cells('v1', 'p6')", "v1 computes nothing named 'shuffle.p6'"),
        ("anchor_sides('v1', 'p6')", "there is no level 'p6'"),
        ("pyramid_passes_on('v1', 'p3', 'p2')", "there is no level 'p2'"),
        ("counted('abacus', 'params', 'retinaface')", "there is no counter 'abacus'"),
        ("conv_params(3, 4, 3, groups=2)", "a convolution has numbers from 1, and groups"),
        ("conv_params(3, 0, 3)", "a convolution has numbers from 1, and groups"),
        ("cut(5, -2)", "unit (=-2) must be above 0"),
        (
            "setting('v1', 'pyra' + 'mids')",
            "no setting 'pyramids'; did you mean 'pyramid'?",
        ),
        ("architectures('v1', 'depth', total=1)", "there is no field 'depth'"),
        ("settings_of_block('v1', 'heads', 'depth', total=1)", "there is no field 'depth'"),
        ("ap('official', 'simple')", "there is no subset 'simple'"),
        ("recorded_ap('official', 'simple')", "there is no subset 'simple'"),
    ],
)
def test_measurements_that_make_no_sense_say_why(
    text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "_counters", lambda config: [SimpleNamespace(counter="thop")])
    with pytest.raises(MeasureError) as error:
        expression(text).evaluate()
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("params('v2')", "variant (='v2') must be one of v1, "),
        ("differences('v1', 'v2')", "variant (='v2') must be one of"),
        ("ap('v2', 'easy')", "variant (='v2') must be one of"),
        ("recorded_ap('v2', 'easy')", "variant (='v2') must be one of"),
        ("ap_of_part('v2', 'easy', 488)", "variant (='v2') must be one of"),
        ("params('v1', depth=3)", "setting 'depth' is none of channels, "),
        ("macs('v1', 3)", "macs: path (=3) must be text"),
        ("cells('v1', 'p3', 'a')", "cells: height (='a') must be a whole number"),
        ("setting('v1', 'depth')", "there is no setting 'depth'"),
        ("can_be_built('v1', depth=3)", "setting 'depth' is none of channels, "),
        ("params('v1', reduction=100)", "reduction (=100) must not exceed the 64 channels"),
        ("shape('v1', 'input', channels='wide')", "channels (='wide') must be an integer"),
    ],
)
def test_networks_that_cannot_exist_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        expression(text).evaluate()
    assert message in str(error.value)


@pytest.mark.usefixtures("fresh")
def test_the_order_of_measurements_does_not_matter() -> None:
    measure.shape("v1", "logits", 64, 64)
    assert measure.pyramid_passes_on("v1", "p5", "p3")


@pytest.mark.usefixtures("fresh")
def test_measuring_leaves_the_random_state_alone() -> None:
    import torch

    torch.manual_seed(0)
    before = torch.get_rng_state()
    measure.params("v1")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_changed_variant_is_measured_as_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    before = measure.params("v1")
    monkeypatch.setitem(CONFIGS, "v1", replace(CONFIGS["v1"], reduction=16))
    assert measure.params("v1") == before + 8_913


def test_a_counter_that_is_not_installed_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = SimpleNamespace(counter="thop", value=None, reason="thop is not installed")
    monkeypatch.setattr(measure, "_counters", lambda config: [absent])
    with pytest.raises(UntestableError, match="thop is not installed") as error:
        measure.counted("thop", "params", "official")
    assert error.value.tool


def test_what_a_counter_does_not_count_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    record = SimpleNamespace(counter="torch", value=4, macs=2, params=None)
    monkeypatch.setattr(measure, "_counters", lambda config: [record])
    assert measure.counted("torch", "value", "v1") == 4
    assert measure.counted("torch", "macs", "v1") == 2
    with pytest.raises(MeasureError, match="torch does not count 'params'"):
        measure.counted("torch", "params", "v1")


# --- average precision ---------------------------------------------------------------------------


def row(**changes: Any) -> dict[str, Any]:
    measured = {
        "date": "2026-11-23",
        "source": "measured",
        "by": "featherface",
        "detector": "official",
        "variant": "official",
        "checkpoint_sha256": PUBLISHED["official"].sha256,
        "protocol": {"name": "original"},
        "runtime": "torch",
        "images": 3226,
        "boxes": 1,
        "versions": {},
        "device": "CPU",
        "easy": 0.75,
        "medium": 0.5,
        "hard": 0.25,
    }
    return measured | changes


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "widerface.jsonl"
    monkeypatch.setattr(measure, "WIDERFACE", path)
    return path


def write(path: Path, *rows: dict[str, Any]) -> None:
    path.write_text("".join(f"{json.dumps(r)}\n" for r in rows), encoding="utf-8")


def test_ap_is_read_from_the_last_measurement(history: Path) -> None:
    write(history, row(easy=0.1), row(), row(variant="retinaface", easy=0.9))
    found = [measure.ap("official", s) for s in ("easy", "medium", "hard", "mean")]
    assert found == [75, 50, 25, 50]


@pytest.mark.parametrize(
    "other",
    [
        row(source="published"),
        row(protocol={"name": "multi-scale"}),
        row(variant="no-attention"),
        row(images=488, images_sha256="0" * 64),
        row(checkpoint_sha256="0" * 64),
    ],
)
def test_only_a_full_measurement_of_the_published_weights_counts(
    history: Path, other: dict[str, Any]
) -> None:
    write(history, other)
    with pytest.raises(UntestableError, match=r"AP of official .* has not been measured") as error:
        measure.ap("official", "easy")
    assert not error.value.tool


def test_without_a_history_nothing_is_measured(history: Path) -> None:
    with pytest.raises(UntestableError, match="comes without docs/results") as error:
        measure.ap("official", "mean")
    assert error.value.tool  # as in an installed wheel: another machine has it


def test_ap_of_other_weights(history: Path) -> None:
    other = PUBLISHED["official-2025-06"].sha256
    write(history, row(), row(easy=0.25, checkpoint_sha256=other))
    assert measure.ap("official", "easy", "official-2025-06") == 25
    with pytest.raises(UntestableError, match="the paper's authors published no weights"):
        measure.ap("official", "easy", "paper")
    with pytest.raises(MeasureError, match="are of official, not of v1"):
        measure.ap("v1", "easy", "official")


def test_a_network_without_weights_cannot_be_tested(history: Path) -> None:
    write(history, row(variant="v1", checkpoint_sha256=SHIPPED["v1"]))
    with pytest.raises(
        UntestableError, match="nobody but this project has published weights of v1"
    ):
        measure.ap("v1", "easy")
    with pytest.raises(UntestableError, match="nobody has published trained weights of v1-deform"):
        measure.ap("v1-deformable", "easy")


def test_ap_of_part_is_of_so_many_images_and_of_these_weights(history: Path) -> None:
    part: dict[str, Any] = {"images": 488, "images_sha256": "0" * 64}
    ours = {"variant": "v1", "checkpoint_sha256": SHIPPED["v1"]}
    write(history, row(easy=0.1, **part), row(**ours), row(easy=0.9, **part, **ours))
    assert measure.ap_of_part("v1", "easy", 488) == 90
    assert measure.ap_of_part("official", "easy", 488) == 10
    with pytest.raises(UntestableError, match="the AP of v1 on 500 images has not been measured"):
        measure.ap_of_part("v1", "easy", 500)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: damaged, not a JSON object"),
        ("[]", "line 2: damaged, not a JSON object"),
        (json.dumps(row(easy=92.6)), "line 2: easy: Input should be less than or equal to 1"),
        (json.dumps(row(hard=None)), "a measured row without hard"),
    ],
)
def test_a_damaged_history_is_named(history: Path, line: str, message: str) -> None:
    history.write_text(f"{json.dumps(row())}\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError) as error:
        measure.ap("official", "easy")
    assert str(error.value).startswith(f"{history}, line 2")
    assert message in str(error.value)
