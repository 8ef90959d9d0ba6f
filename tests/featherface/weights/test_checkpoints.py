from __future__ import annotations

import os
import pickle
import threading
import warnings
import zipfile
from argparse import Namespace
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from featherface import CONFIGS, FeatherFace, FeatherFaceConfig, InputError, files
from featherface.model import load, save
from featherface.runtimes.export import export
from featherface.weights import checkpoints, published
from featherface.weights.checkpoints import identify
from featherface.weights.published import PUBLISHED, CheckpointError

State = dict[str, Tensor]


@pytest.fixture
def official(tmp_path: Path) -> State:
    """The state of a fresh `official` network, under our names."""
    torch.manual_seed(0)
    return dict(FeatherFace("official").state_dict())


def write(state: object, path: Path) -> Path:
    torch.save(state, path)
    return path


def refusal(path: Path | str) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


# Published checkpoints.


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_weights_are_identified_and_loaded(weights: Path, name: str) -> None:
    identity = identify(weights / f"{name}.pth")
    model = load(weights / f"{name}.pth")
    assert identity.complete
    assert identity.published == name
    assert identity.variant == PUBLISHED[name].variant == model.config.variant
    assert identity.parameters == sum(p.numel() for p in model.parameters())
    assert not model.training


def test_the_counters_that_thop_left_are_stray(weights: Path) -> None:
    stray = identify(weights / "official.pth").stray
    assert len(stray) == 2 * 124
    assert {key.rsplit(".", 1)[-1] for key in stray} == {"total_ops", "total_params"}


