"""Runtimes: PyTorch, compiled PyTorch and ONNX Runtime behind one interface; the ONNX export."""
