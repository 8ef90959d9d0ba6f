"""Attention and deformable convolutions on an image: gates, offsets, and ablations of both."""

from analysis.maps.measure import Maps, load_for_maps, measure_maps, npz, structure_record

__all__ = ["Maps", "load_for_maps", "measure_maps", "npz", "structure_record"]
