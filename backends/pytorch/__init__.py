"""PyTorch: readable, self-contained modules (see `backend`)."""

from .backend import PyTorchBackend
from .names import attribute_names
from .ready import register

__all__ = ["PyTorchBackend", "attribute_names", "register"]
