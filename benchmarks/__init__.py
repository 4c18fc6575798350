"""Kernels and emitted modules against what people would run instead: `python -m benchmarks`."""
