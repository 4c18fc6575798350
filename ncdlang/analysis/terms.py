"""Terms: what a wire holds at one index, as one expression in which every call is opened.

A term denotes a number for each index of its free axes. A reindexing is a substitution of axes
(the pull-back of WWM, Def. 8), so that slides of reindexings through operations (WWM, Thm. 2)
need no rule of their own. Equal terms of one `Terms` are the same object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial, reduce
from typing import Any

from ncdlang.records import record
from ncdlang.semantics.size import Size, product
from ncdlang.semantics.types import BOOLEAN, INTEGER, REAL, Axis, Kind
from ncdlang.source import Span

FOLDS = ("sum", "max", "min", "prod", "any", "all", "argmax", "argmin")
COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
TRUTH = COMPARISONS | {"and", "or", "not"}


@record(eq=False)
class Array:
    """What a term reads: an input, a parameter, or a term that is made before (`made`).

    `path` names the instances on the way to a parameter, from the outside in. `axes` has one
    entry for each dimension.
    """

    name: str
    axes: tuple[Axis, ...]
    kind: Kind = REAL
    path: tuple[str, ...] = ()
    role: str = "input"
    made: Term | None = None

    def __str__(self) -> str:
        return ".".join((*self.path, self.name))


@record(eq=False)
class Term:
    """One expression. `op` is an elementwise primitive or one of the following.

    `number` (data: the number), `size` (a Size), `index` (an Axis), `load` (an Array; the
    arguments are its coordinates), `select` (condition, then, otherwise), and `fold` (data: its
    kind and the axes it binds). `number` is the kind of its values: `real`, `integer` or `boolean`.
    """

    op: str
    args: tuple[Term, ...]
    data: Any
    axes: frozenset[Axis]
    number: str

    @property
    def kind(self) -> str:
        """The kind of a fold (`sum`, `max`, ...), "" for anything else."""
        return self.data[0] if self.op == "fold" else ""

    @property
    def bound(self) -> tuple[Axis, ...]:
        """The axes that a fold binds."""
        return self.data[1] if self.op == "fold" else ()


class Terms:
    """Makes terms, each only once, and remembers where each comes from in the source."""

    def __init__(self) -> None:
        self._known: dict[Any, Term] = {}
        self._order: dict[Term, int] = {}
        self.spans: dict[Term, Span] = {}
        self.names: dict[Term, str] = {}
        self.wires: dict[Term, int] = {}
        self.span: Span | None = None

    def rank(self, term: Term) -> int:
        """The position of a term in the order of making, the same however things are named."""
        return self._order[term]

    def call(self, term: Term, name: str) -> None:
        """Name a term after its wire, unless it has a name; `wires` tells wires of a name apart."""
        if term not in self.names:
            self.names[term], self.wires[term] = name, len(self.wires)

    def keep_name(self, made: Term, now: Term) -> None:
        """A term under the name of another one whose value it has, if that has a name."""
        if now in self.names and made not in self.names:
            self.names[made], self.wires[made] = self.names[now], self.wires[now]

    def _make(self, op: str, args: tuple[Term, ...], data: Any, axes: frozenset[Axis]) -> Term:
        shown = (type(data).__name__, data) if op == "number" else data
        key = (op, tuple(map(id, args)), shown)
        term = self._known.get(key)
        if term is None:
            term = self._known[key] = Term(op, args, data, axes, _number(op, args, data))
            self._order[term] = len(self._order)
            if self.span is not None:
                self.spans[term] = self.span
        return term

    # ---- constructors ---------------------------------------------------------------------------

    def number(self, value: float | int | bool) -> Term:
        """A constant."""
        return self._make("number", (), value, frozenset())

    def size(self, size: Size) -> Term:
        """A size as an integer."""
        value = size.value
        return self.number(value) if value is not None else self._make("size", (), size, NONE)

    def index(self, axis: Axis) -> Term:
        """The index along an axis; along a composite one, that of its parts taken together."""
        if not axis.parts:
            return self._make("index", (), axis, frozenset((axis,)))
        total: Term | None = None
        for atom in axis.atoms:
            scaled = total and self.apply("mul", total, self.size(atom.size))
            total = self.apply("add", scaled, self.index(atom)) if scaled else self.index(atom)
        assert total is not None
        return total

    def load(self, array: Array, coordinates: tuple[Term, ...]) -> Term:
        """A read of an array, one coordinate for each dimension."""
        return self._make("load", coordinates, array, _union(coordinates))

    def apply(self, op: str, *args: Term) -> Term:
        """An elementwise primitive; constants and units are folded away."""
        simple = self._simplified(op, args)
        return simple if simple is not None else self._make(op, args, None, _union(args))

    def fold(self, kind: str, axes: tuple[Axis, ...], body: Term) -> Term:
        """A reduction. A composite axis stands for its parts; none leaves the body as it is."""
        atoms = tuple(atom for axis in axes for atom in axis.atoms)
        if not atoms:
            return body
        if kind == "sum" and is_number(body, 1):
            return self.apply("real", self.size(product(axis.size for axis in atoms)))
        return self._make("fold", (body,), (kind, atoms), body.axes - frozenset(atoms))

    def _simplified(self, op: str, args: Sequence[Term]) -> Term | None:
        if op in _UNITS:
            left, right = _UNITS[op]
            if right is not None and is_number(args[1], right):
                return args[0] if not _widens(args[0], args[1]) else None
            if left is not None and is_number(args[0], left):
                return args[1] if not _widens(args[1], args[0]) else None
        if op in _WHOLE and all(arg.op == "number" and type(arg.data) is int for arg in args):
            return self.number(_WHOLE[op](args[0].data, args[1].data))
        if op == "select":
            return self._chosen(*args)
        if op in ("and", "or"):
            for one, other in (args, args[::-1]):
                if one.op == "number":
                    return other if bool(one.data) == (op == "and") else one
        if op == "not":
            return self._opposite(args[0])
        if op == "real" and args[0].op == "number":
            return self.number(float(args[0].data))
        if op == "pow" and is_number(args[1], 0):
            return self.number(1 if {number_kind(arg) for arg in args} == {"integer"} else 1.0)
        if op == "neg" and args[0].op == "number":
            return self.number(-args[0].data)
        if op == "neg" and args[0].op == "neg":
            return args[0].args[0]
        return None

    def _chosen(self, condition: Term, then: Term, otherwise: Term) -> Term | None:
        """A choice that is none, or one with the constant last: what a mask hides."""
        if condition.op == "number":
            return then if condition.data else otherwise
        if then is otherwise:
            return then
        if then.op == "number" and otherwise.op != "number":
            opposite = self._opposite(condition)
            if opposite is not None:
                return self.apply("select", opposite, otherwise, then)
        return None

    def _opposite(self, condition: Term) -> Term | None:
        """What holds where a condition does not, without a `not` of all of it."""
        args = condition.args
        match condition.op:
            case "number":
                return self.number(not condition.data)
            case "not":
                return args[0]
            case "and" | "or":
                other = "or" if condition.op == "and" else "and"
                return self.apply(other, *(self.apply("not", arg) for arg in args))
            case op if op in _OPPOSITE and "real" not in map(number_kind, args):
                return self.apply(_OPPOSITE[op], *args)
            case _:
                return None

    # ---- rebuilding -----------------------------------------------------------------------------

    def rebuilt(self, term: Term, args: tuple[Term, ...]) -> Term:
        """The same operation on other arguments."""
        if args == term.args:
            return term
        if term.op == "load":
            return self.load(term.data, args)
        if term.op == "fold":
            return self.fold(term.kind, term.bound, args[0])
        made = self.apply(term.op, *args)
        if made not in self.spans and term in self.spans:
            self.spans[made] = self.spans[term]
        return made

    def substitute(self, term: Term, images: Mapping[Axis, Term]) -> Term:
        """Replace free axes by terms; bound axes that would catch one are renamed."""
        return _Substitution(self, images).of(term)

    def replace(self, term: Term, images: Mapping[Term, Term]) -> Term:
        """Replace whole subterms wherever they stand, under folds as well."""
        memo: dict[Term, Term] = {}

        def visit(now: Term) -> Term:
            if now in images:
                return images[now]
            if now not in memo:
                memo[now] = self.rebuilt(now, tuple(visit(arg) for arg in now.args))
            return memo[now]

        return visit(term)

    def map(self, term: Term, image: Callable[[Term], Term | None]) -> Term:
        """Rebuild a term with the subterms for which `image` gives something replaced."""
        memo: dict[Term, Term] = {}

        def visit(now: Term) -> Term:
            if now not in memo:
                found = image(now)
                memo[now] = (
                    found
                    if found is not None
                    else self.rebuilt(now, tuple(visit(arg) for arg in now.args))
                )
            return memo[now]

        return visit(term)


NONE: frozenset[Axis] = frozenset()

# Comparisons of whole numbers; of reals both may be false.
_OPPOSITE = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "le": "gt", "gt": "le"}

# Operations on whole numbers that are carried out at once.
_WHOLE: dict[str, Callable[[int, int], int]] = {
    "add": int.__add__,
    "sub": int.__sub__,
    "mul": int.__mul__,
}

# The units of binary operators: on the left, on the right.
_UNITS: dict[str, tuple[float | None, float | None]] = {
    "add": (0, 0),
    "sub": (None, 0),
    "mul": (1, 1),
    "div": (None, 1),
    "pow": (None, 1),
}


def _union(args: tuple[Term, ...]) -> frozenset[Axis]:
    return NONE.union(*(arg.axes for arg in args)) if args else NONE


def _widens(kept: Term, unit: Term) -> bool:
    """Whether leaving a unit away would turn a real number into an integer."""
    return number_kind(kept) != "real" and number_kind(unit) == "real"


def is_number(term: Term, value: float | None = None) -> bool:
    """Whether a term is a constant, or that constant."""
    if term.op != "number" or isinstance(term.data, bool):
        return False
    return value is None or term.data == value


def number_kind(term: Term) -> str:
    """`real`, `integer` or `boolean`: what the values of a term are."""
    return term.number


def _number(op: str, args: tuple[Term, ...], data: Any) -> str:
    match op:
        case "number":
            if isinstance(data, bool):
                return "boolean"
            return "integer" if isinstance(data, int) else "real"
        case "size" | "index":
            return "integer"
        case "load":
            kind = data.kind.name
            return "integer" if kind in ("natural", "integer") else kind
        case "fold":
            if data[0] in ("argmax", "argmin"):
                return "integer"
            return "boolean" if data[0] in ("any", "all") else args[0].number
        case op if op in TRUTH:
            return "boolean"
        case "real" | "div" | "cast":
            return "real"
        case "select":
            return _joined(args[1:])
        case "add" | "sub" | "mul" | "neg" | "max" | "min" | "floordiv" | "mod" | "abs" | "pow":
            return _joined(args)
        case _:
            return "real"


def _joined(args: tuple[Term, ...]) -> str:
    kinds = {arg.number for arg in args}
    return "real" if "real" in kinds else "integer" if "integer" in kinds else "boolean"


class _Substitution:
    """One substitution of axes, which stops at the folds that bind them."""

    def __init__(self, terms: Terms, images: Mapping[Axis, Term]) -> None:
        self.terms = terms
        self.images = {axis: image for axis, image in images.items() if not _is_same(axis, image)}
        self.memo: dict[Term, Term] = {}

    def of(self, term: Term) -> Term:
        if not self.images or term.axes.isdisjoint(self.images):
            return term
        if term not in self.memo:
            self.memo[term] = self._rebuilt(term)
        return self.memo[term]

    def _rebuilt(self, term: Term) -> Term:
        if term.op == "index":
            return self.images[term.data]
        if term.op != "fold":
            return self.terms.rebuilt(term, tuple(self.of(arg) for arg in term.args))
        kind, bound = term.data
        incoming = NONE.union(*(i.axes for a, i in self.images.items() if a in term.axes))
        if incoming.isdisjoint(bound) and self.images.keys().isdisjoint(bound):
            # What several folds read is rebuilt once.
            return self.terms.fold(kind, bound, self.of(term.args[0]))
        renamed = {a: Axis(f"{a.name}'", a.size) if a in incoming else a for a in bound}
        inner = {axis: image for axis, image in self.images.items() if axis not in bound}
        inner |= {old: self.terms.index(new) for old, new in renamed.items() if old is not new}
        body = _Substitution(self.terms, inner).of(term.args[0])
        return self.terms.fold(kind, tuple(renamed[a] for a in bound), body)


def _is_same(axis: Axis, image: Term) -> bool:
    return image.op == "index" and image.data is axis


# ---- looking into terms -------------------------------------------------------------------------


def subterms(*roots: Term) -> Iterator[Term]:
    """Every subterm once, arguments before what they are in."""
    seen: set[Term] = set()
    pending: list[tuple[Term, bool]] = [(root, False) for root in reversed(roots)]
    while pending:
        term, done = pending.pop()
        if done:
            yield term
        elif term not in seen:
            seen.add(term)
            pending.append((term, True))
            pending += [(arg, False) for arg in reversed(term.args)]


def outermost(term: Term, wanted: Callable[[Term], bool]) -> list[Term]:
    """The wanted subterms that stand in no other wanted one, each once, in order."""
    found: dict[Term, None] = {}
    seen: set[Term] = set()

    def visit(now: Term) -> None:
        if now in seen:
            return
        seen.add(now)
        if wanted(now):
            found[now] = None
            return
        for arg in now.args:
            visit(arg)

    visit(term)
    return list(found)


def is_fold(term: Term) -> bool:
    """Whether a term is a reduction."""
    return term.op == "fold"


def parts(terms: Terms, product: Term) -> list[Term]:
    """The factors of a product; a divisor is the factor of its inverse."""
    match product.op:
        case "mul":
            return [part for arg in product.args for part in parts(terms, arg)]
        case "div":
            one = terms.number(1.0)
            return [*parts(terms, product.args[0]), terms.apply("div", one, product.args[1])]
        case "neg":
            return [*parts(terms, product.args[0]), terms.number(-1.0)]
        case "real" if number_kind(product.args[0]) == "real":
            return parts(terms, product.args[0])
        case _:
            return [product]


def hoisted(terms: Terms, term: Term, kept: frozenset[Axis]) -> Term:
    """Factors that do not vary along the axes of a sum stand outside of it.

    Sums over `kept` stay as they are.
    """
    memo: dict[Term, Term] = {}

    def visit(now: Term) -> Term:
        if now not in memo:
            made = terms.rebuilt(now, tuple(visit(arg) for arg in now.args))
            is_inner = made.kind == "sum" and frozenset(made.bound) != kept
            memo[now] = outward(terms, made) if is_inner else made
        return memo[now]

    return visit(term)


def moving_and_still(terms: Terms, fold: Term) -> tuple[list[Term], list[Term]]:
    """The factors of a summand that vary along the axes of the sum, and the others."""
    factors = parts(terms, fold.args[0])
    moving = [f for f in factors if not f.axes.isdisjoint(fold.bound)]
    return moving, [f for f in factors if f.axes.isdisjoint(fold.bound)]


def outward(terms: Terms, fold: Term) -> Term:
    """A sum with the factors that do not vary along its axes outside of it."""
    moving, still = moving_and_still(terms, fold)
    if not still or not moving:
        return fold
    inner = terms.fold("sum", fold.bound, reduce(partial(terms.apply, "mul"), moving))
    return reduce(partial(terms.apply, "mul"), still, inner)


def times(terms: Terms, factors: Iterable[Term]) -> Term:
    """The product of some terms, 1 where there are none."""
    return reduce(partial(terms.apply, "mul"), factors, terms.number(1.0))


def plus(terms: Terms, summands: Iterable[Term]) -> Term:
    """The sum of some terms, 0 where there are none."""
    return reduce(partial(terms.apply, "add"), summands, terms.number(0.0))


def reads(*terms: Term) -> list[Array]:
    """The arrays that terms read, each once, in order."""
    return list(dict.fromkeys(t.data for t in subterms(*terms) if t.op == "load"))


def added(terms: Terms, term: Term) -> list[Term]:
    """The terms of a sum; what is subtracted is negative."""
    match term.op:
        case "add":
            return [part for arg in term.args for part in added(terms, arg)]
        case "sub":
            negative = [terms.apply("neg", part) for part in added(terms, term.args[1])]
            return [*added(terms, term.args[0]), *negative]
        case _:
            return [term]


def kind_of(term: Term) -> Kind:
    """The kind of the array that holds a term."""
    return {"real": REAL, "integer": INTEGER, "boolean": BOOLEAN}[number_kind(term)]


def ordered(term: Term) -> tuple[Axis, ...]:
    """The free axes of a term in the order in which it first reads them."""
    found: dict[Axis, None] = {}
    for inner in subterms(term):
        if inner.op == "index" and inner.data in term.axes:
            found[inner.data] = None
    return tuple(found)
