"""Images in, the faces on them out."""

from __future__ import annotations

import copy
import math
import operator
import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from multiprocessing.reduction import ForkingPickler
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import IO, Any, NamedTuple, cast, get_args, overload

import numpy as np
import numpy.typing as npt
import torch
from PIL.Image import Image
from torch import Tensor

from featherface.boxes import cached_anchors, decode_boxes, decode_landmarks, nms
from featherface.config import MIN_SIZE, FeatherFaceConfig
from featherface.errors import InputError, first_sentence, out_of_memory
from featherface.faces import Face, Results, Source
from featherface.forks import one_thread_in_a_fork
from featherface.images import (
    MAX_NETWORK_PIXELS,
    FloatArray,
    NetworkInput,
    Picture,
    PictureError,
    RGBArray,
    network_size,
    own,
    preprocess,
    read_picture,
    several,
)
from featherface.model import FeatherFace, load, plain_copy
from featherface.pipeline import MOST_AT_ONCE, in_order
from featherface.runtimes.interface import Network, RawDetections
from featherface.runtimes.network import Runtime, checked_device, make_network, open_onnx

_MANY_IMAGES = 20
"""The number of images from which a session on one thread, opened in 0.1 s, is worth its time."""

_SIZES = 8
"""At most so many networks for one size are kept by `for_size`, beside those in use."""


class Detections(NamedTuple):
    """The same faces as arrays, by falling score; see `Face` for units and order."""

    boxes: FloatArray  # (n, 4)
    scores: FloatArray  # (n,)
    landmarks: FloatArray  # (n, 5, 2)


