"""WIDER FACE: ground truth, predictions, and average precision by the benchmark's protocol."""
