from __future__ import annotations

import importlib
import json
import logging
import re
import signal
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from analysis.benchmarks import detector_speed
from analysis.cli import main as cli
from analysis.cli import start
from featherface import CONFIGS, FeatherFace
from featherface.interrupts import ended_at_once, ended_quietly


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["blocks", "--size", "31", "640"],
        ["blocks", "--size", "640"],
        ["blocks", "--size", "-640", "640"],
        ["blocks", "--json", "none/x/../y/", "--size", "64", "64"],
        ["blocks", "--set", "depth=3"],
        ["blocks", "--set", "channels=wide"],
        ["blocks", "--set", "channels=74"],
        ["blocks", "--input", "1", "4", "64", "64"],
        ["blocks", "--model", "torch"],
        ["blocks", "--model", "torch.nn.py:ReLU"],
        ["blocks", "--model", "torch.nn:ReLU", "--variant", "v1"],
        ["blocks", "--model", "torch.nn:ReLU", "--input", "1 3 8 8", "--size", "8", "8"],
        ["blocks", "--model", "torch.nn:Conv3"],
        ["blocks", "--model", "torch.nn:Conv2d", "--set", "wrong=1"],
        ["blocks", "--model", "os:getcwd"],
        ["blocks", "--model", "torch.nn:ReLU", "--input", "0", "3", "64", "64"],
        ["identify"],
        ["search"],
        ["search", "--params", "-1"],
        ["search", "--params", "1", "--within-macs", "1"],
        ["search", "--params", "1", "--context", "dcnv3"],
        ["search", "--params", "1", "--channels", "9-3"],
        ["search", "--params", "1", "--channels", "0"],
        ["search", "--params", "1", "--not", "context"],
        ["search", "--params", "1", "--not", "depth=3"],
        ["search", "--params", "1", "--channels", "74", "--context", "ssh"],
        ["search", "--params", "1", "--cells", "2-100001"],
        ["search", "--params", "1", "--not", "channels=256-8"],
        ["search", "--params", "1", "--channels", "1" * 5000],
        ["search", "--params", "1", "--cells", "1-1000", "--reduction", "1-1000"],
        ["search", "--params", "9" * 5000],
        ["report", "--pages"],
    ],
    ids=lambda arguments: " ".join(arguments)[:60],
)
def test_bad_usage_and_bad_input_are_one_line(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none").write_text("")  # a file where --json wants a folder
    assert call(*arguments).refusal


@pytest.mark.parametrize("variant", CONFIGS)
def test_blocks_prints_a_table_and_writes_json(call: Any, tmp_path: Path, variant: str) -> None:
    path = tmp_path / "x.json"
    result = call("blocks", "--variant", variant, "--size", 97, 131, "--json", path)
    record = json.loads(path.read_text(encoding="utf-8"))
    assert result.code == 0
    assert record["variant"] == variant
    assert record["input"] == [1, 3, 97, 131]
    assert f"{record['params']:,}" in result.out
    assert f"{record['macs']:,}" in result.out
    for key in ("params", "macs"):
        assert sum(block[key] for block in record["blocks"]) == record[key]


def test_json_on_standard_output_is_json_alone(call: Any) -> None:
    result = call("blocks", "--size", 64, 64, "--layers", "--json", "-")
    assert result.json["layers"][0]["params"] == 592_371


def test_search_lists_the_two_that_have_the_cards_total(call: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    result = call("search", "--params", 487103, "--facts", "card", "--json", path)
    record = json.loads(path.read_text(encoding="utf-8"))
    assert result.code == 0
    assert record["looked_at"] == 886_944
    assert [match["variants"] for match in record["matches"]] == [["v1"], []]
    assert record["matches"][0]["facts"]["context"] is False
    assert "2 found, of 886,944 architectures" in result.out
    assert "not stated by the source: cells" in result.out


def test_search_takes_ranges_and_leaves_out(call: Any) -> None:
    result = call(
        *("search", "--params", 592371, "--channels", "60-70:2", "--cells", "3"),
        *(
            "--anchors",
            "1,2",
            "--not",
            "context=none",
            "--not",
            "context=plain",
            "--not",
            "attention=none",
            "--json",
            "-",
        ),
    )
    record = result.json
    assert {"none", "plain"}.isdisjoint(record["space"]["context"])
    assert record["space"]["channels"] == [60, 62, 64, 66, 68, 70]
    assert [match["variants"] for match in record["matches"]] == [["official"]]


@pytest.mark.slow
def test_audit_exits_with_1_when_a_verdict_differs(call: Any, tmp_path: Path) -> None:
    from analysis.claims import verdicts as compliance

    known = json.loads(compliance.RECORD.read_text(encoding="utf-8"))
    assert call("audit", "--json", tmp_path / "x.json").code == 0
    now = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    needed = {"id", "source", "lines", "statement", "claimed", "unit", "measured", "verdict"}
    needed |= {"variant", "convention", "explanation"}
    assert all(needed <= record.keys() for record in now)
    assert [r["id"] for r in now] == [r["id"] for r in known]
    moved = next(r for r in known if r["id"] == "total" and r["verdict"] == "confirmed")
    moved["measured"] += 1
    (tmp_path / "old.json").write_text(json.dumps(known), encoding="utf-8")
    result = call("audit", "--recorded", tmp_path / "old.json", "--source", "card")
    assert result.code == 1
    assert f"{moved['source']}:{moved['id']}: measured" in result.err


def test_a_ledger_of_ones_own_is_judged(call: Any, tmp_path: Path) -> None:
    book = yaml.safe_load((Path(cli.__file__).parents[1] / "claims/card.yaml").read_text("utf-8"))
    total = next(claim for claim in book["claims"] if claim["id"] == "total")
    book["claims"] = [{**total, "claimed": 487_104, "printed": "487,104"}, {**total, "id": "same"}]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(book), encoding="utf-8")
    mine = ("audit", "--ledger", tmp_path / "mine.yaml")
    short, full = call(*mine).out, call(*mine, "--all").out
    assert re.search(r"card\W+2\W+1\W+0\W+1\W+0\W", short)  # claims, then by verdict
    assert "not as expected (1)" in short
    assert "On v1: 487,103" in short
    assert ("confirmed (1)" in short, "confirmed (1)" in full) == (False, True)
    confirmed = call(*mine, "--verdict", "confirmed").out
    assert "confirmed (1)" in confirmed
    assert confirmed.startswith(short[: short.index("not as expected")])  # of all claims
    assert "each name a source" in call(*mine, "--source", "card").refusal
    result = call(*mine, "--json", "-")
    assert result.code == 1, result.err
    assert [r["verdict"] for r in result.json] == ["refuted", "confirmed"]

    record = ("--recorded", tmp_path / "verdicts.json")
    assert call(*mine, *record).code == 2  # nothing is recorded there
    accepted = call(*mine, *record, "--accept")
    assert (accepted.code, accepted.err.endswith(f"recorded 2 verdicts in {record[1]}\n")) == (
        0,
        True,
    )
    kept = call(*mine, *record)
    assert kept.code == 0
    assert "refuted as recorded (1)" in kept.out
    assert "On v1: 487,103" not in kept.out
    assert re.search(r"card:total\W+487,104\W+487,103", kept.out)
    book["claims"][1]["claimed"] = 487_105
    book["claims"][1]["printed"] = "487,105"
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(book), encoding="utf-8")
    result = call(*mine, *record)
    assert result.code == 1
    assert "same" in result.err


