"""Products of matrices inside of a kernel."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import reduce
from operator import and_

from ncdlang.analysis.terms import Term, Terms, is_number, parts
from ncdlang.semantics.size import product
from ncdlang.semantics.types import Axis

from .expressions import Dims, Expressions, Unsupported, sides
from .tiles import Dim, Scope, Value, joined, shaped, within


@dataclass(frozen=True, slots=True)
class Summand:
    """A product of matrices: the factors on its left, on its right, and those of its result."""

    outside: list[Term]
    left: list[Term]
    right: list[Term]

    def without(self, shared: list[Term]) -> Summand:
        """What is left where the sum of all products has the `shared` factors."""
        rest = list(self.outside)
        for factor in shared:
            rest.remove(factor)
        return Summand(rest, self.left, self.right)


def common(summands: list[Summand]) -> list[Term]:
    """The factors of the results of all products, as often as each has them."""
    counts = [Counter(summand.outside) for summand in summands]
    return list(reduce(and_, counts).elements()) if counts else []


def guarded(terms: Terms, factors: list[Term]) -> list[Term]:
    """Factors that are 0 under one condition are one, which evaluates it once."""
    found: dict[object, Term] = {}
    for factor in factors:
        zero = next(
            (i for i in (1, 2) if factor.op == "select" and is_number(factor.args[i], 0)), 0
        )
        key = (factor.args[0], zero) if zero else len(found)
        if key in found:
            args = list(factor.args)
            args[3 - zero] = terms.apply("mul", found[key].args[3 - zero], args[3 - zero])
            factor = terms.apply("select", *args)
        found[key] = factor
    return list(found.values())


@dataclass(eq=False, slots=True)
class Products:
    """Writes sums over inner axes: `dims` are the dimensions that they have made."""

    terms: Terms
    code: Expressions
    wide: frozenset[Axis]
    columns: tuple[Dim, ...] = ()
    dims: dict[frozenset[Axis], Dim] = field(default_factory=dict[frozenset[Axis], Dim])
    root: Scope | None = None

    def inner(self, fold: Term, scope: Scope, dims: Dims) -> Value:
        """A sum over inner axes of a product with a side in each of `dims`."""
        if len(dims) != 2:
            raise Unsupported("an inner product outside of a tile")
        bound = frozenset(fold.bound)
        factors = parts(self.terms, fold.args[0])
        left, right = (frozenset(dim.axes) - bound for dim in dims)
        outside, first, second = sides(factors, bound, left, right)
        dim = self._dim(fold.bound)
        if bound & self.wide:
            value = self._looped(dim, first, second, scope, dims)
        else:
            value = self._whole(dim, first, second, within(scope, dim), dims)
        for factor in outside:
            scale = self.code.value(factor, scope, dims)
            over = joined(dims, value, scale)
            value = Value(f"{shaped(value, over)} * {shaped(scale, over)}", over)
        return value

    def _dim(self, axes: tuple[Axis, ...]) -> Dim:
        key = frozenset(axes)
        # Columns of several kinds lie whole in a tile, as inner axes do: one tile serves as both.
        for dim in self.columns if len(self.columns) > 1 else ():
            if frozenset(dim.axes) == key and not key & self.wide:
                return dim
        if key not in self.dims:
            names, arguments = self.code.names, self.code.arguments
            hint = "_".join(axis.name for axis in axes)
            offset = names.claim(hint)
            dim = Dim("inner", axes, offset, names.claim(f"{offset}_ok"))
            dim.block = names.claim(f"BLOCK_{offset.upper()}")
            dim.length = arguments.size(product(a.size for a in axes), f"n_{hint}")
            for axis in axes:
                dim.indices[axis] = offset if len(axes) == 1 else names.claim(axis.name)
            self.dims[key] = dim
            if not key & self.wide:
                assert self.root is not None
                self._offsets(dim, self.root, f"tl.arange(0, {dim.block})")
        return self.dims[key]

    def _offsets(self, dim: Dim, scope: Scope, start: str) -> None:
        scope.write(f"{dim.offset} = {start}")
        scope.write(f"{dim.valid} = {dim.offset} < {dim.length}")
        self.code.arguments.split(scope, dim)

    def _whole(
        self, dim: Dim, first: list[Term], second: list[Term], scope: Scope, dims: Dims
    ) -> Value:
        """The inner axes lie in one tile."""
        row, column = dims
        has_rows = any(f.axes & (frozenset(row.axes) - frozenset(dim.axes)) for f in first)
        if has_rows and second:
            left = self.factor(first, scope, (row, dim), dim)
            right = self.factor(second, scope, (dim, column), dim)
            return self.dot(left, right, "")
        if second:
            value = self.factor([*first, *second], scope, (dim, column), dim)
        else:
            value = self.factor(first, scope, (row, dim), dim)
        if dim not in value.dims:
            raise Unsupported("a sum over inner axes of what does not have them")
        at = value.dims.index(dim)
        rest = tuple(d for d in value.dims if d is not dim)
        return Value(f"tl.sum({shaped(value, value.dims)}, axis={at})", rest, "real", True)

    def _looped(
        self, dim: Dim, first: list[Term], second: list[Term], scope: Scope, dims: Dims
    ) -> Value:
        """The inner axes are taken tile after tile."""
        names = self.code.names
        name, start = names.claim("inner"), names.claim("begin")
        has_rows = any(f.axes & (frozenset(dims[0].axes) - frozenset(dim.axes)) for f in first)
        over = tuple(
            d for d, present in zip(dims, (has_rows, bool(second)), strict=True) if present
        )
        shape = ", ".join(d.block for d in over)
        env = {**scope.env, **dict.fromkeys(dim.axes, dim)}
        body = Scope([], scope.indent + 1, env, (scope, *scope.outer), scope.folds)
        self._offsets(dim, body, f"{start} + tl.arange(0, {dim.block})")
        if has_rows and second:
            left = self.factor(first, body, (dims[0], dim), dim)
            right = self.factor(second, body, (dim, dims[1]), dim)
            body.write(f"{name} = {self.dot(left, right, name).text}")
        else:
            value = self._whole(dim, first, second, body, dims)
            body.write(f"{name} += {value.text}")
        # What the loop does not change has been written before it.
        scope.write(f"{name} = tl.zeros([{shape}], tl.float32)" if over else f"{name} = 0.0")
        scope.write(f"for {start} in range(0, {dim.length}, {dim.block}):")
        scope.lines += body.lines
        return Value(name, over, "real", True)

    def summand(self, body: Term, rows: Dim, stream: Dim, column: Dim) -> Summand:
        """The sides of a product over the streamed axes."""
        outside, left, right = sides(
            parts(self.terms, body),
            frozenset(stream.axes),
            frozenset(rows.axes),
            frozenset(column.axes),
        )
        outside = [f for f in outside if not is_number(f, 1)]
        if not any(f.axes & set(rows.axes) for f in (*left, *outside)):
            raise Unsupported("a product of matrices without rows")
        # A computed tile takes the factors of its rows, so that the product adds up in place.
        if any(factor.op != "load" for factor in left):
            left += [f for f in outside if not f.axes & set(column.axes)]
            outside = [f for f in outside if f.axes & set(column.axes)]
        return Summand(outside, left, right)

    def scaled(self, value: Value, by: list[Term], scope: Scope, dims: Dims) -> Value:
        """A matrix times factors of its rows, its columns, or of neither."""
        for factor in by:
            scale = self.code.value(factor, scope, dims)
            value = Value(f"{value.text} * {shaped(scale, value.dims)}", value.dims)
        return value

    # ---- matrices --------------------------------------------------------------------------------

    def factor(self, terms: list[Term], scope: Scope, dims: Dims, along: Dim) -> Value:
        """The product of factors over a tile, 0 beyond the end of the axes summed over."""
        if not terms:
            ones = f"tl.full([{dims[0].block}, {dims[1].block}], 1.0, tl.float32)"
            value = Value(ones, dims, "real", True)
        else:
            values = [self.code.value(t, scope, dims) for t in guarded(self.terms, terms)]
            value = values[0]
            for other in values[1:]:
                over = joined(dims, value, other)
                value = Value(f"{shaped(value, over)} * {shaped(other, over)}", over)
        if value.kind == "raw" and value.dims == dims:
            return value
        over = tuple(d for d in dims if d in value.dims or d is along)
        if not along.valid:
            present = tuple(d for d in over if d in value.dims)
            return self._full(Value(shaped(value, present), present, "real", True), dims)
        valid = shaped(Value(along.valid, (along,), "boolean", True), over)
        text = f"tl.where({valid}, {shaped(value, over)}, 0.0)"
        return self._full(Value(text, over, "real", True), dims)

    def _full(self, value: Value, dims: Dims) -> Value:
        """A value that has both dimensions of a matrix."""
        if len(value.dims) == 2 or len(dims) < 2:
            return value
        missing = next(d for d in dims if d not in value.dims)
        if not missing.axes:
            return value
        other = f"tl.zeros([{dims[0].block}, {dims[1].block}], tl.float32)"
        return Value(f"({shaped(value, dims)} + {other})", dims, "real", True)

    def dot(self, left: Value, right: Value, onto: str) -> Value:
        """A product of matrices; what was worked out is put in the format of what was read."""
        first, second = left.text, right.text
        if left.kind == "raw" and right.kind != "raw":
            second = f"{right.wrapped()}.to({first}.dtype)"
        elif right.kind == "raw" and left.kind != "raw":
            first = f"{left.wrapped()}.to({second}.dtype)"
        elif left.kind == "raw" and left.dtype != right.dtype:
            second = f"{right.wrapped()}.to({first}.dtype)"
        more = f", {onto}" if onto else ""
        text = f"tl.dot({first}, {second}{more}, input_precision=PRECISION)"
        return Value(text, (left.dims[0], right.dims[1]), "real", True)
