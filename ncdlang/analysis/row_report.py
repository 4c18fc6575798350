"""What `explain` says of a step over rows."""

from __future__ import annotations

from collections.abc import Callable

from ncdlang.analysis.rows import swept
from ncdlang.analysis.steps import Rows
from ncdlang.analysis.terms import Term, subterms
from ncdlang.analysis.wording import Wording, names


def rows_lines(step: Rows, words: Wording, line: Callable[[str, str], str]) -> list[str]:
    """The roles of its axes, its folds, what is made of them, and how rows are read."""
    made = ", ".join(words.typed(o.array) for o in step.outputs)
    labels = _labels(step, words)
    words = words.also(labels)
    barrier, groups = names(step.barrier), names((*step.batch, *step.rows))
    grouped = f"{groups} grouped in tiles of rows; " if groups else ""
    lines = [f"Rows {made}", line("roles", f"{grouped}{barrier} a barrier, held whole")]
    for position, fold in enumerate(step.folds):
        axes = tuple(a for a in (*step.batch, *step.rows) if a in fold.axes)
        body = f"{fold.kind}[{names(fold.bound)}]({words.of(fold.args[0])})"
        text = f"{labels[fold]}[{names(axes)}] = {body}"
        lines.append(line("" if position else "folds", text))
    for output in step.outputs:
        is_fold = output.written in step.folds
        text = f"{words.array(output.array)} = {words.of(output.written, not is_fold)}"
        lines.append(line("result", text))
    if swept(step) is not None:
        lines.append(line("long rows", "two sweeps: the folds stream, then a second one writes"))
    else:
        lines.append(line("long rows", "left to the library, since the folds do not stream"))
    return lines


def _labels(step: Rows, words: Wording) -> dict[Term, str]:
    """A name for each fold, that of its equation if it has one."""
    defined = subterms(*(o.written for o in step.outputs))
    avoided = words.naming.avoided((o.array for o in step.outputs), defined, step.folds)
    found: dict[Term, str] = {}
    for fold in step.folds:
        wanted = step.terms.names.get(fold) or {"max": "m", "min": "l"}.get(fold.kind, "r")
        found[fold] = words.naming.state(fold, wanted, avoided)
        avoided.add(found[fold])
    return found
