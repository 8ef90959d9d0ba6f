"""Fixtures of all tests: the command, a browser, and the folder of real data where there is one."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes that share the cores: threads of each would wait for those of the others.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Tests interrupt processes, which a shell's background job is told to ignore."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Exported networks are cached for the session, not among the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATHERFACE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


class Call(NamedTuple):
    """The exit code of a command, and what it printed."""

    code: Any
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document that `--json -` printed."""
        return json.loads(self.out)

    @property
    def refusal(self) -> str:
        """The one line that bad input gets."""
        assert (self.code, self.out, self.err.count("\n")) == (2, "", 1), self
        assert self.err.startswith("featherface: ")
        return self.err


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Call]:
    """Calls the command `featherface` with arguments of any type."""
    from analysis.cli.main import main

    def run(*arguments: object) -> Call:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return Call(ended.value.code, *capsys.readouterr())

    return run


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.fixture(scope="session")
def contrast() -> Callable[[str, str], float]:
    """The ratio of WCAG 2.2 between two colours like #ff8800, from 1 to 21."""

    def ratio(a: str, b: str) -> float:
        dark, light = sorted((_luminance(a), _luminance(b)))
        return (light + 0.05) / (dark + 0.05)

    assert ratio("#000000", "#ffffff") == 21
    return ratio


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""


@contextmanager
def _serve(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def serve() -> Callable[[Path], AbstractContextManager[str]]:
    """Serves a folder while a `with` lasts; gives its address, without a slash at the end."""
    return _serve


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    api = pytest.importorskip("playwright.sync_api", reason="the browser is driven by Playwright")
    names = (os.environ.get("CHROMIUM", "chromium"), "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip(f"no browser is here: {', '.join(names)} (CHROMIUM names another)")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def portrait() -> Path:
    """A photograph of one face, 512×600, that comes with Matplotlib."""
    from matplotlib import cbook

    return Path(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh `retinaface`, which finds many faces anywhere: its scores lie around one half."""
    import torch

    from featherface.model import FeatherFace, save

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save(FeatherFace("retinaface"), path)
    return path


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of published weights, reference outputs and WIDER FACE; skips without it."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("FEATHERFACE_SHARED", default))
    if not folder.is_dir():
        pytest.skip(f"real data is not here: {folder} (FEATHERFACE_SHARED names the folder)")
    return folder


@pytest.fixture(scope="session")
def weights(shared: Path) -> Path:
    """The folder of published checkpoints; skips without it."""
    folder = shared / "weights"
    if not folder.is_dir():
        pytest.skip(f"published checkpoints are not here: {folder}")
    return folder
