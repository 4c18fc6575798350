"""PyTorch: readable, self-contained modules (see `backend`)."""

from .backend import PyTorchBackend
from .names import attribute_names

__all__ = ["PyTorchBackend", "attribute_names"]
