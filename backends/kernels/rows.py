"""The source of kernels over whole rows, from a step whose results have the axis of its folds.

A program holds a tile of rows whole: it reads them once, takes their folds one after another, and
writes what is made of them. Rows that no tile holds are swept over twice: the folds stream, and a
second loop reads again and writes. A sum over rows is taken of those that a program has; it gives
one part of it, and visits several tiles of rows where it holds them whole.
"""

from __future__ import annotations

from ncdlang.analysis.rows import swept
from ncdlang.analysis.steps import Output, Region, Rows
from ncdlang.analysis.terms import Term, number_kind
from ncdlang.analysis.wording import names
from ncdlang.records import replace

from ..pytorch.names import comment
from .expressions import Argument, Unsupported
from .row_tiles import HELD
from .source import IDENTITY, Kernel, Writer
from .tiles import Dim, Scope, Value, shaped


def write_held(step: Rows, name: str) -> Kernel:
    """The kernel that holds rows whole. Raises Unsupported for what has no form over tiles."""
    folds, outputs = step.folds, tuple(replace(o, term=o.written) for o in step.outputs)
    region = Region(step.terms, step.batch, step.rows, step.barrier, outputs, folds, {})
    return _Held(step, region, name).write()


def write_sweeps(step: Rows, name: str) -> Kernel | None:
    """The kernel that sweeps over rows, None where their folds do not stream."""
    region = swept(step)
    if region is None:
        return None
    try:
        return _Sweeps(step, region, name).write()
    except Unsupported:
        return None


class _Rows(Writer):
    """What both kernels share. `region` is the step with its folds as the kernel takes them."""

    told = ""

    def __init__(self, step: Rows, region: Region, name: str) -> None:
        self.step = step
        is_sum = {output.array: bool(output.columns) for output in region.outputs}
        every = tuple(replace(output, columns=()) for output in region.outputs)
        super().__init__(replace(region, outputs=every), name, frozenset())
        self.results = tuple(output for output in every if not is_sum[output.array])
        self.sums = tuple(output for output in every if is_sum[output.array])
        self.totals: dict[Output, Value] = {}
        self.made: dict[Output, Argument] = {}

    def kernel(self, lines: list[str]) -> Kernel:
        """The kernel of some lines."""
        made = ", ".join(f"{o.array}[{names(o.array.axes)}]" for o in self.region.outputs)
        roles = [
            ("batch", self.step.batch),
            ("rows", self.step.rows),
            (self.told, self.step.barrier),
        ]
        told = "; ".join(f"{role} {names(axes)}" for role, axes in roles if axes)
        head = [comment(f"# {made}"), comment(f"# {told}"), "@triton.jit", f"def {self.name}("]
        signature = [f"    {line}," for line in self._signature()]
        return Kernel(
            self.name,
            "\n".join([*head, *signature, "):", *lines]) + "\n",
            self.step,
            self.arguments,
            self.step.batch,
            self.rows,
            self.stream,
            (),
            (),
            tuple(self.made.values()),
            frozenset(),
        )

    def _batch(self, scope: Scope, batch: Dim, tile: str) -> None:
        """The indices of a program beyond its tile of rows: of parts, of the batch, of lifts."""
        write, part = scope.write, self.step.part
        if part is not None:
            count, name = self.arguments.size(part.size), self.names.claim(part.name)
            write(f"{name} = (pid % {count}).to(tl.int64)")
            write(f"pid = pid // {count}")
            batch.indices[part] = name
        elif tile:
            write(f"row_tile = pid % {tile}")
            write(f"pid = pid // {tile}")
        for axis in reversed(self.step.batch):
            name, size = self.names.claim(axis.name), self.arguments.size(axis.size)
            write(f"{name} = (pid % {size}).to(tl.int64)")
            write(f"pid = pid // {size}")
            batch.indices[axis] = name
        write("lift = pid.to(tl.int64)")

    def opened(self) -> tuple[Scope, str]:
        """The scope of what a program knows of its place, and how many tiles of rows there are."""
        batch = Dim("batch", self.step.batch)
        part = () if self.step.part is None else (self.step.part,)
        scope = Scope([], 1, dict.fromkeys((*self.step.batch, *part), batch))
        scope.write("pid = tl.program_id(0)")
        if self.rows.axes:
            scope.write(f"row_tiles = tl.cdiv({self.rows.length}, {self.rows.block})")
        self._batch(scope, batch, "row_tiles" if self.rows.axes else "")
        return scope, "row_tiles" if self.rows.axes else "1"

    # ---- results ---------------------------------------------------------------------------------

    def _is_along(self, output: Output) -> bool:
        return not frozenset(self.step.barrier).isdisjoint(output.array.axes)

    def _written(self, output: Output, scope: Scope) -> None:
        """Write a result that a tile of rows has, or one number for each of them."""
        dims = (self.rows, self.stream) if self._is_along(output) else (self.rows,)
        value = self.code.value(output.term, scope, (self.rows, self.stream))
        self._stored(output, value, tuple(d for d in dims if d.axes), scope)

    def _stored(self, output: Output, value: Value, dims: tuple[Dim, ...], scope: Scope) -> None:
        argument = self.arguments.array(output.array)
        coordinates = tuple(map(self.region.terms.index, output.array.axes))
        address, over, mask = self.code.address(argument, coordinates, scope, dims)
        text = shaped(value, over)
        if value.dims and number_kind(output.term) == "real":
            text = f"({text}).to({argument.pointer}.dtype.element_ty)"
        scope.write(f"tl.store({address}, {text}{f', mask={mask}' if mask else ''})")
        self.made[output] = argument

    def _seen(self, output: Output, scope: Scope) -> str:
        """What a sum over rows adds up: 0 for rows that there are not."""
        dims = (self.rows, self.stream)
        value = self.code.value(output.term.args[0], scope, dims)
        valid = shaped(Value(self.rows.valid, (self.rows,), "boolean", True), dims)
        return f"tl.where({valid}, {shaped(value, dims)}, 0.0)"


