"""`assert equivariant[x](f)` and `assert invariant[x](f)`: proved by sliding, or refuted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncdlang.diagnostics import Label
from ncdlang.records import record
from ncdlang.semantics.binding import InstanceKey, Template, is_complete
from ncdlang.semantics.matching import LearnedUse
from ncdlang.semantics.names import OPERATORS
from ncdlang.semantics.primitives import FUNCTIONS, REDUCTIONS, STAGES
from ncdlang.semantics.program import CheckedDiagram, Claim
from ncdlang.semantics.remedies import missing_use
from ncdlang.semantics.report import listed, rename
from ncdlang.semantics.scope import DiagramRef, Scope, closest
from ncdlang.semantics.symmetry import Break, broken, disorder
from ncdlang.semantics.types import Axis
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.module import ModuleChecker

_ENTRY_BY_ENTRY = frozenset({"where", "cast", "scale", "id"})
_NO_DIAGRAMS = frozenset({*OPERATORS, *STAGES})
STOPS = "nothing slides through this"
GROUPS = {"set": "permutations", "cyclic": "rotations", "ordered": "shifts"}


@record
class Symmetry:
    """An assertion as it was written, and what its names meant there."""

    written: tree.Call
    scope: Scope


def prove(module: ModuleChecker, symmetry: Symmetry) -> None:
    """Report the symmetry if it does not hold, with what breaks it."""
    condition = symmetry.written
    head = condition.function
    assert isinstance(head, tree.Bracketed)
    assert isinstance(head.head, tree.Name)
    word = "equivariant" if head.head.text == "equivariant" else "invariant"
    name = _axis_name(head)
    if name is None or len(condition.arguments) != 1:
        _misstated(module, condition.span)
        return
    known = symmetry.scope.find(name)
    structure = known.structure if isinstance(known, Axis) else None
    of = _ungrouped(condition.arguments[0])
    reduced = _primitive(symmetry, of)
    if reduced is not None:
        group = structure or "set"
        found = _judged_primitive(of, reduced, group, word, name)
        if found is not None:
            message = _message(condition.span, "does not hold", name, group, found.reason)
            _report(module, condition, found, message)
        return
    template = _template(module, symmetry, of)
    if template is None:
        return
    formals = _formals(template, _bindings(symmetry, of), name)
    group = structure or next((a.structure for a in formals if a.structure), None) or "set"
    diagram = template.checked
    if not formals:
        found = _repeated(diagram.name, diagram.span, word, name)
        if found is not None:
            message = _message(condition.span, "does not hold", name, group, found.reason)
            _report(module, condition, found, message)
        return
    found = _judged(diagram, formals, group, word, name)
    if found is not None:
        claim = Claim(word, diagram, formals, group, name, found.reason, condition.span)
        module.claims.append(claim)
        _report(module, condition, found, unproved(claim))


def _judged(
    diagram: CheckedDiagram, formals: tuple[Axis, ...], group: str, word: str, name: str
) -> Break | None:
    """What breaks the symmetry, None if it is proved."""
    found = broken(diagram, formals, group)
    if isinstance(found, Break) or word == "equivariant":
        return found if isinstance(found, Break) else None
    for wire, moves in zip(diagram.results, found, strict=True):
        if moves:
            return Break(f"the result {wire.type} moves with `{name}`", wire.span)
    return None


def _repeated(of: str, span: Span, word: str, name: str) -> Break | None:
    """What breaks a symmetry along an axis that an operator does not look at."""
    told = f"`{name}` is no axis of `{of}`: it is repeated over, so results have it"
    return Break(told, span) if word == "invariant" else None


def _judged_primitive(
    expr: tree.Expr, reduced: tuple[str, ...], group: str, word: str, name: str
) -> Break | None:
    """What breaks the symmetry of a primitive that reduces over some axes."""
    head = _head(expr)
    assert isinstance(head, tree.Name)
    if name not in reduced:
        return _repeated(head.text, expr.span, word, name)
    told = disorder(head.text, name, group)
    return Break(told, expr.span) if told is not None else None


def unproved(claim: Claim) -> str:
    """The message about a symmetry that may hold or not."""
    return _message(claim.span, "is not proved", claim.name, claim.group, claim.reason)


def refuted(claim: Claim) -> str:
    """The message about a symmetry that numbers contradict."""
    return _message(claim.span, "does not hold", claim.name, claim.group, claim.reason)


def _message(span: Span, told: str, name: str, group: str, reason: str) -> str:
    return f"`{' '.join(span.text.split())}` {told} for {GROUPS[group]} of `{name}`: {reason}"


def _report(module: ModuleChecker, condition: tree.Call, found: Break, message: str) -> None:
    module.error(
        "NCD3010",
        message,
        condition.span,
        label="asserted here",
        labels=[Label(found.span, STOPS)],
    )


def _misstated(module: ModuleChecker, span: Span) -> None:
    module.error(
        "NCD3004",
        "a symmetry is asserted of one axis and one diagram",
        span,
        label="not of this form",
        help="`assert equivariant[x](f)`; a pipeline is given a name first",
    )


def _axis_name(head: tree.Bracketed) -> str | None:
    slots = head.brackets.slots
    items = slots[0].items if len(slots) == 1 and slots[0].name is None else ()
    only = items[0] if len(items) == 1 and head.brackets.arrow is None else None
    return only.text if isinstance(only, tree.Name) else None


# ---- the diagram -------------------------------------------------------------------------------


def _head(expr: tree.Expr) -> tree.Expr:
    return expr.head if isinstance(expr, tree.Bracketed) else expr


def _ungrouped(expr: tree.Expr) -> tree.Expr:
    return _ungrouped(expr.inner) if isinstance(expr, tree.Group) else expr


def _primitive(symmetry: Symmetry, expr: tree.Expr) -> tuple[str, ...] | None:
    """The axes that a primitive reduces over: none for `exp`, x for `sum[x]`; None for others."""
    head = _head(expr)
    if not isinstance(head, tree.Name) or symmetry.scope.find(head.text) is not None:
        return None
    if head.text in _ENTRY_BY_ENTRY:
        return ()
    if not isinstance(expr, tree.Bracketed):
        return () if head.text in FUNCTIONS else None
    slots = [slot for slot in expr.brackets.slots if slot.name is None]
    items = [item for slot in slots for item in slot.items]
    names = tuple(item.text for item in items if isinstance(item, tree.Name))
    is_whole = len(names) == len(items) > 0 and expr.brackets.arrow is None
    return names if head.text in REDUCTIONS and is_whole else None


def _template(module: ModuleChecker, symmetry: Symmetry, expr: tree.Expr) -> Template | None:
    """The checked form of the diagram that is spoken of; None where that was reported."""
    head = _head(expr)
    meaning = symmetry.scope.find(head.text) if isinstance(head, tree.Name) else None
    if isinstance(meaning, LearnedUse):
        return meaning.opened.template
    if isinstance(meaning, DiagramRef):
        brackets = expr.brackets if isinstance(expr, tree.Bracketed) else None
        key = _key(meaning.declaration, brackets)
        form = meaning.module.form(meaning.declaration, key) if key is not None else None
        if form is not None or meaning.module is module:
            return form
    if isinstance(head, tree.Name) and meaning is None and head.text not in _NO_DIAGRAMS:
        _unknown(module, symmetry, head)
    else:
        _misstated(module, symmetry.written.span)
    return None


def _unknown(module: ModuleChecker, symmetry: Symmetry, name: tree.Name) -> None:
    """Report a name of nothing, with the `use` that would bring it in."""
    told = f"there is no diagram named `{name.text}`"
    used = missing_use(module, name.text)
    if used is not None:
        path, fix, names = used
        notes = [f"`{path}` has {listed(names)}"]
        module.error(
            "NCD2001", told, name.span, label="not found", notes=notes, help=fix.title, fix=fix
        )
        return
    known = [n for n, meaning in symmetry.scope.names() if isinstance(meaning, DiagramRef)]
    guess = closest(name.text, [*known, *OPERATORS])
    module.error(
        "NCD2001",
        told,
        name.span,
        label="not found",
        help=f"did you mean `{guess}`?" if guess else "",
        fix=rename(name.span, guess) if guess else None,
    )


def _bindings(symmetry: Symmetry, expr: tree.Expr) -> dict[str, str]:
    head = _head(expr)
    meaning = symmetry.scope.find(head.text) if isinstance(head, tree.Name) else None
    if not isinstance(meaning, DiagramRef):
        return {}
    return _bound(meaning.declaration.formals, expr)


def _key(declaration: tree.Diagram, brackets: tree.Brackets | None) -> InstanceKey | None:
    """The form that brackets ask for: names of packs, numbers of settings."""
    if is_complete(declaration) and brackets is None:
        return InstanceKey()
    formals = declaration.formals
    sides = (formals.entries, formals.arrow or ()) if formals is not None else ((), ())
    given = (brackets.slots, brackets.arrow or ()) if brackets is not None else ((), ())
    packs: dict[str, tuple[str, ...]] = {}
    settings: dict[str, int | float] = {}
    for entries, slots in zip(sides, given, strict=True):
        plain = [slot for slot in slots if slot.name is None]
        for entry in entries:
            if isinstance(entry.name, tree.Pack):
                items = plain.pop(0).items if plain else ()
                packs[entry.name.text] = tuple(i.text for i in items if isinstance(i, tree.Name))
            elif plain:
                _set(entry, plain.pop(0), settings)
        for slot in slots:
            entry = next((e for e in entries if slot.name and e.name.text == slot.name.text), None)
            if entry is not None:
                _set(entry, slot, settings)
    return InstanceKey(tuple(sorted(packs.items())), tuple(sorted(settings.items())))


def _set(entry: tree.Formal, slot: tree.Slot, settings: dict[str, int | float]) -> None:
    item = slot.items[0]
    if entry.is_const and isinstance(item, tree.Number):
        settings[entry.name.text] = item.value


def _bound(formals: tree.FormalBrackets | None, expr: tree.Expr) -> dict[str, str]:
    """The names that brackets bind axes to, in order or by their own names."""
    if formals is None or not isinstance(expr, tree.Bracketed):
        return {}
    slots = expr.brackets.slots
    plain = [item for slot in slots if slot.name is None for item in slot.items]
    entries = [entry for entry in formals.entries if not isinstance(entry.name, tree.Pack)]
    named = {slot.name.text: slot.items[0] for slot in slots if slot.name is not None}
    pairs = [*zip((entry.name.text for entry in entries), plain, strict=False), *named.items()]
    return {formal: item.text for formal, item in pairs if isinstance(item, tree.Name)}


def _formals(template: Template, declared: dict[str, str], name: str) -> tuple[Axis, ...]:
    """The axes of the diagram's inputs that are meant: those bound to the name, or of the name."""
    carried = {axis for wire in template.checked.parameters for axis in wire.type.axes}
    packed = [axis for axes in template.packs.values() for axis in axes if axis.name == name]
    bound = [axis for formal, axis in template.axes.items() if declared.get(formal) == name]
    own = template.axes.get(name)
    if own is not None and name not in declared:
        bound.append(own)
    return tuple(axis for axis in dict.fromkeys([*bound, *packed]) if axis in carried)
