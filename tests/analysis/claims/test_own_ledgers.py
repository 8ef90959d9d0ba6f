"""Ledgers of other networks: what they may ask, the command, the pytest plugin, worked examples."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torchvision
import yaml

from analysis.claims import measurements, torchvision_ledger
from analysis.claims.expression import parse
from analysis.claims.ledger import Ledger, LedgerError, load
from analysis.claims.measurements import MeasureError, UntestableError, vocabulary
from analysis.claims.verdicts import audit, beside, changes, judge, recorded
from analysis.cost.subject import Input, Subject

DOCS = Path(__file__).parents[3] / "docs"
NETWORK = """
from torch import nn
import torch
class Net(nn.Module):
    def __init__(self, width=4, unknown=False):
        super().__init__()
        self.first = nn.Conv2d(2, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.rest = nn.Sequential(nn.ReLU(), nn.Conv2d(width, 1, 1, bias=False))
        self.unknown = unknown
    def forward(self, x):
        x = self.rest(self.norm(self.first(x)))
        return torch.fft.fft(x) if self.unknown else x
class Apart(Net):
    def forward(self, x):
        return torch.fft.fft(self.first(x))
def branching():
    class Branching(Net):
        def forward(self, x):
            return super().forward(x) if x.sum() < 1 else x
    return Branching()
"""
FIRST, NORM, LAST = 4 * 2 * 9 + 4, 2 * 4, 4


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "some_network.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def claim(**changes: Any) -> dict[str, Any]:
    total = FIRST + NORM + LAST
    content = {
        "id": "total",
        "statement": "so many parameters",
        "claimed": total,
        "printed": str(total),
        "kind": "parameters",
        "measure": "params()",
    } | changes
    return {key: value for key, value in content.items() if value is not None}


def book(*claims: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "source": {"id": "my-card", "title": "t", "what": "w", "where": "u"},
        "subject": "some_network:Net",
        "input": "1 2 6 7",
        "claims": list(claims) or [claim()],
    } | changes


def written(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "my-card.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("params()", FIRST + NORM + LAST),
        ("params('first', 'rest.*.weight')", FIRST + LAST),
        ("params(width=1)", 2 * 9 + 1 + 2 + 1),
        ("params_of('BatchNorm2d')", NORM),
        ("params_of('Conv2d', 'rest')", LAST),
        ("kernels('first') + biases('first')", FIRST),
        ("params_of_standard_layers()", FIRST + NORM + LAST),
        ("param_bytes()", 4 * (FIRST + NORM + LAST)),
        ("macs()", 4 * 5 * (4 * 2 * 9 + 4)),
        ("macs('rest')", 4 * 5 * 4),
        ("macs(kind='linear')", 0),
        ("counted('torch', 'value')", 2 * 4 * 5 * (4 * 2 * 9 + 4)),
        ("shape('first')", (4, 4, 5)),
        ("shape()", (1, 4, 5)),
        ("channels('first'), kernel('first')", ((2, 4), (3, 3))),
        ("step('first') + padding('first') + groups('first')", 1 + 0 + 1),
        ("modules('rest.*') + modules('', 'Conv2d') + dense_convs('', 3)", 2 + 2 + 1),
        ("conv_params(2, 4, 3)", FIRST),
        ("percent(1, 8) + mean(1, 2, 6) + cut(1013.9, 10)", 12.5 + 3 + 1010),
    ],
)
def test_measurements_of_another_network(folder: Path, measure: str, value: Any) -> None:
    network = Subject("some_network:Net", (Input((1, 2, 6, 7)),))
    assert parse(measure, vocabulary(network)).evaluate() == value


@pytest.mark.parametrize(
    ("layer", "measure", "value"),
    [
        ("Conv1d(4, 6, 3, stride=2, groups=2)", "step('0') + kernels('0')", 2 + 6 * 2 * 3),
        ("Conv3d(2, 4, 3)", "channels('0'), biases(), dense_convs('', 3)", ((2, 4), 4, 1)),
        ("ConvTranspose2d(4, 6, 2, groups=2)", "channels('0'), kernel('0')", ((4, 6), (2, 2))),
    ],
)
def test_measurements_of_any_convolution(
    folder: Path, layer: str, measure: str, value: Any
) -> None:
    module = f"layer_{layer.partition('(')[0].lower()}"
    code = f"from torch import nn\ndef make(): return nn.Sequential(nn.{layer})\n"
    (folder / f"{module}.py").write_text(code)
    network = Subject(f"{module}:make", (Input((1, 2)),))
    assert parse(measure, vocabulary(network)).evaluate() == value


def test_measurements_that_another_network_has_not(folder: Path) -> None:
    words = vocabulary(Subject("some_network:Net", (Input((1, 2, 6, 7)),)))
    for measure, error, message in (
        ("unavailable('no weights')", UntestableError, "no weights"),
        ("macs(unknown=True)", UntestableError, "nothing is known about .* aten::_fft_r2c"),
        ("params('second')", MeasureError, "some_network:Net has no module or tensor 'second'"),
        ("shape('second')", MeasureError, "some_network:Net runs no module 'second'; known: "),
        ("shape('fisrt')", MeasureError, "did you mean 'first'"),
        ("macs('second')", MeasureError, "some_network:Net runs no module 'second'"),
    ):
        with pytest.raises(error, match=message):
            parse(measure, words).evaluate()


def test_the_input_of_a_ledger_may_be_a_list_of_sizes(folder: Path) -> None:
    ledger = load(written(folder, book(input=[1, 2, 6, 7])))
    assert ledger.network == Subject("some_network:Net", (Input((1, 2, 6, 7)),))


def test_a_claim_of_ones_own_may_cite_lines(folder: Path) -> None:
    (cited,) = load(written(folder, book(claim(lines=[3, 4])))).claims
    assert cited.lines == [3, 4]


def test_the_file_is_named_where_a_measurement_makes_no_sense(folder: Path) -> None:
    content = book(claim(measure="params('second')"))
    content["source"]["id"] = "other"
    ledger = load(written(folder, content))
    with pytest.raises(LedgerError, match=r"^my-card.yaml: claim 'total': measure: .* 'second'"):
        audit([ledger])


def test_a_part_is_measured_though_another_cannot_be(folder: Path) -> None:
    words = vocabulary(Subject("some_network:Apart", (Input((1, 2, 6, 7)),)))
    assert parse("macs('first')", words).evaluate() == 4 * 5 * 4 * 2 * 9
    with pytest.raises(UntestableError, match="aten::_fft_r2c"):
        parse("macs()", words).evaluate()


def test_a_network_that_needs_values_is_measured_with_them(folder: Path) -> None:
    network = Subject("some_network:branching", (Input((1, 2, 6, 7)),))
    assert parse("macs('first')", vocabulary(network)).evaluate() == 4 * 5 * 4 * 2 * 9


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (book(claim(variant="v1")), "claim 'total': variant, network: the ledger already has"),
        (book(claim(measure="params('v1')", kind="gossip")), "claim 'total': kind: Input should"),
        (book(claim(measure="setting('width')")), "there is no function 'setting'"),
        (book(claim(measure="cells('p3')")), "there is no function 'cells'"),
        (book(claim(measure="unavailable('x')")), "claim 'total': requires: "),
        (book(claim(kind="accuracy", requires="x")), "claim 'total': convention: none for kind"),
        (book(claims=[]), "my-card.yaml: claims: there are none, so nothing would be judged"),
        (book(subject=3), "subject: must be text: put it in quotes"),
        (book(input="1 x"), "input (='1 x'): x is no type of PyTorch"),
        (book(input=3), "input: Input should be a valid list"),
        (book(arguments={"a": {"b": 1}}), "arguments.a: {'b': 1} is not a number"),
    ],
)
def test_a_bad_ledger_is_refused_in_one_line(
    folder: Path, call: Any, content: dict[str, Any], message: str
) -> None:
    result = call("audit", "--ledger", written(folder, content))
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert message in result.err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subject": "no_such_package:Net"}, "model (='no_such_package:Net'): ModuleNotFoundError"),
        ({"subject": "some_network"}, "model (='some_network') must be PACKAGE.MODULE:FACTORY"),
        (
            {"subject": "torch.nn:LazyLinear", "arguments": {"out_features": 3}},
            "LazyLinear: has lazy modules, run it once, as in its factory",
        ),
        ({"arguments": {"depth": 3}}, "TypeError: Net.__init__() got an unexpected keyword"),
        ({"input": "1 3 6 7", "claims": [claim(measure="macs()")]}, "Net: cannot be measured"),
    ],
)
def test_a_network_that_cannot_be_had_is_named(
    folder: Path, call: Any, changes: dict[str, Any], message: str
) -> None:
    result = call("audit", "--ledger", written(folder, book(**changes)))
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert message in result.err


def test_the_record_beside_a_ledger(folder: Path, call: Any) -> None:
    wrong = claim(id="wrong", claimed=1, printed="1")
    mine = ("audit", "--ledger", written(folder, book(claim(), wrong)))
    result = call(*mine, "--json", "-")
    assert [(r["verdict"], r["network"]) for r in result.json] == [
        ("confirmed", "some_network:Net"),
        ("refuted", "some_network:Net"),
    ]
    assert result.code == 1  # without a record a refuted claim fails
    assert "my-card:wrong: not recorded yet: refuted" in result.err
    assert call(*mine, "--accept").code == 0
    assert [r.verdict for r in recorded(folder / "my-card.recorded.json")] == [
        "confirmed",
        "refuted",
    ]
    assert call(*mine).code == 0  # as accepted
    written(folder, book(claim(), wrong, arguments={"width": 5}))
    result = call(*mine)
    assert result.code == 1
    assert "my-card:total: verdict: confirmed → refuted" in result.err


def test_a_ledger_of_which_nothing_is_tested_says_so(folder: Path, call: Any) -> None:
    untested = claim(measure="unavailable('no weights')", requires="weights")
    result = call("audit", "--ledger", written(folder, book(untested)))
    assert result.code == 0
    assert result.err == "featherface: nothing was tested: of 1 claims, none could be measured\n"


def test_a_verdict_that_lacks_a_counter_is_kept_as_recorded(
    folder: Path, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = claim(id="counted", measure="counted('thop', 'params')")
    path = written(folder, book(claim(), counted))
    ledger = ("audit", "--ledger", path)
    monkeypatch.setitem(sys.modules, "thop", None)  # importing it fails
    measurements._counters.cache_clear()
    assert [row["verdict"] for row in call(*ledger, "--json", "-").json] == [
        "confirmed",
        "untested",
    ]
    rows = [{**judge_all(path)[1], "verdict": "explained", "measured": 90}]
    beside(path).write_text(json.dumps([judge_all(path)[0], *rows]), encoding="utf-8")
    for options in ((), ("--accept",), ()):  # which does not undo it
        result = call(*ledger, *options, "--json", "-")
        assert result.code == 0
        assert "kept as recorded, not rechecked: my-card:counted: thop cannot be" in result.err
        kept = result.json[1]
        assert (kept["verdict"], kept["measured"]) == ("explained", 90)
        assert kept["explanation"].startswith("As recorded; not rechecked here. Not measured: thop")
    beside(path).write_text(json.dumps(judge_all(path)), encoding="utf-8")
    missing = call(*ledger).err  # it is untested there too
    assert "kept as recorded" not in missing
    assert "not measured: my-card:counted: thop cannot be" in missing
    measurements._counters.cache_clear()


def test_torchvision_is_a_name_whatever_is_called_so(
    folder: Path, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = load(written(folder, book()))
    monkeypatch.setattr(torchvision_ledger, "ledgers", lambda: [ledger])
    (folder / "torchvision").write_text("no ledger")
    assert [row["id"] for row in call("audit", "--ledger", "torchvision", "--json", "-").json]
    assert "no ledger" in call("audit", "--ledger", "./torchvision").refusal


def test_the_template_is_a_ledger_that_holds(folder: Path, call: Any) -> None:
    assert call("audit", "--init", "my-net").out == "wrote my-net.yaml\n"
    result = call("audit", "--ledger", "my-net.yaml", "--json", "-")
    found = {row["id"]: row["verdict"] for row in result.json}
    assert result.code == 0
    assert found == {"parameters": "confirmed", "computation": "confirmed", "accuracy": "untested"}
    again = call("audit", "--init", "my-net.yaml")
    assert (again.code, "is there already" in again.err) == (2, True)
    assert "must be lower-case letters" in call("audit", "--init", "../x").refusal


# --- the pytest plugin ---------------------------------------------------------------------------


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    command = [sys.executable, "-m", "pytest", "-p", "analysis.claims.pytest_plugin", "-v", "-rs"]
    return subprocess.run(
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.slow
def test_pytest_judges_each_claim(folder: Path) -> None:
    open_claim = claim(id="open", measure="unavailable('no data')", requires="data")
    wrong = claim(id="wrong", claimed=1, printed="1")
    path = written(folder, book(claim(), wrong, open_claim))
    (folder / "test_else.py").write_text("def test_else(): pass\n")
    found = run(folder, "--ledger", path.name, path.name)
    assert found.returncode == 1
    for line in ("my-card.yaml::total PASSED", "my-card.yaml::wrong FAILED"):
        assert line in found.stdout
    assert "Not measured: no data. Needed: data." in found.stdout
    assert "1 failed, 1 passed, 1 skipped" in found.stdout
    assert "Traceback" not in found.stdout + found.stderr

    beside(path).write_text(json.dumps([judge_all(path)[1]]), encoding="utf-8")
    found = run(folder, "--ledger", path.name)
    assert "my-card.yaml::wrong PASSED" in found.stdout  # recorded as refuted
    assert "my-card:total: not recorded yet" in found.stdout
    assert "test_else PASSED" in found.stdout


def judge_all(path: Path) -> list[dict[str, Any]]:
    return [verdict.as_dict() for verdict in audit([load(path)])]


@pytest.mark.slow
def test_pytest_names_what_is_wrong_with_a_ledger(folder: Path) -> None:
    missing = run(folder, "--ledger", "none.yaml")
    assert (missing.returncode, "--ledger none.yaml: no such file" in missing.stderr) == (4, True)
    path = written(folder, book(claim(measure="weigh()")))
    bad = run(folder, "--ledger", path.name, path.name)
    assert bad.returncode == 2
    assert "there is no function 'weigh'" in bad.stdout
    assert "Traceback" not in bad.stdout
    empty = run(folder, "--ledger", written(folder, book(claims=[])).name)
    assert (empty.returncode, "claims: there are none" in empty.stdout) == (2, True)
    beside(path).write_text(json.dumps(judge_all(written(folder, book(claim(id="old"))))))
    gone = run(folder, "--ledger", written(folder, book(claim())).name)
    assert (gone.returncode, "my-card:old: recorded as" in gone.stdout) == (2, True)


def test_the_plugin_is_light_to_import() -> None:
    program = (
        "import sys, analysis.claims.pytest_plugin\n"
        "print([m for m in ('torch', 'yaml', 'pydantic', 'numpy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


# --- worked ledgers ------------------------------------------------------------------------------


def test_the_forks_later_readme_is_as_recorded() -> None:
    path = DOCS / "ledgers" / "fork-readme.yaml"
    found = audit([load(path)])
    assert [str(change) for change in changes(found, recorded(beside(path)))] == []
    verdicts = {verdict.id: verdict for verdict in found}
    # The two hybrids by hand: without six MLPs and six normalisations, with 13 + 9 taps.
    assert verdicts["sequential-params"].measured == 488_664 - 12_329 - 6 * 2 + 22 == 476_345
    assert verdicts["cam-params"].verdict == "explained"
    assert {v.verdict for name, v in verdicts.items() if "-ap-" in name} == {"untested"}


def tasks() -> dict[str, Ledger]:
    """A small network of each task."""
    small = {
        "shufflenet_v2_x0_5",
        "fasterrcnn_mobilenet_v3_large_320_fpn",
        "ssdlite320_mobilenet_v3_large",
        "lraspp_mobilenet_v3_large",
        "deeplabv3_mobilenet_v3_large",
        "raft_small",
        "r3d_18",
        "quantized_googlenet",
        "regnet_y_400mf",
    }
    found = {}
    for ledger in torchvision_ledger.ledgers():
        name = dict(ledger.arguments).get("name") or str(ledger.subject).partition(":")[2]
        if name in small:
            found[name] = ledger
    assert found.keys() == small
    return found


@pytest.mark.slow
def test_torchvisions_own_figures_of_every_task() -> None:
    path = DOCS / "results" / "torchvision.json"
    shown = {row["id"]: row for row in json.loads(path.read_text(encoding="utf-8"))}
    for ledger in tasks().values():
        for verdict in (judge(claim, ledger) for claim in ledger.claims):
            row = shown[verdict.id]
            assert (verdict.verdict, list(verdict.readings)) == (row["verdict"], row["readings"])
            assert verdict.measured == row["measured"]


@pytest.mark.slow
def test_all_of_torchvisions_own_figures_are_explained() -> None:
    path = DOCS / "results" / "torchvision.json"
    found = audit(torchvision_ledger.ledgers())
    assert {verdict.verdict for verdict in found} == {"confirmed", "explained"}
    version = torchvision.__version__.partition("+")[0]
    if not str(found[0].where).startswith(f"torchvision {version}:"):
        pytest.skip(f"the record is of another version than {version}")
    assert [str(change) for change in changes(found, recorded(path))] == []
