"""Regions as operations that PyTorch knows, written as text.

A region becomes a registered operation: kernels where they run, else what the library makes of
the same terms, with what `torch.compile` and `torch.export` have to know of it, and its gradient.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ncdlang.analysis.adjoint import Root
from ncdlang.analysis.grouped import Grouped
from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.split import PARTS
from ncdlang.analysis.steps import Rows, arrays_of, terms_of
from ncdlang.analysis.terms import Array, Term, reads

from ..pytorch.names import comment
from .launching import Launch
from .row_launching import limit, rows_launch
from .runner import Kerneled, Launcher
from .source import Kernel
from .splits import Parts, split_lines
from .steps import launched, library_lines, write_steps
from .torch_text import TorchWriter, sizes_of
from .training import AnyBackward, kernels_of
from .variables import Function, Sizes, anchor, format_of, room_for


@dataclass(eq=False, slots=True)
class Operation:
    """One step: its operation, and that of its gradient where that is derived.

    It is `called` by the name of an earlier one where both are the same up to names; `others` are
    the labels of those that are called by its name.
    """

    name: str
    label: str
    launcher: Launcher
    backward: AnyBackward | None
    sizes: Sizes
    taken: frozenset[str]
    parts: Parts | None = None
    called: str = field(init=False)
    others: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.called = self.name

    @property
    def region(self) -> Kerneled:
        """The step with what it keeps."""
        return self.backward.forward.region if self.backward else self.launcher.region

    @property
    def inputs(self) -> tuple[Array, ...]:
        """The arrays that the operation takes."""
        return self.launcher.inputs

    @property
    def outputs(self) -> tuple[Array, ...]:
        """What the operation makes; the last ones are kept for its gradient."""
        return arrays_of(self.region)

    @property
    def results(self) -> tuple[Array, ...]:
        """What the region makes for others."""
        return arrays_of(self.launcher.region)

    def kernels(self) -> list[Kernel]:
        """All kernels that the operation and its gradient launch."""
        found = kernels_of(self.launcher, self.backward)
        return [*found, *(self.parts.kernels if self.parts is not None else ())]

    def size_names(self) -> list[str]:
        """The sizes that the operation and its gradient take."""
        terms: list[Term] = [*terms_of(self.region)]
        arrays: list[Array] = [*self.inputs, *self.outputs]
        if self.backward is not None:
            for step in self.backward.program.steps:
                terms += terms_of(step)
                arrays += [*arrays_of(step), *reads(*terms_of(step))]
        found = [axis.size for array in arrays for axis in array.axes]
        rest = sizes_of(*terms).union(*(kernel.arguments.sizes for kernel in self.kernels()))
        # How many parts there are is for the operation to say.
        known = ([size for size in each if PARTS not in size.symbols()] for each in (found, rest))
        return self.sizes.listed(*known)

    def text(self) -> list[str]:
        """The lines of the operation."""
        shared = [
            comment(f"# {self.label}"),
            *(comment(f"# the same for {o}") for o in self.others),
        ]
        lines = shared if self.others else []
        lines += [*self._empty(), "", "", *self._eager(), "", "", *self._registered(), "", ""]
        room = f"_{self.name}_empty"
        if len(self.outputs) == 1:  # the operation makes an array then, and no tuple of one
            room = f"lambda *given: {room}(*given)[0]"
        lines += [f"{self.name}.register_fake({room})"]
        if self.backward is not None:
            lines += ["", "", *_Gradient(self, self.backward).text()]
        return lines

    # ---- parts -----------------------------------------------------------------------------------

    def _function(self) -> Function:
        return Function(self.sizes, self.taken)

    def head(self, name: str, function: Function, arrays: Iterable[Array], keep: bool) -> list[str]:
        """The `def` of a function of arrays and sizes."""
        arguments = [f"{function.array(array)}: Tensor" for array in arrays]
        arguments += [f"{size}: int" for size in self.size_names()]
        arguments += ["keep: bool"] if keep else []
        returned = "tuple[Tensor, ...]"
        return [f"def {name}(", *(f"    {a}," for a in arguments), f") -> {returned}:"]

    def opening(self, function: Function, arrays: tuple[Array, ...]) -> list[str]:
        """The formats, and how many lifted indices there are."""
        like = anchor(arrays)
        assert like is not None
        name = function.array(like)
        every = ", ".join(function.array(array) for array in arrays)
        return [f"dtype, wide, lift = {name}.dtype, _wide({name}), _lift({every})"]

    def _empty(self) -> list[str]:
        """Room for what the operation makes."""
        function = self._function()
        lines = self.head(f"_{self.name}_empty", function, self.inputs, True)
        body = [f'"""Room for {comment(self.label)}."""', *self.opening(function, self.inputs)]
        like = anchor(self.inputs)
        assert like is not None
        made: list[str] = []
        for array in self.outputs:
            room = room_for(array, function, function.array(like))
            if array not in self.results:
                none = f"{function.array(like)}.new_empty(0, dtype={format_of(array)})"
                room = f"{room} if keep else {none}"
            name = function.array(array)
            body.append(f"{name} = {room}")
            made.append(name)
        body.append(f"return {', '.join(made)}{',' if len(made) == 1 else ''}")
        return [*lines, *(f"    {line}" for line in body)]

    def _eager(self) -> list[str]:
        """What the library makes of the same terms."""
        function = self._function()
        lines = self.head(f"_{self.name}_eager", function, self.inputs, True)
        body = [
            f'"""{comment(self.label)} by PyTorch."""',
            *self.opening(function, self.inputs),
        ]
        like = anchor(self.inputs)
        assert like is not None
        writer = function.writer(self.region.terms, function.array(like), False)
        body += self._written(writer, function, kept=False)
        if self.backward is not None:
            body += ["if not keep:"]
            none = [
                f"{function.array(like)}.new_empty(0, dtype={format_of(array)})"
                for array in self.outputs
                if array not in self.results
            ]
            made = [*(function.array(array) for array in self.results), *none]
            body.append(f"    return {', '.join(made)},")
        body += self._written(writer, function, kept=True)
        made = [function.array(array) for array in self.outputs]
        body.append(f"return {', '.join(made)},")
        return [*lines, *(f"    {line}" for line in body)]

    def _written(self, writer: TorchWriter, function: Function, kept: bool) -> list[str]:
        wanted = [array for array in self.outputs if (array not in self.results) == kept]
        return library_lines(self.region, writer, function, wanted)

    def _registered(self) -> list[str]:
        function = self._function()
        lines = [*self.decorator(self.name, self.inputs, len(self.outputs), True)]
        lines += self.head(self.name, function, self.inputs, True)
        given = [function.array(array) for array in self.inputs]
        own = f"_owned(made, {', '.join(given)})"
        every = [*given, *self.size_names(), "keep"]
        like = anchor(self.inputs)
        assert like is not None
        body = [
            f'"""{comment(self.label)}; with `keep` also what its gradient needs."""',
            f"if not _fits({', '.join(given)}){self._longer()}:",
            f"    made = _{self.name}_eager({', '.join(every)})",
            f"    return {self.returned(own, len(self.outputs))}",
            *self.opening(function, self.inputs),
        ]
        last = function.array(like)
        made = ", ".join(function.array(array) for array in self.outputs)
        if isinstance(self.region, Scattered | Grouped):
            body += launched(self.launcher, function, last)
            body.append(f"return {made}")
            return [*lines, *(f"    {line}" for line in body)]
        body.append(f"{made}, = made = _{self.name}_empty({', '.join(every)})")
        if self.backward is not None and self.backward.forward is not self.launcher:
            body.append("if keep:")
            kept = self._launch(self.backward.forward, function, last)
            body += [f"    {line}" for line in kept]
            body.append(f"    return {self.returned('made', len(self.outputs))}")
        if self.parts is not None:
            saved = [function.array(array) for array in self.outputs[len(self.results) :]]
            inputs = ", ".join(given)
            kernel = self.launcher.kernel
            body += split_lines(self.parts, kernel, function, last, inputs, saved)
        body += self._launch(self.launcher, function, last)
        body.append(f"return {self.returned('made', len(self.outputs))}")
        return [*lines, *(f"    {line}" for line in body)]

    def _launch(self, launcher: Launcher, function: Function, like: str) -> list[str]:
        """The lines that run a kernel of a region, or of rows."""
        if isinstance(launcher.region, Rows):
            return rows_launch(launcher, function)
        return Launch(launcher.kernel, self.sizes).launch(function, like)

    def _longer(self) -> str:
        """Where rows are too long for the kernel."""
        limited = limit(self.launcher, self.sizes)
        return f" or not {limited}" if limited else ""

    @staticmethod
    def returned(made: str, count: int) -> str:
        """What an operation returns: an operation with one result returns no tuple."""
        return f"{made}[0]" if count == 1 else made

    def decorator(self, name: str, arrays: tuple[Array, ...], count: int, keep: bool) -> list[str]:
        """What registers a function. The names of arguments mean nothing to PyTorch."""
        arguments = [f"Tensor a{i}" for i in range(len(arrays))]
        arguments += [f"SymInt n{i}" for i in range(len(self.size_names()))]
        arguments += ["bool keep"] if keep else []
        returned = "Tensor" if count == 1 else f"({', '.join(['Tensor'] * count)})"
        return [
            "@torch.library.custom_op(",
            f'    f"{{OPERATIONS}}::{name}",',
            "    mutates_args=(),",
            f'    schema="({", ".join(arguments)}) -> {returned}",',
            ")",
        ]


# ---- gradients ----------------------------------------------------------------------------------


class _Gradient:
    """The operation that differentiates another one."""

    def __init__(self, operation: Operation, backward: AnyBackward) -> None:
        self.operation = operation
        self.backward = backward
        self.name = f"{operation.name}_backward"
        wanted = {a for s in backward.program.steps for a in reads(*terms_of(s))}
        made = operation.outputs
        self.kept = tuple(array for array in made if array in wanted)
        self.floats = tuple(
            i
            for i, array in enumerate(operation.inputs)
            if any(root.array is array for root in backward.gradient.roots)
        )

    @property
    def arrays(self) -> tuple[Array, ...]:
        """What the operation takes."""
        return (*self.backward.gradient.cotangents, *self.operation.inputs, *self.kept)

    def text(self) -> list[str]:
        outputs = self.operation.outputs
        kept = ", ".join(str(outputs.index(array)) for array in self.kept)
        listed = ", ".join(map(str, self.floats))
        count, results = len(self.operation.inputs), len(self.operation.results)
        return [
            *self._registered(),
            "",
            "",
            *self._fake(),
            "",
            "",
            f"{self.name}.register_fake(_{self.name}_empty)",
            f"_no_second({self.name})",
            "_differentiate(",
            f"    {self.operation.name},",
            f"    {self.name},",
            f"    count={count},",
            f"    outer={results},",
            f"    kept=({kept}{',' if len(self.kept) == 1 else ''}),",
            f"    floats=({listed}{',' if len(self.floats) == 1 else ''}),",
            ")",
        ]

    def _function(self) -> Function:
        function = Function(self.operation.sizes, self.operation.taken)
        for array in self.arrays:
            function.array(array)
        return function

    def _opening(self, function: Function) -> list[str]:
        return self.operation.opening(function, (*self.operation.inputs, *self.arrays))

    def _fake(self) -> list[str]:
        function = self._function()
        lines = self.operation.head(f"_{self.name}_empty", function, self.arrays, False)
        made = [
            f"{name}.new_empty({name}.shape)"
            for name in (function.array(self.operation.inputs[i]) for i in self.floats)
        ]
        returned = ", ".join(made) if len(made) == 1 else f"({', '.join(made)})"
        told = f'"""Room for the gradients of {comment(self.operation.label)}."""'
        return [*lines, f"    {told}", f"    return {returned}"]

    def _registered(self) -> list[str]:
        function, operation = self._function(), self.operation
        lines = operation.decorator(self.name, self.arrays, len(self.floats), False)
        lines += operation.head(self.name, function, self.arrays, False)
        given = ", ".join(function.array(array) for array in self.arrays)
        inputs = ", ".join(function.array(array) for array in operation.inputs)
        body = [
            f'"""The gradients of {comment(operation.label)}."""',
            *self._opening(function),
            f"fits = _fits({inputs})",
        ]
        like = anchor((*operation.inputs, *self.arrays))
        assert like is not None
        body += write_steps(self.backward.program, function, function.array(like), True)
        made: list[str] = []
        for i in self.floats:
            array = operation.inputs[i]
            parts = [
                (root, result)
                for root, result in zip(
                    self.backward.gradient.roots, self.backward.results, strict=True
                )
                if root.array is array
            ]
            made.append(self._summed(array, parts, function))
        body.append(f"made = ({', '.join(made)},)")
        body.append(f"return {operation.returned(f'_owned(made, {given})', len(made))}")
        return [*lines, *(f"    {line}" for line in body)]

    def _summed(self, array: Array, found: list[tuple[Root, Array]], function: Function) -> str:
        name = function.array(array)
        texts: list[str] = []
        for root, result in found:
            part = function.array(result)
            for _ in root.rest:
                part = f"{part}.sum(1, dtype=torch.float64)"
            if any(axis.parts for axis in array.axes):
                part = f"{part}.flatten(1).reshape(-1, *{name}.shape[1:])"
            texts.append(part)
        return f"_grad_of({name}, {', '.join(texts)}).to({name}.dtype)"