class Detector:
    """Finds faces: `detector(image)` → `Results`, a list of `Face`.

    It may be called from several threads at once, and pickled. Made or called in a process that
    was forked, it sets PyTorch to one thread there, whatever `threads` says, and runs on no GPU
    that the parent has used; start processes by "spawn" for more.

    Args:
        weights: as for `featherface.load`; a model, of which the detector takes a copy; or an ONNX
            file that `featherface.export` has written, by its ending `.onnx`.
        score_threshold: a face must score more than this; 0 ≤ … < 1. The official protocol of
            WIDER FACE has 0.02.
        nms_threshold: of two boxes whose intersection over union is larger, the one with the
            lower score is dropped; from 0 to 1.
        size: of the image at the network, in pixels: `None` for its original size, as the
            official protocol has it; the longer side, keeping the aspect ratio up to rounding;
            or (height, width) exactly. At least 32. Faces are found in coordinates of the
            original in any case.
        max_faces: keep only so many, the best.
        device: where the network runs; `None` for CUDA where there is one and PyTorch is not
            excluded by `weights` or `runtime`, else the CPU.
        runtime: "torch"; "compile", which takes its time at first; "cuda-graph", on a GPU; "onnx"
            and "openvino" (an extra, for images of one size), on the CPU; or "auto", the fastest
            that is installed, see `featherface.runtimes.network.make_network`. `None`: "torch" for
            a model, which may change, and "auto" for weights.
        threads: of the CPU, for the network, up to 64 or the processors here, whichever are more;
            `None` for what PyTorch is set to.

    Attributes:
        network: the `Network` that is called.
        runtime: the runtime of the network, never "auto".

    Raises:
        InputError: for an argument outside of these, one clear line.
        CheckpointError: for weights that are unavailable or unusable (an `InputError` too).
    """

    config: FeatherFaceConfig
    network: Network
    runtime: Runtime

    def __init__(
        self,
        weights: str | Path | FeatherFace = "v1",
        *,
        score_threshold: float = 0.5,
        nms_threshold: float = 0.4,
        size: int | tuple[int, int] | None = None,
        max_faces: int | None = None,
        device: str | torch.device | None = None,
        runtime: str | None = None,
        threads: int | None = None,
    ) -> None:
        one_thread_in_a_fork()
        if runtime is None:
            runtime = "torch" if isinstance(weights, FeatherFace) else "auto"
        self.score_threshold = _fraction("score_threshold", score_threshold)
        if self.score_threshold == 1:
            raise InputError("score_threshold (=1) must be below 1: no score exceeds it")
        self.nms_threshold = _fraction("nms_threshold", nms_threshold)
        self.size = _checked_size(size)
        # Of all images at the network, where it is known.
        self._one_size = self.size if isinstance(self.size, tuple) else None
        self.max_faces = None if max_faces is None else _integer("max_faces", max_faces, 1)
        # More than the processors is slow, but scripts move between machines; a hundred thousand
        # threads end the process.
        most = max(64, os.cpu_count() or 1)
        self._threads = None if threads is None else _integer("threads", threads, 1, most)
        if runtime not in get_args(Runtime):
            known = ", ".join(get_args(Runtime))
            raise InputError(f"runtime (={runtime!r}) must be one of {known}")
        self._wanted = cast(Runtime, runtime)
        self._model: FeatherFace | None = None
        # Of `for_size`, by size.
        self._for_sizes: dict[tuple[int, int], tuple[Network, Runtime]] = {}
        exported = isinstance(weights, str | Path) and Path(weights).suffix.lower() == ".onnx"
        if device is None and (exported or self._wanted in ("onnx", "openvino")):
            device = "cpu"
        where = checked_device(device)
        if isinstance(weights, str | Path) and exported:
            if self._wanted not in ("auto", "onnx") or where.type != "cpu":
                raise InputError(
                    f"{weights}: an ONNX file is for runtime 'onnx' on the CPU, not for "
                    f"{runtime!r} on {str(where)!r}"
                )
            network = open_onnx(Path(weights), self._threads)
            self.config, self.network, self.runtime = network.config, network, "onnx"
            return
        if isinstance(weights, FeatherFace):
            self._model = plain_copy(weights)
        else:
            self._model = load(weights)
        self.config = self._model.config
        self._choose(self._model, where)

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, images: str | PathLike[str] | bytes | IO[bytes] | Image, *, bgr: bool = False
    ) -> Results: ...
    @overload
    def __call__(self, images: npt.NDArray[Any] | Tensor, *, bgr: bool = False) -> Any: ...
    @overload
    def __call__(self, images: Iterable[Picture], *, bgr: bool = False) -> list[Results]: ...
    def __call__(
        self, images: Picture | Iterable[Picture], *, bgr: bool = False
    ) -> Results | list[Results]:
        """Return the faces of an image, by falling score, or of several images, in their order.

        Args:
            images: one image (a path, bytes, an open file, a PIL image, an array or a tensor;
                `featherface.images.read_picture` says which types, shapes and ranges), or several:
                a list or another iterable of images, an array or tensor of four dimensions, a
                folder, or a pattern such as "photos/*.jpg".
            bgr: arrays and tensors are blue, green, red.

        Raises:
            PictureError: for an image that cannot be read or used.
        """
        many = several(images)
        if many is None:
            return self._finish(self._prepare(*_read(images, bgr)), self.network)  # type: ignore[arg-type]
        return list(self.stream(many, bgr=bgr))

    def stream(
        self,
        images: Picture | Iterable[Picture],
        *,
        bgr: bool = False,
        ahead: int | None = None,
        keep: bool = False,
        on_error: Callable[[InputError], object] | None = None,
    ) -> Iterator[Results]:
        """Yield the faces of each image, in order.

        Of many images, ONNX Runtime, and OpenVINO for images of one size, compute as many
        at once as there are threads, at most 16, each on one thread: faster than all threads on one
        image, with the same faces up to rounding. In other runtimes, and of few images, two threads
        read ahead of the network.

        Args:
            images: as for a call, of any number. The arrays, tensors and PIL images of an
                iterator are copied, as it may overwrite them with the next.
            ahead: at most so many images are taken before they are due; `None` for two a thread,
                at least four.
            keep: keep the pixels of each image with its results, to draw and crop without
                reading it again.
            on_error: is called with the error of an image that cannot be read or used, which is
                then left out; by default it is raised.

        Raises:
            PictureError: at an image that cannot be read or used.
        """
        many = several(images)
        coming: Iterable[Picture] = [images] if many is None else many  # type: ignore[list-item]
        network, one_by_one = self.network, threading.Lock()
        at_once, on_one_thread = 1, None
        threads = self._most_at_once()
        count = operator.length_hint(coming, sys.maxsize)
        if threads > 1 and count >= max(_MANY_IMAGES, 2 * threads):
            # Not of PyTorch, whose threads belong to the whole process.
            on_one_thread = getattr(network, "on_one_thread", None)
            at_once = threads if on_one_thread else 1
        if not isinstance(coming, Sequence):
            coming = map(own, coming)
        ahead = max(4, 2 * at_once) if ahead is None else _integer("ahead", ahead, 1)

        def work(image: Picture) -> _Prepared | Results:
            source, pixels = _read(image, bgr, keep)
            if on_one_thread is None:
                return self._prepare(source, pixels)
            height, width = pixels.shape[:2]
            needed = at_once * math.prod(network_size(height, width, self.size))
            if needed <= MAX_NETWORK_PIXELS:
                return self._finish(self._prepare(source, pixels), on_one_thread)
            with one_by_one:  # together, large images would take several times their memory
                return self._finish(self._prepare(source, pixels), network)

        pipeline = in_order(work, coming, threads=max(2, at_once), ahead=ahead)
        with closing(pipeline) as futures:
            for future in futures:
                try:
                    done = future.result()
                    results = self._finish(done, network) if isinstance(done, _Prepared) else done
                except InputError as error:
                    if on_error is None:
                        raise
                    on_error(error)
                else:
                    yield results

    def detect_arrays(self, picture: Picture, *, bgr: bool = False) -> Detections:
        """Return the faces of one image as arrays."""
        return self._detect(self._prepare(*_read(picture, bgr)), self.network)

    def to(self, device: str | torch.device) -> Detector:
        """Move the network to a device, choosing the runtime for it anew; returns the detector.

        Raises:
            InputError: for a device that is unavailable, or for an ONNX file, which is for the CPU.
        """
        where = checked_device(device)
        if self._model is None:
            if where.type != "cpu":
                raise InputError(f"an ONNX file runs on the CPU, not on {str(device)!r}")
            return self
        self._for_sizes = {}
        self._choose(self._model, where)
        return self

    def for_size(self, height: int, width: int) -> Detector:
        """Return a detector like this one for images of that size alone, as the frames of a video.

        With "auto" or OpenVINO it has a network of its own for that size; other images take longer.
        Those of the last few sizes are kept, so that they are not made again for the next clip.
        `Detector(size=(height, width))` has it from the start.
        """
        height, width = _integer("height", height, 1), _integer("width", width, 1)
        size = network_size(height, width, self.size)
        one = copy.copy(self)
        if size == self._one_size or math.prod(size) > MAX_NETWORK_PIXELS:
            return one
        one._one_size = size
        for_any_size = self._wanted not in ("auto", "openvino") or find_spec("openvino") is None
        if self._model is None or self._device.type != "cpu" or for_any_size:
            return one
        # Each step as a whole: other threads may do the same.
        made = self._for_sizes.get(size)
        if made is None:
            one._choose(self._model, self._device)
        else:
            one.network, one.runtime = made
        self._for_sizes.pop(size, None)
        self._for_sizes[size] = one.network, one.runtime  # the one used last comes last
        kept = list(self._for_sizes)
        most = MAX_NETWORK_PIXELS / self._most_at_once()  # they hold the memory of so many images
        while len(kept) > 1 and (len(kept) > _SIZES or sum(map(math.prod, kept)) > most):
            self._for_sizes.pop(kept.pop(0), None)
        return one

    def _most_at_once(self) -> int:
        return min(self._threads or torch.get_num_threads(), MOST_AT_ONCE)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_for_sizes": {}}  # a copy makes its own

    def _choose(self, model: FeatherFace, device: torch.device) -> None:
        self._device = device
        try:
            self.network, self.runtime = make_network(
                model, self._wanted, device, self._threads, self._one_size
            )
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            raise InputError(f"too little memory for the network on {str(device)!r}") from None

    def _prepare(self, source: Source, pixels: RGBArray) -> _Prepared:
        with _enough_memory(source.name, pixels.shape):
            return _Prepared(source, preprocess(pixels, self.size, name=source.name))

    def _detect(self, prepared: _Prepared, network: Network) -> Detections:
        name, (pixels, scale) = prepared.source.name, prepared.input
        height, width = pixels.shape[-2:]
        one_thread_in_a_fork()
        with _enough_memory(name, (height, width)):
            try:
                raw = network(pixels)
            except NotImplementedError as error:  # backends such as MPS lack some operators
                raise InputError(
                    f"runtime {self.runtime!r} cannot run this network: {first_sentence(error)}"
                ) from None
            found = postprocess(
                raw,
                cached_anchors(height, width, self.config.anchors),
                (width * scale[0], height * scale[1]),
                score_threshold=self.score_threshold,
                nms_threshold=self.nms_threshold,
                max_faces=self.max_faces,
            )
        if not all(np.isfinite(array).all() for array in (raw.scores, *found)):
            raise InputError(
                f"{name}: the network's answer is not finite; its weights are unusable"
            )
        return found

    def _finish(self, prepared: _Prepared, network: Network) -> Results:
        arrays = (array.tolist() for array in self._detect(prepared, network))
        faces = (
            Face(tuple(box), score, tuple((x, y) for x, y in landmarks), prepared.source)
            for box, score, landmarks in zip(*arrays, strict=True)
        )
        return Results(faces, prepared.source)


