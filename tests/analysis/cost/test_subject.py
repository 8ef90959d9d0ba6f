"""Networks and inputs by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from analysis.cost import CostError, measure
from analysis.cost.subject import (
    Input,
    Subject,
    SubjectError,
    load_model,
    make_inputs,
    parse_input,
    parse_settings,
    positional,
    with_settings,
)
from featherface.config import CONFIGS, ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 3 224 224", Input((1, 3, 224, 224))),
        ("1,3,9,9", Input((1, 3, 9, 9))),
        ("1 16 int64", Input((1, 16), "int64")),
        ("mask=1 16:bool", Input((1, 16), "bool", "mask")),
        ("7", Input((7,))),
    ],
)
def test_inputs(text: str, expected: Input) -> None:
    assert parse_input(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "a", "1 x 3", "1 3 float33", "0 3", "-1 3", "1.5", "1 3 nn", "=1", "9" * 5000, "99 " * 99],
)
def test_inputs_that_are_none(text: str) -> None:
    with pytest.raises(SubjectError, match="input"):
        parse_input(text)


def test_inputs_have_the_type_of_the_weights_or_their_own() -> None:
    model = nn.Linear(3, 3).bfloat16()
    x, y = make_inputs(model, [Input((1, 3)), Input((2,), "int32")])
    assert (x.dtype, y.dtype, x.is_meta) == (torch.bfloat16, torch.int32, True)
    model.weight = nn.Parameter(torch.zeros(3, 3).to(torch.float8_e4m3fn), requires_grad=False)
    assert make_inputs(model, [Input((1, 3))])[0].dtype == torch.bfloat16  # of the bias
    named = make_inputs(model, [Input((1, 3), name="input")])
    assert measure(model, named).macs == 9
    with pytest.raises(SubjectError, match="all have names"):
        make_inputs(model, [Input((1, 3), name="input"), Input((1, 3))])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty, for modules of the user's."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_factory_in_the_current_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "own_network.py").write_text(
        "import sys, torch\n"
        "from torch import nn\n"
        "class Net:\n"
        "    @staticmethod\n"
        "    def make(): return nn.Conv2d(1, 2, 3)\n"
        "ready = nn.Linear(2, 2).train()\n"
        "def fails(): raise KeyError('no\\nweights')\n"
        "def number(): return 3\n"
        "def asserts(): torch._assert(number() == 4, '')\n"
        "def leaves(): raise SystemExit(3)\n"
        "class Odd(BaseException):\n"
        "    def __str__(self): raise ValueError\n"
        "def odd(): raise Odd\n"
        "def loses_its_path(): sys.path.clear()\n"
    )
    monkeypatch.setattr(sys, "path", sys.path.copy())
    assert isinstance(load_model("own_network:Net.make"), nn.Conv2d)
    assert not load_model("own_network:ready").training
    for name, message in (
        ("own_network:fails", r"KeyError: 'no\\nweights'$"),
        ("own_network:leaves", "SystemExit: 3"),
        ("own_network:asserts", "AssertionError: line 9 of own_network.py$"),
        ("own_network:odd", "Odd: its message raises ValueError"),
        ("own_network:loses_its_path", "makes an object of type NoneType, not a network"),
        ("own_network:number", "makes an object of type int, not a network"),
        ("own_network:missing", "AttributeError: "),
    ):
        with pytest.raises(SubjectError, match=message) as error:
            load_model(name)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name",
    ["", "x", "x:", ":y", "no_such_package:y", "torchvision:nothing", "os:getcwd;", "timm:nothing"],
)
def test_networks_that_are_none(name: str) -> None:
    with pytest.raises(SubjectError, match=r"^model \(="):
        load_model(name)


# Published with the weights in the installed package: parameters, and 10⁹ multiply-accumulates.
@pytest.mark.parametrize("name", ["resnet18", "regnet_y_400mf", "shufflenet_v2_x0_5"])
def test_torchvision_publishes_the_same(name: str) -> None:
    from torchvision.models import get_model_weights

    meta = next(iter(get_model_weights(name))).meta
    model = load_model(f"torchvision:{name}")
    cost = measure(model, make_inputs(model, [Input((1, 3, 224, 224))]))
    assert cost.params == meta["num_params"]
    assert round(cost.macs / 1e9, 3) == meta["_ops"]
    assert cost.uncounted == {}


def test_named_inputs_by_position() -> None:
    class Net(nn.Module):
        def forward(self, a: Any, b: Any = None, c: Any = None, *, only: Any = None) -> Any:
            return a

    (a, b, c) = positional(Net(), [Input((2,), name="a"), Input((3,), name="c")])
    assert (a.shape, b, c.shape) == ((2,), None, (3,))
    with pytest.raises(SubjectError, match="missing a required argument: 'a'"):
        positional(Net(), [Input((2,), name="b")])
    with pytest.raises(SubjectError, match="input only: a counter takes inputs by position alone"):
        positional(Net(), [Input((2,), name="a"), Input((2,), name="only")])


def test_a_network_without_values_has_the_same_cost() -> None:
    networks = [load_model("torchvision:regnet_y_400mf", values=v) for v in (True, False)]
    assert [next(n.parameters()).is_meta for n in networks] == [False, True]
    real, hollow = (measure(n, torch.zeros(1, 3, 64, 64, device="meta")) for n in networks)
    assert (real.params, real.macs) == (hollow.params, hollow.macs)


def test_an_exported_program(here: Path) -> None:
    (here / "own_program.py").write_text(
        "import torch\n"
        "def make():\n"
        "    network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3)).eval()\n"
        "    return torch.export.export(network, (torch.zeros(1, 3, 9, 9),)).module()\n"
    )
    cost = measure(load_model("own_program:make"), torch.zeros(1, 3, 9, 9))
    assert (cost.macs, cost.uncounted) == (2 * 49 * 3 * 9, {})


def test_a_network_that_does_not_take_the_input() -> None:
    with pytest.raises(CostError, match="ResNet: cannot be measured: "):
        measure(load_model("torchvision:resnet18"), torch.zeros(1, 1, 9, 9))


def test_values_are_made_where_they_are_needed(here: Path) -> None:
    (here / "own_values.py").write_text(
        "from functools import lru_cache\n"
        "import torch\n"
        "from torch import nn\n"
        "@lru_cache\n"
        "def table(): return torch.ones(3)\n"
        "class Tabled(nn.Linear):\n"
        "    def forward(self, x): return super().forward(x + table())\n"
        "class Branches(nn.Linear):\n"
        "    def forward(self, x): return super().forward(x) if self.bias.sum() < 9 else x\n"
        "class Looks(nn.Linear):\n"
        "    def __init__(self): super().__init__(3, 3); self.peak = self.weight.max().item()\n"
    )
    for name, device in (("Tabled", "meta"), ("Branches", "cpu"), ("Looks", "meta")):
        arguments = () if name == "Looks" else (("in_features", 3), ("out_features", 3))
        subject = Subject(f"own_values:{name}", (Input((2, 3)),), arguments)
        cost = subject.measure(subject.load_bare())
        assert (cost.macs, cost.params, cost.device) == (2 * 3 * 3, 3 * 3 + 3, device)
        assert subject.load()(torch.zeros(2, 3)).device.type == "cpu"


def test_what_a_module_holds_keeps_its_values(here: Path) -> None:
    (here / "own_held.py").write_text(
        "import functools, torch\n"
        "from torch import nn\n"
        "table = torch.empty(6).fill_(3.)\n"
        "ready = nn.Sequential(nn.Linear(6, 5))\n"
        "class Branch(nn.Linear):\n"
        "    def __init__(self): super().__init__(6, 5)\n"
        "    def forward(self, x): return super().forward(x + table if table.sum() > 9 else x)\n"
        "@functools.cache\n"
        "def build(): return nn.Linear(6, 5)\n"
        "@functools.cache\n"
        "def numbers(): return torch.empty(6).fill_(3.)\n"
        "def scaled():\n"
        "    assert numbers().sum() == 18\n"
        "    return nn.Linear(6, 5)\n"
    )
    for name in ("Branch", "ready", "build", "scaled"):
        subject = Subject(f"own_held:{name}", (Input((2, 6)),))
        bare = subject.load_bare()
        assert next(bare.parameters()).is_meta == (name in ("Branch", "scaled"))
        cost = subject.measure(bare)
        assert (cost.macs, cost.device) == (2 * 6 * 5, "cpu" if name == "Branch" else "meta")
        assert subject.load()(torch.ones(2, 6)).isfinite().all()


def test_settings() -> None:
    chosen = parse_settings(["reduction=16", "shuffle=bottleneck"])
    config = with_settings(CONFIGS["v1-deformable"], chosen)
    assert (config.reduction, config.shuffle, config.channels) == (16, "bottleneck", 74)
    assert with_settings(config, {}) == config
    for bad in (["reduction"], ["="], [""], ["a b=1"], ["a=1", "a=2"]):
        with pytest.raises(SubjectError, match="setting"):
            parse_settings(bad)
    with pytest.raises(SubjectError, match="setting 'size' is none of channels"):
        with_settings(config, {"size": 3})
    with pytest.raises(ConfigError, match="reduction"):
        with_settings(config, {"reduction": "many"})


def test_a_factory_takes_arguments() -> None:
    network = load_model("torch.nn:Linear", {"in_features": 3, "out_features": 2})
    assert network.weight.shape == (2, 3)
    assert load_model("torchvision:resnet18", {"num_classes": 7}).fc.out_features == 7
