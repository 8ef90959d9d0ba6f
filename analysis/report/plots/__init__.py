"""Figures. Each function takes records, as they are written into docs/results, and draws."""