def test_warnings_are_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "warnoptions", [])
    cli._show_warning("odd\ninput", RuntimeWarning, str(Path(cli.__file__)), 1)
    cli._show_warning("of no interest", UserWarning, "/elsewhere/torch/serialization.py", 1)
    assert capsys.readouterr().err == "featherface: odd input\n"
    monkeypatch.setattr(sys, "warnoptions", ["default"])
    cli._show_warning("asked for", UserWarning, "/elsewhere/torch/serialization.py", 1)
    assert "UserWarning: asked for" in capsys.readouterr().err


def test_what_torch_logs_of_a_missing_gpu_is_not_shown(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.utils import cpp_extension

    if not hasattr(cpp_extension, "logger"):
        pytest.skip("this version of PyTorch logs nothing of it")
    call("--version")
    logged: list[logging.LogRecord] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", logged.append)
    monkeypatch.setattr(cpp_extension.logger, "handlers", [handler])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_HOME", "/usr/local")
    assert cpp_extension._find_cuda_home() == "/usr/local"
    assert logged == []
    cpp_extension.logger.warning("of interest")
    assert [record.msg for record in logged] == ["of interest"]


def test_identify_prints_what_is_missing(call: Any, tmp_path: Path) -> None:
    state = FeatherFace("no-attention").state_dict()
    del state["heads.boxes.0.bias"]
    torch.save({f"module.{k}": v for k, v in state.items()}, tmp_path / "x.pth")
    result = call("identify", tmp_path / "x.pth", "--json", tmp_path / "x.json")
    record = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert result.code == 0
    assert record["variant"] == "no-attention"
    assert record["missing"] == ["heads.boxes.0.bias"]
    assert "heads.boxes.0.bias" in result.out
    assert "module.*" in result.out


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("detect --variant official x.jpg", "--weights"),
        ("detect --image x.jpg", "IMAGE as an argument"),
        ("identify --weights=v1", "CHECKPOINT as an argument"),
        ("blocks --weights v1", "--model, --variant"),
        ("blocks --out found", "--json"),
        ("bench --longer-side 64", "--size"),
        ("widerface predict --size 64 64", "--protocol"),
        ("detect --weight v1", "--weights"),
    ],
)
def test_an_option_of_another_command_has_its_counterpart_named(
    call: Any, given: str, known: str
) -> None:
    assert re.search(rf"No such option: --\S+ \(.*: {known}\)", call(*given.split()).refusal)