class _Held(_Rows):
    """Rows that lie in one tile."""

    told = "whole rows"

    def write(self) -> Kernel:
        scope, tiles = self.opened()
        stream = self.stream
        stream.role = HELD
        scope.write(f"{stream.offset} = tl.arange(0, {stream.block})")
        scope.write(f"{stream.valid} = {stream.offset} < {stream.length}")
        self.arguments.split(scope, stream)
        scope.env |= dict.fromkeys(self.step.barrier, stream)
        part = self.step.part
        if part is None:
            inner = scope
        else:
            inner = Scope([], 2, dict(scope.env), (scope,))
            self._start_totals(scope)
        if self.rows.axes:
            self._offsets(inner, self.rows, "row_tile")
        inner.env |= dict.fromkeys(self.step.rows, self.rows)
        self._rows(inner)
        if part is not None:
            index = scope.env[part].indices[part]
            count = self.arguments.size(part.size)
            scope.write(f"for row_tile in range({index}.to(tl.int32), {tiles}, {count}):")
            scope.lines += inner.lines
            for output in self.sums:
                text = f"tl.sum({self.totals[output].text}, axis=0)"
                total = Value(text, (stream,), "real", True)
                self._stored(output, total, (stream,), scope)
        return self.kernel(scope.lines)

    def _start_totals(self, scope: Scope) -> None:
        for output in self.sums:
            name = self.names.claim("total")
            shape = f"{self.rows.block}, {self.stream.block}"
            scope.write(f"{name} = tl.full([{shape}], 0.0, tl.float32)")
            self.totals[output] = Value(name, (self.rows, self.stream), "real", True)

    def _rows(self, scope: Scope) -> None:
        """The folds of a tile of rows, and what is made of them."""
        for fold in self.region.folds:
            value = self.code.value(fold.args[0], scope, (self.rows, self.stream))
            masked = self._masked(value, IDENTITY[fold.kind])
            reduced = self._reduced(masked, f"tl.{fold.kind}")
            name = self.names.claim(self._name(fold))
            scope.write(f"{name} = {reduced.text}")
            scope.folds[fold] = Value(name, reduced.dims, "real", True)
        for output in self.results:
            self._written(output, scope)
        for output in self.sums:
            total = self.totals[output].text
            scope.write(f"{total} += {self._seen(output, scope)}")

    def _name(self, fold: Term) -> str:
        kind = {"sum": "total"}.get(fold.kind, fold.kind)
        return self.region.terms.names.get(fold) or kind


class _Sweeps(_Rows):
    """Rows that are longer than a tile."""

    told = "sweeps over"

    def write(self) -> Kernel:
        before, _ = self.opened()
        part = self.step.part
        if part is not None:
            before.write(f"row_tile = {before.env[part].indices[part]}.to(tl.int32)")
        if self.rows.axes:
            self._offsets(before, self.rows, "row_tile")
        before.env |= dict.fromkeys(self.step.rows, self.rows)
        after = Scope([], 1, before.env, before=before)
        self.products.root = before
        opening = self._start()
        loops = self._loops(before) if self.region.folds else []
        after.folds = dict(self.states)
        env = {**before.env, **dict.fromkeys(self.step.barrier, self.stream)}
        second = Scope([], 2, env, (after,), after.folds)
        self._stream_offsets(second, False)
        for output in self.results:
            self._written(output, second if self._is_along(output) else after)
        for output in self.sums:
            text = f"tl.sum({self._seen(output, second)}, axis=0)"
            value = Value(text, (self.stream,), "real", True)
            self._stored(output, value, (self.stream,), second)
        block = self.stream.block
        lines = [*before.lines, *opening, *loops, *after.lines]
        if any(map(self._is_along, self.region.outputs)):
            lines.append(f"    for start in range(0, {self.stream.length}, {block}):")
            lines += second.lines
        return self.kernel(lines)
