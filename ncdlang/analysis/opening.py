"""Opens a diagram into terms: every call is replaced by its equations, reductions by folds.

A recurrence whose steps are linear, and a scatter, become arrays that are read. What can't be
opened (other recurrences, primitives without equations, random operators) is named in an `Opaque`;
the wires that need nothing of it are opened all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice

from ncdlang.analysis.foreign import Foreign, foreign
from ncdlang.analysis.keeping import Keeping, Making
from ncdlang.analysis.opened import Calls, Inside, Opaque, Opened
from ncdlang.analysis.recurrences import NotLinear, solve
from ncdlang.analysis.reductions import copied, real, reduced, renamed_parts, renaming
from ncdlang.analysis.scatter import variator
from ncdlang.analysis.scatters import IDENTITY, Scattered
from ncdlang.analysis.terms import Array, Term, Terms, ordered, reads, subterms
from ncdlang.ir.diagram import (
    Contraction,
    Edge,
    Graph,
    Iota,
    Library,
    Number,
    Operand,
    Pointwise,
    Reduction,
    Reindex,
    Scan,
    Scattering,
)
from ncdlang.ir.lower import lower
from ncdlang.records import replace
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import ONE, Size, Symbol, product
from ncdlang.semantics.types import Affine, Axis, Floor, Gathered, Mod, Wire

MAX_SUBTERMS = 300


def open_diagram(
    diagram: CheckedDiagram, lowered: Callable[[CheckedDiagram], Graph] = lower
) -> Opened:
    """Open a diagram. Raises Opaque where its results need an operation without equations.

    `lowered` makes the graphs whose wires `inside` of what is opened tells about.
    """
    terms = Terms()
    inside: dict[Calls, Inside] = {}
    keeping = Keeping(terms)
    opening = _Opening(terms, lowered(diagram), (), {}, {}, {}, keeping, inside, (), lowered)
    inputs = tuple(opening.declare(wire, "input") for wire in diagram.parameters)
    opening.run()
    results = tuple((wire, opening.meaning(wire)) for wire in diagram.results)
    needed = set(reads(*(term for _, term in results)))
    made: list[Making] = []
    for step in reversed(keeping.steps):
        arrays = step.arrays if isinstance(step, Foreign) else (step.array,)
        moves = isinstance(step, Foreign) and step.is_stateful
        if moves or not needed.isdisjoint(arrays):
            made.insert(0, step)
            needed.update(step.inputs)
    parameters = tuple(array for array in opening.parameters.values() if array in needed)
    return Opened(terms, results, inputs, parameters, inside, tuple(made))


def open_graph(graph: Graph) -> tuple[Terms, dict[Wire, Term], dict[Array, Wire]]:
    """The terms of the wires of one graph, and the arrays that they read, with their wires.

    Calls stay closed: what they make is read like an input, and so is what has no equations and
    what has more than 300 subterms.
    """
    terms = Terms()
    keeping = Keeping(terms)
    opening = _Opening(terms, graph, (), {}, {}, {}, keeping, {}, (), lower, is_closed=True)
    for wire in graph.inputs:
        opening.declare(wire, "input")
    opening.run()
    meanings = {wire: opening.meaning(wire) for wire in opening.wires}
    return terms, meanings, {array: wire for wire, array in opening.declared.items()}


Meanings = dict[Wire, "Term | Opaque"]


class _Opening:
    """The terms of one graph. `axes` gives the caller's axis for a formal one."""

    def __init__(
        self,
        terms: Terms,
        graph: Graph,
        path: tuple[str, ...],
        axes: dict[Axis, Axis],
        sizes: Mapping[Symbol, Size],
        parameters: dict[tuple[tuple[str, ...], Wire], Array],
        keeping: Keeping,
        inside: dict[Calls, Inside],
        calls: Calls,
        lowered: Callable[[CheckedDiagram], Graph],
        is_closed: bool = False,
    ) -> None:
        self.terms = terms
        self.graph = graph
        self.path = path
        self.axes = axes
        self.sizes = sizes
        self.parameters = parameters
        self.keeping = keeping
        self.inside = inside
        self.calls = calls
        self.lowered = lowered
        self.wires: Meanings = {}
        self.is_closed = is_closed
        self.declared: dict[Wire, Array] = {}

    def run(self) -> None:
        for learned in self.graph.learned:
            self.declare(learned.wire, "parameter")
        for edge in self.graph.edges:
            self.terms.span = edge.span
            try:
                made = self._edge(edge)
            except Opaque as opaque:
                for result in edge.outputs:
                    if self.is_closed:
                        self.declare(result.wire, "made")
                    else:
                        self.wires[result.wire] = opaque
                continue
            for result, term in zip(edge.outputs, made, strict=True):
                if self.is_closed and _is_long(term):
                    self.declare(result.wire, "made")
                    continue
                self.wires[result.wire] = term
                if not result.wire.name.startswith("_"):
                    self.terms.call(term, result.wire.name)
        known = {wire: term for wire, term in self.wires.items() if isinstance(term, Term)}
        self.inside[self.calls] = Inside(self.graph, known, self.axes)

    @property
    def is_opaque(self) -> bool:
        """Whether some result has no term."""
        return any(isinstance(self.wires[wire], Opaque) for wire in self.graph.outputs)

    def declare(self, wire: Wire, role: str) -> Array:
        """An array from outside, and the term that reads it whole."""
        axes = tuple(self.axis(axis) for axis in wire.type.axes)
        path = self.path if role == "parameter" else ()
        array = Array(wire.name, axes, wire.type.kind, path, role)
        if role == "parameter":
            array = self.parameters.setdefault((path, wire), array)
        self.wires[wire] = self.terms.load(array, tuple(map(self.terms.index, array.axes)))
        self.declared[wire] = array
        return array

    def meaning(self, wire: Wire) -> Term:
        """The term of a wire, over the images of its axes. Raises Opaque."""
        found = self.wires[wire]
        if isinstance(found, Opaque):
            raise found
        return found

    # ---- axes and indices ------------------------------------------------------------------------

    def axis(self, axis: Axis) -> Axis:
        """The axis that stands for one of this graph: the caller's, or one of the same name."""
        if not self.path and not self.sizes and not self.axes:
            return axis
        if axis not in self.axes:
            if axis.parts:
                parts = tuple(self.axis(part) for part in axis.parts)
                image = Axis(axis.name, product(p.size for p in parts), parts)
            else:
                image = Axis(axis.name, axis.size.substitute(self.sizes))
            self.axes[axis] = image
        return self.axes[axis]

    def index(self, axis: Axis) -> Term:
        return self.terms.index(self.axis(axis))

    def size(self, size: Size) -> Term:
        return self.terms.size(size.substitute(self.sizes))

    def affine(self, index: Affine) -> Term:
        """One coordinate as a term."""
        apply = self.terms.apply
        total: Term | None = None
        for variable, coefficient in index.terms:
            factor = self._variable(variable)
            if coefficient != ONE:
                factor = apply("mul", factor, self.size(coefficient))
            total = factor if total is None else apply("add", total, factor)
        constant = self.size(index.constant)
        return constant if total is None else apply("add", total, constant)

    def _variable(self, variable: Axis | Floor | Mod | Gathered) -> Term:
        match variable:
            case Axis():
                return self.index(variable)
            case Gathered():
                coordinates = tuple(self.affine(index) for index in variable.indices)
                return self.read(variable.wire, coordinates, variable.indices)
            case Floor():
                op = "floordiv"
            case Mod():
                op = "mod"
        numerator = self.affine(variable.numerator)
        return self.terms.apply(op, numerator, self.terms.number(variable.divisor))

    def read(
        self, wire: Wire, coordinates: tuple[Term, ...], given: tuple[Affine | None, ...]
    ) -> Term:
        """What a wire holds at the coordinates; `given` tells composite ones that are plain."""
        images: dict[Axis, Term] = {}
        for axis, coordinate, affine in zip(wire.type.axes, coordinates, given, strict=True):
            own = self.axis(axis)
            if not own.parts:
                images[own] = coordinate
            else:
                images |= self._split(own, coordinate, affine)
        return self._moved(wire.name, self.meaning(wire), images)

    def _moved(self, name: str, term: Term, images: Mapping[Axis, Term]) -> Term:
        if self.is_closed:
            return self.terms.substitute(term, images)
        return self.keeping.at(name, term, images)

    def _split(self, axis: Axis, coordinate: Term, affine: Affine | None) -> dict[Axis, Term]:
        """The coordinates of a composite axis's parts."""
        atoms = axis.atoms
        found = self._matching(axis, affine)
        if found is not None:
            return {a: self.terms.index(f) for a, f in zip(atoms, found, strict=True)}
        images: dict[Axis, Term] = {}
        rest = coordinate
        for position, atom in enumerate(atoms):
            if position == len(atoms) - 1:
                images[atom] = rest
                break
            stride = self.terms.size(product(a.size for a in atoms[position + 1 :]))
            images[atom] = self.terms.apply("floordiv", rest, stride)
            rest = self.terms.apply("mod", rest, stride)
        return images

    def _matching(self, axis: Axis, affine: Affine | None) -> tuple[Axis, ...] | None:
        """The axes that index the parts one by one: `K*h + k`, or a composite axis as it is."""
        if affine is None:
            return axis.atoms
        plain = affine.axis
        if plain is not None:
            parts = self.axis(plain).atoms
            sizes = [p.size for p in parts] == [a.size for a in axis.atoms]
            return parts if sizes else None
        atoms = axis.atoms
        strides = [product(a.size for a in atoms[i + 1 :]) for i in range(len(atoms))]
        found: list[Axis] = []
        for stride, atom in zip(strides, atoms, strict=True):
            for variable, coefficient in affine.terms:
                if not isinstance(variable, Axis) or variable.parts:
                    continue
                own = self.axis(variable)
                if coefficient.substitute(self.sizes) == stride and own.size == atom.size:
                    found.append(own)
                    break
        right = len(found) == len(affine.terms) == len(atoms) and len(set(found)) == len(found)
        return tuple(found) if right and not affine.constant.terms else None

    def operand(self, operand: Operand) -> Term:
        """The value of an input over the degree and its targets, which keep the wire's axes."""
        tiled = iter(operand.reindexing)
        given = tuple(None if target else next(tiled) for target in operand.weave)
        coordinates = tuple(
            self.index(axis) if affine is None else self.affine(affine)
            for axis, affine in zip(operand.wire.type.axes, given, strict=True)
        )
        return self.read(operand.wire, coordinates, given)

    # ---- operations ------------------------------------------------------------------------------

    def _edge(self, edge: Edge) -> tuple[Term, ...]:
        terms = self.terms
        match edge.operator:
            case Pointwise(name=name):
                return (terms.apply(name, *map(self.operand, edge.inputs)),)
            case Number(value=value):
                if isinstance(value, Size):
                    made = self.size(value)
                else:
                    made = terms.number(value)
                is_real = edge.outputs[0].wire.type.kind.name == "real"
                return (real(self.terms, made) if is_real else made,)
            case Iota():
                return (self.index(edge.degree[0]),)
            case Reindex():
                return (self.operand(edge.inputs[0]),)
            case Contraction(axes=axes):
                body = self.operand(edge.inputs[0])
                for operand in edge.inputs[1:]:
                    body = terms.apply("mul", body, self.operand(operand))
                return (terms.fold("sum", tuple(map(self.axis, axes)), body),)
            case Reduction() as reduction:
                over = tuple(map(self.axis, reduction.axes))
                return (reduced(terms, reduction, over, self.operand(edge.inputs[0])),)
            case Library() as library:
                return self._call(edge, library)
            case Scan() as scan:
                return self._scan(edge, scan)
            case Scattering() as scattering:
                return (self._scatter(edge, scattering),)

    def _scan(self, edge: Edge, scan: Scan) -> tuple[Term, ...]:
        """The results of a recurrence: reads of the states that its linear steps make."""
        if self.is_closed:
            raise Opaque("a recurrence is no single expression", edge.span)
        states = {r.wire: self.declare(r.wire, "state") for r in edge.outputs}
        before = len(self.keeping.steps)
        for inner in scan.edges:
            for result, term in zip(inner.outputs, self._edge(inner), strict=True):
                self.wires[result.wire] = term
                if not result.wire.name.startswith("_"):
                    self.terms.call(term, result.wire.name)
        # An array that is made in each step is read by no factor and no offset of all steps.
        held = {array for step in self.keeping.steps[before:] for array in step.inputs}
        for state in held.intersection(states.values()):
            told = f"a step makes an array of {state}, as scatters and calls without equations do"
            raise Opaque(f"a recurrence is no associative scan: {told}", edge.span)
        steps = {states[r.wire]: self.meaning(r.wire) for r in edge.outputs}
        try:
            images, made = solve(self.terms, self.axis(scan.axis), steps)
        except NotLinear as found:
            raise Opaque(f"a recurrence is no associative scan: {found}", edge.span) from None
        self.keeping.steps += made
        return tuple(images[states[result.wire]] for result in edge.outputs)

    def _scatter(self, edge: Edge, scattering: Scattering) -> Term:
        """A read of the array that a scatter makes."""
        if self.is_closed:
            raise Opaque("a scatter is no single expression", edge.span)
        wire = edge.outputs[0].wire
        if wire.type.kind.name != "real" or scattering.op not in IDENTITY:
            what = f"`{scattering.op}` into an array of kind {wire.type.kind.name}"
            written = " ".join(edge.span.text.split())
            raise Opaque(f"a scatter by {what} has no kernel: `{written}`", edge.span)
        own = tuple(self.axis(axis) for axis in wire.type.axes)
        axes = tuple(atom for axis in edge.degree for atom in self.axis(axis).atoms)
        indices = tuple(self.affine(index) for index in scattering.indices)
        source = real(self.terms, self.operand(edge.inputs[0]))
        base = None if scattering.is_first else self.operand(edge.inputs[1])
        inner = frozenset((*axes, *(atom for axis in own for atom in axis.atoms)))
        terms = (source, *indices, *((base,) if base is not None else ()))
        lifted = tuple(dict.fromkeys(a for t in terms for a in ordered(t) if a not in inner))
        over = tuple(map(self.terms.index, lifted))
        array = Array(wire.name, (*lifted, *own), wire.type.kind, (), "made")
        collision = variator(wire.type.axes, scattering.indices, edge.degree).collision
        made = Scattered(
            self.terms,
            array,
            scattering.op,
            (*lifted, *axes),
            (*over, *indices),
            source,
            base,
            collision is not None,
        )
        self.keeping.steps.append(made)
        return self.terms.load(array, tuple(map(self.terms.index, array.axes)))

    # ---- calls -----------------------------------------------------------------------------------

    def _call(self, edge: Edge, library: Library) -> tuple[Term, ...]:
        callee = library.callee
        if self.is_closed:
            raise Opaque(f"{callee.name} is a call", edge.span)
        if callee.primitive:
            reason = "keeps a state" if callee.is_stateful else "has no equations"
            return self._outside(edge, library, Opaque(f"{callee.name} {reason}", edge.span))
        sizes = {s: v.substitute(self.sizes) for s, v in library.binding}
        axes = self._bound_axes(edge, library)
        name = (library.instance.name,) if library.instance else ()
        inner = _Opening(
            self.terms,
            self.lowered(callee),
            (*self.path, *name),
            axes,
            sizes,
            self.parameters,
            self.keeping,
            self.inside,
            (*self.calls, edge.outputs[0].wire),
            self.lowered,
        )
        for wire, operand, formals in zip(
            callee.parameters, edge.inputs, library.input_targets, strict=True
        ):
            inner.wires[wire] = self._argument(wire.name, operand, formals, axes)
        inner.run()
        self.terms.span = edge.span
        opaque = next((m for m in inner.wires.values() if isinstance(m, Opaque)), None)
        if opaque is not None and library.instance and (callee.is_stateful or inner.is_opaque):
            if callee.is_stateful:
                opaque = Opaque(f"{callee.name} keeps a state", edge.span)
            return self._outside(edge, library, opaque)
        return tuple(
            self._result(inner, wire, result.wire, result.weave, formals)
            for wire, result, formals in zip(
                callee.results, edge.outputs, library.output_targets, strict=True
            )
        )

    def _outside(self, edge: Edge, library: Library, why: Opaque) -> tuple[Term, ...]:
        """A call that PyTorch carries out, of a function or of a module. Raises `why`."""
        path = (*self.path, library.instance.name) if library.instance else ()
        if library.callee.is_stateful and not path:
            raise why
        given = [self.operand(operand) for operand in edge.inputs]
        call = foreign(self.terms, edge, library, self.axis, given, self.sizes)
        if call is None or (path and not given) or (call.is_stateful and call.lifted):
            raise why
        call = replace(call, path=path, reason=why.what)
        self.keeping.steps.append(call)
        return call.values

    def _bound_axes(self, edge: Edge, library: Library) -> dict[Axis, Axis]:
        """The caller's axis for each formal one that an argument binds; the first has it.

        An axis that only a result has is taken: sums over it inside would be copied for it later.
        """
        axes: dict[Axis, Axis] = {}
        bound = {formal for formals in library.input_targets for formal in formals}
        results = {
            self.axis(axis)
            for result, formals in zip(edge.outputs, library.output_targets, strict=True)
            for axis, formal in zip(_targets(result.wire, result.weave), formals, strict=True)
            if formal not in bound
        }
        for operand, formals in zip(edge.inputs, library.input_targets, strict=True):
            taken, targets = {*axes.values(), *results}, _targets(operand.wire, operand.weave)
            for formal, actual in zip(formals, map(self.axis, targets), strict=True):
                # One axis of the caller may be bound to two formal ones, which stay distinct.
                distinct = actual if actual not in taken else copied(actual)
                axes.setdefault(formal, distinct)
                taken.add(distinct)
        return axes

    def _argument(
        self, name: str, operand: Operand, formals: tuple[Axis, ...], axes: Mapping[Axis, Axis]
    ) -> Term | Opaque:
        """The argument over the caller's images of the formal axes."""
        try:
            term = self.operand(operand)
        except Opaque as opaque:
            return opaque
        targets = [self.axis(axis) for axis in _targets(operand.wire, operand.weave)]
        images: dict[Axis, Term] = {}
        for formal, actual in zip(formals, targets, strict=True):
            images |= renaming(self.terms, actual, axes[formal])
        return self._moved(name, term, images)

    def _result(
        self,
        inner: _Opening,
        wire: Wire,
        outer: Wire,
        weave: tuple[bool, ...],
        formals: tuple[Axis, ...],
    ) -> Term:
        term = inner.meaning(wire)
        targets = _targets(outer, weave)
        images: dict[Axis, Term] = {}
        for formal, actual in zip(formals, targets, strict=True):
            images |= renaming(self.terms, inner.axis(formal), self.axis(actual))
            parts = tuple(map(inner.axis, formal.parts))
            images |= renamed_parts(self.terms, term, parts, self.axis(actual).parts)
        return self.terms.substitute(term, images)


def _targets(wire: Wire, weave: tuple[bool, ...]) -> list[Axis]:
    """The axes of a wire that an operation sees."""
    return [axis for axis, target in zip(wire.type.axes, weave, strict=True) if target]


def _is_long(term: Term) -> bool:
    """Whether a term is so long that it is rather read than carried on."""
    return sum(1 for _ in islice(subterms(term), MAX_SUBTERMS + 1)) > MAX_SUBTERMS
