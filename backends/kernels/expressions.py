"""Writes terms as expressions over the tiles of a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ncdlang.analysis.terms import Array, Term, number_kind, ordered, subterms
from ncdlang.semantics.size import Size, product
from ncdlang.semantics.types import Axis

from ..pytorch.names import comment
from . import scalars
from .tiles import Dim, Names, Scope, Value, joined, shaped

Dims = tuple[Dim, ...]


class Unsupported(Exception):
    """A term that has no form over tiles; the message says what of it."""


@dataclass(eq=False, slots=True)
class Argument:
    """An array as arguments of the kernel: its pointer and the strides of its dimensions."""

    array: Array
    pointer: str
    strides: tuple[str, ...]
    batch: str


@dataclass(eq=False, slots=True)
class Arguments:
    """What a kernel takes: arrays, and sizes as whole numbers."""

    names: Names
    arrays: dict[Array, Argument] = field(default_factory=dict[Array, Argument])
    sizes: dict[Size, str] = field(default_factory=dict[Size, str])
    blocks: dict[str, Dim] = field(default_factory=dict[str, Dim])

    def array(self, array: Array) -> Argument:
        """The arguments of an array."""
        if array not in self.arrays:
            pointer = self.names.claim(str(array))
            strides = tuple(self.names.claim(f"{pointer}_{axis.name}") for axis in array.axes)
            self.arrays[array] = Argument(
                array, pointer, strides, self.names.claim(f"{pointer}_lift")
            )
        return self.arrays[array]

    def size(self, size: Size, hint: str = "size") -> str:
        """The text of a size: a number, or an argument."""
        if size.value is not None:
            return str(size.value)
        if size not in self.sizes:
            single = str(size).removeprefix("size(").removesuffix(")")
            name = f"n_{single}" if single.isidentifier() else hint
            self.sizes[size] = self.names.claim(name)
        return self.sizes[size]

    def signature(self, dims: Iterable[Dim]) -> list[str]:
        """The parameters, those of an array on one line; tiles of `dims` are constants."""
        lines = [", ".join((a.pointer, *a.strides, a.batch)) for a in self.arrays.values()]
        if self.sizes:
            lines.append(", ".join(self.sizes.values()))
        constants = (*(dim.block for dim in dims if dim.axes), "PRECISION")
        lines.append(", ".join(f"{name}: tl.constexpr" for name in constants))
        return lines

    def split(self, scope: Scope, dim: Dim) -> None:
        """The index along each axis of a flattened dimension, where that has a name of its own."""
        for position, axis in enumerate(dim.axes):
            later = product(a.size for a in dim.axes[position + 1 :])
            text = dim.offset
            if dim.indices[axis] == text:
                continue
            if later.value != 1:
                text = f"{text} // {self.size(later, 'n_rest')}"
            if position:
                text = f"{text if text.isidentifier() else f'({text})'} % {self.size(axis.size)}"
            scope.write(f"{dim.indices[axis]} = {text}")

    def dim(self, role: str, axes: tuple[Axis, ...]) -> Dim:
        """The dimension of tiles that some axes make, with the names of its variables."""
        hint = "_".join(axis.name for axis in axes) or role
        offset = self.names.claim(hint)
        block = self.names.claim(f"BLOCK_{hint.upper()}")
        dim = Dim(role, axes, offset, self.names.claim(f"{offset}_ok"), block)
        dim.length = self.size(product(axis.size for axis in axes), f"n_{hint}")
        for axis in axes:
            dim.indices[axis] = offset if len(axes) == 1 else self.names.claim(axis.name)
        return dim


def uses_in(*terms: Term) -> dict[Term, int]:
    """How often each term is an argument in some terms."""
    uses: dict[Term, int] = {}
    for term in subterms(*terms):
        for arg in term.args:
            uses[arg] = uses.get(arg, 0) + 1
    return uses


class Expressions:
    """Writes terms into scopes; `dot` and `inner` are for products over further axes."""

    def __init__(self, arguments: Arguments, uses: dict[Term, int]) -> None:
        self.arguments = arguments
        self.names = arguments.names
        self.uses = uses
        self.labels: dict[Term, str] = {}
        self.inner: Callable[[Term, Scope, Dims], Value] | None = None

    # ---- where a term is written -----------------------------------------------------------------

    def home(self, term: Term, scope: Scope) -> Scope:
        """The outermost scope in which everything that a term needs is known."""
        waits = [t for t in subterms(term) if t in scope.folds]
        needed = term.axes | _bound(term)
        best = scope
        for outer in scope.outer:
            known = all(outer.env.get(axis) is scope.env.get(axis) for axis in needed)
            if known and all(t in outer.folds for t in waits):
                best = outer
        return best

    def value(self, term: Term, scope: Scope, dims: Dims) -> Value:
        """The value of a term over a tile with `dims`, or over fewer of them."""
        if term in scope.folds:
            return scope.folds[term]
        home = self.home(term, scope)
        key = (term, tuple(dim for dim in dims if term.axes & set(dim.axes)))
        earlier = scope.before
        if earlier is not None and key in earlier.memo:
            if not any(t in scope.folds for t in subterms(term)):
                return earlier.memo[key]
        if key not in home.memo:
            made = self._turned(key, home) or self._made(term, home, dims)
            wanted = self.labels.get(term) or _label(term)
            if (
                term.op != "number"
                and not _is_short(made)
                and (wanted or self.uses.get(term, 0) > 1)
            ):
                made = self.named(made, home, wanted or "t", self._comment(term))
            home.memo[key] = made
        return home.memo[key]

    def _turned(self, key: tuple[Term, Dims], home: Scope) -> Value | None:
        """A tile that was read the other way round, turned."""
        term, dims = key
        known = home.memo.get((term, dims[::-1])) if term.op == "load" and len(dims) == 2 else None
        if known is None or known.dims != dims[::-1]:
            return None
        return Value(f"tl.trans({known.text})", dims, known.kind, True, known.dtype)

    def _comment(self, term: Term) -> str:
        """What a line makes, for values that an equation names and for reads: `S[h q x]`."""
        name = self.labels.get(term, "")
        if term.op == "load":
            name = str(term.data)
        axes = " ".join(axis.name for axis in ordered(term))
        return f"  {comment(f'# {name}[{axes}]')}" if name else ""

    def named(self, value: Value, scope: Scope, wanted: str, remark: str = "") -> Value:
        """The value as a variable."""
        name = self.names.claim(wanted)
        scope.write(f"{name} = {value.text}{remark}")
        return Value(name, value.dims, value.kind, True, value.dtype)

    # ---- one operation ---------------------------------------------------------------------------

    def _made(self, term: Term, scope: Scope, dims: Dims) -> Value:
        match term.op:
            case "number":
                text = scalars.number(term.data)
                return Value(text, (), number_kind(term), not text.startswith("-"))
            case "size":
                return Value(self.arguments.size(term.data), (), "integer", True)
            case "index":
                dim = scope.env.get(term.data)
                if dim is None:
                    raise Unsupported(f"{term.data.name} is no axis of the tile")
                where = () if not dim.block else (dim,)
                return Value(dim.indices[term.data], where, "integer", True)
            case "load":
                return self._load(term, scope, dims)
            case "fold":
                if self.inner is None or term.kind != "sum":
                    raise Unsupported(f"a {term.kind} inside of a tile")
                return self.inner(term, scope, dims)
            case _:
                return self._apply(term, scope, dims)

    def _apply(self, term: Term, scope: Scope, dims: Dims) -> Value:
        if term.op not in scalars.SUPPORTED:
            raise Unsupported(f"{term.op} has no form in a kernel")
        values = [self.value(arg, scope, dims) for arg in term.args]
        over = joined(dims, *values)
        kind = number_kind(term)
        if term.op == "div" and len(values[1].dims) < len(over):
            return self._scaled(term, values, scope, over)
        texts = [shaped(value, over) for value in values]
        kinds = [number_kind(arg) for arg in term.args]
        if term.op in ("real", "cast"):
            text = texts[0]
            if kinds[0] == "boolean":
                text = f"{texts[0]}.to(tl.float32)"
            elif kinds[0] == "integer":
                text = f"({texts[0]} * 1.0)"
            return Value(text, over, "real", True)
        if term.op in scalars.REAL_ARGUMENTS or term.op == "div":
            texts = [self._as_real(t, v) for t, v in zip(texts, term.args, strict=True)]
        return Value(self._text(term, texts), over, kind, term.op in scalars.CALLS)

    def _scaled(self, term: Term, values: list[Value], scope: Scope, over: Dims) -> Value:
        """A quotient by what is smaller: a product with its inverse, taken once."""
        key = (term.args[1], "inverse")
        home = self.home(term.args[1], scope)
        if key not in home.memo:
            text = f"1.0 / {shaped(values[1], values[1].dims)}"
            inverse = Value(text, values[1].dims)
            home.memo[key] = self.named(inverse, home, "inverse")
        texts = shaped(values[0], over), shaped(home.memo[key], over)
        return Value(f"{texts[0]} * {texts[1]}", over)

    def _as_real(self, text: str, term: Term) -> str:
        if number_kind(term) == "real":
            return text
        return f"({text} * 1.0)"

    def _text(self, term: Term, texts: list[str]) -> str:
        op = term.op
        if op in scalars.INFIX:
            return f"{texts[0]} {scalars.INFIX[op]} {texts[1]}"
        if op in scalars.CALLS:
            return scalars.CALLS[op].format(*texts)
        if op == "div":
            return f"{texts[0]} / {texts[1]}"
        if op == "neg":
            return f"-{texts[0]}"
        exponent = term.args[1]
        given = exponent.data if exponent.op == "number" else None
        if given is not None and given == int(given) and abs(given) > 8:
            raise Unsupported(f"a power of {given} has no form in a kernel")
        return scalars.power(texts[0], given, texts[1])

    # ---- reads -----------------------------------------------------------------------------------

    def _load(self, term: Term, scope: Scope, dims: Dims) -> Value:
        argument = self.arguments.array(term.data)
        address, over, checks = self.address(argument, term.args, scope, dims)
        if checks:
            zero = "False" if term.data.kind.name == "boolean" else "0"
            text = f"tl.load({address}, mask={checks}, other={zero})"
        else:
            text = f"tl.load({address})"
        kind = number_kind(term)
        if kind == "boolean":
            return Value(f"({text} != 0)", over, "boolean", True)
        return Value(text, over, "raw" if kind == "real" else kind, True, argument.pointer)

    def address(
        self, argument: Argument, coordinates: tuple[Term, ...], scope: Scope, dims: Dims
    ) -> tuple[str, Dims, str]:
        """A pointer, the dimensions that it has, and the mask of what may be read."""
        pieces: list[Value] = []
        masks: list[Value] = []
        for term, axis, stride in zip(
            coordinates, argument.array.axes, argument.strides, strict=True
        ):
            value = self.value(term, scope, dims)
            pieces.append(Value(f"{value.wrapped()} * {stride}", value.dims, "integer"))
            if value.dims and value.kind != "raw":
                wide = f"{value.wrapped()}.to(tl.int64) * {stride}"
                pieces[-1] = Value(wide, value.dims, "integer")
            if not _is_own(term, axis):
                size = self.arguments.size(axis.size)
                text = f"({value.wrapped()} >= 0) & ({value.wrapped()} < {size})"
                if term.op == "number" and term.data >= 0:
                    text = f"{value.text} < {size}"
                masks.append(Value(text, value.dims, "boolean"))
        over = joined(dims, *pieces)
        masks = _over_tiles(masks, over)
        valid = [Value(dim.valid, (dim,), "boolean", True) for dim in over if dim.valid]
        start = f"{argument.pointer} + lift * {argument.batch}"
        address = " + ".join([start, *(shaped(piece, over) for piece in pieces)])
        return address, over, " & ".join(shaped(mask, over) for mask in (*valid, *masks))


def _over_tiles(masks: list[Value], over: Dims) -> list[Value]:
    """Conditions that are single numbers as one on a tile, which is empty where they fail.

    Triton's interpreter loads nothing behind a single truth value joined with a tile of them.
    """
    single = [mask for mask in masks if not mask.dims]
    if not single or not over:
        return masks
    text = " & ".join(f"({mask.text})" for mask in single)
    first = over[0]
    kept = f"{first.offset} < tl.where({text}, {first.length}, 0)"
    return [*(mask for mask in masks if mask.dims), Value(f"({kept})", (first,), "boolean", True)]


def _is_short(value: Value) -> bool:
    """Whether a value is a name or a number."""
    return value.text.replace(".", "", 1).isalnum() or value.text.isidentifier()


def _is_own(term: Term, axis: Axis) -> bool:
    """Whether a coordinate is a plain index of an axis that is as long."""
    return term.op == "index" and (term.data is axis or term.data.size == axis.size)


def _label(term: Term) -> str:
    """The name of a value that always becomes a variable, "" for the others."""
    if term.op == "load":
        return str(term.data.name).lower()
    return "s" if term.op == "fold" else ""


def _bound(term: Term) -> frozenset[Axis]:
    """The axes that folds in the term bind."""
    return frozenset(a for t in subterms(term) if t.op == "fold" for a in t.bound)


def sides(
    factors: list[Term], bound: frozenset[Axis], left: frozenset[Axis], right: frozenset[Axis]
) -> tuple[list[Term], list[Term], list[Term]]:
    """The factors of a product over `bound` axes: outside of it, on its left, on its right."""
    outside: list[Term] = []
    first: list[Term] = []
    second: list[Term] = []
    for factor in factors:
        if factor.axes.isdisjoint(bound):
            outside.append(factor)
        elif factor.axes & right and factor.axes & left:
            raise Unsupported("a factor has both sides of the product")
        else:
            (second if factor.axes & right else first).append(factor)
    return outside, first, second