@contextmanager
def _enough_memory(name: str, size: Sequence[int]) -> Iterator[None]:
    """Turn errors of too little memory into one line."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise PictureError(
            f"{name}: too little memory for {size[1]}×{size[0]} pixels; a smaller size takes less"
        ) from None


def _in_one_piece(detector: Detector) -> tuple[Callable[[bytes], Any], tuple[bytes]]:
    return pickle.loads, (pickle.dumps(detector),)


# Each tensor by itself would take a file descriptor, of which "forkserver" has 256.
ForkingPickler.register(Detector, _in_one_piece)


def _read(image: Picture, bgr: bool, keep: bool = False) -> tuple[Source, RGBArray]:
    source = Source(image, bgr=bgr)
    # An open file can be read once; whatever else is given can be read again.
    kept = keep or hasattr(image, "read")
    return source, source.pixels if kept else read_picture(image, bgr=bgr)


class _Prepared(NamedTuple):
    source: Source
    input: NetworkInput


def postprocess(
    raw: RawDetections,
    anchors: Tensor,
    extent: tuple[float, float],
    *,
    score_threshold: float,
    nms_threshold: float,
    max_faces: int | None = None,
) -> Detections:
    """Return the faces: score above the threshold, decoded, non-maximum suppression.

    In its suppression, the official code counts a box from pixel 3 to pixel 5 as three wide;
    here, as in `torchvision.ops.nms`, it is two wide.

    Args:
        anchors: (N, 4), see `featherface.boxes.make_anchors`.
        extent: width and height of the network's input, in the pixels wanted.
    """
    kept = np.flatnonzero(raw.scores > score_threshold)
    # Filtered first: of the tens of thousands of anchors, hundreds are decoded.
    chosen = anchors[torch.from_numpy(kept)]
    scores = torch.from_numpy(raw.scores[kept])
    x_y = torch.tensor(extent, dtype=torch.float32, device="cpu")
    boxes = decode_boxes(torch.from_numpy(raw.boxes[kept]), chosen) * x_y.repeat(2)
    best = nms(boxes, scores, nms_threshold)[:max_faces]  # sorted by falling score
    landmarks = decode_landmarks(torch.from_numpy(raw.landmarks[kept])[best], chosen[best]) * x_y
    return Detections(boxes[best].numpy(), scores[best].numpy(), landmarks.numpy())


def _checked_size(size: int | tuple[int, int] | None) -> int | tuple[int, int] | None:
    if size is None:
        return None
    if not isinstance(size, tuple | list):
        return _integer("size", size, MIN_SIZE)
    if len(size) != 2:
        raise InputError(f"size (={size!r}) must be one number, or height and width")
    height, width = (_integer("size", side, MIN_SIZE) for side in size)
    if height * width > MAX_NETWORK_PIXELS:
        raise InputError(
            f"size (={height}, {width}) is {height * width:,} pixels, more than the "
            f"{MAX_NETWORK_PIXELS:,} the network takes at once"
        )
    return height, width


def _integer(name: str, value: object, least: int, most: float = math.inf) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"{name} (={value!r}) must be an integer") from None
    if isinstance(value, bool):
        raise InputError(f"{name} (={value!r}) must be an integer")
    if not least <= number <= most:
        bound = f"at least {least}" if number < least else f"at most {most}"
        raise InputError(f"{name} (={number}) must be {bound}")
    return number


def _fraction(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
        raise InputError(f"{name} (={value!r}) must be a number from 0 to 1")
    return float(value)
