"""Measured values as text."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.report.formats import named


@pytest.mark.parametrize(
    ("value", "measure", "text"),
    [
        (1234, "params('v1')", "1,234"),
        ([3, 8, 3, 3], "channels('a') + kernel('a')", "3→8 channels, 3×3"),
        ([64, 80, 80], "shape('v1', 'backbone.p3')", "64×80×80"),
        ([[74, 4], [74, 4]], "channels('heads.classes.*')", "74→4 channels each"),
        ([[1, 1], [3, 3]], "(kernel('a'), kernel('b'))", "1×1, 3×3"),
        ([80, 80, 32], "cells('p3') + (channels('a')[1] + channels('b')[1],)", "80×80 cells, 32"),
        ([8.0, 16.0], "(stride('p3'), stride('p4'))", "stride 8, stride 16"),
        ([64, 80], "shape('fc')", "64, 80"),
        ([8, 16, 2], "stride('p3')", "8, 16, 2"),
    ],
)
def test_parts_of_a_measurement_have_names(value: Any, measure: str, text: str) -> None:
    assert named(value, measure) == text
