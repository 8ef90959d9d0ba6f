"""The evaluator against a slow, plain one written from the protocol's description."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.widerface.average_precision import Evaluation, evaluate, evaluate_files
from analysis.widerface.breakdown import by_event, by_height
from analysis.widerface.curves import curve
from analysis.widerface.ground_truth import SUBSETS, GroundTruth
from analysis.widerface.predictions import Predictions

Box = tuple[float, float, float, float]
Row = tuple[float, float, float, float, float]
Image = tuple[list[Row], list[Box], list[set[int]]]
"""Rows, faces, and for each subset which faces it keeps."""


# --- The plain evaluator: loops over single numbers, nothing shared with what it tests. ---


def plain_overlap(row: Row, box: Box) -> float:
    """Intersection over union, the last pixel counted."""
    left, top = max(row[0], box[0]), max(row[1], box[1])
    right = min(row[0] + row[2], box[0] + box[2])
    bottom = min(row[1] + row[3], box[1] + box[3])
    wide, high = right - left + 1, bottom - top + 1
    if wide <= 0 or high <= 0:
        return 0.0
    row_area = ((row[0] + row[2]) - row[0] + 1) * ((row[1] + row[3]) - row[1] + 1)
    box_area = ((box[0] + box[2]) - box[0] + 1) * ((box[1] + box[3]) - box[1] + 1)
    return wide * high / (row_area + box_area - wide * high)


def plain_image(image: Image, subset: int) -> tuple[list[int], list[int]]:
    """After each row: how many rows counted so far, and how many faces were found."""
    rows, boxes, kept = image
    proposed, found = [], []
    count, seen = 0, set()
    for row in rows:
        best, at = -1.0, -1
        for index, box in enumerate(boxes):
            overlap = plain_overlap(row, box)
            if overlap > best:
                best, at = overlap, index
        on_ignored = best >= 0.5 and at not in kept[subset]
        if best >= 0.5 and at in kept[subset]:
            seen.add(at)
        count += not on_ignored
        proposed.append(count)
        found.append(len(seen))
    return proposed, found


def plain_average_precision(images: list[Image], subset: int) -> float:
    """AP of one subset; NaN where it has no faces."""
    faces = sum(len(kept[subset]) for _, _, kept in images)
    if faces == 0:
        return math.nan
    every = [row[4] for rows, _, _ in images for row in rows]
    low, high = min([1.0, *every]), max([0.0, *every])
    points = []
    judged = [(rows, *plain_image(p, subset)) for p in images for rows in [p[0]] if p[1]]
    for t in range(1000):
        threshold = 1 - (t + 1) / 1000
        proposals = hits = 0
        for rows, proposed, found in judged:
            if high == low:
                continue  # 0 / 0 reaches no threshold
            reaching = [i for i, r in enumerate(rows) if (r[4] - low) / (high - low) >= threshold]
            if reaching:
                proposals += proposed[reaching[-1]]
                hits += found[reaching[-1]]
        if proposals:
            points.append((hits / faces, hits / proposals))
    total, previous = 0.0, 0.0
    for i, (recall, _) in enumerate(points):
        if recall != previous:
            total += (recall - previous) * max(precision for _, precision in points[i:])
            previous = recall
    return total


# --- Cases. ---


def truth_of(images: list[Image]) -> GroundTruth:
    boxes = [box for _, faces, _ in images for box in faces]
    kept = [[i in k[s] for _, f, k in images for i in range(len(f))] for s in range(3)]
    return GroundTruth(
        events=("a", "b"),
        event=np.array([p % 2 for p in range(len(images))], dtype=np.int32),
        images=tuple(f"p{p}" for p in range(len(images))),
        boxes=np.array(boxes, dtype=float).reshape(-1, 4),
        offsets=np.cumsum([0, *(len(f) for _, f, _ in images)]),
        kept=np.array(kept, dtype=bool).reshape(3, -1),
    )


def predictions_of(images: list[Image]) -> Predictions:
    rows = [row for rows, _, _ in images for row in rows]
    return Predictions(
        rows=np.array(rows, dtype=float).reshape(-1, 5),
        offsets=np.cumsum([0, *(len(r) for r, _, _ in images)]),
        image=np.arange(len(images), dtype=np.int32),
    )


def evaluated(images: list[Image]) -> Evaluation:
    return evaluate(predictions_of(images), truth_of(images))


def agree(images: list[Image]) -> Evaluation:
    evaluation = evaluated(images)
    for index, name in enumerate(SUBSETS):
        expected = plain_average_precision(images, index)
        is_now = evaluation.curves[name].average_precision
        assert is_now == pytest.approx(expected, rel=0, abs=1e-12, nan_ok=True), name
    return evaluation


ALL = [{0}, {0}, {0}]
FACE: Box = (10, 10, 20, 20)
SLIVER: Box = (-1.3767343385109876e-12, 0, -1, 0)  # of no width but for the rounding of its edge

CASES: dict[str, tuple[list[Image], float]] = {
    "no faces": ([([(1, 1, 5, 5, 0.5)], [], [set(), set(), set()])], math.nan),
    "no predictions": ([([], [FACE], ALL)], 0.0),
    "all ignored": ([([(10, 10, 20, 20, 0.5)], [FACE], [set(), set(), set()])], math.nan),
    "found": ([([(10, 10, 20, 20, 0.9), (90, 90, 9, 9, 0.1)], [FACE], ALL)], 1.0),
    "found late": ([([(90, 90, 9, 9, 0.9), (10, 10, 20, 20, 0.1)], [FACE], ALL)], 0.5),
    "found twice": (
        [
            ([(10, 10, 20, 20, 0.9), (10, 10, 20, 20, 0.8)], [FACE], ALL),
            ([(10, 10, 20, 20, 0.1)], [FACE], ALL),
        ],
        1 / 2 + 1 / 2 * 2 / 3,
    ),
    # The best row stands last, so that the poor one before it counts from the same threshold on.
    "unsorted": ([([(90, 90, 9, 9, 0.1), (10, 10, 20, 20, 0.9)], [FACE], ALL)], 0.5),
    "equal scores": ([([(10, 10, 20, 20, 0.7)], [FACE], ALL)], 0.0),
    "equal scores of 0": ([([(10, 10, 20, 20, 0.0)], [FACE], ALL)], 0.0),
    "equal scores above 1": ([([(10, 10, 20, 20, 7.0)], [FACE], ALL)], 1.0),
    "zero area": ([([(10, 10, 0, 0, 0.9), (0, 0, 0, 0, 0.1)], [(10, 10, 0, 0)], ALL)], 1.0),
    "inside out": ([([(30, 30, -20, -20, 0.9), (0, 0, 5, 5, 0.1)], [FACE], ALL)], 0.0),
    "face inside out": ([([(1, 1, 5, 5, 0.9), (0, 0, 3, 3, 0.1)], [(4, 4, -2, 0)], ALL)], 0.0),
    "hardly there": ([([(*SLIVER, 0.9), (50, 50, 1, 1, 0)], [SLIVER], ALL)], 1.0),
    # With the last pixel counted, one pixel of two is half, and one of three is not.
    "just half": ([([(0, 0, 0, 0, 0.9), (50, 50, 1, 1, 0)], [(0, 0, 1, 0)], ALL)], 1.0),
    "below half": ([([(0, 0, 0, 0, 0.9), (50, 50, 1, 1, 0)], [(0, 0, 2, 0)], ALL)], 0.0),
}


@pytest.mark.parametrize("name", CASES)
def test_a_case_one_can_work_out(name: str) -> None:
    images, expected = CASES[name]
    evaluation = agree(images)
    for subset in SUBSETS:
        value = evaluation.curves[subset].average_precision
        assert value == pytest.approx(expected, rel=0, abs=1e-12, nan_ok=True)


def test_the_first_of_equally_overlapped_faces_counts() -> None:
    # The row overlaps both faces by two thirds; the first is ignored by easy, the second by hard.
    images: list[Image] = [
        (
            [(5, 0, 9, 9, 0.9), (90, 90, 5, 5, 0.1)],
            [(3, 0, 9, 9), (7, 0, 9, 9)],
            [{1}, {0, 1}, {0}],
        )
    ]
    curves = agree(images).curves
    assert [int(curves[name].found[-1]) for name in SUBSETS] == [0, 1, 1]


coordinate = st.one_of(st.integers(-2, 14).map(float), st.floats(-3, 15, allow_nan=False, width=32))
side = st.one_of(st.integers(-3, 10).map(float), st.floats(-2, 12, width=32))
score = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.999, 1.0]), st.floats(-2, 3, width=32))
box = st.tuples(coordinate, coordinate, side, side)


@st.composite
def image(draw: st.DrawFn) -> Image:
    faces = draw(st.lists(box, max_size=4))
    rows = draw(st.lists(st.tuples(coordinate, coordinate, side, side, score), max_size=6))
    if faces and draw(st.booleans()):  # rows right on the faces, some of them twice
        for index in draw(st.lists(st.integers(0, len(faces) - 1), max_size=4)):
            rows.insert(draw(st.integers(0, len(rows))), (*faces[index], draw(score)))
    if draw(st.booleans()):
        rows.sort(key=lambda row: -row[4])
    numbers = st.sets(st.integers(0, len(faces) - 1)) if faces else st.just(set())
    return rows, faces, [draw(numbers) for _ in range(3)]


@settings(max_examples=60, deadline=None)
@given(st.lists(image(), min_size=1, max_size=4))
def test_it_agrees_with_the_plain_evaluator(images: list[Image]) -> None:
    agree(images)


@settings(max_examples=25, deadline=None)
@given(st.lists(image(), min_size=2, max_size=4))
def test_an_events_ap_is_that_of_its_images(images: list[Image]) -> None:
    evaluation = evaluated(images)
    records = by_event(evaluation.matches)
    for index, record in enumerate(records):
        # Scores are scaled over all images; ones that touch both ends keep that as it is.
        scores = [row[4] for rows, _, _ in images for row in rows]
        ends: list[Image] = [
            ([(0, 0, 1, 1, value)], [], [set()] * 3)
            for value in (scores and [min(scores), max(scores)])
        ]
        own = [p for i, p in enumerate(images) if i % 2 == index]
        for s, name in enumerate(SUBSETS):
            expected = plain_average_precision([*own, *ends], s)
            is_now = math.nan if record[name] is None else record[name]
            assert is_now == pytest.approx(expected, rel=0, abs=1e-12, nan_ok=True)


def test_heights_share_out_the_faces_and_ignore_each_others() -> None:
    images: list[Image] = [
        (
            [(0, 0, 20, 20, 0.9), (100, 0, 60, 60, 0.5), (300, 300, 9, 9, 0.1)],
            [(0, 0, 20, 20), (100, 0, 60, 60), (500, 0, 30, 30)],
            [set(), set(), {0, 1, 2}],
        )
    ]
    records = by_height(evaluated(images).matches)
    assert [(r["from"], r["to"], r["ap"]) for r in records if r["faces"]] == [
        (20, 30, 1.0),
        (30, 50, 0.0),
        (50, 100, 1.0),
    ]
    assert (sum(r["faces"] for r in records), records[-1]["to"]) == (3, None)


def test_what_is_found_and_what_is_false_at_a_score() -> None:
    images: list[Image] = [
        (
            [(0, 0, 20, 20, 0.9), (0, 0, 20, 20, 0.8), (90, 0, 9, 9, 0.7), (50, 0, 9, 9, 0.2)],
            [(0, 0, 20, 20), (50, 0, 9, 9)],
            [{0}, {0, 1}, {0, 1}],
        )
    ]
    matches = evaluated(images).matches
    assert matches.found(0.5).tolist() == [True, False]
    assert matches.found(0.2).tolist() == [True, True]
    assert matches.false(0, 0.5).tolist() == [False, True, True, False]
    assert matches.false(1, 0.75).tolist() == [False, True, False, False]


def test_blocks_and_batches_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    images: list[Image] = []
    for _ in range(12):
        faces = random.integers(0, 30, (random.integers(0, 30), 4)) // [1, 1, 2, 2]
        rows = np.c_[random.integers(0, 30, (40, 4)) // [1, 1, 2, 2], random.random(40)]
        kept = [set(np.flatnonzero(random.random(len(faces)) < share)) for share in (0.2, 0.5, 1)]
        images.append((rows.tolist(), faces.tolist(), kept))
    whole = agree(images).matches
    monkeypatch.setattr("analysis.widerface.matching.BLOCK", 64)
    monkeypatch.setattr("analysis.widerface.matching.PAIRS", 10)
    monkeypatch.setattr("analysis.widerface.matching.AHEAD", 50)
    parts = evaluated(images).matches
    assert (whole.face >= 0).sum() > 25
    for name in ("face", "first", "level"):
        assert (getattr(whole, name) == getattr(parts, name)).all()


def test_boxes_far_out_and_of_absurd_size_match_nothing_else() -> None:
    far: Box = (1e6 + 0.5, 1e6, 3, 3)
    images: list[Image] = [
        (
            [
                (*far, 0.9),
                (1e308, 0, 1e308, 1e308, 0.8),
                (-1e39, -1e39, 2e39, 2e39, 0.1),
                (1e308, 0, 1e308, -1, 0.05),
                (1e30, 1e30, 1e30, 1e30, 0.04),
            ],
            [far, (5, 5, 10, 10), (7, 7, -0.95, 10)],
            [{0, 1}] * 3,
        )
    ]
    assert agree(images).matches.face.tolist() == [0, -1, -1, -1, -1]


def test_a_curve_of_some_rows_and_faces() -> None:
    images, _ = CASES["found late"]
    matches = evaluated(images).matches
    part = curve(matches, np.array([True]), np.array([False, True]))
    assert (part.faces, part.proposed[-1], part.found[-1]) == (1, 1, 1)
    assert np.isnan(part.precision[0])
    assert part.as_dict()["precision"][0] is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("retinaface-mobile025", (0.907076104848709, 0.8816501731241937, 0.7382726532319118)),
        ("rfb-1mb-320", (0.8147677534285981, 0.7106850326719537, 0.36314699652220983)),
    ],
)
def test_published_detectors_have_their_known_ap(
    shared: Path, name: str, expected: tuple[float, ...]
) -> None:
    folder = shared / "wider"
    evaluation = evaluate_files(folder / f"predictions/{name}.tar.xz", folder / "ground_truth")
    record = evaluation.as_dict()
    assert [record[subset] for subset in SUBSETS] == pytest.approx(expected, rel=0, abs=1e-9)
    assert (record["images"], record["missing"], record["remarks"]) == (3226, 0, [])
    assert record["faces"] == {"easy": 7211, "medium": 13319, "hard": 31958}
