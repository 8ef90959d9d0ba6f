"""WIDER FACE's evaluation the way the public Python evaluators go about it, as the peer to beat.

An image at a time, once for each subset: all overlaps, a loop over the detections, and a scan of
all scores for each of the 1,000 thresholds. Their overlaps are a compiled double loop; NumPy's
broadcasting, as fast, takes its place.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from analysis.widerface.ground_truth import ALL_FACES, FILES, SUBSETS

Array = NDArray[np.float64]


def evaluate(predictions: Path, ground_truth: Path) -> dict[str, float]:
    """Return AP by subset.

    Args:
        predictions: a folder of EVENT/PICTURE.txt, complete and without anything else.
        ground_truth: the folder of the four .mat files.
    """
    found = {
        event.name: dict(read_picture(file) for file in event.iterdir())
        for event in predictions.iterdir()
    }
    normalise(found)
    faces = loadmat(ground_truth / ALL_FACES)
    return {
        subset: evaluate_subset(found, faces, loadmat(ground_truth / FILES[subset])["gt_list"])
        for subset in SUBSETS
    }


def read_picture(path: Path) -> tuple[str, Array]:
    """Return the name on line 1 and the (N, 5) boxes from line 3 on."""
    with path.open() as file:
        lines = file.readlines()
    name = lines[0].rstrip("\r\n").split("/")[-1].removesuffix(".jpg")
    rows = []
    for line in lines[2:]:
        parts = line.rstrip("\r\n").split(" ")
        if parts[0] != "":
            rows.append([float(part) for part in parts[:5]])
    return name, np.array(rows).reshape(-1, 5)


def normalise(found: dict[str, dict[str, Array]]) -> None:
    """Scale all scores, in place, to 0–1."""
    low, high = 1.0, 0.0
    for event in found.values():
        for rows in event.values():
            if len(rows):
                low, high = min(low, np.min(rows[:, 4])), max(high, np.max(rows[:, 4]))
    for event in found.values():
        for rows in event.values():
            rows[:, 4] = (rows[:, 4] - low) / (high - low)


def evaluate_subset(
    found: dict[str, dict[str, Array]], faces: dict[str, Array], kept: Array
) -> float:
    """Return AP of one subset."""
    count = 0
    totals = np.zeros((1000, 2))
    for e in range(len(faces["event_list"])):
        event = found[str(faces["event_list"][e][0][0])]
        names = faces["file_list"][e][0]
        for p in range(len(names)):
            rows = event[str(names[p][0][0])]
            boxes = faces["face_bbx_list"][e][0][p][0].astype(float)
            keep = kept[e][0][p][0]
            count += len(keep)
            if len(boxes) == 0 or len(rows) == 0:
                continue
            counted = np.zeros(len(boxes))
            if len(keep):
                counted[keep - 1] = 1
            recalled, proposals = evaluate_picture(rows, boxes, counted)
            totals += scan_thresholds(rows, proposals, recalled)
    with np.errstate(invalid="ignore"):
        precision, recall = totals[:, 1] / totals[:, 0], totals[:, 1] / count
    return area(recall, precision)


def evaluate_picture(rows: Array, boxes: Array, counted: Array) -> tuple[Array, Array]:
    """Return the faces found after each row, and 1 for each row that counts, -1 for others."""
    rows, boxes = rows.copy(), boxes.copy()
    rows[:, 2:4] += rows[:, :2]
    boxes[:, 2:] += boxes[:, :2]
    state = np.zeros(len(boxes))
    recalled = np.zeros(len(rows))
    proposals = np.ones(len(rows))
    overlaps = overlap(rows[:, :4], boxes)
    for h in range(len(rows)):
        best, at = overlaps[h].max(), overlaps[h].argmax()
        if best >= 0.5:
            if counted[at] == 0:
                state[at] = -1
                proposals[h] = -1
            elif state[at] == 0:
                state[at] = 1
        recalled[h] = len(np.where(state == 1)[0])
    return recalled, proposals


def overlap(rows: Array, boxes: Array) -> Array:
    """Return (N, K) intersections over unions of corners, the last pixel counted."""
    low = np.maximum(rows[:, None, :2], boxes[None, :, :2])
    high = np.minimum(rows[:, None, 2:], boxes[None, :, 2:])
    sides = np.clip(high - low + 1, 0, None)
    shared = sides[..., 0] * sides[..., 1]
    area_of_rows = (rows[:, 2] - rows[:, 0] + 1) * (rows[:, 3] - rows[:, 1] + 1)
    area_of_boxes = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    either = area_of_rows[:, None] + area_of_boxes - shared
    ratio: Array = np.divide(shared, either, out=np.zeros_like(shared), where=shared > 0)
    return ratio


def scan_thresholds(rows: Array, proposals: Array, recalled: Array) -> Array:
    """Return (1000, 2) proposals and found faces of one image at each threshold."""
    counts = np.zeros((1000, 2))
    for t in range(1000):
        threshold = 1 - (t + 1) / 1000
        reaching = np.where(rows[:, 4] >= threshold)[0]
        if len(reaching):
            last = reaching[-1]
            counts[t, 0] = len(np.where(proposals[: last + 1] == 1)[0])
            counts[t, 1] = recalled[last]
    return counts


def area(recall: Array, precision: Array) -> float:
    """Return the area under the envelope of the curve, as VOC has it."""
    recall = np.concatenate(([0.0], recall, [1.0]))
    precision = np.concatenate(([0.0], precision, [0.0]))
    for i in range(len(precision) - 1, 0, -1):
        precision[i - 1] = np.maximum(precision[i - 1], precision[i])
    steps = np.where(recall[1:] != recall[:-1])[0]
    return float(np.sum((recall[steps + 1] - recall[steps]) * precision[steps + 1]))
