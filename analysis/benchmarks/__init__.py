"""Ratios against what one would use otherwise, each measured in one run."""
