"""Claims: published figures, the measurements they are compared with, and the verdicts."""
