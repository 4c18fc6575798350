"""What `forward` and the constructor check, and where `forward` gets its sizes from."""

from __future__ import annotations

from collections.abc import Callable

from ncdlang.semantics.program import Requirement
from ncdlang.semantics.size import Quotient, Size, Symbol
from ncdlang.semantics.types import Axis, Wire

from .code import COMPARE, SUM, Code, call, infix
from .code import PRODUCT as PRODUCT_LEVEL
from .forward import Method
from .lines import INDENT, WIDTH, statement
from .names import f_string, quoted
from .planning import Plan
from .sizes import Place, Solution, compared, size_code
from .wires import told

_DEEPER = f"{INDENT}    "
_OPPOSITE = {"==": "!=", "!=": "==", ">=": "<", "<=": ">", ">": "<=", "<": ">="}
_LETTERS = {"natural": "N", "integer": "N", "boolean": "B", "complex": "C", "real": ""}


class Checks:
    """The checks of one diagram, in its own names."""

    def __init__(self, plan: Plan, method: Method) -> None:
        self.plan = plan
        self.method = method
        self.name = plan.diagram.name

    # ---- in forward -----------------------------------------------------------------------------

    def preamble(self) -> list[str]:
        """Checks of the inputs, then the sizes that the method uses."""
        self._forget()
        met = [s.place for s in self.plan.layout.solved]
        late = [r for r in self.plan.diagram.requirements if not self._is_early(r) and r not in met]
        requirements = [line for r in late for line in self._raise(r, self.method.size)]
        equations = [line for place in self.plan.layout.equations for line in self._equation(place)]
        bounds = [line for wire in self.plan.graph.inputs for line in self._bound(wire)]
        sizes = self._sizes()
        checks = [*self._check(), *self._exact()]
        return [*checks, *self._wide(), *sizes, *equations, *requirements, *bounds]

    def sizes(self) -> list[str]:
        """The sizes alone, for a method whose inputs were checked before."""
        self._forget()
        return [*self._wide(), *self._sizes()]

    def _forget(self) -> None:
        """What the statements asked for and then dropped is not used."""
        for symbol in list(self.method.used):
            if not self.method.mentions(self.method.symbol(symbol).text):
                del self.method.used[symbol]

    def _check(self) -> list[str]:
        inputs = self.method.inputs
        checked = [wire for wire in inputs if wire.type.axes or wire.type.kind.name != "real"]
        if not checked:
            return []
        known = ", ".join(f"{quoted(axis)}: {code.text}" for axis, code in self._known().items())
        arrays = [f"({quoted(w.name)}, {inputs[w]}, {quoted(_spec(w))})" for w in checked]
        arguments = ", ".join([quoted(self.name), f"{{{known}}}", *arrays])
        return statement(f"{self.method.helper('_check')}({arguments})", INDENT)

    def _exact(self) -> list[str]:
        """Inputs of a diagram that keeps state have no batch axes: it would move once for each."""
        if not self.plan.diagram.is_stateful:
            return []
        lines: list[str] = []
        for wire, name in self.method.inputs.items():
            message = (f"{self.name}: keeps state, so {wire.name} is exactly {_spec(wire)}, ",)
            shape = ("but its shape is ", (f"tuple({name}.shape)",))
            lines += raising(f"{name}.dim() != {len(wire.type.axes)}", message, shape)
        return lines

    def _known(self) -> dict[str, Code]:
        """Axes of inputs whose size is known before any input is seen."""
        fixed = frozenset(self.plan.layout.built) - frozenset(self.method.owner.deferred)
        known: dict[str, Code] = {}
        for wire in self.method.inputs:
            for axis in wire.type.axes:
                if axis.size.symbols() <= fixed:
                    known[str(axis)] = self.method.size(axis.size)
        return known

    def _sizes(self) -> list[str]:
        """Local variables for the solved sizes that are used, in the order of their dependence."""
        deferred = self.method.owner.deferred
        # A size that has to come out whole is checked whether it is used or not.
        solved = self.plan.layout.solved
        used = {s.symbol for s in solved if s.factor.value != 1 or s.rest.terms}
        used |= set(self.method.used)
        for symbol in used & set(deferred):
            used |= deferred[symbol].symbols()
        chosen: list[Solution] = []
        for solution in reversed(solved):
            if solution.symbol in used:
                chosen.append(solution)
                used |= solution.factor.symbols() | solution.rest.symbols()
        wanted = {symbol for s in chosen for symbol in (s.factor.symbols() | s.rest.symbols())}
        wanted |= set(self.method.used)
        for symbol in wanted & set(deferred):
            wanted |= deferred[symbol].symbols()
        lines: list[str] = []
        for solution in reversed(chosen):
            lines += self._solution(solution, solution.symbol in wanted)
        for symbol in deferred:
            if symbol in self.method.used:
                lines += self._deferred(symbol, deferred[symbol])
        return lines

    def _deferred(self, symbol: Symbol, default: Size) -> list[str]:
        given = self.method.owner.built_size(symbol)
        name, size = self.method.symbol(symbol).text, self.method.size(default).text
        return statement(f"{name} = {size} if {given} is None else {given}", INDENT)

    def _solution(self, solution: Solution, wanted: bool) -> list[str]:
        """The checks that an unknown comes out whole, and where it is `wanted` its variable."""
        place, total, where = self._total(solution)
        factor = self.method.size(solution.factor)
        lines = list[str]()
        lost = solution.rest.terms
        if isinstance(solution.place, Place):
            is_less = bool(lost)
        else:
            is_less = any(coefficient > 0 for _, coefficient in lost)
        if is_less:
            lines += raising(f"{total.text} < 0", (where, (place.text,), ", which is too small"))
        if solution.factor.value != 1:
            empty = f"{factor.at(COMPARE)} == 0 or " if solution.factor.value is None else ""
            lines += raising(
                f"{empty}{infix('%', PRODUCT_LEVEL, total, factor).text} != 0",
                (where, (place.text,), ", "),
                (f"which leaves no whole size for {solution.symbol.name}",),
            )
            total = infix("//", PRODUCT_LEVEL, total, factor)
        if wanted:
            name = self.method.symbol(solution.symbol).text
            lines += statement(f"{name} = {total.text}", INDENT)
        return lines

    def _total(self, solution: Solution) -> tuple[Code, Code, str]:
        """What a size is read off, that less what is not the size's, and a phrase that names it."""
        given = solution.place
        if isinstance(given, Requirement):
            size = -solution.rest
            total, (left, right) = self.method.size(size), compared(given.left, given.right)
            rule = f"so {_named(left)} == {_named(right)} must hold, "
            if _speaks_for_itself(given, left, right):
                rule = ""
            return total, total, f"{self.name}: {given.reason}, {rule}but {_named(size)} is "
        place = self._place(given)
        total = place
        if solution.rest.terms:
            total = infix("-", SUM, place, self.method.size(solution.rest))
        return place, total, f"{self.name}: axis {given.axis} of {given.wire.name} is "

    def _equation(self, place: Place) -> list[str]:
        """A size of an input that other inputs give, where its axis is not theirs by name."""
        axis = place.axis
        if str(axis) in self._known() or any(place.axis is axis for place in self._solved()):
            return []
        wanted = self.method.size(axis.size)
        shape = self._place(place)
        where = f"axis {axis} of {place.wire.name}"
        message = (f"{self.name}: {where} is ", (shape.text,), ", but should be ", (wanted.text,))
        return raising(f"{shape.text} != {wanted.at(SUM)}", message)

    def _solved(self) -> list[Place]:
        """The places that sizes are read off."""
        return [s.place for s in self.plan.layout.solved if isinstance(s.place, Place)]

    def _place(self, place: Place) -> Code:
        return Code(f"{self.method.inputs[place.wire]}.shape[{place.position}]")

    def _bound(self, wire: Wire) -> list[str]:
        """Naturals that come from outside stay below their bound."""
        bound = wire.type.kind.bound
        if wire.type.kind.name != "natural" or bound is None:
            return []
        said = told(self.plan, wire)
        if said and any(said in line.text for line in self.method.lines):
            return []
        helper = self.method.helper("_check_below")
        name = self.method.inputs[wire]
        size = self.method.size(bound).text
        arguments = (quoted(self.name), quoted(wire.name), name, size)
        return statement(call(helper, *arguments).text, INDENT)

    def _wide(self) -> list[str]:
        if not self.method.wide or not self.method.mentions(self.method.wide):
            return []
        dtype = f"{self.method.real_tensor()}.dtype"
        line = f"{self.method.wide} = torch.promote_types({dtype}, torch.float32)"
        return statement(line, INDENT, "for arithmetic on indices")

    # ---- requirements ---------------------------------------------------------------------------

    def early(self, write: Callable[[Size], Code]) -> list[str]:
        """Requirements on sizes that the constructor knows."""
        found = [r for r in self.plan.diagram.requirements if self._is_early(r)]
        return [line for r in found for line in self._raise(r, write)]

    def _is_early(self, requirement: Requirement) -> bool:
        symbols = requirement.left.symbols() | requirement.right.symbols()
        return symbols <= frozenset(self.plan.built)

    def _raise(self, requirement: Requirement, write: Callable[[Size], Code]) -> list[str]:
        left, right = compared(requirement.left, requirement.right)
        opposite = _OPPOSITE[requirement.op]
        condition = f"{write(left).at(SUM)} {opposite} {write(right).at(SUM)}"
        division = _remainder(left - right)
        if division is not None:
            above, below = map(write, division)
            condition = f"{infix('%', PRODUCT_LEVEL, above, below).text} {opposite} 0"
            if division[1].value is None:
                condition = f"{below.at(COMPARE)} == 0 or {condition}"
        rule = f"so {_named(left)} {requirement.op} {_named(right)} must hold, "
        if _speaks_for_itself(requirement, left, right):
            rule = ""
        found: list[str | tuple[str]] = []
        for symbol in sorted(left.symbols() | right.symbols()):
            joint = " and " if found else "but "
            found += [f"{joint}size({symbol.name}) is ", (write(Size.of(symbol)).text,)]
        head = (f"{self.name}: {requirement.reason}, ",)
        return raising(condition, head, (rule,) if rule else (), tuple(found))


