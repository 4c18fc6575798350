"""Brackets of a call: which formal axis is bound to which axis or size of the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ncdlang.diagnostics import Label
from ncdlang.records import record
from ncdlang.semantics import remedies
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.report import Reported, counted, listed, rename
from ncdlang.semantics.scope import Broken, DiagramRef, closest
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.sizes import size_expression
from ncdlang.semantics.types import Axis
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body

Bound: TypeAlias = Axis | Size


class InstanceKey(NamedTuple):
    """What tells apart the checked forms of one diagram.

    `packs` gives the names of the axes of each pack, `settings` the consts that a use sets, and
    `changed` the free axes with a default that a use binds to another size (None: unknown).
    """

    packs: tuple[tuple[str, tuple[str, ...]], ...] = ()
    settings: tuple[tuple[str, int | float], ...] = ()
    changed: tuple[tuple[str, int | None], ...] = ()


@record(eq=False)
class Template:
    """A checked form of a diagram, with its formal axes by name."""

    checked: CheckedDiagram
    axes: dict[str, Axis]
    packs: dict[str, tuple[Axis, ...]]
    shared: frozenset[Axis]


@record(eq=False)
class Opened:
    """A diagram with its brackets bound. `explicit` are the formal axes that brackets bind."""

    callee: CheckedDiagram
    template: Template
    bound: dict[Axis, Bound]
    explicit: frozenset[Axis]
    places: dict[Axis, Span]
    defaults: dict[Axis, Size]
    arrow: tuple[tuple[Axis, ...], tuple[Axis, ...]] = ((), ())
    same_module: bool = True

    def is_own(self, symbol: Symbol) -> bool:
        """Whether an unknown is the callee's own, to be bound by each call."""
        return not (self.same_module and any(symbol == a.symbol for a in self.template.shared))

    def is_shared(self, axis: Axis) -> bool:
        """Whether an axis is one of the file's, the same for caller and callee."""
        return self.same_module and axis in self.template.shared


class _Slots:
    """The slots of a call's brackets, sorted by what they bind."""

    def __init__(self) -> None:
        self.axes: dict[str, tuple[Bound, Span]] = {}
        self.packs: dict[str, list[tuple[Bound, Span]]] = {}
        self.settings: dict[str, int | float] = {}
        self._places: dict[str, Span] = {}

    def once(self, body: Body, name: str, span: Span) -> None:
        """An entry is bound once. Raises Reported."""
        earlier = self._places.setdefault(name, span)
        if earlier is not span:
            body.fail(
                "NCD4002",
                f"`{name}` is bound twice",
                span,
                label="bound again",
                labels=[Label(earlier, "first bound here")],
            )


def open_diagram(
    body: Body, ref: DiagramRef, brackets: tree.Brackets | None, head: tree.Name
) -> Opened:
    """Bind the brackets of a use of a diagram. Raises Reported."""
    declaration = ref.declaration
    if is_complete(declaration):
        # A diagram with a mistake of its own is not to be blamed for how it is used.
        ref.module.template(declaration, InstanceKey(), body, head.span)
    slots = _sort_slots(body, declaration, brackets, head)
    _check_settings(body, declaration, slots, head)
    defaults = _defaulted(declaration)
    changed: list[tuple[str, int | None]] = []
    for name, (bound, _) in slots.axes.items():
        if name in defaults:
            size = bound.size if isinstance(bound, Axis) else bound
            changed.append((name, body.constraints.with_defaults(size).value))
    key = InstanceKey(
        tuple((name, _pack_names(items)) for name, items in sorted(slots.packs.items())),
        tuple(sorted(slots.settings.items())),
        tuple(sorted(changed, key=lambda item: item[0])),
    )
    template = ref.module.template(declaration, key, body, head.span)
    return _bind(body, ref, template, slots, head)


def _check_settings(body: Body, declaration: tree.Diagram, slots: _Slots, head: tree.Name) -> None:
    entries = declaration.formals.entries if declaration.formals is not None else ()
    for entry in entries:
        name = entry.name.text
        if entry.is_const and entry.default is None and name not in slots.settings:
            body.fail(
                "NCD4002",
                f"`{head.text}` needs a value for its setting `{name}`",
                head.span,
                label=f"`{name}` is not bound",
                help=f"bind it: `{head.text}[{name} = ...]`",
            )


def is_complete(declaration: tree.Diagram) -> bool:
    """Whether a diagram can be checked without a use that fixes its packs and settings."""
    formals = declaration.formals
    entries = (*formals.entries, *(formals.arrow or ())) if formals is not None else ()
    packs = any(isinstance(entry.name, tree.Pack) for entry in entries)
    return not packs and not needs_settings(declaration)


def needs_settings(declaration: tree.Diagram) -> bool:
    """Whether a diagram has a setting without a default."""
    formals = declaration.formals
    entries = (*formals.entries, *(formals.arrow or ())) if formals is not None else ()
    return any(entry.is_const and entry.default is None for entry in entries)