def test_a_published_name_is_looked_up(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATHERFACE_WEIGHTS", str(weights))
    assert published.locate("retinaface") == weights / "retinaface.pth"
    assert load("retinaface").config.variant == "retinaface"


def test_a_published_file_with_other_bytes_is_refused(
    official: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(official, tmp_path / "official.pth")
    monkeypatch.setenv("FEATHERFACE_WEIGHTS", str(tmp_path))
    message = refusal("official")
    assert str(tmp_path / "official.pth") in message
    assert PUBLISHED["official"].sha256[:12] in message


def test_a_download_that_fails_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch

    def refuse(*_: object, **__: object) -> str:
        raise OSError(reason)

    monkeypatch.setattr(pooch, "retrieve", refuse)
    monkeypatch.setenv("FEATHERFACE_CACHE", str(tmp_path))
    monkeypatch.setattr(published, "_folders", list)
    for reason in ("no route to host", ""):
        message = refusal("official")
        assert (reason or "OSError") in message
        assert "FEATHERFACE_WEIGHTS" in message


@pytest.mark.parametrize("home", [None, ""])
def test_without_a_home_there_is_no_cache_and_no_traceback(
    home: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a user id without an entry, in a container."""
    for variable in ("FEATHERFACE_CACHE", "FEATHERFACE_WEIGHTS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    if home is None:
        import pwd

        def unknown(_: int) -> None:
            raise KeyError("uid not found")

        monkeypatch.delenv("HOME")
        monkeypatch.setattr(pwd, "getpwuid", unknown)
    else:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(published, "_folders", list)
    monkeypatch.chdir(tmp_path)
    assert files.cache_folder() is None
    assert "FEATHERFACE_CACHE" in refusal("official")
    assert list(tmp_path.iterdir()) == []


def test_a_download_is_checked_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pooch

    asked: dict[str, object] = {}

    def retrieve(url: str, known_hash: str, fname: str, path: Path) -> str:
        asked.update(url=url, known_hash=known_hash)
        assert not (Path(path) / fname).exists(), "the damaged file was left in the cache"
        return str(Path(path) / fname)

    damaged = tmp_path / "weights" / "retinaface.pth"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"half a file")
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setenv("FEATHERFACE_CACHE", str(tmp_path))
    monkeypatch.setattr(published, "_folders", list)
    assert published.locate("retinaface") == damaged
    assert asked["known_hash"] == f"sha256:{PUBLISHED['retinaface'].sha256}"
    assert PUBLISHED["retinaface"].revision in str(asked["url"])


@pytest.mark.parametrize("name", ["v1-deformable"])
def test_a_variant_without_published_weights_says_so(name: str) -> None:
    assert "no trained weights" in refusal(name)


def test_an_unknown_name_is_answered_with_a_near_one_or_with_all() -> None:
    assert refusal("offical").endswith("did you mean 'official'?")
    assert ", ".join(PUBLISHED) in refusal("other.pth")


def test_a_weights_folder_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATHERFACE_WEIGHTS", str(tmp_path / "none"))
    assert str(tmp_path / "none") in refusal("official")


# Own files.


@pytest.mark.parametrize("variant", CONFIGS)
def test_a_saved_network_comes_back_equal(tmp_path: Path, variant: str) -> None:
    model = FeatherFace(variant).eval()
    save(model, tmp_path / "model.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
    again = load(tmp_path / "model.safetensors")
    identity = identify(tmp_path / "model.safetensors")
    assert again.config == model.config == identity.config
    assert (identity.format, identity.undetermined, identity.stray) == ("safetensors", {}, {})
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(model(x), again(x), strict=True))


def test_saving_where_no_folder_can_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        save(FeatherFace("v1"), tmp_path / "file" / "model.safetensors")


def test_what_is_saved_can_be_loaded(tmp_path: Path) -> None:
    model = FeatherFace("retinaface").eval()
    prune.l1_unstructured(model.backbone.stem.conv, "weight", 0.3)
    model.heads.boxes[1] = model.heads.boxes[0]  # one tensor twice
    pixels = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        expected = model(pixels)
        for saved in (model, torch.compile(model)):
            save(saved, tmp_path / "x.safetensors")
            for a, b in zip(load(tmp_path / "x.safetensors")(pixels), expected, strict=True):
                assert torch.equal(a, b)


class Watcher:
    """What PyTorch cannot copy: a lock, and an output with its gradient."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def keep(self, module: nn.Module, given: object, output: Tensor) -> None:
        self.output = output


def test_a_network_is_saved_whatever_watches_it(tmp_path: Path) -> None:
    model, path = FeatherFace("retinaface").eval(), tmp_path / "x.safetensors"
    model.backbone.stem.register_forward_hook(Watcher().keep)
    model(torch.zeros(1, 3, 64, 64))
    save(model, path)
    again = load(path).state_dict()
    assert all(torch.equal(again[name], value) for name, value in model.state_dict().items())
    prune.l1_unstructured(model.backbone.stem.conv, "weight", 0.3)
    for refused in (partial(save, model, path), partial(export, model, tmp_path / "x.onnx")):
        with pytest.raises(InputError, match=r"the model cannot be copied: .*lock"):
            refused()


def test_a_profiled_network_is_saved_without_the_counters(tmp_path: Path) -> None:
    model, path = FeatherFace("retinaface"), tmp_path / "x.safetensors"
    for module in model.modules():  # as thop does
        module.register_buffer("total_ops", torch.zeros(1, dtype=torch.float64))
        module.register_buffer("total_params", torch.zeros(1, dtype=torch.float64))
    save(model, path)
    assert (identify(path).variant, identify(path).stray) == ("retinaface", {})


def test_weights_that_are_not_finite_are_saved_and_not_loaded(tmp_path: Path) -> None:
    model, path = FeatherFace("retinaface"), tmp_path / "x.safetensors"
    nn.init.constant_(model.heads.boxes[0].weight, torch.nan)
    save(model, path)
    assert "heads.boxes.0.weight holds NaN" in refusal(path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*quantize:UserWarning")
def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    model, path = FeatherFace("v1"), tmp_path / "x.safetensors"
    for wrong in (nn.DataParallel(model), model.state_dict()):
        with pytest.raises(InputError, match="must be a FeatherFace"):
            save(wrong, path)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"first_attention.*is not as the model's config"):
        save(torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, torch.qint8), path)
    model.heads.boxes[0] = nn.Conv2d(74, 9, 1)
    with pytest.raises(InputError, match=r"heads\.boxes\.0\.bias is not as"):
        save(model, path)
    with pytest.raises(InputError, match="on the meta device"):
        save(FeatherFace("v1").to("meta"), path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", [None, {"heads": 1}, nn.Conv2d(1, 1, 1)], ids=type)
def test_what_names_no_weights_is_one_line(given: object) -> None:
    for function in (load, identify, partial(export, out="x.onnx")):
        with pytest.raises(CheckpointError, match=r"weights \(of type"):
            function(given)  # type: ignore[operator]


# The architecture, from the tensors alone.

INFERRED = [
    FeatherFaceConfig(channels=52, shuffle="free"),
    FeatherFaceConfig(channels=56, cells=1, attention="backbone", reduction=8, anchors=3),
    FeatherFaceConfig(channels=24, attention="pyramid", reduction=4, context="dcnv2"),
    FeatherFaceConfig(channels=90, context="dcnv1", attention="none"),
    FeatherFaceConfig(channels=33, context="plain", shuffle="none"),
    FeatherFaceConfig(channels=48, context="ssh-dcnv1", cells=8, reduction=12, anchors=1),
    FeatherFaceConfig(channels=40, context="none", shuffle="free", reduction=24),
    FeatherFaceConfig(channels=40, pyramid="fpn", context="plain", reduction=2),
]


@pytest.mark.parametrize("config", INFERRED, ids=str)
def test_an_architecture_without_a_name_is_inferred(
    tmp_path: Path, config: FeatherFaceConfig
) -> None:
    path = write(FeatherFace(config).state_dict(), tmp_path / "x.pth")
    identity = identify(path)
    assert identity.variant is None
    assert identity.complete
    assert identity.config is not None
    told = set(identity.undetermined)
    assert set(identity.config.difference(config)) <= told
    assert told <= {"shuffle", "shuffle_order", "reduction"}
    assert identity.nearest in CONFIGS
    assert identity.difference == identity.config.difference(CONFIGS[identity.nearest or ""])
    assert load(path).config == identity.config


def test_what_the_tensors_cannot_tell_is_said(shared: Path) -> None:
    told = identify(shared / "vectors" / "v1-random.pth").undetermined
    assert "43 to 51" in told["reduction"]
    assert set(told) == {"reduction", "shuffle", "shuffle_order"}


def prefixed(prefix: str) -> Callable[[State], State]:
    return lambda state: {prefix + key: value for key, value in state.items()}


def sharded(state: State) -> State:
    """FSDP and activation checkpointing wrap modules on the way as well."""
    middle = "heads._fsdp_wrapped_module._checkpoint_wrapped_module."
    return prefixed("_fsdp_wrapped_module.")(
        {key.replace("heads.", middle): value for key, value in state.items()}
    )


def containing_itself(checkpoint: dict[str, object]) -> dict[str, object]:
    return checkpoint | {f"again {i}": checkpoint for i in range(100)}


def other_names(state: State) -> State:
    """A larger network of another family, as a teacher may be."""
    return {f"layer{i}.{n}.weight": v for n, v in enumerate(state.values()) for i in range(3)}


WRAPPED: dict[str, Callable[[State], object]] = {
    "DataParallel": prefixed("module."),
    "compiled": prefixed("_orig_mod."),
    "both": prefixed("module._orig_mod."),
    "FSDP": sharded,
    "Lightning": lambda s: {"state_dict": prefixed("model.")(s), "epoch": 3},
    "Lightning, net": lambda s: {"state_dict": prefixed("net.")(s)},
    "DeepSpeed": lambda s: {"module": prefixed("module.")(s)},
    "AveragedModel": lambda s: {"n_averaged": torch.tensor(5), **prefixed("module.")(s)},
    **{
        name: lambda s, name=name: {name: s}
        for name in ("ema", "ema_state_dict", "state_dict_ema", "params", "model")
    },
    "Lightning, another name": lambda s: {"state_dict": prefixed("student_net.")(s)},
    "another name": lambda s: {"checkpoint": {"detector": s, "epoch": 3}},
    "averages alone": lambda s: {"ema": {"shadow": s, "decay": 0.9}},
    "an optimiser beside": lambda s: {
        "optimizer": {"state": {i: {"exp_avg": v} for i, v in enumerate(s.values())}},
        "generator": s,
    },
    "a larger network beside": lambda s: {"state_dict": s, "teacher": other_names(s)},
    "a larger network before": lambda s: {"teacher": other_names(s), "student": s},
    "the usual name": lambda s: {"teacher": {k: v + 1 for k, v in s.items()}, "model": {"a": s}},
    "settings of the usual name": lambda s: {"model": {"name": "official"}, "generator": s},
    **{
        f"{name} by name": lambda s, name=name: {"generator": s, name: {"momentum": {**s}}}
        for name in ("optimizer", "optim", "optimizer_state_dict", "optimizer_states", "optimiser")
    },
    "averages beside": lambda s: {
        "generator": s,
        "ema_generator": {k: v + 1 for k, v in s.items()},
    },
    "Lightning, two attributes deep": lambda s: {
        f"net.{'module.' * (i % 2)}gan.generator.{k}": v for i, (k, v) in enumerate(s.items())
    },
    "itself inside": lambda s: containing_itself({"state_dict": s}),
    "two levels": lambda s: {"model": {"state_dict": OrderedDict(s)}},
    "numpy scalar beside": lambda s: {"state_dict": s, "best": np.float64(0.9)},
    "numpy array beside": lambda s: {"state_dict": s, "curve": np.arange(3.0)},
    "argparse beside": lambda s: {"state_dict": s, "args": Namespace(lr=1, out=Path("x"))},
    "defaultdict beside": lambda s: {"state_dict": s, "log": defaultdict(list, loss=[1.0])},
    "date beside": lambda s: {"state_dict": s, "at": datetime(2026, 1, 1, tzinfo=UTC)},
    "a number beside": lambda s: s | {"epoch": 3},
    "thop's counters": lambda s: (
        s | {"total_ops": torch.zeros(1), "heads.total_params": torch.zeros(1)}
    ),
    "old PyTorch": lambda s: {k: v for k, v in s.items() if "num_batches" not in k},
    "half precision": lambda s: {k: v.half() if v.is_floating_point() else v for k, v in s.items()},
    "half precision of counters": lambda s: {
        k: torch.tensor(torch.inf).half() if "num_batches" in k else v.half() for k, v in s.items()
    },
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrapped_checkpoints_are_the_same_network(
    official: State, tmp_path: Path, name: str
) -> None:
    path = write(WRAPPED[name](official), tmp_path / "x.pth")
    identity = identify(path)
    assert (identity.variant, identity.parameters, identity.complete) == ("official", 592_371, True)
    loaded = load(path).state_dict()
    assert all(v.dtype == official[k].dtype for k, v in loaded.items())
    tolerance = 1e-3 if name.startswith("half precision") else 0.0
    for key, value in loaded.items():
        torch.testing.assert_close(value, official[key], rtol=tolerance, atol=tolerance)


def test_prefixes_are_reported(official: State, tmp_path: Path) -> None:
    path = write({f"module.{k}": v for k, v in official.items()}, tmp_path / "x.pth")
    assert list(identify(path).stray) == ["module.*"]
    assert list(identify(write(sharded(official), path)).stray) == [
        "_fsdp_wrapped_module.*",
        "…_checkpoint_wrapped_module._fsdp_wrapped_module.*",
    ]


def test_what_lies_beside_weights_is_reported(official: State, tmp_path: Path) -> None:
    other = {key: value + 1 for key, value in official.items()}
    path = write({"model": official | {"epoch": 3}, "ema": other}, tmp_path / "x.pth")
    assert identify(path).stray == {
        "ema": "another set of weights, not read",
        "epoch": "not a tensor",
    }
    both = write(official | prefixed("model.")(other), tmp_path / "y.pth")
    assert not identify(both).complete
    assert "fit nowhere" in refusal(both)


def test_of_several_sets_of_weights_none_is_guessed(official: State, tmp_path: Path) -> None:
    for other in ("student", "remaining", "schema"):
        path = write({"teacher": official, other: {**official}, "epoch": 3}, tmp_path / "x.pth")
        assert f"several sets of weights: teacher, {other}; save one alone" in refusal(path)


def test_halves_of_two_networks_are_none(official: State, tmp_path: Path) -> None:
    half = len(official) // 2
    for first, second in (("gen.", "disc."), ("gen.", "model."), ("", "disc.")):
        names = [(first if i < half else second) + key for i, key in enumerate(official)]
        path = write(dict(zip(names, official.values(), strict=True)), tmp_path / "x.pth")
        assert "no network of the family" in refusal(path)


# Files that cannot be used.


def test_missing_tensors_are_named(official: State, tmp_path: Path) -> None:
    gone = ["shuffle.levels.1.reduce.conv.weight", "heads.boxes.2.bias"]
    path = write({k: v for k, v in official.items() if k not in gone}, tmp_path / "x.pth")
    identity = identify(path)
    assert identity.variant == "official"
    assert sorted(identity.missing) == sorted(gone)
    assert not identity.complete
    assert "2 tensors of official missing" in refusal(path)


def test_a_file_without_a_block_is_compared_with_the_nearest(
    official: State, tmp_path: Path
) -> None:
    heads = [key for key in official if key.startswith("heads.")]
    path = write({k: v for k, v in official.items() if k not in heads}, tmp_path / "x.pth")
    identity = identify(path)
    assert (identity.config, identity.variant, identity.nearest) == (None, None, "official")
    assert sorted(identity.missing) == sorted(heads)
    assert f"nearest: official, which has {len(heads)} more" in refusal(path)


def test_misshapen_tensors_are_named(official: State, tmp_path: Path) -> None:
    key = "pyramid.cells.1.conv_p3_out.pointwise.weight"
    path = write(official | {key: torch.zeros(64, 32, 1, 1)}, tmp_path / "x.pth")
    (wrong,) = identify(path).misshapen
    assert (wrong.key, wrong.shape, wrong.expected) == (key, (64, 32, 1, 1), (64, 64, 1, 1))
    message = refusal(path)
    assert key in message
    assert "(64, 32, 1, 1) instead of (64, 64, 1, 1)" in message


def test_tensors_that_fit_nowhere_are_named(official: State, tmp_path: Path) -> None:
    path = write(official | {"neck.weight": torch.zeros(3)}, tmp_path / "x.pth")
    identity = identify(path)
    assert (identity.variant, identity.nearest, identity.complete) == (None, "official", False)
    assert (identity.extra, identity.extra_parameters) == (["neck.weight"], 3)
    assert "neck.weight" in identity.stray
    assert "1 tensors (3 learnable numbers) fit nowhere in official, first neck.weight" in refusal(
        path
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(official: State, tmp_path: Path, value: float) -> None:
    key = "heads.classes.0.weight"
    broken = official[key].clone()
    broken[0, 0] = value
    assert f"{key} holds NaN" in refusal(write(official | {key: broken}, tmp_path / "x.pth"))


def test_numbers_of_other_widths_are_taken_where_float32_holds_them(
    official: State, tmp_path: Path
) -> None:
    key = "heads.classes.0.bias"
    for dtype in (torch.float8_e4m3fn, torch.float64):
        path = write(official | {key: torch.ones(4, dtype=dtype)}, tmp_path / "x.pth")
        assert load(path).state_dict()[key].tolist() == [1.0] * 4
    path = write(official | {key: torch.full((4,), 1e300, dtype=torch.float64)}, path)
    assert f"{key} holds NaN or infinity" in refusal(path)


def test_another_network_is_near_to_none(tmp_path: Path) -> None:
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
    path = write(other.state_dict(), tmp_path / "x.pth")
    identity = identify(path)
    assert identity.variant is None
    assert identity.config is None
    assert identity.nearest is None
    assert identity.parameters == 3 * 8 * 9 + 8 + 2 * 8
    assert refusal(path).endswith("no network of the family: 0 of 7 tensors have a known name")


class Payload:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return Path.write_text, (Path("owned"), "owned")  # type: ignore[return-value]


def bomb(path: Path) -> None:
    """A gigabyte of zeros in a megabyte."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("archive/data.pkl", "w") as file,
    ):
        for _ in range(1024):
            file.write(bytes(2**20))


def scripted() -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and still what people have
        return torch.jit.trace(nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 2, 2))


def quantised() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.ones(3), 1.0, 0, torch.qint8)


DAMAGE: list[tuple[str, Callable[[Path, State], object]]] = [
    ("a pickle that runs code", lambda p, s: torch.save({"x": Payload()}, p)),
    ("a bare pickle", lambda p, s: p.write_bytes(pickle.dumps(Payload()))),
    ("a whole module", lambda p, s: torch.save(FeatherFace("v1"), p)),
    ("empty", lambda p, s: p.write_bytes(b"")),
    ("text", lambda p, s: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0")),
    ("TorchScript", lambda p, s: scripted().save(p)),
    ("no values", lambda p, s: torch.save({k: v.to("meta") for k, v in s.items()}, p)),
    ("quantised", lambda p, s: torch.save({"x": quantised()}, p)),
    ("sparse", lambda p, s: torch.save({"x": torch.eye(3).to_sparse()}, p)),
    ("a zip", lambda p, s: zipfile.ZipFile(p, "w").writestr("x.txt", "x")),
    ("a bomb", lambda p, s: bomb(p)),
    ("cells", lambda p, s: torch.save(s | {f"pyramid.cells.{10**9}.y": torch.ones(2)}, p)),
    ("digits", lambda p, s: torch.save(s | {f"bifpn.{'9' * 5000}.p4_w1": torch.ones(2)}, p)),
    ("no digits", lambda p, s: torch.save(s | {"pyramid.cells.x.y": torch.ones(2)}, p)),
    ("a list", lambda p, s: torch.save([1, 2], p)),
    ("no tensors", lambda p, s: torch.save({"epoch": 3}, p)),
    ("one tensor", lambda p, s: torch.save(torch.zeros(3), p)),
    ("zeros", lambda p, s: p.write_bytes(bytes(4096))),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGE, ids=[name for name, _ in DAMAGE])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files_are_one_line(
    official: State,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    damage: Callable[[Path, State], object],
    suffix: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"x{suffix}"
    damage(path, official)
    assert str(path) in refusal(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("keep", [0.01, 0.5, 0.9, 0.999])
def test_truncated_files_are_one_line(
    official: State, tmp_path: Path, keep: float, legacy: bool
) -> None:
    path = tmp_path / "x.pth"
    torch.save(official, path, _use_new_zipfile_serialization=not legacy)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    assert str(path) in refusal(path)


@pytest.mark.parametrize("keep", [0.001, 0.5, 0.999])
def test_truncated_safetensors_are_one_line(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "x.safetensors"
    save(FeatherFace("v1"), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    assert str(path) in refusal(path)


def test_a_folder_or_nothing_is_one_line(tmp_path: Path) -> None:
    assert "a folder" in refusal(tmp_path)
    assert "no such file" in refusal(tmp_path / "none.pth")
    assert "no such file" in refusal("two\nlines")


def test_what_the_metadata_says_must_fit(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = FeatherFace("v1").state_dict()
    path = tmp_path / "x.safetensors"
    deep = "[" * 100_000
    shallower = "[" * 9_000
    cells = '{"cells": 1000000000}'
    texts = ("{}", '{"channels": 64}', '{"channels": "many"}', "[", '{"colour": 1}')
    for config in (deep, shallower, cells, *texts):
        save_file(state, path, metadata={"format": "featherface 1", "config": config})
        assert str(path) in refusal(path)


def test_configuration_shapes_need_no_memory() -> None:
    huge = replace(CONFIGS["v1"], channels=4096, cells=64)  # 4 GB of weights
    shapes = checkpoints.expected_shapes(huge)
    assert shapes["heads.boxes.0.weight"] == (8, 4096, 1, 1)


def test_a_checkpoint_that_is_no_regular_file_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        assert "not a regular file" in refusal(path)
    for name in (str(tmp_path / "loop"), "", "x" * 300, "a\0b"):
        with pytest.raises(CheckpointError):
            load(name)


def test_an_exported_network_is_identified_by_what_it_states(tmp_path: Path) -> None:
    export(FeatherFace("retinaface"), tmp_path / "x.onnx", described="random")
    identity = identify(tmp_path / "x.onnx")
    assert (identity.format, identity.variant, identity.complete) == ("onnx", "retinaface", True)
    assert identity.parameters == 426_608
    assert "exported network" in refusal(tmp_path / "x.onnx")
    for content in (b"", b"\x08\x09garbage", b"[" * 1000):
        (tmp_path / "x.onnx").write_bytes(content)
        with pytest.raises(InputError, match="ONNX model"):
            identify(tmp_path / "x.onnx")
