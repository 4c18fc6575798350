"""Calls of what has no equations, as the text of the calls that PyTorch has for them."""

from __future__ import annotations

import hashlib

from ncdlang.analysis.foreign import Foreign
from ncdlang.analysis.steps import Step
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import Size

from ..pytorch.functions import FUNCTIONS
from ..pytorch.names import class_name, spelled
from ..pytorch.ready import ready_made
from .expressions import Unsupported
from .variables import Function


def called(step: Foreign, given: list[str], function: Function) -> str:
    """The call with its arguments, whose lifted axes lead. Raises Unsupported."""
    callee = step.callee
    if step.path:
        # All arrays have a leading dimension, which has one index here.
        return f"{function.module(step.path)}({', '.join(f'{each}.squeeze(0)' for each in given)})"
    simple = FUNCTIONS.get((callee.library, callee.name))
    if simple is not None:
        name = simple.name.replace("F.", "torch.nn.functional.", 1)
        return f"{name}({', '.join([*given, *simple.written(callee)])})"
    ready = ready_made(callee)
    if ready is None:
        raise Unsupported(f"{callee.name} is no single call of PyTorch")
    bound = dict(step.sizes)

    def size(found: Size) -> str:
        return function.sizes.text(found.substitute(bound))

    late = ready.late(callee) if ready.late is not None else []
    listed = ", ".join([*given, *(f"{name}={size(found)}" for name, found in late)])
    return f"{class_of(callee)}({ready.arguments(callee, size)})({listed})"


def class_of(callee: CheckedDiagram) -> str:
    """The name of the class of a callee without parameters, told apart from those of others."""
    digest = hashlib.sha256(_source(callee).encode()).hexdigest()[:6]
    return f"_{class_name(spelled(callee.name))}_{digest}"


def class_text(step: Step) -> str:
    """The text of the class that a step needs, "" where it needs none."""
    if not isinstance(step, Foreign) or step.path:
        return ""
    callee = step.callee
    if (callee.library, callee.name) in FUNCTIONS or ready_made(callee) is None:
        return ""
    return _source(callee).format(name=class_of(callee), label=callee.name)


def _source(callee: CheckedDiagram) -> str:
    ready = ready_made(callee)
    assert ready is not None
    return ready.source.strip()
