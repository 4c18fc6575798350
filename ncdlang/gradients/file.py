"""A derived gradient as a file of the language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ncdlang.gradients.derivation import Gradient
from ncdlang.gradients.error import GradientError
from ncdlang.gradients.spelling import Spelling
from ncdlang.gradients.steps import Cycle, Flat, OpCall
from ncdlang.gradients.terms import atoms, walk
from ncdlang.gradients.writing import lines
from ncdlang.semantics.check import check_source, find_nothing
from ncdlang.semantics.compilation import Find
from ncdlang.semantics.program import ApplyDiagram, Define, Expression, Scatter
from ncdlang.semantics.size import Symbol
from ncdlang.semantics.types import Axis
from ncdlang.source import Source

_NO_BREAK = "\N{NO-BREAK SPACE}"


def written(gradient: Gradient, find: Find = find_nothing) -> str:
    """The text of a file with the gradient as its one diagram, formatted; it checks.

    Where bounds are proved only at the defaults of free axes, the sizes of inputs that have those
    axes are asserted to be the defaults. `find` finds the modules of the standard library.
    Raises GradientError where the text has errors all the same.
    """
    told = ""
    for is_pinned in (False, True):
        text = _File(gradient, is_pinned).text()
        error = _error(text, find)
        if error is None:
            return _formatted(text)
        told = told or error
    diagram = gradient.opened.diagram
    raise GradientError(
        f"the gradient of `{diagram.name}` can't be written down: its text would have the error "
        f"{told}",
        diagram.span,
    )


def _formatted(text: str) -> str:
    from ncdlang.syntax.format import format_file
    from ncdlang.syntax.parser import parse

    source = Source("gradient", text)
    return format_file(source, parse(source))


def _error(text: str, find: Find) -> str | None:
    """The first error of the text, None if it checks."""
    _, found = check_source(Source("gradient", text), find)
    first = next((diagnostic for diagnostic in found if diagnostic.severity == "error"), None)
    return None if first is None else f"{first.code}, {first.message}"


class _File:
    def __init__(self, gradient: Gradient, is_pinned: bool) -> None:
        self._gradient = gradient
        self._is_pinned = is_pinned
        diagram = gradient.opened.diagram
        self._inputs = (*gradient.inputs, *gradient.seeds)
        sizes = _sizes((*diagram.axes, *(a for w in self._inputs for a in w.type.axes)))
        steps = (*gradient.forward, *gradient.reverse)
        self._calls = set(_functions(steps))
        self._names = Spelling(self._calls, sizes)

    def text(self) -> str:
        """The file, not yet formatted."""
        names, gradient = self._names, self._gradient
        diagram = gradient.opened.diagram
        plain = {axis for wire in self._inputs for axis in wire.type.axes}
        free = [entry for entry in diagram.free if entry.axis not in plain]
        kinds = [wire.type.kind for wire in self._inputs]
        bounds = [kind.bound_axis for kind in kinds if kind.bound_axis is not None]
        unbound = [axis for axis in bounds if axis not in {entry.axis for entry in free}]
        inside = atoms((*(a for w in self._inputs for a in w.type.axes), *unbound))
        for axis in (*inside, *(entry.axis for entry in free)):
            names.axis(axis)
        inputs = ", ".join(names.typed(wire) for wire in self._inputs)
        name = names.take(f"{diagram.name}_grad")
        forward = [line for step in gradient.forward for line in lines(step, names)]
        reverse = [line for step in gradient.reverse for line in lines(step, names)]
        results = [names.type(wire.type) for wire in gradient.results]
        result = results[0] if len(results) == 1 else f"({', '.join(results)})"
        returned = ", ".join(names.wire(wire) for wire in gradient.results)
        brackets = ", ".join(
            names.axis(entry.axis)
            + (f" = {names.size(entry.default)}" if entry.default is not None else "")
            for entry in free
        )
        body = [*self._facts(inside, [entry.axis for entry in free])]
        body += _block("Forward", forward) + _block("Backward", reverse)
        head = f"diagram {name}{f'[{brackets}]' if brackets else ''}({inputs}) -> {result} {{"
        noise = ["use std.nn.{dropout}", ""] if "dropout" in self._calls else []
        before = [*self._remarks(), *noise, *self._fixed(inside), *self._doc()]
        text = [*before, head, *body, f"return {returned}", "}"]
        return "\n".join(text) + "\n"

    def _doc(self) -> list[str]:
        of = [f"`{wire.name}`" for wire in self._gradient.wrt]
        text = f"The gradient of `{self._gradient.opened.diagram.name}` in {_and(of)}."
        return [f"## {line}" for line in _wrapped(text)]

    def _remarks(self) -> list[str]:
        kept = [self._names.typed(wire).replace(" ", _NO_BREAK) for wire in self._gradient.kept]
        texts = ["Derived by reverse mode.", *self._gradient.notes]
        texts.append(f"Kept from the forward pass: {', '.join(kept) or 'nothing'}.")
        return [f"# {line}" for text in texts for line in _wrapped(text)] + [""]

    def _is_own(self, axis: Axis) -> bool:
        """Whether the size of an axis is an unknown of its own."""
        return self._names.size(axis.size) == f"size({self._names.axis(axis)})"

    def _fixed(self, inside: tuple[Axis, ...]) -> list[str]:
        """The axes of inputs that have one size only, which the file states."""
        fixed = [axis for axis in inside if axis.size.value is not None]
        items = ", ".join(f"{self._names.axis(axis)} = {axis.size}" for axis in fixed)
        return [f"axis {items}", ""] if items else []

    def _facts(self, inside: tuple[Axis, ...], free: list[Axis]) -> Iterator[str]:
        """What is known of sizes: of the axes of inputs, and of axes that no input has."""
        names = self._names
        known = {*inside, *free}
        for axis in inside:
            if axis.size.value is None and not self._is_own(axis):
                yield f"assert size({names.axis(axis)}) == {names.size(axis.size)}"
        told: set[str] = set()
        for entry in self._gradient.opened.diagram.free if self._is_pinned else ():
            if entry.axis in inside and entry.default is not None:
                told.add(f"assert size({names.axis(entry.axis)}) == {names.size(entry.default)}")
        for needed in self._gradient.opened.requirements:
            if needed.reason.startswith("asserted"):
                told.add(f"assert {names.size(needed.left)} {needed.op} {names.size(needed.right)}")
        yield from sorted(told)
        for axis in names.known_axes:
            if axis not in known and not self._is_own(axis):
                yield f"axis {names.axis(axis)} = {names.size(axis.size)}"


def _sizes(axes: Iterable[Axis]) -> dict[Symbol, Axis]:
    found: dict[Symbol, Axis] = {}
    for axis in atoms(axes):
        if axis.symbol is not None:
            found.setdefault(axis.symbol, axis)
    return found


def _block(title: str, statements: list[str]) -> list[str]:
    return [f'block "{title}" {{', *statements, "}"] if statements else []


def _functions(steps: Iterable[Flat]) -> Iterator[str]:
    """The names that steps call."""
    for step in steps:
        match step:
            case OpCall():
                yield step.name
            case Define():
                yield from _called(step.expression)
            case Scatter():
                for write in step.writes:
                    yield from _called(write.expression)
            case Cycle():
                yield from _functions(step.steps)


def _called(value: Expression) -> Iterator[str]:
    for part in walk(value):
        if isinstance(part, ApplyDiagram):
            yield part.callee.name


def _and(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _wrapped(text: str) -> list[str]:
    """The lines of a comment."""
    import textwrap

    lines = textwrap.wrap(text, 96, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_NO_BREAK, " ") for line in lines]
