"""The measurements: what the networks cost and do, and whether what was published holds."""
