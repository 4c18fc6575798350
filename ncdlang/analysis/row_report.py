"""What `explain` says of a step over rows."""

from __future__ import annotations

from collections.abc import Callable

from ncdlang.analysis.rows import swept
from ncdlang.analysis.steps import Rows
from ncdlang.analysis.terms import Term, subterms
from ncdlang.analysis.wording import Wording, free_name, names


def rows_lines(step: Rows, line: Callable[[str, str], str]) -> list[str]:
    """The roles of its axes, its folds, what is made of them, and how rows are read."""
    labels = _labels(step)
    words = Wording(step.terms, labels)
    barrier, groups = names(step.barrier), names((*step.batch, *step.rows))
    made = ", ".join(f"{o.array}[{names(o.array.axes)}]" for o in step.outputs)
    grouped = f"{groups} grouped in tiles of rows; " if groups else ""
    lines = [f"Rows {made}", line("roles", f"{grouped}{barrier} a barrier, held whole")]
    for position, fold in enumerate(step.folds):
        axes = tuple(a for a in (*step.batch, *step.rows) if a in fold.axes)
        body = f"{fold.kind}[{names(fold.bound)}]({words.of(fold.args[0])})"
        text = f"{labels[fold]}[{names(axes)}] = {body}"
        lines.append(line("" if position else "folds", text))
    for output in step.outputs:
        text = f"{output.array} = {words.of(output.written, output.written not in step.folds)}"
        lines.append(line("result", text))
    if swept(step) is not None:
        lines.append(line("long rows", "two sweeps: the folds stream, then a second one writes"))
    else:
        lines.append(line("long rows", "left to the library, since the folds do not stream"))
    return lines


def _labels(step: Rows) -> dict[Term, str]:
    """A name for each fold, that of its equation if it has one."""
    written = [output.written for output in step.outputs]
    taken = {str(output.array) for output in step.outputs}
    for term in subterms(*written):
        taken |= {axis.name for axis in term.axes}
        if term.op == "load":
            taken.add(str(term.data))
        elif term in step.terms.names and term not in step.folds:
            taken.add(step.terms.names[term])
    found: dict[Term, str] = {}
    for fold in step.folds:
        wanted = step.terms.names.get(fold) or {"max": "m", "min": "l"}.get(fold.kind, "r")
        found[fold] = free_name(wanted, taken)
    return found
