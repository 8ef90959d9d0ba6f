"""CUDA graphs, with a stand-in for the capture where there is no GPU."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from featherface import CONFIGS, Detector, FeatherFace, InputError
from featherface.blocks.deformable import DeformConv2d
from featherface.detector import preprocess
from featherface.images import RGBArray
from featherface.model import load
from featherface.runtimes import cuda_graph
from featherface.runtimes.agreement import DisagreementError
from featherface.runtimes.cuda_graph import GraphRunner, full_float32, prepare, proven_runner
from featherface.runtimes.network import TorchNetwork, make_network
from featherface.synthetic import draw_crowd
from featherface.weights.published import CheckpointError

CPU = torch.device("cpu")
GPU = pytest.mark.gpu
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


class Eager:
    """Stands in for `CapturedForward` on the CPU: runs the function, and counts captures."""

    made: int = 0

    def __init__(self, forward: Callable[[Tensor], Tensor], example: Tensor) -> None:
        type(self).made += 1
        self.forward = forward
        self.output = forward(example)

    def __call__(self, x: Tensor) -> Tensor:
        self.output.copy_(self.forward(x))
        return self.output


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> type[Eager]:
    counting = type("Counting", (Eager,), {"made": 0})
    monkeypatch.setattr(cuda_graph, "CapturedForward", counting)
    return counting


@pytest.fixture(scope="module")
def model() -> FeatherFace:
    torch.manual_seed(0)
    return FeatherFace("retinaface").eval()


def pixels(height: int, width: int) -> Any:
    return preprocess(draw_crowd()[:height, :width]).pixels


@pytest.mark.parametrize("dtype", cuda_graph.TOLERANCES)
@pytest.mark.parametrize("variant", CONFIGS)
def test_what_is_captured_stays_on_the_gpu_and_waits_for_nothing(
    fake_gpu: Any, variant: str, dtype: torch.dtype
) -> None:
    runner = GraphRunner(FeatherFace(variant), CPU, dtype)
    runner.device = fake_gpu.device
    with fake_gpu.there():
        fake_gpu.moved(runner.model)
        images = torch.zeros(2, 3, 96, 160, device=fake_gpu.device)
        with torch.inference_mode(), fake_gpu.alone() as operators:
            rows = runner.forward(images)
    assert (rows.shape, rows.dtype) == ((2, 2 * (240 + 60 + 15), 15), torch.float32)
    assert sum("conv" in name for name in operators) > 50


@pytest.mark.parametrize("variant", CONFIGS)
def test_fewer_operators_change_nothing_but_rounding(variant: str) -> None:
    torch.manual_seed(0)
    network = FeatherFace(variant)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, DeformConv2d):
                for conv in filter(None, (module.offset, module.mask)):
                    nn.init.normal_(conv.weight, std=0.02)
                    nn.init.normal_(conv.bias, std=0.3)
        network.train()(torch.randn(2, 3, 64, 64))  # running statistics that are not 0 and 1
        network.eval()
        folded = prepare(network)
        x = torch.randn(1, 3, 64, 96)
        for ours, theirs in zip(folded(x), network(x), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)

    def norms(module: nn.Module) -> int:
        return sum(isinstance(each, nn.BatchNorm2d) for each in module.modules())

    assert norms(folded) < norms(network) / 2
    assert not any(isinstance(module, DeformConv2d) for module in folded.modules())


def test_a_shape_is_captured_at_its_second_call_and_the_oldest_is_dropped(
    model: FeatherFace, captures: type[Eager], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_graph, "SHAPES", 2)
    runner, torch_network = GraphRunner(model, CPU), TorchNetwork(model, CPU)
    for size, made in (((64, 96), 0), ((64, 96), 1), ((64, 96), 1), ((50, 41), 1), ((50, 41), 2)):
        x = pixels(*size)
        for ours, theirs in zip(runner.run(x), torch_network(x), strict=True):
            np.testing.assert_allclose(ours[0], theirs, rtol=0, atol=1e-5)
        assert captures.made == made
    for _ in range(2):
        runner.run(pixels(40, 40))
    assert captures.made == 3
    runner.run(pixels(64, 96))  # was dropped
    assert captures.made == 4
    monkeypatch.setattr(cuda_graph, "MOST_PIXELS", 80 * 80)
    for _ in range(3):
        runner.run(pixels(81, 80))
    assert captures.made == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_runner_can_be_pickled(captures: type[Eager], dtype: torch.dtype) -> None:
    """As a detector on a GPU is, to be sent to another process."""
    runner = GraphRunner(FeatherFace("official"), CPU, dtype)
    x = pixels(64, 96)
    expected = [runner.run(x) for _ in range(2)][1]  # the second one is captured
    again = pickle.loads(pickle.dumps(runner))
    assert (again.dtype, again._captured) == (dtype, {})
    for ours, theirs in zip(again.run(x), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_answers_are_not_overwritten_by_the_next_call(
    model: FeatherFace, captures: type[Eager]
) -> None:
    runner = GraphRunner(model, CPU)
    x = pixels(64, 64)
    runner.run(x)
    first = runner.run(x)
    kept = [array.copy() for array in first]
    runner.run(x + 50)
    for ours, theirs in zip(first, kept, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_network_that_differs_is_refused(
    model: FeatherFace, captures: type[Eager], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(self: GraphRunner, x: Tensor) -> Tensor:
        return original(self, x) + 1e-3

    original = GraphRunner.forward
    monkeypatch.setattr(GraphRunner, "forward", shifted)
    pretended = torch.device("cuda")
    monkeypatch.setattr(cuda_graph, "GraphRunner", lambda model, *_: GraphRunner(model, CPU))
    with pytest.raises(DisagreementError, match="differs from PyTorch"):
        proven_runner(model, pretended)
    with (
        pytest.warns(RuntimeWarning, match="runtime 'cuda-graph' is not used: differs"),
        pytest.raises((RuntimeError, AssertionError)),
    ):
        make_network(model, "auto", pretended)  # goes on to eager PyTorch, on no GPU here
    monkeypatch.setattr(GraphRunner, "forward", original)
    _, check = proven_runner(model, pretended)
    assert check["tolerance"]["scores"] == 1e-4
    assert check["max_difference"]["scores"] <= 1e-5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precisions_stay_within_their_tolerances(
    dtype: torch.dtype, captures: type[Eager], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        cuda_graph, "GraphRunner", lambda model, _, dtype: GraphRunner(model, CPU, dtype)
    )
    _, check = proven_runner(published("retinaface"), torch.device("cuda"), dtype)
    assert check["max_difference"]["scores"] > 1e-4  # was really computed in less precision


def test_the_runtime_is_refused_without_a_gpu(model: FeatherFace) -> None:
    with pytest.raises(InputError, match="'cuda-graph' runs on CUDA, not on device 'cpu'"):
        Detector(model, runtime="cuda-graph", device="cpu")
    with pytest.raises(InputError, match=r"dtype \(=float64\) must be one of float32, float16"):
        GraphRunner(model, CPU, torch.float64)


def test_tf32_is_off_within_and_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    with full_float32():
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="needs PyTorch 2.9")
@pytest.mark.parametrize("setting", ["pass", "torch.set_float32_matmul_precision('medium')"])
def test_every_switch_of_precision_is_as_before(setting: str) -> None:
    script = f"""if True:
        import torch
        from torch.backends import cuda, cudnn, mkldnn
        from featherface.runtimes.cuda_graph import full_float32
        def state():
            switches = cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul
            older = cudnn.allow_tf32, torch.get_float32_matmul_precision()
            return [switch.fp32_precision for switch in switches], older
        {setting}
        before = state()
        with full_float32():
            assert torch.get_float32_matmul_precision() == "highest"
        assert state() == before, (before, state())
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="needs PyTorch 2.9")
def test_tf32_is_off_where_pytorchs_newer_switches_are_used() -> None:
    """Which belong to the whole process; PyTorch cannot read the older ones from then on."""
    script = """if True:
        import torch
        from torch.backends import cuda, cudnn
        from analysis.environment import _allows_tf32
        from featherface.runtimes.cuda_graph import full_float32
        def state():
            return cuda.matmul.fp32_precision, cudnn.conv.fp32_precision, _allows_tf32()
        torch.backends.fp32_precision = "tf32"
        with full_float32():
            assert state() == ("ieee", "ieee", False), state()
        assert state() == ("tf32", "tf32", True), state()
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_capture_is_on_a_stream_of_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's stream for captures is of the GPU that captured first."""
    captured_on: list[Any] = []

    @contextmanager
    def graph(_: object, stream: Any = None, **__: str) -> Iterator[None]:
        captured_on.append(stream)
        yield

    def new_stream(device: torch.device) -> SimpleNamespace:
        return SimpleNamespace(device=device, wait_stream=lambda _: None)

    stand_ins = {
        "Stream": new_stream,
        "current_stream": new_stream,
        "stream": nullcontext,
        "device": nullcontext,
        "synchronize": lambda _: None,
        "CUDAGraph": object,
        "graph": graph,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    cuda_graph.CapturedForward(lambda x: x + 1, torch.zeros(1))
    assert [stream.device for stream in captured_on] == [CPU]


def published(name: str) -> FeatherFace:
    try:
        return load(name)
    except CheckpointError as error:
        pytest.skip(str(error))


@GPU
@needs_gpu
@pytest.mark.parametrize("variant", CONFIGS)
def test_graphs_answer_as_pytorch_does(variant: str) -> None:
    torch.manual_seed(0)
    runner, check = proven_runner(FeatherFace(variant).eval(), torch.device("cuda"))
    print(variant, check["max_difference"])
    x = pixels(160, 128)
    eager, captured, again = (runner.run(x) for _ in range(3))
    assert len(runner._captured) == 1
    for first, second, third in zip(eager, captured, again, strict=True):
        np.testing.assert_array_equal(second, third)
        np.testing.assert_allclose(second, first, rtol=0, atol=1e-4)


@GPU
@needs_gpu
@pytest.mark.parametrize("name", ["official", "retinaface"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_published_weights_stay_within_the_tolerances(name: str, dtype: torch.dtype) -> None:
    _, check = proven_runner(published(name), torch.device("cuda"), dtype)
    print(name, dtype, check["max_difference"])
    assert (check["max_difference"]["scores"] > 1e-4) == (dtype != torch.float32)


@GPU
@needs_gpu
def test_auto_on_a_gpu_is_a_graph_and_finds_the_same_faces() -> None:
    model = published("official")
    detector = Detector(model, device="cuda", runtime="auto")
    assert detector.runtime == "cuda-graph"
    eager = Detector(model, device="cpu", runtime="torch")
    image: RGBArray = draw_crowd()
    for _ in range(3):  # eager, captured, replayed
        ours, theirs = detector.detect_arrays(image), eager.detect_arrays(image)
        assert len(ours.scores) == len(theirs.scores) > 0
        np.testing.assert_allclose(ours.boxes, theirs.boxes, rtol=0, atol=0.05)
        np.testing.assert_allclose(ours.scores, theirs.scores, rtol=0, atol=1e-3)


@GPU
@needs_gpu
def test_many_shapes_and_threads_share_one_runner() -> None:
    torch.manual_seed(0)
    model = FeatherFace("retinaface").eval()
    runner, reference = GraphRunner(model, torch.device("cuda")), TorchNetwork(model, CPU)
    inputs = [pixels(40 + 8 * (i % 12), 64) for i in range(48)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(runner.run, inputs))
    for x, ours in zip(inputs, answers, strict=True):
        for a, b in zip(ours, reference(x), strict=True):
            np.testing.assert_allclose(a[0], b, rtol=0, atol=1e-4)
    assert len(runner._captured) <= cuda_graph.SHAPES
