from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from analysis.cli import main as cli
from featherface import CONFIGS, FeatherFace

COMMANDS = sorted(
    command.name or command.callback.__name__ for command in cli.app.registered_commands
)  # type: ignore[union-attr]


class Result:
    """Exit code and output of one call."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> None:
        with pytest.raises(SystemExit) as caught:
            cli.main([str(argument) for argument in arguments])
        self.code = caught.value.code
        self.out, self.err = capsys.readouterr()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    result = Result(capsys, command, "--help")
    assert result.code == 0
    assert f"Example: featherface {command}" in result.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["blocks", "--variant", "v9"],
        ["blocks", "--size", "640"],
        ["blocks", "--size", "640", "tall"],
        ["blocks", "--size", "31", "640"],
        ["blocks", "--size", "-640", "640"],
        ["blocks", "--json", "none/x/../y/", "--size", "64", "64"],
        ["identify"],
        ["identify", "none.pth"],
        ["identify", "."],
        ["detect", "--weights", "none.pth", "picture.jpg"],
        ["detect", "--weights", "v1", "picture.jpg"],
        ["detect", "--score", "2", "picture.jpg"],
        ["search"],
        ["search", "--params", "-1"],
        ["search", "--params", "1", "--context", "dcnv3"],
        ["search", "--params", "1", "--channels", "9-3"],
        ["search", "--params", "1", "--channels", "0"],
        ["search", "--params", "1", "--not", "context"],
        ["search", "--params", "1", "--not", "depth=3"],
        ["search", "--params", "1", "--channels", "74", "--context", "ssh"],
        ["search", "--params", "1", "--facts", "gossip"],
        ["search", "--params", "1", "--convention", "aloud"],
        ["search", "--params", "1", "--cells", "2-100001"],
        ["search", "--params", "1", "--channels", "1" * 5000],
        ["search", "--params", "1", "--cells", "1-1000", "--reduction", "1-1000"],
        ["search", "--params", "9" * 5000],
        ["latency", "--device", "hpu"],
        ["detect", "--device", "hpu", "picture.jpg"],
        ["audit", "--source", "gossip"],
        ["audit", "--recorded", "none.json"],
    ],
    ids=lambda arguments: " ".join(arguments)[:60],
)
def test_bad_usage_and_bad_input_are_one_line(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none").write_text("")  # a file where --json wants a folder
    result = Result(capsys, *arguments)
    assert result.code == 2
    assert result.err.startswith("featherface: ")
    assert result.err.count("\n") == 1, result.err


@pytest.mark.parametrize("variant", CONFIGS)
def test_blocks_prints_a_table_and_writes_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, variant: str
) -> None:
    path = tmp_path / "x.json"
    result = Result(capsys, "blocks", "--variant", variant, "--size", 97, 131, "--json", path)
    record = json.loads(path.read_text(encoding="utf-8"))
    assert result.code == 0
    assert record["variant"] == variant
    assert record["input"] == [1, 3, 97, 131]
    assert f"{record['params']:,}" in result.out
    assert f"{record['macs']:,}" in result.out
    for key in ("params", "macs"):
        assert sum(block[key] for block in record["blocks"]) == record[key]


def test_json_on_standard_output_is_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    result = Result(capsys, "blocks", "--size", 64, 64, "--layers", "--json", "-")
    assert json.loads(result.out)["layers"][0]["params"] == 592_371


def test_layers_are_a_tree(capsys: pytest.CaptureFixture[str]) -> None:
    result = Result(capsys, "blocks", "--variant", "v1", "--size", 64, 64, "--layers")
    assert "AdaptiveAvgPool2d" in result.out
    assert "487,103" in result.out


def test_search_lists_the_two_that_have_the_cards_total(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    result = Result(capsys, "search", "--params", 487103, "--facts", "card", "--json", path)
    record = json.loads(path.read_text(encoding="utf-8"))
    assert result.code == 0
    assert record["looked_at"] == 886_944
    assert [match["variants"] for match in record["matches"]] == [["v1"], []]
    assert record["matches"][0]["facts"]["context"] is False
    assert "2 found, of 886,944 architectures" in result.out
    assert "not stated by the source: cells" in result.out


def test_search_takes_ranges_and_leaves_out(capsys: pytest.CaptureFixture[str]) -> None:
    result = Result(
        capsys,
        *(
            "search",
            "--params",
            592371,
            "--channels",
            "60-70:2",
            "--cells",
            "3",
            "--anchors",
            "1,2",
        ),
        *("--not", "context=none,plain", "--not", "attention=none", "--json", "-"),
    )
    record = json.loads(result.out)
    assert record["space"]["channels"] == [60, 62, 64, 66, 68, 70]
    assert [match["variants"] for match in record["matches"]] == [["official"]]


@pytest.mark.slow
def test_audit_exits_with_1_when_a_verdict_differs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from analysis.claims import verdicts as compliance

    known = json.loads(compliance.RECORD.read_text(encoding="utf-8"))
    assert Result(capsys, "audit", "--json", tmp_path / "x.json").code == 0
    now = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    needed = {"id", "source", "lines", "statement", "claimed", "unit", "measured", "verdict"}
    needed |= {"variant", "convention", "explanation"}
    assert all(needed <= record.keys() for record in now)
    assert [r["id"] for r in now] == [r["id"] for r in known]
    moved = next(r for r in known if r["id"] == "total" and r["verdict"] == "confirmed")
    moved["measured"] += 1
    (tmp_path / "old.json").write_text(json.dumps(known), encoding="utf-8")
    result = Result(capsys, "audit", "--recorded", tmp_path / "old.json", "--source", "card")
    assert result.code == 1
    assert f"{moved['source']}:{moved['id']}: measured" in result.err


def test_identify_prints_what_is_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    state = FeatherFace("no-attention").state_dict()
    del state["heads.boxes.0.bias"]
    torch.save({f"module.{k}": v for k, v in state.items()}, tmp_path / "x.pth")
    result = Result(capsys, "identify", tmp_path / "x.pth", "--json", tmp_path / "x.json")
    record = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert result.code == 0
    assert record["variant"] == "no-attention"
    assert record["missing"] == ["heads.boxes.0.bias"]
    assert "heads.boxes.0.bias" in result.out
    assert "module.*" in result.out


@pytest.mark.parametrize(("command", "names"), cli.RENAMED.items())
def test_earlier_names_of_options_work(command: str, names: dict[str, str]) -> None:
    for old, new in names.items():
        after = [new, "x", f"{new}=x"] if new else ["x", "x"]
        assert cli._with_new_names([command, old, "x", f"{old}=x"]) == [command, *after]
        assert cli._with_new_names(["other", old]) == ["other", old]


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "featherface", "blocks", "--size", "1", "1"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("featherface: height (=1)")
