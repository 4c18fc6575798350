"""Evaluation by definition, index by index in float64: the judge of every other backend.

The way: `solving` finds the sizes, `plan` goes through the steps of a checked diagram (`steps`,
`calls`) with the closures that `expressions` makes of its equations and the numbers of `numbers`
and `formats`; `operators` says what an `op` computes. `evaluation` is the entry for NumPy arrays,
`module` wraps it as a `torch.nn.Module`. Nothing here knows the hypergraph or another backend.
"""

from .backend import ReferenceBackend
from .evaluation import evaluate
from .operators import Operator, Use, register

__all__ = ["Operator", "ReferenceBackend", "Use", "evaluate", "register"]