@pytest.mark.skipif(sys.platform == "win32", reason="the current folder cannot be deleted there")
def test_a_folder_that_was_deleted_is_one_line(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "featherface: .: cannot be read: No such file" in call("search", "--params", 1).refusal


def test_a_package_that_is_missing_is_one_line_and_a_mistake_of_ours_is_not(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as missing:
        missing.delitem(sys.modules, "analysis.design_space.facts", raising=False)
        missing.setitem(sys.modules, "yaml", None)
        assert "a package cannot be imported: " in call("search", "--params", 1).refusal
    monkeypatch.setitem(sys.modules, "analysis.design_space.search", None)
    with pytest.raises(ImportError):
        call("search", "--params", 1)


def test_a_file_whose_name_begins_with_a_dash_is_said_to_be_one(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-dash.jpg").write_text("")
    assert call("detect", "-dash.jpg").refusal.endswith("; the file is ./-dash.jpg\n")
    assert call("detect", "./-dash.jpg").err == "featherface: -dash.jpg: an empty file\n"


@pytest.mark.parametrize("given", ["detect -x a.png", "detect -xz", "-q"])
def test_an_unknown_short_option_is_refused(call: Any, given: str) -> None:
    assert re.search(r"No such option: -[xq] \(see featherface", call(*given.split()).refusal)


def test_compare_says_whose_predictions_are_whose(call: Any) -> None:
    text = " ".join(call("widerface", "compare", "--help").out.split())
    assert re.search(r"\bA\b[^:]{0,12}Of the first detector: ", text)
    assert re.search(r"\bB\b[^:]{0,12}Of the second, compared with A: ", text)


def test_counterparts_are_parameters_of_commands(call: Any) -> None:
    commands = [cli.app, cli.widerface]
    names = [c.callback.__name__ for app in commands for c in app.registered_commands if c.callback]
    helps = [call(*(["widerface"] if n not in dir(cli) else []), n, "--help").out for n in names]
    words = set(re.findall(r"--[a-z-]+|[A-Z]{3,}", " ".join(helps)))
    assert set().union(*cli.ALIKE) <= words


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("blocks --size 640x480", "--size 640 480"),
        ("latency --size=640x480 --json -", "--size 640 480"),
        ("bench --size 320", "--size 320 320"),
        ("search --size 320 --params 1", "--size 320 320"),
        ("detect --longer-side 640x480 x.jpg", "'640x480' should be a valid integer"),
        ("audit --ledger torchvison", "torchvison: no such file; did you mean 'torchvision'?"),
        ("audit --ledger my-net", "my-net: no such file; did you mean 'my-net.yaml'?"),
        ("audit --ledger none", "none: no such file; known: torchvision, my-net.yaml"),
    ],
)
def test_a_likely_mistake_is_told_what_is_meant(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-net.yaml").write_text("")
    assert said in call(*given.split()).refusal


@pytest.mark.slow
def test_export_prints_each_name_once(call: Any, tmp_path: Path) -> None:
    for options, names in (
        (("--weights", "v1"), "v1"),
        (("--variant", "retinaface", "--seed", 3), "retinaface, random, seed 3"),
    ):
        out = tmp_path / "x.onnx"
        assert call("export", *options, "--out", out).out.startswith(f"{out}: {names}\n")


def test_bench_prints_tables_of_what_was_measured_alone_and_json_last(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = {"ms_p50": 2.0, "p50_within": 0.01, "settled": True, "n": 9, "times_faster": 1.0}
    record: dict[str, Any] = {
        "input": [1, 3, 64, 64],
        "ceiling": {"gmacs_per_second": 9.0, "of": "a product"},
        "networks": [{"variant": "v1", "ways": {"authors": way}}],
        "pictures": {"not_measured": "official: cannot be downloaded"},
        "doubts": [],
    }
    monkeypatch.setattr(detector_speed, "measure", lambda *_: record)
    *out, last = call("bench", "--device", "cpu").out.splitlines()
    assert "".join(out).count("┏") == 1
    assert out[-1] == "from file to faces: not measured; official: cannot be downloaded"
    assert json.loads(last) == record
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "{" not in call("bench", "--device", "cpu").out


def test_an_interrupt_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupted)
    with pytest.raises(SystemExit) as caught:
        start()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert caught.value.code == 130


def test_the_installed_command_is_ours() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))
    module, _, name = project["project"]["scripts"]["featherface"].partition(":")
    assert getattr(importlib.import_module(module), name) is start


