"""Predict a folder of images: whole files, resumable, over threads, processes and machines.

The network takes one thread an image, and as many images at once as there are threads. That is
faster than all threads on one image; and what a convolution sums up, and in which order, depends
on its number of threads, so that this way alone the files are the same, byte for byte, however the
work is divided.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from analysis.widerface.finding import find
from analysis.widerface.image_folder import Entry, list_images
from analysis.widerface.protocol import PROTOCOLS, Protocol
from analysis.widerface.results_folder import ResultsFolder
from analysis.widerface.shards import Group
from featherface.detector import Detector
from featherface.errors import InputError
from featherface.images import PictureError, read_picture
from featherface.pipeline import MOST_AT_ONCE, in_order
from featherface.weights.checkpoints import identify
from featherface.weights.reading import read_stated

Track = Callable[[Iterable[Any], int], Iterable[Any]]
"""Passes its items on while it shows how many of a total have come."""


def predict(
    images: str | Path,
    out: str | Path,
    *,
    weights: str | Path = "official",
    protocol: Protocol = PROTOCOLS["original"],
    runtime: str = "auto",
    device: str | None = None,
    threads: int | None = None,
    subset: str | Path | None = None,
    group: Group | None = None,
    track: Track | None = None,
) -> dict[str, Any]:
    """Find the faces on all images of a folder, and write them in the benchmark's format.

    Images whose results are in `out` already are passed over. Those that cannot be read are left
    out and listed.

    Args:
        images: see `image_folder.list_images`, as for `subset`.
        out: see `results_folder`. Takes results of one protocol and one set of weights only.
        weights: see `featherface.Detector`, as for `runtime`.
        device: `None` for CUDA where there is one, this process's own; else the CPU.
        threads: images at once; `None` for one a core that the process may use, or what
            OMP_NUM_THREADS says, which torchrun sets.
        group: the processes that share the work; `None` for this one alone.

    Returns:
        `pictures` asked for, `predicted` now, `done_before`, `unreadable` (a list of `picture` and
        `reason`), `seconds`, `pictures_per_second`, `processes`, `threads`, and what
        `protocol.json` says.

    Raises:
        InputError: for an argument or a folder that cannot be used; what is done is kept.
    """
    if threads is not None and threads < 1:
        raise InputError(f"threads (={threads}) must be at least 1")
    group = group or Group()
    folder = ResultsFolder(out)
    if device is None:
        never = runtime in ("onnx", "openvino") or is_exported(weights)
        on_cpu = never or not torch.cuda.is_available()
        device = "cpu" if on_cpu else f"cuda:{group.local_rank % torch.cuda.device_count()}"
    # What compiles itself when it first sees a size is called from one thread.
    at_once = 1 if runtime == "compile" else threads or _usual_threads(device)
    detectors: list[Detector] = []

    def plan() -> tuple[dict[str, Any], list[Entry], list[Entry]]:
        """Decide for all processes: what makes the results, all images asked for, those to do."""
        entries = list_images(images, subset)
        detectors.append(Detector(weights, runtime=runtime, device=device))
        identity = {
            "protocol": protocol.record(),
            "weights": _weights(weights),
            "runtime": detectors[0].runtime,
            "device": torch.device(device).type,
            "versions": _versions(),
        }
        folder.open_for(identity)
        todo = [entry for entry in entries if entry.unusable or not folder.is_done(entry)]
        if group.world > 1:  # by size, so that each of them has as many large images
            todo.sort(key=lambda entry: _bytes(Path(images) / entry.image), reverse=True)
        return identity, entries, todo

    with ExitStack() as stack:
        if group.first:
            stack.enter_context(folder.alone())
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)
        identity, entries, todo = group.decided_by_first(plan)
        if not detectors:
            # What the first chose, since "auto" might choose otherwise on another machine.
            detectors.append(Detector(weights, runtime=identity["runtime"], device=device))
            own, first = _weights(weights)["sha256"], identity["weights"]["sha256"]
            if own != first:
                raise InputError(
                    f"{weights}: on {platform.node()}, sha256 {own[:12]}…; the first process has "
                    f"{first[:12]}…"
                )

        def one(entry: Entry) -> dict[str, str] | None:
            """Write the results of an image; return the reason where it has none."""
            path = Path(images) / entry.image
            try:
                if entry.unusable:
                    raise PictureError(entry.unusable)
                found = find(detectors[0], read_picture(path), protocol, str(path))
            except PictureError as error:
                reason = str(error).removeprefix(f"{path}: ")
                return {"picture": entry.image, "reason": reason}
            folder.write(entry, found, whole_pixels=protocol.whole_pixels)
            return None

        start = time.monotonic()
        everyone = group.gathered(_all(one, todo[group.rank :: group.world], at_once, track))
        seconds = time.monotonic() - start
        failed = (item for part in everyone for item in part)
        unreadable = sorted(failed, key=lambda item: item["picture"])
        if group.first:
            tried = {entry.image for entry in entries} if subset is not None else None
            folder.write_unreadable(unreadable, tried)
    predicted = len(todo) - len(unreadable)
    return {
        "pictures": len(entries),
        "predicted": predicted,
        "done_before": len(entries) - len(todo),
        "unreadable": unreadable,
        "seconds": seconds,
        "pictures_per_second": predicted / seconds if predicted else None,
        "processes": group.world,
        "threads": at_once,
        **identity,
    }


def _all(
    one: Callable[[Entry], dict[str, str] | None],
    entries: list[Entry],
    threads: int,
    track: Track | None,
) -> list[dict[str, str]]:
    """Do every entry, several at once; return what failed."""
    # Also when interrupted, the images under way are finished.
    with closing(in_order(one, entries, threads=threads, ahead=4 * threads)) as futures:
        done = (future.result() for future in futures)
        results = track(done, len(entries)) if track else done
        return [failure for failure in results if failure is not None]


def _usual_threads(device: str) -> int:
    # Not PyTorch's threads, which may be one a physical core.
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        cores = int(given)
    elif hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    # A GPU runs one image at a time: the others are read and written meanwhile.
    return min(cores, MOST_AT_ONCE if device == "cpu" else 4)


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # is reported when it is read
        return 0


def _weights(weights: str | Path) -> dict[str, Any]:
    """Return name, sha256 of the file, variant and parameters; for ONNX also its origin."""
    found, path = identify(weights), Path(weights)
    record: dict[str, Any] = {
        "name": found.published or path.name,
        "sha256": found.sha256,
        "variant": found.variant,
        "parameters": found.parameters,
    }
    if is_exported(weights):
        # The file says what it was exported from, which nothing proves: its own bytes identify it.
        stated, _ = read_stated(path)
        names = {"name": "weights", "sha256": "weights_sha256"}
        origin = {key: stated.get(name) or None for key, name in names.items()}
        record |= {"name": path.name, "exported_from": origin}
    return record


def is_exported(weights: str | Path) -> bool:
    """Return whether this is an ONNX file, as `featherface.Detector` sees it."""
    return Path(weights).suffix.lower() == ".onnx"


def _versions() -> dict[str, str | None]:
    """Return the versions of what computes the boxes; None for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in ("featherface", "torch", "torchvision", "onnxruntime", "numpy", "pillow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
