"""Average precision of several checkpoints, as rows of the history."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from analysis.environment import stamp
from analysis.widerface import history
from analysis.widerface.average_precision import Evaluation, evaluate
from analysis.widerface.ground_truth import SUBSETS, VALIDATION_IMAGES, read_ground_truth
from analysis.widerface.image_folder import image_paths
from analysis.widerface.predicting import Track, is_exported, predict
from analysis.widerface.predictions import read_predictions
from analysis.widerface.protocol import PROTOCOLS, Protocol
from featherface.errors import InputError
from featherface.model import load
from featherface.runtimes.network import open_onnx


def track(
    checkpoints: Sequence[str | Path],
    images: str | Path,
    ground_truth: str | Path,
    out: str | Path,
    *,
    protocol: Protocol = PROTOCOLS["original"],
    runtime: str = "auto",
    subset: str | Path | None = None,
    device: str | None = None,
    progress: Track | None = None,
) -> Iterator[tuple[history.Row, Evaluation]]:
    """Predict and evaluate checkpoints, files or names of published weights, one by one.

    Predictions go to a folder in `out` for each checkpoint, protocol and runtime, and are taken
    from there where they are complete already. For the other arguments see `predicting.predict`.

    Yields:
        Row of the history, which nothing is added to, and the evaluation behind it.

    Raises:
        InputError: for anything that cannot be used, and where images could not be read: an AP
            without them would be another quantity.
    """
    # What is wrong with any of it should show before hours of predicting, not after.
    truth = read_ground_truth(ground_truth, subset)
    if truth.subset is None and len(truth.images) != VALIDATION_IMAGES:
        raise InputError(
            f"{ground_truth}: of {len(truth.images):,} images, where WIDER FACE's validation set, "
            f"of which the history is, has {VALIDATION_IMAGES:,}"
        )
    lacking = [name for name, faces in truth.faces.items() if not faces]
    if lacking:
        empty = ", ".join(lacking)
        raise InputError(
            f"{subset or ground_truth}: images without faces of {empty} have no AP there"
        )
    paths = image_paths(images)
    absent = [key for key in truth.index if key not in paths and ("", key[1]) not in paths]
    if absent:
        raise InputError(
            f"{images}: lacks {len(absent):,} of the {len(truth.images):,} images to evaluate, the "
            f"first {'/'.join(absent[0])}"
        )
    named = names(checkpoints)
    for checkpoint in named.values():
        if is_exported(checkpoint):
            open_onnx(Path(checkpoint))
        else:
            load(checkpoint)
    for name, checkpoint in named.items():
        where = Path(out) / "-".join((name, _slug(protocol.name), runtime))
        record = predict(
            images,
            where,
            weights=checkpoint,
            protocol=protocol,
            runtime=runtime,
            device=device,
            subset=subset,
            track=progress,
        )
        if record["unreadable"]:
            first = record["unreadable"][0]
            raise InputError(
                f"{name}: {len(record['unreadable'])} images could not be read, the first "
                f"{first['picture']}: {first['reason']}"
            )
        evaluation = evaluate(read_predictions(where, truth), truth)
        yield row_of(evaluation, record, name), evaluation


def row_of(evaluation: Evaluation, made: dict[str, Any], detector: str) -> history.Row:
    """Return the row of the history for an evaluation of predictions that `predict` has `made`."""
    record, weights = evaluation.as_dict(), made["weights"]
    epoch = re.search(r"epoch[-_ ]?(\d+)", weights["name"])
    fields = {
        "date": datetime.date.today().isoformat(),
        "source": "measured",
        "by": "featherface",
        "detector": detector,
        "variant": weights["variant"],
        "checkpoint": weights["name"],
        "checkpoint_sha256": weights["sha256"],
        "params": weights["parameters"],
        "protocol": made["protocol"],
        "runtime": made["runtime"],
        "images_sha256": record["subset"] and record["subset"]["sha256"],
        **{name: record[name] for name in (*SUBSETS, "mean", "images", "boxes")},
        "epoch": int(epoch[1]) if epoch else None,
        "versions": {name: version for name, version in made["versions"].items() if version},
        "device": stamp(torch.device(made["device"]), "float32", "contiguous")["device_name"],
        "remarks": [remark["message"] for remark in record["remarks"]],
    }
    return history.checked(fields, detector)


def add_new(row: history.Row, path: str | Path = history.HISTORY) -> bool:
    """Return whether a row was appended: not if the latest alike differs only in its date."""
    known = [each.model_dump(exclude={"date"}) for each in history.latest(history.read(path))]
    new = row.model_dump(exclude={"date"}) not in known
    if new:
        history.append(row, path)
    return new


def names(checkpoints: Iterable[str | Path]) -> dict[str, str | Path]:
    """Return each checkpoint by its name: its file's, with its folder's where two share that.

    Raises:
        InputError: where that is not enough to tell two apart.
    """
    different = list(dict.fromkeys(checkpoints))
    short = Counter(map(_name, different))
    named: dict[str, str | Path] = {}
    for checkpoint in different:
        name = _name(checkpoint)
        if short[name] > 1:
            name = _slug(f"{Path(checkpoint).parent.name}-{name}")
        if name in named:
            raise InputError(f"{named[name]} and {checkpoint} would both be called {name}")
        named[name] = checkpoint
    return named


def _name(checkpoint: str | Path) -> str:
    return _slug(Path(checkpoint).stem if Path(checkpoint).suffix else str(checkpoint))


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.") or "checkpoint"
