"""The source of kernels over groups of unequal length: rows, or sources, sorted by their places.

`write_grouped` has a program for a tile of sorted rows and one of columns. It visits the groups
that it has rows of one after another; rows of other groups are not read. `write_grouped_sum` has a
program for each place and a tile of the sum of products over the sources of that place. Neither
needs atomics, and both add up in a fixed order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ncdlang.analysis.grouped import Grouped
from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.terms import Term, Terms, parts, subterms
from ncdlang.analysis.wording import names
from ncdlang.semantics.size import product
from ncdlang.semantics.types import Axis

from ..pytorch.names import comment
from .expressions import Argument, Arguments, Expressions, uses_in
from .products import Products
from .scatters import order_of
from .source import Kernel
from .tiles import Dim, Names, Scope, Value, joined, shaped

TAKEN = ("pid", "lift", "start", "at", "at_ok", "first", "last", "total", "PRECISION", "key")
TAKEN += ("row_tiles", "column_tiles", "group", "stop", "place", "mine")


def write_grouped(step: Grouped, name: str) -> Kernel:
    """The kernel of a grouped product. Raises Unsupported for what has no form over tiles."""
    return _Rows(step, name).write()


def write_grouped_sum(step: Scattered, name: str) -> Kernel | None:
    """The kernel of a scatter of products of matrices, None where it is none.

    Raises Unsupported for what has no form over tiles.
    """
    found = matrices(step)
    return _Places(step, name, *found).write() if found is not None else None


Sides = tuple[tuple[Axis, ...], tuple[Axis, ...]]


def matrices(step: Scattered) -> Sides | None:
    """The slices that each side of a product has which is added up, None where it is no product.

    Slices that one factor has together are on the same side.
    """
    lanes = [axis for axis, _ in step.lanes]
    if step.op != "+=" or not step.collides or len(lanes) < 2:
        return None
    sources = set(step.listed)
    moving = [f for f in parts(step.terms, step.source) if not f.axes.isdisjoint(sources)]
    first = {lanes[0]}
    while True:
        more = [f.axes & set(lanes) for f in moving if not f.axes.isdisjoint(first)]
        joint = first.union(*more)
        if joint == first:
            break
        first = joint
    left = tuple(axis for axis in lanes if axis in first)
    right = tuple(axis for axis in lanes if axis not in first)
    carried = set[Axis]().union(*(f.axes for f in moving))
    return (left, right) if right and carried.issuperset(lanes) else None


@dataclass(eq=False, slots=True)
class _Tiles:
    """What both kernels have: names, arguments, and three dimensions of tiles."""

    terms: Terms
    name: str
    names: Names
    arguments: Arguments
    code: Expressions
    products: Products
    rows: Dim
    stream: Dim
    columns: Dim

    @staticmethod
    def of(
        terms: Terms,
        name: str,
        used: tuple[Term, ...],
        rows: tuple[Axis, ...],
        stream: tuple[Axis, ...],
        columns: tuple[Axis, ...],
    ) -> _Tiles:
        names = Names()
        for taken in (name, *TAKEN):
            names.claim(taken)
        arguments = Arguments(names)
        code = Expressions(arguments, uses_in(*used))
        code.labels |= terms.names
        made = Products(terms, code, frozenset())
        dims = (
            arguments.dim("row", rows),
            arguments.dim("stream", stream),
            arguments.dim("column", columns),
        )
        return _Tiles(terms, name, names, arguments, code, made, *dims)

    def programs(self, scope: Scope, dim: Dim, offset: str, valid: str) -> None:
        """The tile of a dimension that a program has."""
        tiles = self.names.claim(f"{dim.role}_tiles")
        scope.write(f"{tiles} = tl.maximum(tl.cdiv({dim.length}, {dim.block}), 1)")
        scope.write(f"{offset} = pid % {tiles} * {dim.block} + tl.arange(0, {dim.block})")
        scope.write(f"{valid} = {offset} < {dim.length}")
        scope.write(f"pid = pid // {tiles}")

    def kernel(
        self,
        step: Grouped | Scattered,
        told: list[str],
        lines: list[str],
        batch: tuple[Axis, ...],
        output: Argument,
    ) -> Kernel:
        text = [*map(comment, told), "@triton.jit", f"def {self.name}("]
        constants = (self.rows, self.stream, self.columns)
        text += [*(f"    {line}," for line in self.arguments.signature(constants)), "):", *lines]
        return Kernel(
            self.name,
            "\n".join(text) + "\n",
            step,
            self.arguments,
            batch,
            self.rows,
            self.stream,
            (self.columns,),
            (),
            (output,),
            frozenset(),
        )


def _scalars(names: Names, axes: tuple[Axis, ...], offset: str) -> Dim:
    """A dimension whose indices are numbers, not tiles of them."""
    dim = Dim("batch", axes, offset)
    dim.indices |= {axis: names.claim(axis.name) for axis in axes}
    return dim


@dataclass(eq=False, slots=True)
class _Rows:
    """The kernel of a grouped product."""

    step: Grouped
    name: str
    tiles: _Tiles = field(init=False)
    groups: Dim = field(init=False)

    def __post_init__(self) -> None:
        step = self.step
        self.tiles = _Tiles.of(
            step.terms, self.name, step.parts[1:], step.rows, step.bound, step.columns
        )
        axes = tuple(axis for axis, _ in step.keys)
        self.groups = _scalars(self.tiles.names, axes, "group")

    def write(self) -> Kernel:
        step, tiles = self.step, self.tiles
        rows, columns = tiles.rows, tiles.columns
        scope = Scope([], 1, {})
        scope.write("pid = tl.program_id(0)")
        tiles.programs(scope, rows, "at", "at_ok")
        tiles.programs(scope, columns, columns.offset, columns.valid)
        tiles.arguments.split(scope, columns)
        scope.write("lift = pid.to(tl.int64)")
        scope.env = dict.fromkeys(rows.axes, rows) | dict.fromkeys(columns.axes, columns)
        rows.valid = "at_ok"
        order = tiles.arguments.array(order_of(step)[0])
        sorted_at = f"{order.pointer} + lift * {order.batch} + at * {order.strides[0]}"
        scope.write(f"{rows.offset} = tl.load({sorted_at}, mask=at_ok, other=0)")
        tiles.arguments.split(scope, rows)
        self._keys(scope)
        self._known(scope)
        scope.write(f"total = tl.zeros([{rows.block}, {columns.block}], tl.float32)")
        lines = self._loops(scope)
        scope.lines += lines
        output = tiles.arguments.array(step.array)
        coordinates = tuple(map(step.terms.index, step.array.axes))
        address, _, mask = tiles.code.address(output, coordinates, scope, (rows, columns))
        scope.write(
            f"tl.store({address}, total.to({output.pointer}.dtype.element_ty), mask={mask})"
        )
        rest = f"columns {names(columns.axes)}; streams {names(step.bound)}"
        told = f"# rows {names(rows.axes)}, sorted by {names(self.groups.axes)}; {rest}"
        head = [f"# {step.array}[{names(step.array.axes)}]", told]
        return tiles.kernel(step, head, scope.lines, (), output)

    def _keys(self, scope: Scope) -> None:
        """The number of the group of each row, -1 where there is none; the range of them."""
        code, rows = self.tiles.code, self.tiles.rows
        number, inside = "", "at_ok"
        for axis, place in self.step.keys:
            value = code.value(place, scope, (rows,))
            size = code.arguments.size(axis.size)
            text = shaped(value, (rows,))
            number = f"({number}) * {size} + {value.wrapped()}" if number else text
            if place.op != "index":
                inside += f" & ({value.wrapped()} >= 0) & ({value.wrapped()} < {size})"
        count = code.arguments.size(product(a.size for a in self.groups.axes), "n_groups")
        scope.write(f"key = tl.where({inside}, {number}, -1)")
        scope.write(f"first = tl.min(tl.where(key < 0, {count}, key))")
        scope.write("last = tl.max(key)")

    def _known(self, scope: Scope) -> None:
        """Read what does not vary along the streamed axes, for all rows at once."""
        rows = self.tiles.rows
        for term in subterms(self.step.left):
            if term.op == "load" and term.axes and term.axes <= set(rows.axes):
                self.tiles.code.value(term, scope, (rows,))

    def _loops(self, before: Scope) -> list[str]:
        step, tiles, groups = self.step, self.tiles, self.groups
        rows, stream, columns = tiles.rows, tiles.stream, tiles.columns
        env = before.env | dict.fromkeys(groups.axes, groups)
        visit = Scope([], 2, env, (before,))
        visit.write("mine = key == group")
        visit.write(f"stop = tl.where(tl.sum(mine.to(tl.int32)) > 0, {stream.length}, 0)")
        tiles.arguments.split(visit, groups)
        for axis in groups.axes:
            visit.write(f"{groups.indices[axis]} = {groups.indices[axis]}.to(tl.int64)")
        inner = Scope([], 3, env | dict.fromkeys(stream.axes, stream), (visit, before))
        inner.write(f"{stream.offset} = start + tl.arange(0, {stream.block})")
        inner.write(f"{stream.valid} = {stream.offset} < {stream.length}")
        tiles.arguments.split(inner, stream)
        rows.valid = "mine"
        left = tiles.products.factor([step.left], inner, (rows, stream), stream)
        if left.kind != "raw":
            text = f"tl.where(mine[:, None], {left.text}, 0.0)"
            left = Value(text, left.dims, "real", True)
        right = tiles.products.factor([step.right], inner, (stream, columns), stream)
        inner.write(f"total = {tiles.products.dot(left, right, 'total').text}")
        rows.valid = "at_ok"
        return [
            "    for group in range(first, last + 1):",
            *visit.lines,
            f"        for start in range(0, stop, {stream.block}):",
            *inner.lines,
        ]


@dataclass(eq=False, slots=True)
class _Places:
    """The kernel of a sum of products of matrices over the sources of each place."""

    step: Scattered
    name: str
    left: tuple[Axis, ...]
    right: tuple[Axis, ...]
    tiles: _Tiles = field(init=False)

    def __post_init__(self) -> None:
        step = self.step
        self.tiles = _Tiles.of(
            step.terms, self.name, step.parts, self.left, step.listed, self.right
        )
        covered = dict(step.lanes)
        for dim in (self.tiles.rows, self.tiles.columns):
            for axis in dim.axes:
                dim.indices[covered[axis]] = dim.indices[axis]

    def write(self) -> Kernel:
        step, tiles = self.step, self.tiles
        rows, stream, columns = tiles.rows, tiles.stream, tiles.columns
        places = _scalars(tiles.names, tuple(axis for axis, _ in step.keys), "place")
        order, starts = (tiles.arguments.array(array) for array in order_of(step))
        scope = Scope([], 1, {})
        scope.write("pid = tl.program_id(0)")
        for dim in (rows, columns):
            tiles.programs(scope, dim, dim.offset, dim.valid)
            tiles.arguments.split(scope, dim)
        count = tiles.arguments.size(product(axis.size for axis in places.axes), "n_places")
        scope.write(f"place = (pid % {count}).to(tl.int64)")
        scope.write(f"lift = (pid // {count}).to(tl.int64)")
        tiles.arguments.split(scope, places)
        scope.env = dict.fromkeys(places.axes, places)
        for axis, covered in step.lanes:
            dim = rows if axis in self.left else columns
            scope.env |= {axis: dim, covered: dim}
        at = f"{starts.pointer} + lift * {starts.batch} + place * {starts.strides[0]}"
        scope.write(f"first = tl.load({at})")
        scope.write(f"last = tl.load({at} + {starts.strides[0]})")
        scope.write(f"total = tl.zeros([{rows.block}, {columns.block}], tl.float32)")
        loop = Scope([], 2, scope.env | dict.fromkeys(stream.axes, stream), (scope,))
        loop.write(f"at = start + tl.arange(0, {stream.block})")
        loop.write(f"{stream.valid} = at < last")
        sorted_at = f"{order.pointer} + lift * {order.batch} + at * {order.strides[0]}"
        loop.write(f"{stream.offset} = tl.load({sorted_at}, mask={stream.valid}, other=0)")
        tiles.arguments.split(loop, stream)
        factors = parts(step.terms, step.source)
        moving = [f for f in factors if not f.axes.isdisjoint(stream.axes)]
        second = [f for f in moving if not f.axes.isdisjoint(self.right)]
        first = [f for f in moving if f not in second]
        left = tiles.products.factor(first, loop, (rows, stream), stream)
        right = tiles.products.factor(second, loop, (stream, columns), stream)
        loop.write(f"total = {tiles.products.dot(left, right, 'total').text}")
        scope.write(f"for start in range(first, last, {stream.block}):")
        scope.lines += loop.lines
        outside = [f for f in factors if f.axes.isdisjoint(stream.axes)]
        output = self._finish(scope, outside)
        made = f"{step.array}[{names(step.array.axes)}]"
        sides = f"# rows {names(self.left)}; columns {names(self.right)}"
        head = [
            f"# {made} {step.op}, for each place a product of matrices",
            f"{sides}; streams the sources of a place, of {names(stream.axes)}",
        ]
        return tiles.kernel(step, head, scope.lines, places.axes, output)

    def _finish(self, scope: Scope, outside: list[Term]) -> Argument:
        """Multiply by what is the same for all sources, add what is written into, and write."""
        step, tiles = self.step, self.tiles
        dims = (tiles.rows, tiles.columns)
        value = Value("total", dims, "real", True)
        for factor in outside:
            scale = tiles.code.value(factor, scope, dims)
            value = Value(f"{value.wrapped()} * {shaped(scale, joined(dims, value, scale))}", dims)
        if step.base is not None:
            base = tiles.code.value(step.base, scope, dims)
            value = Value(f"{value.wrapped()} + {shaped(base, dims)}", dims)
        output = tiles.arguments.array(step.array)
        coordinates = tuple(map(step.terms.index, step.array.axes))
        address, _, mask = tiles.code.address(output, coordinates, scope, dims)
        made = f"({value.text}).to({output.pointer}.dtype.element_ty)"
        scope.write(f"tl.store({address}, {made}, mask={mask})")
        return output
