"""The source of one kernel, from a region: its tiles, its loop and its accumulators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ncdlang.analysis.gathers import Gathered
from ncdlang.analysis.grouped import Grouped
from ncdlang.analysis.recurrences import Recurrence
from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.steps import Output, Region, Rows
from ncdlang.analysis.terms import Term, added, is_number, number_kind, subterms
from ncdlang.analysis.visible import certain
from ncdlang.analysis.wording import names
from ncdlang.semantics.types import Axis

from ..pytorch.names import comment
from . import scalars
from .expressions import Argument, Arguments, Expressions, uses_in
from .products import Products, Summand, common
from .tiles import Dim, Names, Scope, Value, joined, shaped
from .visits import Visits

IDENTITY = {"sum": "0.0", "max": 'float("-inf")', "min": 'float("inf")'}

TAKEN = ("pid", "lift", "start", "at", "full_first", "full_last", "PRECISION")
TAKEN += ("row_tile", "row_tiles", "column_tile", "column_tiles")


@dataclass(eq=False, slots=True)
class Kernel:
    """The text of a kernel and what it has to be called with.

    `parameters` are its arguments in order: ("pointer", Array), ("stride", Array, dimension),
    ("lift", Array), ("size", Size), ("length", dimension). `blocks` are the tile sizes, `calls` the
    functions that it needs.
    """

    name: str
    text: str
    region: Region | Rows | Recurrence | Scattered | Gathered | Grouped
    arguments: Arguments
    batch: tuple[Axis, ...]
    rows: Dim
    stream: Dim
    columns: tuple[Dim, ...]
    inner: tuple[Dim, ...]
    outputs: tuple[Argument, ...]
    wide: frozenset[Dim]
    calls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.calls += scalars.functions(self.text)

    @property
    def dims(self) -> tuple[Dim, ...]:
        """The tiled dimensions."""
        return (self.rows, self.stream, *self.columns, *self.inner)

    def is_always_made(self, dim: Dim) -> bool:
        """Whether a tile runs even where the dimension has no index (`made_without`)."""
        if dim.role == "column":
            return True
        return isinstance(self.region, Region) and made_without(self.region, dim)


def made_without(region: Region, dim: Dim) -> bool:
    """Whether a region makes something that does not vary along a dimension, as statistics do."""
    return any(not frozenset(dim.axes) <= frozenset(o.array.axes) for o in region.outputs)


def write_kernel(
    region: Region, name: str, wide: frozenset[Axis] = frozenset(), part: Axis | None = None
) -> Kernel:
    """The kernel of a region. Inner products over the axes of `wide` are loops of their own.

    A program visits only its part of the streamed axis, by its index along the batch axis `part`.
    Raises Unsupported for a term that has no form over tiles.
    """
    return Writer(region, name, wide, part).write()


@dataclass(eq=False, slots=True)
class Writer:
    """Writes the kernel of a region."""

    region: Region
    name: str
    wide: frozenset[Axis]
    part: Axis | None = None
    names: Names = field(init=False)
    arguments: Arguments = field(init=False)
    rows: Dim = field(init=False)
    stream: Dim = field(init=False)
    columns: tuple[Dim, ...] = field(init=False)
    products: Products = field(init=False)
    code: Expressions = field(init=False)
    states: dict[Term, Value] = field(default_factory=dict[Term, Value])
    shared: dict[str, list[Term]] = field(default_factory=dict[str, list[Term]])

    def __post_init__(self) -> None:
        region = self.region
        self.names = Names()
        for taken in (self.name, *TAKEN):
            self.names.claim(taken)
        self.arguments = Arguments(self.names)
        self.rows = self.arguments.dim("row", region.rows)
        self.stream = self.arguments.dim("stream", region.stream)
        distinct = dict.fromkeys(o.columns for o in region.outputs if o.columns)
        self.columns = tuple(self.arguments.dim("column", axes) for axes in distinct)
        self.code = Expressions(self.arguments, _count_uses(region, region.folds))
        self.products = Products(region.terms, self.code, self.wide, self.columns)
        self.code.inner = self.products.inner
        self.code.labels |= region.terms.names

    # ---- the whole -------------------------------------------------------------------------------

    def write(self) -> Kernel:
        """The whole kernel. Raises Unsupported for a term that has no form over tiles."""
        region = self.region
        before = Scope([], 1, {})
        batch = Dim("batch", region.batch)
        self._programs(before, batch)
        outside = dict.fromkeys(region.batch, batch) | dict.fromkeys(region.rows, self.rows)
        for dim in self.columns:
            outside |= dict.fromkeys(dim.axes, dim)
        before.env = outside
        # Tiles that only the results need are loaded after the loop, not kept through it.
        after = Scope([], 1, outside, before=before)
        self.products.root = before
        opening = self._start()
        loops = self._loops(before)
        after.folds = self._finished(after)
        outputs = [self._store(output, after) for output in region.outputs]
        text = self._text(before, opening, loops, after)
        inner = tuple(self.products.dims.values())
        wide = frozenset(d for d in inner if d.axes and d.axes[0] in self.wide)
        return Kernel(
            self.name,
            text,
            region,
            self.arguments,
            region.batch,
            self.rows,
            self.stream,
            self.columns,
            inner,
            tuple(outputs),
            wide,
        )

    def _programs(self, scope: Scope, batch: Dim) -> None:
        """Which tile, and which index of the batch, a program has."""
        write = scope.write
        rows, rest = self.rows, "pid"
        write("pid = tl.program_id(0)")
        if rows.axes:
            tiles = f"tl.cdiv({rows.length}, {rows.block})"
            tiles = f"tl.maximum({tiles}, 1)" if made_without(self.region, rows) else tiles
            write(f"row_tiles = {tiles}")
            write("row_tile = pid % row_tiles")
            write("pid = pid // row_tiles")
        else:
            write("row_tile = 0")
        self._offsets(scope, rows, "row_tile")
        if len(self.columns) == 1:
            only = self.columns[0]
            write(f"column_tiles = tl.maximum(tl.cdiv({only.length}, {only.block}), 1)")
            write("column_tile = pid % column_tiles")
            write("pid = pid // column_tiles")
        for dim in self.columns:
            self._offsets(scope, dim, "column_tile" if len(self.columns) == 1 else "")
        for axis in reversed(self.region.batch):
            name = self.names.claim(axis.name)
            size = self.arguments.size(axis.size)
            write(f"{name} = ({rest} % {size}).to(tl.int64)")
            write(f"{rest} = {rest} // {size}")
            batch.indices[axis] = name
        write("lift = pid.to(tl.int64)")

    def _offsets(self, scope: Scope, dim: Dim, tile: str) -> None:
        if not dim.axes:
            return
        start = f"{tile} * {dim.block} + " if tile else ""
        scope.write(f"{dim.offset} = {start}tl.arange(0, {dim.block})")
        scope.write(f"{dim.valid} = {dim.offset} < {dim.length}")
        self.arguments.split(scope, dim)

    # ---- accumulators ----------------------------------------------------------------------------

    def _state_dims(self, fold: Term) -> tuple[Dim, ...]:
        column = self._column(fold)
        return tuple(d for d in (self.rows, column) if d and fold.axes & set(d.axes))

    def _column(self, term: Term) -> Dim | None:
        for dim in self.columns:
            if term.axes & set(dim.axes):
                return dim
        return None

    def _start(self) -> list[str]:
        """The lines before the loop that give each accumulator its identity."""
        lines: list[str] = []
        for fold in self.region.folds:
            dims = self._state_dims(fold)
            label = self.region.terms.names.get(fold) or {"sum": "total"}.get(fold.kind, fold.kind)
            name = self.names.claim(label)
            shape = ", ".join(dim.block for dim in dims)
            made = f"tl.full([{shape}], {IDENTITY[fold.kind]}, tl.float32)"
            lines.append(f"    {name} = {made if dims else IDENTITY[fold.kind]}")
            self.states[fold] = Value(name, dims, "real", True)
        return lines

    def _loops(self, before: Scope) -> list[str]:
        """The loops over the tiles: first those without a mask, then the others."""
        stream = self.stream
        visits = Visits(self.region, self.code, self.rows, stream)
        first, last = visits.range(before)
        if self.part is not None:
            first, last = visits.share(before, self.part, first, last)
        # Parts are for few rows, where a mask is little of the work: one loop will do.
        sure = certain(self.region) if self.part is None else None
        env = {**before.env, **dict.fromkeys(self.region.stream, stream)}
        rest = Scope([], 2, env, (before,))
        self._share(sure.rests if sure else {})
        if sure is None:
            return self._only_loop(rest, first, last)
        self._relabel(sure.rests)
        full, start, stop = Scope([], 2, env, (before,)), "full_first", "full_last"
        visits.certain(before, sure.span, (first, stream.length), start, stop)
        self._loop(full, sure.rests, is_whole=True)
        lines = [f"    for start in range({start}, {stop}, {stream.block}):", *full.lines]
        if sure.span.start is None:
            lines.append(f"    for start in range({stop}, {last}, {stream.block}):")
        else:
            skipped = f"({stop} - {start})"
            lines.append(f"    for at in range({first}, {last} - {skipped}, {stream.block}):")
            rest.write(f"start = at + tl.where(at < {start}, 0, {skipped})")
        self._loop(rest, {})
        return [*lines, *rest.lines]

    def _only_loop(self, scope: Scope, first: str, last: str) -> list[str]:
        """The loop over all tiles from `first` up to `last`; over matrices it runs at least once.

        A path past such a loop would set what its last product is still adding to.
        """
        name = "start"
        if any(len(state.dims) == 2 for state in self.states.values()):
            if first != "0":
                scope.write(f"start = {first} + at")
                name, first, last = "at", "0", f"{last} - {first}"
            last = f"tl.maximum({last}, 1)"
        self._loop(scope, {})
        return [f"    for {name} in range({first}, {last}, {self.stream.block}):", *scope.lines]

    def _loop(self, scope: Scope, rests: Mapping[Term, Term], is_whole: bool = False) -> None:
        """One step: the extrema first, then the corrections, then the sums.

        `rests` says what is left of conditions; a tile `is_whole` if none of it is beyond the end.
        """
        valid = self.stream.valid
        self._stream_offsets(scope, is_whole)
        if is_whole:
            self.stream.valid = ""
        extrema = [f for f in self.region.folds if f.kind != "sum"]
        for fold in extrema:
            self._extremum(fold, self._summand(fold, rests), scope)
        factors: dict[Term, Value] = {}
        for fold in self.region.folds:
            if fold.kind == "sum":
                self._sum(fold, self._summand(fold, rests), scope, factors)
        for fold in extrema:
            scope.write(f"{self.states[fold].text} = {scope.folds[fold].text}")
        self.stream.valid = valid

    def _summand(self, fold: Term, rests: Mapping[Term, Term]) -> Term:
        """What a fold runs over, with what is known of its conditions."""
        return self._known(fold.args[0], rests)

    def _known(self, term: Term, rests: Mapping[Term, Term]) -> Term:
        def image(now: Term) -> Term | None:
            return now if now in self.states else rests.get(now)

        return self.region.terms.map(term, image) if rests else term

    def _relabel(self, rests: Mapping[Term, Term]) -> None:
        """Let what is left of terms have their names, and be written once if used twice."""
        folds = self.region.folds
        for term in subterms(*(fold.args[0] for fold in folds)):
            if term in self.code.labels and term not in self.states:
                self.code.labels.setdefault(self._known(term, rests), self.code.labels[term])
        bodies = [self._summand(fold, rests) for fold in folds]
        for term, count in _count_uses(self.region, bodies).items():
            self.code.uses[term] = max(count, self.code.uses.get(term, 0))

    def _stream_offsets(self, scope: Scope, is_whole: bool) -> None:
        dim = self.stream
        scope.write(f"{dim.offset} = start + tl.arange(0, {dim.block})")
        if not is_whole:
            scope.write(f"{dim.valid} = {dim.offset} < {dim.length}")
        self.arguments.split(scope, dim)

    def _extremum(self, fold: Term, body: Term, scope: Scope) -> None:
        value = self._body(body, fold, scope)
        state = self.states[fold]
        masked = self._masked(value, IDENTITY[fold.kind])
        reduced = self._reduced(masked, f"tl.{fold.kind}")
        name = self.names.claim(f"{state.text}_new")
        call = "tl.maximum" if fold.kind == "max" else "tl.minimum"
        scope.write(f"{name} = {call}({state.text}, {reduced.text})")
        scope.folds[fold] = Value(name, state.dims, "real", True)

    def _body(self, body: Term, fold: Term, scope: Scope) -> Value:
        column = self._column(fold)
        if fold.axes & set(self.rows.axes) or column is None:
            return self.code.value(body, scope, (self.rows, self.stream))
        return self.code.value(body, scope, (self.stream, column))

    def _masked(self, value: Value, identity: str) -> Value:
        """What lies beyond the end of the streamed axis counts as nothing."""
        dims = value.dims
        order = (self.rows, self.stream) if self.rows in dims or len(dims) < 2 else dims
        if self.stream not in dims:
            order = (*[d for d in order if d in dims or d is self.stream],)
        over = tuple(d for d in order if d in dims or d is self.stream)
        if not self.stream.valid:
            return self._spread(value, over)
        valid = shaped(Value(self.stream.valid, (self.stream,), "boolean", True), over)
        return Value(f"tl.where({valid}, {shaped(value, over)}, {identity})", over, "real", True)

    def _spread(self, value: Value, over: tuple[Dim, ...]) -> Value:
        """A value over the streamed axis, if need be the same all along it."""
        if self.stream in value.dims:
            return Value(shaped(value, over), over, "real", True)
        zeros = f"tl.zeros([{', '.join(dim.block for dim in over)}], tl.float32)"
        return Value(f"({shaped(value, over)} + {zeros})", over, "real", True)

    def _reduced(self, value: Value, call: str) -> Value:
        at = value.dims.index(self.stream)
        rest = tuple(d for d in value.dims if d is not self.stream)
        return Value(f"{call}({value.text}, axis={at})", rest, "real", True)

    def _sum(self, fold: Term, body: Term, scope: Scope, factors: dict[Term, Value]) -> None:
        state = self.states[fold]
        growth = self.region.growth.get(fold)
        before = state.text
        if growth is not None:
            if growth not in factors:
                factors[growth] = self._correction(growth, scope)
            over = joined((self.rows, *self.columns), state, factors[growth])
            factor = shaped(factors[growth], state.dims or over)
            before = f"{state.text} * {factor}"
        if len(state.dims) == 2:
            self._product(body, scope, state, before)
            return
        value = self._masked(self._body(body, fold, scope), "0.0")
        scope.write(f"{state.text} = {before} + {self._reduced(value, 'tl.sum').text}")

    def _product(self, body: Term, scope: Scope, state: Value, before: str) -> None:
        """A sum of rows times columns: a product of matrices for each summand."""
        if before != state.text:
            scope.write(f"{state.text} = {before}")
        shared = self.shared.get(state.text, [])
        for summand in self._summands(body, state):
            self._matrices(summand.without(shared), scope, state)

    def _summands(self, body: Term, state: Value) -> list[Summand]:
        sums = added(self.region.terms, body)
        return [self.products.summand(each, self.rows, self.stream, state.dims[1]) for each in sums]

    def _matrices(self, summand: Summand, scope: Scope, state: Value) -> None:
        column = state.dims[1]
        first = self.products.factor(summand.left, scope, (self.rows, self.stream), self.stream)
        second = self.products.factor(summand.right, scope, (self.stream, column), self.stream)
        value = self.products.dot(first, second, "" if summand.outside else state.text)
        value = self.products.scaled(value, summand.outside, scope, (self.rows, column))
        scope.write(f"{state.text} {'+=' if summand.outside else '='} {value.text}")

    def _share(self, rests: Mapping[Term, Term]) -> None:
        """Find what every product of a sum is multiplied by, to do that after the loop."""
        for fold, state in self.states.items():
            if len(state.dims) == 2:
                bodies = dict.fromkeys((fold.args[0], self._summand(fold, rests)))
                every = [each for body in bodies for each in self._summands(body, state)]
                loose = (f for f in common(every) if self.states.keys().isdisjoint(subterms(f)))
                self.shared[state.text] = list(loose)

    def _finished(self, scope: Scope) -> dict[Term, Value]:
        """The accumulators after the loop."""
        for state in self.states.values():
            if shared := self.shared.get(state.text):
                value = self.products.scaled(state, shared, scope, (self.rows, state.dims[1]))
                scope.write(f"{state.text} = {value.text}")
        return dict(self.states)

    # ---- corrections -----------------------------------------------------------------------------

    def _correction(self, growth: Term, scope: Scope) -> Value:
        """g(m new) / g(m old); 0 while nothing has been seen, when the accumulator is 0 too."""
        old = Scope(scope.lines, scope.indent, scope.env, scope.outer, dict(self.states))
        ratio = self._ratio(growth, scope, old)
        assert ratio is not None
        extrema = [t for t in subterms(growth) if t in self.states]
        guards = [
            f"({self.states[t].text} {'>' if t.kind == 'max' else '<'} {IDENTITY[t.kind]})"
            for t in extrema
        ]
        dims = joined((self.rows, *self.columns), *(self.states[t] for t in extrema))
        text = f"tl.where({' & '.join(guards)}, {shaped(ratio, dims)}, 0.0)"
        return self.code.named(Value(text, dims), scope, "correction")

    def _ratio(self, term: Term, new: Scope, old: Scope) -> Value | None:
        """The quotient of a term at the new and the old extrema, in a stable form."""
        if not any(t in self.states for t in subterms(term)):
            return None
        dims = (self.rows, self.columns[0]) if self.columns else (self.rows, self.stream)
        if term.op == "mul":
            both = [r for arg in term.args if (r := self._ratio(arg, new, old)) is not None]
            over = joined(dims, *both)
            return Value(" * ".join(shaped(r, over) for r in both), over)
        if term.op == "neg":
            return self._ratio(term.args[0], new, old)
        if term.op == "pow" and is_number(term.args[1], 2):
            base = self._ratio(term.args[0], new, old)
            assert base is not None
            return Value(f"{base.wrapped()} * {base.wrapped()}", base.dims)
        is_exp = term.op == "exp"
        inner = term.args[0] if is_exp else term
        after, before = self.code.value(inner, new, dims), self.code.value(inner, old, dims)
        over = joined(dims, after, before)
        texts = shaped(after, over), shaped(before, over)
        if is_exp:
            return Value(f"tl.exp({texts[0]} - {texts[1]})", over, "real", True)
        return Value(f"{texts[0]} / {texts[1]}", over)

    # ---- results ---------------------------------------------------------------------------------

    def _store(self, output: Output, scope: Scope) -> Argument:
        column = next((d for d in self.columns if d.axes == output.columns), None)
        dims = (self.rows, column) if column else (self.rows,)
        dims = tuple(d for d in dims if d.axes)
        value = self.code.value(
            output.term, scope, dims if len(dims) == 2 else (self.rows, self.stream)
        )
        argument = self.arguments.array(output.array)
        coordinates = tuple(self.region.terms.index(axis) for axis in output.array.axes)
        address, over, mask = self.code.address(argument, coordinates, scope, dims)
        text = shaped(value, over)
        if number_kind(output.term) == "real":
            text = f"({text}).to({argument.pointer}.dtype.element_ty)" if value.dims else text
        scope.write(f"tl.store({address}, {text}{f', mask={mask}' if mask else ''})")
        return argument

    def _text(
        self,
        before: Scope,
        opening: list[str],
        loops: list[str],
        after: Scope,
    ) -> str:
        lines = [*self._header(), "@triton.jit", f"def {self.name}("]
        lines += [f"    {line}," for line in self._signature()]
        lines.append("):")
        lines += before.lines
        lines += opening
        lines += loops
        lines += after.lines
        return "\n".join(lines) + "\n"

    def _header(self) -> list[str]:
        """What the kernel makes, and the role of every axis."""
        region = self.region
        made = ", ".join(f"{o.array}[{names(o.array.axes)}]" for o in region.outputs)
        roles = [("batch", region.batch), ("rows", region.rows)]
        roles += [("columns", dim.axes) for dim in self.columns]
        roles += [("streams", region.stream)]
        roles += [("inside", dim.axes) for dim in self.products.dims.values()]
        told = "; ".join(f"{role} {names(axes)}" for role, axes in roles if axes)
        return [comment(f"# {made}"), comment(f"# {told}")]

    def _signature(self) -> list[str]:
        inner = self.products.dims.values()
        return self.arguments.signature((self.rows, self.stream, *self.columns, *inner))


def _count_uses(region: Region, folds: Iterable[Term]) -> dict[Term, int]:
    return uses_in(*(o.term for o in region.outputs), *folds, *region.growth.values())