def _defaulted(declaration: tree.Diagram) -> frozenset[str]:
    if declaration.formals is None:
        return frozenset()
    return frozenset(
        entry.name.text
        for entry in declaration.formals.entries
        if entry.default is not None and not entry.is_const
    )


def _pack_names(items: list[tuple[Bound, Span]]) -> tuple[str, ...]:
    """Names for the formal axes of a pack: the caller's, told apart by primes."""
    names: list[str] = []
    for bound, _ in items:
        name = bound.name if isinstance(bound, Axis) and bound.name else "n"
        while name in names:
            name += "'"
        names.append(name)
    return tuple(names)


# ---- sorting the slots ------------------------------------------------------------------------


def _sort_slots(
    body: Body, declaration: tree.Diagram, brackets: tree.Brackets | None, head: tree.Name
) -> _Slots:
    slots = _Slots()
    formals = declaration.formals
    entries = list(formals.entries) if formals is not None else []
    arrow = list(formals.arrow) if formals is not None and formals.arrow is not None else []
    for entry in (*entries, *arrow):
        if isinstance(entry.name, tree.Pack):
            slots.packs[entry.name.text] = []
    if brackets is None:
        if any(isinstance(entry.name, tree.Pack) for entry in (*entries, *arrow)):
            _missing_axes(body, declaration, head)
        return slots
    if (brackets.arrow is not None) != (formals is not None and formals.arrow is not None):
        _wrong_shape(body, declaration, brackets)
    _sort_side(body, declaration, brackets.slots, entries, slots)
    _sort_side(body, declaration, brackets.arrow or (), arrow, slots)
    return slots


def _missing_axes(body: Body, declaration: tree.Diagram, head: tree.Name) -> None:
    formals = declaration.formals
    text = formals.span.text if formals is not None else ""
    body.fail(
        "NCD4002",
        f"`{head.text}` needs its axes",
        head.span,
        label="along which axes?",
        help=f"it is declared as `{head.text}{text}`: name the axes in brackets",
    )


def _wrong_shape(body: Body, declaration: tree.Diagram, brackets: tree.Brackets) -> None:
    text = declaration.formals.span.text if declaration.formals is not None else ""
    body.fail(
        "NCD4002",
        f"these brackets do not fit `{declaration.name.text}{text}`",
        brackets.span,
        label="expected `->` and axes after it"
        if brackets.arrow is None
        else "there is no `->` in its brackets",
        fix=remedies.arrow_for_comma(brackets.span) if brackets.arrow is None else None,
    )


def _sort_side(
    body: Body,
    declaration: tree.Diagram,
    given: tuple[tree.Slot, ...],
    entries: list[tree.Formal],
    slots: _Slots,
) -> None:
    position = 0
    for slot in given:
        if slot.name is not None:
            _named_slot(body, declaration, slot, slots)
            continue
        if position >= len(entries):
            _too_many(body, declaration, slot, len(entries))
        entry = entries[position]
        position += 1
        _fill(body, entry, slot, slots)


def _too_many(body: Body, declaration: tree.Diagram, slot: tree.Slot, wanted: int) -> None:
    name = declaration.name.text
    body.fail(
        "NCD4002",
        f"`{name}` takes {counted(wanted, 'entry') if wanted != 1 else 'one entry'} in its brackets"
        if wanted
        else f"`{name}` takes nothing in brackets",
        slot.span,
        label="one too many",
        help=""
        if wanted
        else f"its axes are matched by its arguments; bind one by name: `{name}[x = ...]`",
    )


def _fill(body: Body, entry: tree.Formal, slot: tree.Slot, slots: _Slots) -> None:
    name = entry.name.text
    if isinstance(entry.name, tree.Pack):
        for item in slot.items:
            slots.packs[name].extend((bound, item.span) for bound in _bounds(body, item))
        return
    if len(slot.items) != 1:
        body.fail(
            "NCD4002",
            f"one entry is wanted for `{name}`, and {len(slot.items)} are given",
            slot.span,
            label="separate entries by commas",
            help="write " + ", ".join(item.span.text for item in slot.items),
        )
    slots.once(body, name, slot.span)
    if entry.is_const:
        slots.settings[name] = body.number(slot.items[0])
        return
    bounds = _bounds(body, slot.items[0])
    if len(bounds) != 1:
        body.fail("NCD4002", f"one axis is wanted for `{name}`", slot.span, label="several axes")
    slots.axes[name] = (bounds[0], slot.span)


def _bounds(body: Body, item: tree.Expr | tree.Pack) -> list[Bound]:
    """What a bracket item binds: axes, or a size."""
    if isinstance(item, (tree.Pack, tree.Composite)):
        return list(body.axes_of_item(item))
    if isinstance(item, tree.Name):
        meaning = body.look_up(item, "axis")
        if isinstance(meaning, Axis):
            return [meaning]
        if isinstance(meaning, Broken):
            raise Reported
    return [size_expression(body, item)]


