"""The source of the kernel of a linear recurrence: an associative scan, tile after tile."""

from __future__ import annotations

from dataclasses import dataclass, field

from ncdlang.analysis.recurrences import Recurrence
from ncdlang.analysis.wording import names

from ..pytorch.names import comment
from .expressions import Argument, Arguments, Expressions, uses_in
from .source import Kernel
from .tiles import Dim, Names, Scope, Value, shaped

TAKEN = ("pid", "lift", "start", "state", "factor", "offset", "steps", "made", "last")
TAKEN += ("tile", "PRECISION", "then")

THEN = """@triton.jit
def then(a1, b1, a2, b2):
    return a2 * a1, a2 * b1 + b2


"""


def write_scan(recurrence: Recurrence, name: str) -> Kernel:
    """The kernel of a recurrence. Raises Unsupported for a term that has no form over tiles."""
    return _Writer(recurrence, name).write()


@dataclass(eq=False, slots=True)
class _Writer:
    recurrence: Recurrence
    name: str
    names: Names = field(init=False)
    arguments: Arguments = field(init=False)
    code: Expressions = field(init=False)
    lanes: Dim = field(init=False)
    steps: Dim = field(init=False)

    def __post_init__(self) -> None:
        self.names = Names()
        for taken in (self.name, *TAKEN):
            self.names.claim(taken)
        self.arguments = Arguments(self.names)
        recurrence = self.recurrence
        self.code = Expressions(self.arguments, uses_in(recurrence.factor, recurrence.offset))
        self.code.labels |= recurrence.terms.names
        axes = tuple(atom for axis in recurrence.array.axes for atom in axis.atoms)
        self.steps = self.arguments.dim("step", (recurrence.axis,))
        self.lanes = self.arguments.dim("lane", tuple(a for a in axes if a is not recurrence.axis))
        if not self.lanes.axes:
            self.lanes.block = self.lanes.length = "1"

    def write(self) -> Kernel:
        recurrence, lanes, steps = self.recurrence, self.lanes, self.steps
        outside = dict.fromkeys(lanes.axes, lanes)
        before = Scope([], 1, outside)
        self._programs(before)
        loop = Scope([], 2, {**outside, recurrence.axis: steps}, (before,))
        head = self._tile(loop)
        dims = (steps, lanes)
        a = self._spread(self.code.value(recurrence.factor, loop, dims), "1.0")
        b = self._spread(self.code.value(recurrence.offset, loop, dims), "0.0")
        loop.write(f"factor = {a}")
        loop.write(f"offset = {b}")
        backwards = ", reverse=True" if recurrence.reverse else ""
        loop.write(f"factor, offset = tl.associative_scan((factor, offset), 0, then{backwards})")
        loop.write("made = factor * state[None, :] + offset")
        output = self._store(loop)
        # Steps beyond the end leave the state as it is.
        end = "0" if recurrence.reverse else f"{steps.block} - 1"
        loop.write(f"last = tl.arange(0, {steps.block}) == {end}")
        loop.write("state = tl.sum(tl.where(last[:, None], made, 0.0), axis=0)")
        lines = [
            comment(f"# {recurrence.array}[{names(recurrence.array.axes)}]"),
            comment(f"# grouped {names(lanes.axes)}; an associative scan along {steps.offset}"),
            "@triton.jit",
            f"def {self.name}(",
            *(f"    {line}," for line in self.arguments.signature((self.lanes, self.steps))),
            "):",
            *before.lines,
            f"    state = tl.zeros([{lanes.block}], tl.float32)",
            f"    {head}",
            *loop.lines,
        ]
        text = "\n".join(lines) + "\n"
        return Kernel(
            self.name,
            text,
            recurrence,
            self.arguments,
            (),
            lanes,
            steps,
            (),
            (),
            (output,),
            frozenset(),
            (THEN,),
        )

    def _programs(self, scope: Scope) -> None:
        """Which lanes a program has."""
        lanes = self.lanes
        scope.write("pid = tl.program_id(0)")
        if lanes.axes:
            tiles = self.names.claim("lane_tiles")
            scope.write(f"{tiles} = tl.cdiv({lanes.length}, {lanes.block})")
            scope.write(f"lift = (pid // {tiles}).to(tl.int64)")
            start = f"pid % {tiles} * {lanes.block}"
        else:
            scope.write("lift = pid.to(tl.int64)")
            start = "0"
        scope.write(f"{lanes.offset} = {start} + tl.arange(0, {lanes.block})")
        scope.write(f"{lanes.valid} = {lanes.offset} < {lanes.length}")
        self.arguments.split(scope, lanes)

    def _tile(self, scope: Scope) -> str:
        """The head of the loop; the last tile comes first where the recurrence is reversed."""
        steps = self.steps
        head = f"for start in range(0, {steps.length}, {steps.block}):"
        if self.recurrence.reverse:
            count = f"tl.cdiv({steps.length}, {steps.block})"
            head = f"for tile in range(0, {count}):"
            scope.write(f"start = ({count} - 1 - tile) * {steps.block}")
        scope.write(f"{steps.offset} = start + tl.arange(0, {steps.block})")
        scope.write(f"{steps.valid} = {steps.offset} < {steps.length}")
        return head

    def _spread(self, value: Value, neutral: str) -> str:
        """A value for every step and lane; beyond the end the step that changes nothing."""
        dims = (self.steps, self.lanes)
        text = shaped(value, dims)
        if value.dims != dims:
            text = f"{text} + tl.zeros([{self.steps.block}, {self.lanes.block}], tl.float32)"
        return f"tl.where({self.steps.valid}[:, None], {text}, {neutral})"

    def _store(self, scope: Scope) -> Argument:
        recurrence = self.recurrence
        argument = self.arguments.array(recurrence.array)
        coordinates = tuple(map(recurrence.terms.index, recurrence.array.axes))
        dims = (self.steps, self.lanes)
        address, over, mask = self.code.address(argument, coordinates, scope, dims)
        if over != dims:
            address, mask = f"({address})[:, None]", f"({mask})[:, None]"
        made = f"made.to({argument.pointer}.dtype.element_ty)"
        scope.write(f"tl.store({address}, {made}, mask={mask})")
        return argument
