"""What attention and deformable convolutions do on a picture: gates, offsets, and their effect."""

from __future__ import annotations

from analysis.maps.measure import Maps, load_for_maps, measure_maps, npz, structure_record

__all__ = ["Maps", "load_for_maps", "measure_maps", "npz", "structure_record"]