def raising(condition: str, *message: tuple[str | tuple[str], ...]) -> list[str]:
    """`if condition: raise ValueError(...)`, with one string literal for each part."""
    parts = [f_string(*part) for part in message if part]
    lines = [f"{INDENT}if {condition}:"]
    one = statement(
        f"raise ValueError({f_string(*(p for part in message for p in part))})", _DEEPER
    )
    if len(one) == 1 and len(one[0]) <= WIDTH:
        return [*lines, *one]
    inner = [f"{_DEEPER}    {part}" for part in parts]
    return [*lines, f"{_DEEPER}raise ValueError(", *inner, f"{_DEEPER})"]


def _remainder(size: Size) -> tuple[Size, Size] | None:
    """Numerator and divisor, if the size is the remainder of a division."""
    for monomial, _ in size.terms:
        for atom, _ in monomial:
            if isinstance(atom, Quotient):
                remainder = atom.numerator - atom.denominator * Size.of(atom)
                if size == remainder:
                    return atom.numerator, atom.denominator
    return None


def _speaks_for_itself(requirement: Requirement, left: Size, right: Size) -> bool:
    """Whether the reason of a requirement already says which sizes it is about."""
    if requirement.reason.startswith("asserted") or right.value == 1:
        return True
    plain = all(size in map(Size.of, size.symbols()) for size in (left, right))
    return requirement.op == "==" and plain


def _named(size: Size) -> str:
    return size_code(size, lambda symbol: Code(f"size({symbol.name})")).text


def _spec(wire: Wire) -> str:
    axes: tuple[Axis, ...] = wire.type.axes
    separator = ", " if any(axis.parts for axis in axes) else " "
    return f"{_LETTERS[wire.type.kind.name]}[{separator.join(map(str, axes))}]"
