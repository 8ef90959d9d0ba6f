"""`featherface blocks`, of the family and of any other network."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from analysis.cli.options import join_inputs

NETWORK = """
from torch import nn
import torch
class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.first = nn.Conv2d(2, width, 3)
        self.rest = nn.Sequential(nn.ReLU(), nn.Conv2d(width, 1, 1))
        self.scale = nn.Parameter(torch.ones(5))
    def forward(self, x, steps=None):
        x = self.rest(self.first(x))
        return x if steps is None else (x, torch.fft.fft(steps.float()))
class Chatty(Net):
    def forward(self, x):
        print("said by the network")
        return super().forward(x)
"""


@pytest.fixture
def blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Any) -> Any:
    """Calls the command where the network above can be imported."""
    (tmp_path / "small_network.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    return partial(call, "blocks")


MODEL = ("--model", "small_network:Net")


def test_a_changed_variant(blocks: Any) -> None:
    record = blocks(
        "--variant", "v1-deformable", "--set", "reduction=16", "--size", 64, 64, "--json", "-"
    ).json
    assert (record["variant"], record["params"]) == (None, 532_034)


@pytest.mark.slow
def test_several_images(blocks: Any) -> None:
    arguments = ("--counters", "--input", 2, 3, 64, 97)
    record, one = (blocks(*a, "--json", "-").json for a in (arguments, ("--size", 64, 97)))
    assert record["input"] == [2, 3, 64, 97]
    assert (record["variant"], record["params"]) == ("official", one["params"])
    for key in ("macs", "activation_bytes"):
        assert record[key] == 2 * one[key] == sum(block[key] for block in record["blocks"])
    assert {answer["our_macs"] for answer in record["counters"]} == {record["macs"]}
    assert "as float32, 2 images" in record["conventions"]["activation_bytes"]
    out = blocks(*arguments).out
    assert "official at 2×3×64×97, by block" in out
    assert "official at 2×3×64×97: what counters say" in out


def test_any_network(blocks: Any) -> None:
    given = (*MODEL, "--set", "width=8", "--input", 5, 2, 6, 7)
    record = blocks(*given, "--json", "-").json
    assert (record["variant"], record["model"], record["input"]) == (None, MODEL[1], [5, 2, 6, 7])
    assert [(b["name"], b["params"], b["macs"]) for b in record["blocks"]] == [
        ("first", 8 * 2 * 9 + 8, 5 * (4 * 5) * 8 * 2 * 9),
        ("rest", 8 + 1, 5 * (4 * 5) * 8),
        ("", 5, 0),
    ]
    assert record["params"] == sum(b["params"] for b in record["blocks"])
    assert "in their own type" in record["conventions"]["activation_bytes"]


def test_what_a_network_prints_stays_out_of_the_json(blocks: Any) -> None:
    chatty = ("--model", "small_network:Chatty", "--input", "1 2 6 7", "--counters")
    result = blocks(*chatty, "--json", "-")
    assert result.json["params"] == 4 * 2 * 9 + 4 + 4 + 1 + 5
    assert "said by the network" in result.err


def test_the_tree_to_a_depth(blocks: Any) -> None:
    record = blocks(*MODEL, "--input", "1", "2", "6", "7", "--depth", "1", "--json", "-").json
    assert [layer["path"] for layer in record["layers"]] == ["", "first", "rest"]
    assert "ReLU" in blocks(*MODEL, "--input", "1 2 6 7", "--layers").out


def test_an_uncounted_operator_fails_a_strict_run(blocks: Any) -> None:
    both = (*MODEL, "--input", "1", "2", "6", "7", "--input", "9", "int64")
    assert blocks(*both).code == 0
    strict = blocks(*both, "--strict")
    assert strict.code == 1
    assert strict.err == "featherface: not counted, calls in brackets: aten::_fft_r2c (1)\n"
    assert blocks(*MODEL, "--input", "1", "2", "6", "7", "--strict").code == 0


@pytest.mark.parametrize("shape", ["1 2 6 7", "x=1 2 6 7"])
def test_counters_of_any_network(blocks: Any, shape: str) -> None:
    record = blocks(*MODEL, "--input", shape, "--counters", "--json", "-").json
    said = {answer["counter"]: answer for answer in record["counters"]}
    assert said["torch"]["macs"] == said["fvcore"]["macs"] == record["macs"]
    assert record["register"] == {}


def test_counters_of_official_and_what_teaches_them(blocks: Any) -> None:
    out = blocks("--size", "64", "64", "--counters").out
    assert "# fvcore counts deformable convolutions with\n" in out
    assert "register_flop_formula" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--model", "nowhere:Net"),
            "Invalid value for '--model': 'nowhere:Net': no package 'nowhere' is installed",
        ),
        (
            ("--counters", "--size", "20000", "20000"),
            "input 1×3×20000×20000: counters run the network",
        ),
        (
            (*MODEL, "--counters", "--input", "1", "2", "20000", "20000"),
            "input 1×2×20000×20000: counters run the network",
        ),
        ((*MODEL, "--input", "1", "x="), "input (='1 x=') must be like"),
        ((*MODEL, "--input", "1", "3", "9", "9"), "Net: cannot be measured: RuntimeError"),
        ((*MODEL, "--set", "reduction=16"), "model (='small_network:Net'): TypeError: "),
        (("--input", "1", "1", "64", "64"), "--input must be N 3 H W"),
        (("--input", "1", "64"), "--input must be N 3 H W"),
        (("--input", "1", "3", "64", "64", "float16"), "--input must be N 3 H W"),
        (("--size", "-5", "64"), "height (=-5) must be from 32"),
        (("--set", "reduction"), "setting (='reduction') must be FIELD=VALUE"),
        (("--set", "reduction=99"), "reduction (=99) must not exceed"),
    ],
)
def test_bad_usage_is_one_line(blocks: Any, arguments: tuple[str, ...], message: str) -> None:
    assert blocks(*arguments).refusal.startswith(f"featherface: {message}")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--input", "1", "3", "--json", "-"], ["--input", "1 3", "--json", "-"]),
        (["--input", "1", "--input", "x=2", "int8"], ["--input", "1", "--input", "x=2 int8"]),
        (["a", "--input"], ["a", "--input"]),
        (["--input=1 3", "b"], ["--input=1 3", "b"]),
    ],
)
def test_inputs_are_joined(given: list[str], expected: list[str]) -> None:
    assert join_inputs(given) == expected
