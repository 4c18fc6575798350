"""How a call is told on its box: `softmax[x]`, `Lq: linear[m -> h k]`."""

from __future__ import annotations

import re

from ncdlang.ir.diagram import Edge, Library
from ncdlang.semantics.program import Instance
from ncdlang.semantics.types import Axis
from ncdlang.source import Span

_ARROW = "\N{RIGHTWARDS ARROW}"
_LONGEST_REST = 500


def call_title(edge: Edge, operator: Library) -> str:
    """The name of the diagram with its brackets, after the name of the instance if it has one.

    The brackets are those of the text where the text calls the diagram by its own name. Else
    those of the standard library show the axes that it acts on.
    """
    callee = operator.callee
    instance = operator.instance
    if instance is None:
        written = _written_brackets(edge.span.text, callee.name)
    else:
        written = _learned_brackets(instance.span, callee.name)
    brackets = written if written is not None else _target_brackets(edge, operator)
    title = callee.name + brackets
    if instance is None or _is_named_after(instance):
        return title
    return f"{instance.name}: {title}"


def _is_named_after(instance: Instance) -> bool:
    """Whether an instance got its name from its diagram, as a direct call of one does."""
    return re.fullmatch(re.escape(instance.callee.name) + r"(_\d+)?", instance.name) is not None


def _learned_brackets(span: Span, name: str) -> str | None:
    """The brackets of a learned diagram; its place is often the name of the instance alone."""
    text = span.source.text[span.start : span.end + _LONGEST_REST]
    line, _, _ = text.partition("\n")
    # Brackets may go on in the next lines, but they begin in this one.
    return _written_brackets(text, name) if re.search(rf"{re.escape(name)}\s*\[", line) else None


def _written_brackets(text: str, name: str) -> str | None:
    """The brackets that follow a name in the text, as they are written."""
    text = re.sub(r"#[^\n]*", "", text)
    found = re.search(rf"(?<!\w){re.escape(name)}\s*\[", text)
    if found is None:
        return None
    depth = 0
    for position in range(found.end() - 1, len(text)):
        depth += {"[": 1, "]": -1}.get(text[position], 0)
        if depth == 0:
            inner = " ".join(text[found.end() - 1 : position + 1].split())
            return inner.replace("->", _ARROW)
    return None


def _target_brackets(edge: Edge, operator: Library) -> str:
    """`[x]` or `[m -> h k]`: the axes that a diagram of the standard library sees."""
    if not operator.callee.library or not edge.inputs:
        return ""
    ins = _targets(edge.inputs[0].wire.type.axes, edge.inputs[0].weave)
    outs = _targets(edge.outputs[0].wire.type.axes, edge.outputs[0].weave)
    if not ins and not outs:
        return ""
    return f"[{ins}]" if ins == outs or not outs else f"[{ins} {_ARROW} {outs}]"


def _targets(axes: tuple[Axis, ...], weave: tuple[bool, ...]) -> str:
    return " ".join(str(axis) for axis, is_target in zip(axes, weave, strict=True) if is_target)
