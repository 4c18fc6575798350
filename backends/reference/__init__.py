"""Evaluation by definition, index by index in float64: the judge of every other backend.

The way: `solving` finds the sizes, `plan` goes through the steps of a checked diagram with the
closures that `expressions` makes of its equations and the numbers of `numbers`; `evaluation` is
the entry for NumPy arrays, `module` wraps it as a `torch.nn.Module`. Nothing here knows the
hypergraph or another backend.
"""

from .backend import ReferenceBackend
from .evaluation import evaluate

__all__ = ["ReferenceBackend", "evaluate"]