def _named_slot(body: Body, declaration: tree.Diagram, slot: tree.Slot, slots: _Slots) -> None:
    assert slot.name is not None
    name = slot.name.text
    formals = declaration.formals
    entries = [*formals.entries, *(formals.arrow or ())] if formals is not None else []
    for entry in entries:
        if entry.name.text == name:
            _fill(body, entry, tree.Slot(None, slot.items, slot.span), slots)
            return
    if name in _signature_axes(declaration):
        slots.once(body, name, slot.span)
        bounds = _bounds(body, slot.items[0])
        slots.axes[name] = (bounds[0], slot.span)
        return
    known = [entry.name.text for entry in entries] + sorted(_signature_axes(declaration))
    guess = closest(name, known)
    body.fail(
        "NCD4002",
        f"`{declaration.name.text}` has no axis or setting `{name}`",
        slot.name.span,
        label="unknown",
        help=f"did you mean `{guess}`?" if guess else f"it has {listed(dict.fromkeys(known))}",
        fix=rename(slot.name.span, guess) if guess else remedies.python_axis(slot),
    )


def _signature_axes(declaration: tree.Diagram) -> frozenset[str]:
    names: set[str] = set()
    pending: list[tree.TypeExpr] = [parameter.type for parameter in declaration.parameters]
    while pending:
        current = pending.pop()
        if isinstance(current, tree.TupleTypeExpr):
            pending.extend(current.items)
            continue
        for slot in current.axes.slots:
            names.update(item.text for item in slot.items if isinstance(item, tree.Name))
        if isinstance(current.bound, tree.Name):
            names.add(current.bound.text)
    return frozenset(names)


# ---- binding ----------------------------------------------------------------------------------


def _bind(
    body: Body, ref: DiagramRef, template: Template, slots: _Slots, head: tree.Name
) -> Opened:
    bound: dict[Axis, Bound] = {}
    places: dict[Axis, Span] = {}
    for name, (value, span) in slots.axes.items():
        axis = template.axes[name]
        bound[axis], places[axis] = value, span
    for name, items in slots.packs.items():
        for axis, (value, span) in zip(template.packs[name], items, strict=True):
            bound[axis], places[axis] = value, span
    _check_targets(body, template, bound, places)
    explicit = frozenset(bound)
    defaults: dict[Axis, Size] = {}
    same = ref.module is body.module
    for free in template.checked.free:
        if free.axis in bound or (same and free.axis in template.shared):
            continue
        if free.default is not None:
            defaults[free.axis] = free.default
        else:
            bound[free.axis] = _callers_own(body, free.axis, template.checked, head)
    arrow = _arrow(ref.declaration, template)
    return Opened(template.checked, template, bound, explicit, places, defaults, arrow, same)


def _check_targets(
    body: Body, template: Template, bound: dict[Axis, Bound], places: dict[Axis, Span]
) -> None:
    """An axis that an input carries is found by its name, not by a size. Raises Reported."""
    carried = {axis for wire in template.checked.parameters for axis in wire.type.axes}
    for axis, value in bound.items():
        if axis in carried and not isinstance(value, Axis):
            name = template.checked.name
            body.fail(
                "NCD2012",
                f"`{name}` finds the axes that it acts along by name, and "
                f"`{places[axis].text}` is no name of an axis",
                places[axis],
                label="a size",
                help=f"write the name of an axis of the argument: `{name}[x](...)`",
                fix=remedies.numbered_axis(places[axis], body.scope),
            )


def _arrow(
    declaration: tree.Diagram, template: Template
) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
    formals = declaration.formals
    if formals is None or formals.arrow is None:
        return (), ()
    sides = [
        tuple(
            axis
            for entry in side
            if not entry.is_const
            for axis in (
                template.packs[entry.name.text]
                if isinstance(entry.name, tree.Pack)
                else (template.axes[entry.name.text],)
            )
        )
        for side in (formals.entries, formals.arrow)
    ]
    return sides[0], sides[1]


def _callers_own(body: Body, formal: Axis, callee: CheckedDiagram, head: tree.Name) -> Axis:
    """A free axis left unbound becomes the caller's own of the same name."""
    entry = body.scope.entry(formal.name)
    if entry is None:
        return body.add_free_axis(formal.name, head.span)
    meaning, span = entry
    if isinstance(meaning, Axis) and body.is_free(meaning):
        return meaning
    if isinstance(meaning, Broken):
        raise Reported
    body.fail(
        "NCD4008",
        f"`{callee.name}` needs the size of its free axis `{formal.name}`, "
        f"and `{formal.name}` means something else here",
        head.span,
        label=f"`{formal.name}` is not bound",
        labels=[Label(span, f"{body.describe(meaning)} named `{formal.name}`")] if span else [],
        help=f"bind it: `{callee.name}[{formal.name} = {formal.name}]`",
        fix=remedies.bound(head.span, formal.name) if isinstance(meaning, Axis) else None,
    )
