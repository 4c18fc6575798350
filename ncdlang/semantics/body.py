"""One diagram: its signature, its statements in order, and what must hold at the end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING, NoReturn

from ncdlang.diagnostics import Label
from ncdlang.records import record
from ncdlang.semantics import results, signature, statements
from ncdlang.semantics.assertions import take_over
from ncdlang.semantics.binding import InstanceKey, Opened, Template
from ncdlang.semantics.calls import elementwise_callee
from ncdlang.semantics.constraints import Constraints, Relation
from ncdlang.semantics.expressions import Context, Expressions, Guards
from ncdlang.semantics.matching import LearnedUse
from ncdlang.semantics.names import Names
from ncdlang.semantics.new_axes import introduce_axes
from ncdlang.semantics.obligations import Obligation, check_obligations
from ncdlang.semantics.primitives import FUNCTIONS, REDUCTIONS
from ncdlang.semantics.program import (
    BlockStep,
    CheckedDiagram,
    Define,
    Expression,
    FreeAxis,
    Instance,
    Learned,
    Read,
    Step,
)
from ncdlang.semantics.reads import read_indices
from ncdlang.semantics.report import Reported
from ncdlang.semantics.scatter import Injectivity, check_injectivity
from ncdlang.semantics.scope import LearnedPipeline, Scope
from ncdlang.semantics.size import Size, Symbol, TooComplexError
from ncdlang.semantics.state import keeps_state
from ncdlang.semantics.types import Affine, ArrayType, Axis, Wire, plain_index
from ncdlang.semantics.unstated import in_order_of_first
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.diagnostics import Sink
    from ncdlang.semantics.module import ModuleChecker


def is_power(spec: tree.Expr) -> bool:
    """Whether a learned pipeline is copies of one diagram, so that only their numbers matter."""
    while isinstance(spec, tree.Group):
        spec = spec.inner
    if isinstance(spec, tree.Binary) and spec.op == "^":
        return is_power(spec.left)
    return isinstance(spec, (tree.Name, tree.Bracketed))


@record
class Place:
    """Where new steps go: the list of the innermost block."""

    title: str
    steps: list[Step]
    span: Span | None


class Body(Names):
    """Checks one form of one diagram; the parts of the work are functions that take this object."""

    def __init__(
        self, module: ModuleChecker, declaration: tree.Diagram, key: InstanceKey, sink: Sink
    ) -> None:
        super().__init__(sink, Scope(module.watched_scope()))
        self.module = module
        self.declaration = declaration
        self.key = key
        self.constraints = Constraints()
        self.expressions = Expressions(self)
        self.packs: dict[str, tuple[Axis, ...]] = {}
        self.composites: dict[tuple[Axis, ...], Axis] = {}
        self.signature_axes: dict[str, Axis] = {}
        self.shared: set[Axis] = set()
        self.settings: list[tuple[str, int | float]] = []
        self.free: list[FreeAxis] = []
        self.parameters: list[Wire] = []
        self.results: tuple[Wire, ...] = ()
        self.learned: list[Learned] = []
        self.uses: list[LearnedUse] = []
        self.injectivity: list[Injectivity] = []
        self.obligations: list[Obligation] = []
        self.places: list[Place] = [Place("", [], None)]
        self.failed = False
        self.later: dict[str, Span] = {}
        self.redeclared: set[str] = set()
        self._fresh = count(1)
        self.copies: list[tuple[int, int]] = []
        # Axes of other sizes than what they index, as reported: the index, what it indexes, where.
        self.mismatches: list[tuple[Axis, Axis, Span]] = []
        self.copies_in_all = 1
        self._within_names: dict[str, dict[Span, str]] = {}
        self.within: LearnedPipeline | None = None
        self._instance_names: set[str] = set()
        self._copied: dict[Span, str] = {}

    # ---- the whole diagram ---------------------------------------------------------------------

    def check(self) -> Template:
        """Check signature and body. Raises Reported if a mistake makes the diagram unusable."""
        before = len(self.sink)
        declared = self.declaration.span
        try:
            signature.check_signature(self)
            take_over(self)
        except TooComplexError:
            self.too_complex(self.declaration.header)
            raise Reported from None
        statements.check_body(self)
        if not self.failed and len(self.sink) == before and not self.has_broken(declared):
            check_obligations(self)
            check_injectivity(self)
        if self.failed or len(self.sink) > before or self.has_broken(declared):
            raise Reported
        return self._template()

    def is_consistent(self) -> bool:
        """Whether signature and statements have no mistake; what needs proofs is left out."""
        try:
            signature.check_signature(self)
            take_over(self)
            statements.check_body(self)
        except (Reported, TooComplexError):
            return False
        return not self.failed and not len(self.sink)

    def _template(self) -> Template:
        declaration = self.declaration
        instances = tuple(instance for use in self.uses if (instance := use.instance) is not None)
        used = results.symbols_in_use(self)
        unknowns = tuple(dict.fromkeys(s for s in self.unknowns() if s in used or s in self._own()))
        is_scalar = not any(w.type.axes for w in (*self.parameters, *self.results))
        properties = self.module.properties.get(declaration.name.text, ())
        steps = tuple(self.places[0].steps)
        checked = CheckedDiagram(
            declaration.name.text,
            self.module.library,
            declaration.doc,
            tuple(self.parameters),
            self.results,
            tuple(self.signature_axes.values()),
            tuple(self.free),
            tuple(self.settings),
            tuple(self.learned),
            instances,
            steps,
            tuple(self.constraints.requirements),
            unknowns,
            results.needed_symbols(self.learned, instances),
            declaration.header,
            is_scalar and not self.learned and not instances,
            declaration.body is None and declaration.pipeline is None,
            properties,
            keeps_state(properties, steps),
        )
        results_axes = {a for wire in self.results for axis in wire.type.axes for a in axis.atoms}
        shared = self.shared | {
            axis for axis in results_axes if self.module.scope.find(axis.name) is axis
        }
        return Template(checked, dict(self.signature_axes), self.packs, frozenset(shared))

    def _own(self) -> set[Symbol]:
        return {
            s
            for a in self.signature_axes.values()
            for atom in a.atoms
            if (s := atom.symbol) is not None and atom not in self.shared
        }

    def unknowns(self) -> list[Symbol]:
        """The sizes that inputs carry and those of the free axes."""
        axes = [a for wire in self.parameters for axis in wire.type.axes for a in axis.atoms]
        axes += [
            w.type.kind.bound_axis for w in self.parameters if w.type.kind.bound_axis is not None
        ]
        axes += [free.axis for free in self.free]
        return [symbol for axis in axes if (symbol := axis.symbol) is not None]

    # ---- steps ---------------------------------------------------------------------------------

    def add(self, step: Step) -> None:
        """Append a step to the innermost block."""
        self.places[-1].steps.append(step)

    def open_block(self, title: str, span: Span) -> None:
        """Begin a block."""
        self.places.append(Place(title, [], span))

    def close_block(self) -> None:
        """End the innermost block."""
        place = self.places.pop()
        assert place.span is not None
        self.add(BlockStep(place.title, tuple(place.steps), place.span))

    def open_recurrence(self) -> None:
        """Collect the steps of a recurrence's equation apart."""
        self.places.append(Place("", [], None))

    def close_recurrence(self) -> list[Step]:
        """The steps since `open_recurrence`."""
        return self.places.pop().steps

    def fresh_name(self) -> str:
        """A name for a wire that has none."""
        name = f"_{next(self._fresh)}"
        while name in self.later or self.scope.find(name) is not None:
            name = f"_{next(self._fresh)}"
        return name

    # ---- learned instances ---------------------------------------------------------------------

    def instance_name(self, base: str, place: Span) -> str:
        """A name for a learned diagram that is called at a place: `rms_norm`, then `rms_norm_2`.

        Copies that `f^n` makes of one place share the name and add their number: `layer.0`. Those
        of `(f^2)^3` are counted through, from `layer.0` to `layer.5`.
        """
        position = 0
        for i, number in self.copies:
            position = position * number + i
        suffix = f".{position}" if self.copies else ""
        if self.within is not None:
            return self._name_within(self.within, base, place) + suffix
        if suffix and place in self._copied:
            return self._copied[place] + suffix
        taken = self._instance_names | {name for name, _ in self.scope.local_names()}
        name = base
        number = 2
        while name in taken:
            name = f"{base}_{number}"
            number += 1
        if suffix:
            self._copied[place] = name
            self._instance_names.add(name)
        return name + suffix

    def _name_within(self, learned: LearnedPipeline, base: str, place: Span) -> str:
        """A name for a diagram in a learned pipeline, the same one for each use of the pipeline."""
        if is_power(learned.spec):
            return learned.name
        inside = self._within_names.setdefault(learned.name, {})
        name = base
        number = 2
        while place not in inside and name in inside.values():
            name = f"{base}_{number}"
            number += 1
        return f"{learned.name}.{inside.setdefault(place, name)}"

    def add_instance(self, name: str, opened: Opened, span: Span) -> LearnedUse:
        """A new instance with parameters of its own; a learned pipeline has made it once."""
        known = next((use for use in self.uses if use.name == name), None)
        if known is not None:
            return known
        self._instance_names.add(name)
        use = LearnedUse(name, opened, span)
        for formal, bound in opened.bound.items():
            symbol = formal.symbol
            if symbol is not None and symbol in opened.callee.needed:
                use.binding[symbol] = bound.size if isinstance(bound, Axis) else bound
        self.uses.append(use)
        return use

    def complete(self, use: LearnedUse) -> Instance:
        """The instance of a use, once the sizes that its parameters need are bound."""
        if use.instance is None:
            binding = tuple(use.binding.items())
            use.instance = Instance(use.name, use.opened.callee, binding, use.span)
        return use.instance

    # ---- expressions ---------------------------------------------------------------------------

    def unstated(self, expr: tree.Expr) -> Expression:
        """An expression without stated axes: nothing is contracted, an array gives the order."""
        introduce_axes(self, expr)
        return in_order_of_first(self, self.expressions.check(expr, Context(None)), expr)

    def is_expression_call(self, expr: tree.Call) -> bool:
        """Whether a call is an elementwise operator or a reduction, part of an expression."""
        function = expr.function
        head = function.head if isinstance(function, tree.Bracketed) else function
        if not isinstance(head, tree.Name):
            return False
        if self.scope.find(head.text) is None:
            return head.text in ("where", "cast") or head.text in (FUNCTIONS | REDUCTIONS.keys())
        try:
            return elementwise_callee(self, function) is not None
        except Reported:
            return False

    # ---- reads ---------------------------------------------------------------------------------

    def wire_at_head(self, expr: tree.Bracketed) -> Wire:
        """The wire that brackets index. Raises Reported."""
        head = expr.head
        if not isinstance(head, tree.Name):
            self.fail("NCD2012", "only a wire can be indexed", head.span, label="not a wire")
        meaning = self.look_up(head, "wire")
        if isinstance(meaning, Wire):
            return meaning
        self.fail(
            "NCD2012",
            f"`{head.text}` is {self.describe(meaning)}, not a wire",
            head.span,
            label="can't be indexed",
            help=f"a diagram is called with parentheses: `{head.text}(...)`"
            if self.is_callable(meaning)
            else "",
        )

    def read_indices(self, expr: tree.Bracketed, wire: Wire, guards: Guards) -> tuple[Affine, ...]:
        """The coordinates of `wire[...]`, one for each axis. Raises Reported."""
        return read_indices(self, expr, wire, guards)

    # ---- sizes ---------------------------------------------------------------------------------

    def equate(
        self,
        left: Size,
        right: Size,
        reason: str,
        span: Span,
        what: str,
        places: Sequence[Label] = (),
    ) -> None:
        """Record an equation of sizes. `what` names the thing that would have two sizes, and
        `places` show where it got the first."""
        conflict = self.constraints.equate(left, right, reason, span)
        if conflict is None:
            return
        at = self.constraints.with_defaults
        self.error(
            "NCD3001",
            f"{what} would have both size {self.shown(left)} and size {self.shown(right)}",
            span,
            label=reason,
            labels=[
                *places,
                *(Label(o.span, o.reason) for o in conflict[:-1] if o.span != span),
            ],
            notes=[
                f"{size} is {at(size)} here"
                for size in (left, right)
                if size.value is None and at(size) != size
            ],
        )

    def is_unknown(self, size: Size) -> bool:
        """Whether a size is just an unknown, which nothing in the diagram fixes."""
        symbols = size.symbols()
        return (
            len(symbols) == 1
            and size == Size.of(*symbols)
            and (self.constraints.with_defaults(size) == size)
        )

    def shown(self, size: Size) -> str:
        """A size for a message: its value where the defaults give one."""
        value = self.constraints.with_defaults(size)
        return str(value) if value.value is not None else str(size)

    def fail_relation(
        self,
        left: Size,
        op: Relation,
        right: Size,
        span: Span,
        message: str,
        labels: list[Label],
        written: str = "",
    ) -> NoReturn:
        """Report a relation between sizes that does not hold; `written` is how it is spelt."""
        at = self.constraints.with_defaults
        values = f"{at(left)} {op} {at(right)}"
        written = written or f"{left} {op} {right}"
        detail = written if values == written else f"{written}, which is {values}"
        code = "NCD3001" if op == "==" else "NCD3005"
        self.fail(code, message, span, label=f"needs {detail}", labels=labels)

    def oblige(self, obligation: Obligation) -> None:
        """Put a bounds proof off until all sizes are known."""
        self.obligations.append(obligation)

    def renamed(self, wire: Wire, axes: tuple[Axis, ...], span: Span) -> Wire:
        """The same array by other axes of the same sizes."""
        same = Wire(self.fresh_name(), ArrayType(axes, wire.type.kind), span)
        indices = tuple(plain_index(axis) for axis in axes)
        self.add(Define(same, Read(wire, indices, wire.type.kind, axes, span), span))
        return same
