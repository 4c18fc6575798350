"""Triton: kernels derived from the equations of a diagram (see `backend`)."""

from .backend import TritonBackend

__all__ = ["TritonBackend"]
