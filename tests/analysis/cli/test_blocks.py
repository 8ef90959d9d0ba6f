"""`featherface blocks`, of the family and of any other network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.cli.main import main
from analysis.cli.subject import join_inputs

NETWORK = """
from torch import nn
import torch
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3)
        self.rest = nn.Sequential(nn.ReLU(), nn.Conv2d(4, 1, 1))
        self.scale = nn.Parameter(torch.ones(5))
    def forward(self, x, steps=None):
        x = self.rest(self.first(x))
        return x if steps is None else (x, steps.float().cumsum(0))
"""


@pytest.fixture
def blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "small_network.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, Any, str]:
        with pytest.raises(SystemExit) as end:
            main(["blocks", *arguments])
        said = capsys.readouterr()
        code = end.value.code
        return int(code or 0), json.loads(said.out) if "-" in arguments else said.out, said.err

    return run


MODEL = ("--model", "small_network:Net")


def test_a_changed_variant(blocks: Any) -> None:
    code, record, _ = blocks(
        "--variant", "v1-deformable", "--set", "reduction=16", "--size", "64", "64", "--json", "-"
    )
    assert (code, record["variant"], record["params"]) == (0, None, 532_034)


def test_any_network(blocks: Any) -> None:
    code, record, _ = blocks(*MODEL, "--input", "1", "2", "6", "7", "--json", "-")
    assert code == 0
    assert (record["variant"], record["model"], record["input"]) == (None, MODEL[1], [1, 2, 6, 7])
    assert [(b["name"], b["params"], b["macs"]) for b in record["blocks"]] == [
        ("first", 4 * 2 * 9 + 4, 4 * 4 * 5 * 18),
        ("rest", 5, 4 * 5 * 4),
        ("", 5, 0),
    ]
    assert record["params"] == sum(b["params"] for b in record["blocks"])


def test_the_tree_to_a_depth(blocks: Any) -> None:
    _, record, _ = blocks(*MODEL, "--input", "1", "2", "6", "7", "--depth", "1", "--json", "-")
    assert [layer["path"] for layer in record["layers"]] == ["", "first", "rest"]
    code, out, _ = blocks(*MODEL, "--input", "1 2 6 7", "--layers")
    assert code == 0
    assert "ReLU" in out


def test_an_uncounted_operator_fails_a_strict_run(blocks: Any) -> None:
    both = (*MODEL, "--input", "1", "2", "6", "7", "--input", "9", "int64")
    assert blocks(*both)[0] == 0
    code, _, err = blocks(*both, "--strict")
    assert code == 1
    assert err == "featherface: not counted, calls in brackets: aten::cumsum (1)\n"
    assert blocks(*MODEL, "--input", "1", "2", "6", "7", "--strict")[0] == 0


def test_counters_of_any_network(blocks: Any) -> None:
    _, record, _ = blocks(*MODEL, "--input", "1", "2", "6", "7", "--counters", "--json", "-")
    said = {answer["counter"]: answer for answer in record["counters"]}
    assert said["torch"]["macs"] == said["fvcore"]["macs"] == record["macs"]
    assert record["register"] == {}


def test_counters_of_official_and_what_teaches_them(blocks: Any) -> None:
    code, out, _ = blocks("--size", "64", "64", "--counters")
    assert code == 0
    assert "# fvcore counts deformable convolutions with\n" in out
    assert "register_flop_formula" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "nowhere:Net"), "model (='nowhere:Net'): ModuleNotFoundError"),
        ((*MODEL, "--input", "1", "x="), "input (='1 x=') must be like"),
        ((*MODEL, "--input", "1", "3", "9", "9"), "Net: cannot be measured: RuntimeError"),
        ((*MODEL, "--set", "reduction=16"), "model (='small_network:Net'): TypeError: "),
        (("--input", "1", "1", "64", "64"), "--input must be 1 3 H W"),
        (("--set", "reduction"), "setting (='reduction') must be FIELD=VALUE"),
        (("--set", "reduction=99"), "reduction (=99) must not exceed"),
        (
            (*MODEL, "--input", "x=1", "2", "6", "7", "--counters"),
            "--counters takes inputs without",
        ),
    ],
)
def test_bad_usage_is_one_line(blocks: Any, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = blocks(*arguments)
    assert code == 2
    assert err.startswith(f"featherface: {message}")
    assert err.count("\n") == 1


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
