"""Rules for the whole source. Directions of imports are contracts in pyproject.toml."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_checkpoints_are_only_ever_read_as_tensors() -> None:
    careless = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("featherface", "analysis", "tests", "notebooks")
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "torch.load" + "(" in line and "weights_only=True" not in line
    ]
    assert careless == []


def test_the_github_action_installs_every_counter_that_a_claim_may_ask() -> None:
    (extra,) = re.findall(
        r'pip install "\$GITHUB_ACTION_PATH\[(\w+)\]"', (ROOT / "action.yml").read_text("utf-8")
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = project["dependencies"] + project["optional-dependencies"][extra]
    names = {re.split(r"\W", requirement)[0] for requirement in installed}
    assert {"fvcore", "thop", "torch", "torchinfo"} <= names


CAUSES_THAT_SAY_MORE = {
    "analysis/cost/foreign.py",  # where in the code of others it failed
    "analysis/report/pages/generate.py",  # where a page is made
    "analysis/report/pages/notebooks.py",  # the cell that failed
    # Any exception is caught there, one of our own mistakes too.
    "analysis/widerface/fetch.py",
    "analysis/widerface/prediction_records.py",
    "featherface/images.py",
    "featherface/runtimes/export.py",
    "featherface/runtimes/network.py",
    "featherface/runtimes/onnx_session.py",
    "featherface/runtimes/openvino_network.py",
    "featherface/training/loop.py",
    "featherface/weights/reading.py",
}


def test_a_message_that_says_it_all_comes_without_the_traceback_of_its_cause() -> None:
    chained = {
        path.relative_to(ROOT).as_posix()
        for folder in ("featherface", "analysis")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and isinstance(node.cause, ast.Name)
    }
    assert chained == CAUSES_THAT_SAY_MORE


def test_where_any_exception_is_caught_its_traceback_is_kept() -> None:
    hidden = [
        f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"
        for folder in ("featherface", "analysis")
        for path in (ROOT / folder).rglob("*.py")
        for handler in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(handler, ast.ExceptHandler)
        and isinstance(handler.type, ast.Name)
        and handler.type.id == "Exception"
        for node in ast.walk(handler)
        if isinstance(node, ast.Raise) and isinstance(node.cause, ast.Constant)
    ]
    assert hidden == []


HELP = """
import contextlib, io
from analysis.cli.main import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main(["blocks", "--help"])
"""
DETECT = """
import numpy, featherface
for name in featherface.__all__: getattr(featherface, name)
network = featherface.FeatherFace("retinaface")
image = numpy.zeros((64, 64, 3), numpy.uint8)
featherface.Detector(network, runtime="onnx")(image)
featherface.Detector(network)(image).draw()
"""
INSTRUMENTS = {"analysis", "matplotlib", "pandas", "scipy", "fvcore", "torchinfo", "pydantic"}
INSTRUMENTS |= {"yaml", "psutil", "typer"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        pytest.param("import featherface, featherface.config", {"torch"}, id="import"),
        pytest.param(HELP, {"torch", "numpy", "matplotlib", "pandas"}, id="help"),
        pytest.param(DETECT, INSTRUMENTS, id="detect"),
    ],
)
def test_nothing_is_imported_that_is_not_needed(code: str, unwanted: set[str]) -> None:
    told = f"{code}\nimport sys; print(sorted({unwanted!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
