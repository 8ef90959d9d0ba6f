"""What attention and deformable convolutions do on a picture: gates, offsets, and their effect."""

from __future__ import annotations

from analysis.maps.measure import Maps, measure_maps

__all__ = ["Maps", "measure_maps"]
