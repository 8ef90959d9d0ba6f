"""How long the networks take: latency, roofline and growth, where they have been measured."""

from __future__ import annotations

from analysis.site.html import missing
from analysis.site.records import Records


def latency(records: Records) -> str:
    """A table for each device."""
    return missing("x", "featherface latency --variant official")


def roofline(records: Records) -> str:
    return missing("x", "featherface roofline --variant official")


def growth(records: Records) -> str:
    return missing("x", "featherface latency --growth")
