"""The choice between two orders of the same sums, made with every call by its sizes."""

from __future__ import annotations

from ncdlang.analysis.associate import MARGIN

from .forward import Method
from .lines import Line
from .planning import Other


def choose(method: Method, other: Other, text: str) -> None:
    """Begin a method with `return text` where the other plan takes far fewer operations.

    An exported program has one form for all sizes, and f16 has not the range for sums over all
    of a long axis.
    """
    names = ("as_written", "reordered", "pays", "allowed")
    written, sums, pays, allowed = map(method.scope.claim_numbered, names)
    like = method.real_tensor()
    condition = f"{like}.dtype != torch.float16 and not torch.compiler.is_exporting()"
    method.lines[:0] = [
        Line(f"{written} = {method.size(other.before).text}", "operations of its sums"),
        Line(f"{sums} = {method.size(other.after).text}", "of the same ones in another order"),
        Line(f"{pays} = {MARGIN} * {sums} < {written}", ""),
        Line(f"{allowed} = {condition}", "f16 is too narrow; what is exported has one form"),
        Line(f"if {pays} and {allowed}:", ""),
        Line(f"return {text}", "", (), 1),
    ]