@pytest.mark.parametrize(("command", "names"), cli.RENAMED.items())
def test_earlier_names_of_options_work(command: str, names: dict[str, str]) -> None:
    for old, new in names.items():
        after = [new, "x", f"{new}=x"] if new else ["x", "x"]
        assert cli._with_new_names([command, old, "x", f"{old}=x"]) == [command, *after]
        assert cli._with_new_names(["other", old]) == ["other", old]


def test_the_earlier_command_for_pages_works() -> None:
    assert cli._with_new_names(["site", "--help"]) == ["report", "--pages", "--help"]


INTERRUPTED = """
import runpy, signal, sys

class Interrupt:
    interrupted = sys.argv.pop(1)

    def find_spec(self, name, *_):
        if name == self.interrupted:
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:  # as libraries do
                raise RuntimeError("lost")

sys.meta_path.insert(0, Interrupt())
runpy.run_module("featherface", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("imported", ["importlib.metadata", "analysis.cli.main", "torch"])
def test_an_interrupted_import_is_quiet(imported: str) -> None:
    program = [sys.executable, "-c", INTERRUPTED, imported, "identify", "v1"]
    done = subprocess.run(
        program, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3]
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_an_interrupt_in_the_work_can_be_tidied_up() -> None:
    tidied = []

    @ended_quietly()
    def work() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            tidied.append(True)

    with pytest.raises(SystemExit) as caught:
        work()
    assert (caught.value.code, tidied) == (130, [True])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(ZeroDivisionError), ended_quietly():
        raise ZeroDivisionError


def test_an_interrupt_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ended_at_once():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_command_may_run_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "main", lambda: None)
    with ThreadPoolExecutor() as pool:
        assert pool.submit(start).result() is None


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
