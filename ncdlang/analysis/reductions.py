"""Reductions as folds, and renamings of axes, in terms."""

from __future__ import annotations

from ncdlang.analysis.terms import Term, Terms, number_kind
from ncdlang.ir.diagram import Reduction
from ncdlang.semantics.size import product
from ncdlang.semantics.types import Axis


def real(terms: Terms, term: Term) -> Term:
    """A term as a real number."""
    return term if number_kind(term) == "real" else terms.apply("real", term)


def reduced(terms: Terms, reduction: Reduction, axes: tuple[Axis, ...], body: Term) -> Term:
    """What a reduction over some axes makes of a term."""
    match reduction.name:
        case "mean":
            count = real(terms, terms.size(product(axis.size for axis in axes)))
            return terms.apply("div", terms.fold("sum", axes, real(terms, body)), count)
        case "norm":
            return terms.apply("sqrt", terms.fold("sum", axes, terms.apply("mul", body, body)))
        case "logsumexp":
            return _logsumexp(terms, axes, body)
        case "max" | "min" as name:
            made = terms.fold(name, axes, body)
            if reduction.initial is None or abs(reduction.initial) == float("inf"):
                return made
            return terms.apply(name, made, terms.number(reduction.initial))
        case name:
            return terms.fold(name, axes, body)


def _logsumexp(terms: Terms, axes: tuple[Axis, ...], body: Term) -> Term:
    """`m + log sum exp(s - m)`, with m the maximum where that is finite."""
    top = terms.fold("max", axes, body)
    finite = terms.apply("gt", top, terms.number(float("-inf")))
    safe = terms.apply("select", finite, top, terms.number(0.0))
    total = terms.fold("sum", axes, terms.apply("exp", terms.apply("sub", body, safe)))
    return terms.apply("add", safe, terms.apply("log", total))


def renaming(terms: Terms, old: Axis, new: Axis) -> dict[Axis, Term]:
    """Axis by axis; a composite axis against a plain one by division."""
    if len(old.atoms) == len(new.atoms):
        pairs = zip(old.atoms, new.atoms, strict=True)
        return {a: terms.index(b) for a, b in pairs if a is not b}
    if not old.parts:
        return {old: terms.index(new)}
    images: dict[Axis, Term] = {}
    rest = terms.index(new)
    for position, atom in enumerate(old.atoms[:-1]):
        stride = terms.size(product(a.size for a in old.atoms[position + 1 :]))
        images[atom] = terms.apply("floordiv", rest, stride)
        rest = terms.apply("mod", rest, stride)
    images[old.atoms[-1]] = rest
    return images


def renamed_parts(
    terms: Terms, term: Term, old: tuple[Axis, ...], new: tuple[Axis, ...]
) -> dict[Axis, Term]:
    """The parts of a composite axis that a term has as those of another one of equal sizes."""
    if len(old) != len(new) or any(a.size != b.size for a, b in zip(old, new, strict=True)):
        return {}
    return {a: terms.index(b) for a, b in zip(old, new, strict=True) if a in term.axes}


def copied(axis: Axis) -> Axis:
    """An axis of the same name and size that is another one."""
    parts = tuple(copied(part) for part in axis.parts)
    return Axis(f"{axis.name}'", axis.size, parts, axis.derived, axis.structure)
