"""Weights: the published ones, loading, saving, identifying, and the key names of others."""
