"""The source of the kernels of a scatter: one that writes as it reads, one that reads sorted.

`write_scatter` visits sources in order; where two may meet it combines atomically. `write_sorted`
has a program for each place, which visits the sources of that place one after another: `order`
lists the sources by their places, `starts` tells where those of each place begin.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ncdlang.analysis.gathers import Gathered
from ncdlang.analysis.grouped import Grouped
from ncdlang.analysis.scatters import IDENTITY, Scattered
from ncdlang.analysis.terms import Array
from ncdlang.analysis.wording import names
from ncdlang.semantics.size import product
from ncdlang.semantics.types import INTEGER, Axis

from ..pytorch.names import comment
from .expressions import Argument, Arguments, Expressions, Unsupported, uses_in
from .source import Kernel
from .tiles import Dim, Names, Scope, Value, shaped

TAKEN = ("pid", "lift", "start", "at", "at_ok", "first", "last", "total", "PRECISION")
ATOMIC = {"+=": "add", "max=": "max", "min=": "min"}
COMBINED = {"+=": "{0} + {1}", "max=": "tl.maximum({0}, {1})", "min=": "tl.minimum({0}, {1})"}
REDUCED = {"=": "sum", "+=": "sum", "max=": "max", "min=": "min"}


def write_scatter(scattered: Scattered, name: str) -> Kernel:
    """The kernel that writes sources as it comes to them. Raises Unsupported."""
    return _Writer(scattered, name).write_plain()


def write_gather(gathered: Gathered, name: str) -> Kernel:
    """The kernel that reads at indices and writes in order. Raises Unsupported."""
    return _Writer(gathered, name).write_plain()


def write_sorted(scattered: Scattered, name: str) -> Kernel:
    """The kernel that combines the sources of each place in order. Raises Unsupported."""
    return _Writer(scattered, name).write_sorted()


def order_of(scattered: Scattered | Gathered | Grouped) -> tuple[Array, Array]:
    """The arrays that the sorted kernel reads: the order, and where each place begins."""
    count = product(axis.size for axis in scattered.listed)
    places = product(axis.size for axis, _ in scattered.keys)
    return (
        Array("order", (Axis("order", count),), INTEGER, (), "order"),
        Array("starts", (Axis("starts", places + 1),), INTEGER, (), "order"),
    )


@dataclass(eq=False, slots=True)
class _Writer:
    scattered: Scattered | Gathered
    name: str
    names: Names = field(init=False)
    arguments: Arguments = field(init=False)
    code: Expressions = field(init=False)
    lanes: Dim = field(init=False)
    sources: Dim = field(init=False)

    def __post_init__(self) -> None:
        self.names = Names()
        for taken in (self.name, *TAKEN):
            self.names.claim(taken)
        self.arguments = Arguments(self.names)
        self.code = Expressions(self.arguments, uses_in(*self.scattered.parts))
        self.code.labels |= self.scattered.terms.names
        self.sources = self.arguments.dim("step", self.scattered.listed)
        self.lanes = self.arguments.dim("lane", tuple(axis for axis, _ in self.scattered.lanes))
        for dim in (self.sources, self.lanes):
            if not dim.axes:
                dim.block = dim.length = "1"
        for axis, covered in self.scattered.lanes:
            self.lanes.indices[covered] = self.lanes.indices[axis]

    # ---- the two kernels -------------------------------------------------------------------------

    def write_plain(self) -> Kernel:
        scattered, sources, lanes = self.scattered, self.sources, self.lanes
        scope = Scope([], 1, self._env())
        scope.write("pid = tl.program_id(0)")
        self._tile(scope, sources)
        self._tile(scope, lanes)
        scope.write("lift = pid.to(tl.int64)")
        dims = (sources, lanes)
        value = self._full(self.code.value(scattered.source, scope, dims), dims)
        output = self.arguments.array(scattered.array)
        address, over, mask = self.code.address(output, scattered.indices, scope, dims)
        if len(over) < 2:
            # A program without sources, or without slices, has a tile of one of them.
            if not over:
                raise Unsupported("a scatter of one number")
            at = "[:, None]" if over[0] is sources else "[None, :]"
            address, mask = f"({address}){at}", f"({mask}){at}"
        value = f"({value}).to({output.pointer}.dtype.element_ty)"
        call = "tl.store"
        if scattered.collides:
            call = f"tl.atomic_{ATOMIC[scattered.op]}"
        scope.write(f"{call}({address}, {value}, mask={mask})")
        return self._kernel(scope, (), sources, (output,))

    def write_sorted(self) -> Kernel:
        scattered, sources, lanes = self.scattered, self.sources, self.lanes
        sources.role = "meeting"
        places = Dim("batch", tuple(axis for axis, _ in scattered.keys))
        order, starts = (self.arguments.array(array) for array in order_of(scattered))
        scope = Scope([], 1, self._env())
        scope.env |= dict.fromkeys(places.axes, places)
        scope.write("pid = tl.program_id(0)")
        self._tile(scope, lanes)
        count = self.arguments.size(product(axis.size for axis in places.axes), "n_places")
        place = self.names.claim("place")
        scope.write(f"{place} = (pid % {count}).to(tl.int64)")
        scope.write(f"lift = (pid // {count}).to(tl.int64)")
        places.offset = place
        for axis in places.axes:
            places.indices[axis] = self.names.claim(axis.name)
        self.arguments.split(scope, places)
        at = f"{starts.pointer} + lift * {starts.batch} + {place} * {starts.strides[0]}"
        scope.write(f"first = tl.load({at})")
        scope.write(f"last = tl.load({at} + {starts.strides[0]})")
        identity = repr(IDENTITY[scattered.op]).replace("inf", 'float("inf")')
        scope.write(f"total = tl.full([{lanes.block}], {identity}, tl.float32)")
        loop = Scope([], 2, scope.env, (scope,))
        loop.write(f"at = start + tl.arange(0, {sources.block})")
        loop.write(f"{sources.valid} = at < last")
        sorted_at = f"{order.pointer} + lift * {order.batch} + at * {order.strides[0]}"
        loop.write(f"{sources.offset} = tl.load({sorted_at}, mask={sources.valid}, other=0)")
        self.arguments.split(loop, sources)
        # What a source is worked out from is not the same for two tiles of them.
        dims = (sources, lanes)
        loop.outer = ()
        value = self._full(self.code.value(scattered.source, loop, dims), dims)
        value = f"tl.where({sources.valid}[:, None], {value}, {identity})"
        reduced = f"tl.{REDUCED[scattered.op]}({value}, axis=0)"
        combined = COMBINED.get(scattered.op, "{0} + {1}").format("total", reduced)
        loop.write(f"total = {combined}")
        scope.write(f"for start in range(first, last, {sources.block}):")
        scope.lines += loop.lines
        output = self._finish(scope)
        return self._kernel(scope, places.axes, Dim("step", ()), (output,), sources)

    def _finish(self, scope: Scope) -> Argument:
        """Combine with what is written into, and write."""
        scattered, lanes = self.scattered, self.lanes
        total = "total"
        if scattered.base is not None:
            value = self.code.value(scattered.base, scope, (self.sources, lanes))
            base = shaped(value, value.dims)
            if scattered.op == "=":
                total = f"tl.where(last > first, total, {base})"
            else:
                total = COMBINED[scattered.op].format("total", base)
        output = self.arguments.array(scattered.array)
        coordinates = tuple(map(scattered.terms.index, scattered.array.axes))
        address, over, mask = self.code.address(output, coordinates, scope, (lanes,))
        if not over:
            address = f"{address} + tl.arange(0, 1)"
        made = f"({total}).to({output.pointer}.dtype.element_ty)"
        scope.write(f"tl.store({address}, {made}{f', mask={mask}' if mask else ''})")
        return output

    # ---- tiles -----------------------------------------------------------------------------------

    def _env(self) -> dict[Axis, Dim]:
        env = dict.fromkeys(self.sources.axes, self.sources)
        covered = tuple(axis for _, axis in self.scattered.lanes)
        return env | dict.fromkeys((*self.lanes.axes, *covered), self.lanes)

    def _tile(self, scope: Scope, dim: Dim) -> None:
        """The indices of a program's tile, and what is left of its number."""
        if not dim.axes:
            scope.write(f"{dim.offset} = tl.arange(0, 1)")
            scope.write(f"{dim.valid} = {dim.offset} < 1")
            return
        tiles = self.names.claim(f"{dim.role}_tiles")
        scope.write(f"{tiles} = tl.cdiv({dim.length}, {dim.block})")
        start = f"pid % {tiles} * {dim.block}"
        scope.write(f"{dim.offset} = {start} + tl.arange(0, {dim.block})")
        scope.write(f"{dim.valid} = {dim.offset} < {dim.length}")
        scope.write(f"pid = pid // {tiles}")
        self.arguments.split(scope, dim)

    def _full(self, value: Value, dims: tuple[Dim, Dim]) -> str:
        text = shaped(value, dims)
        if value.dims == dims:
            return text
        return f"{text} + tl.zeros([{dims[0].block}, {dims[1].block}], tl.float32)"

    def _kernel(
        self,
        scope: Scope,
        batch: tuple[Axis, ...],
        rows: Dim,
        outputs: tuple[Argument, ...],
        stream: Dim | None = None,
    ) -> Kernel:
        scattered, lanes = self.scattered, self.lanes
        told = "" if rows.axes else ", the sources of a place one after another"
        lines = [
            comment(f"# {scattered.array}[{names(scattered.array.axes)}] {scattered.op}{told}"),
            comment(f"# sources {names(self.sources.axes)}; slices {names(lanes.axes)}"),
            "@triton.jit",
            f"def {self.name}(",
            *(f"    {line}," for line in self.arguments.signature((self.sources, self.lanes))),
            "):",
            *scope.lines,
        ]
        text = "\n".join(lines) + "\n"
        columns = (lanes,) if lanes.axes else ()
        empty = Dim("stream", ())
        return Kernel(
            self.name,
            text,
            scattered,
            self.arguments,
            batch,
            rows,
            stream or empty,
            columns,
            (),
            outputs,
            frozenset(),
        )
