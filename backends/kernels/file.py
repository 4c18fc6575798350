"""A whole Python file: the eager classes of a diagram, its kernels, and a class that runs them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ncdlang.analysis.associate import MARGIN
from ncdlang.analysis.foreign import Foreign
from ncdlang.analysis.plan import RESIDENT
from ncdlang.analysis.steps import Step, arrays_of
from ncdlang.analysis.terms import Array
from ncdlang.ir.lower import lower
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import Size, Symbol
from ncdlang.targets import Request

from ..pytorch import attribute_names
from ..pytorch.emitter import Emitted, emit_module
from ..pytorch.names import Scope
from ..pytorch.sizes import isolated
from .dispatch import choice, default_text, tunes
from .expressions import Unsupported
from .foreign import class_text
from .helpers import NAMES, used
from .launching import Launch
from .operations import Operation
from .runner import label
from .schedule import LENGTHS
from .sharing import share_kernels, share_operations
from .splits import Parts, parts_of
from .steps import library_lines
from .training import Runner, kernels_of
from .variables import Function, Sizes, anchor, plain

# What a class of the same name gets out of the way of.
CONSTANTS = {"DERIVED", "INTERPRETED", "MEASURED", "OPERATIONS", "PARTS", "TUNE"}
_PLACEHOLDER = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class File:
    """The text, its class and its function that run kernels, and which kernels make what.

    `held` are the unknown sizes that tiles hold whole: where one is above `RESIDENT`, the function
    runs no kernel.
    """

    text: str
    class_name: str
    function: str
    labels: Mapping[str, list[str]]
    held: tuple[Size, ...]


def write_file(request: Request, runner: Runner, suffix: str = "") -> File:
    """The file of a request. `suffix` keeps its operations apart from those of another one.

    Raises Unsupported where what a kernel reads has no real numbers.
    """
    for launcher in runner.program.launchers.values():
        if anchor(launcher.inputs) is None:
            raise Unsupported("a kernel reads no real numbers")
    eager = emit_module(request.diagram, request.program.source.name, request.sizes, lower)
    return _Writer(request, runner, eager, suffix).write()


@dataclass(eq=False, slots=True)
class _Writer:
    request: Request
    runner: Runner
    eager: Emitted
    suffix: str
    sizes: Sizes = field(default_factory=Sizes)
    operations: dict[Step, Operation] = field(default_factory=dict[Step, Operation])
    parts: dict[Step, Parts | None] = field(default_factory=dict[Step, Parts | None])
    defined: set[str] = field(init=False)
    names: Scope = field(init=False)

    def __post_init__(self) -> None:
        self.defined = {*re.findall(r"^(?:class|def) (\w+)", self.eager.text, re.MULTILINE)}
        self.names = Scope({*NAMES, *self.defined})

    @property
    def diagram(self) -> CheckedDiagram:
        """The diagram that the file is of."""
        return self.request.diagram

    def write(self) -> File:
        for text in self._kernels().values():
            for name in re.findall(r"^def (\w+)", text, re.MULTILINE):
                self.names.claim(name)
        for step in self.runner.plan.steps:
            self._operation(step)
        self._share()
        name = self.names.claim_numbered(f"{self.eager.class_name}Fused")
        helper = self.names.claim_numbered(f"_{plain(self.diagram.name)}_fused")
        body = self._body(name, helper)
        digest = hashlib.sha256(body.encode()).hexdigest()[:10]
        text = body.replace(_PLACEHOLDER, f"ncd_{digest}{self.suffix}")
        return File(text, name, helper, self._labels(), self._held())

    def _operation(self, step: Step) -> None:
        launcher = self.runner.program.launchers.get(step)
        if launcher is None:
            return
        made = "_".join(plain(str(array)) for array in arrays_of(step))
        name = self.names.claim_numbered(f"{plain(self.diagram.name)}_{made}"[:60])
        for further in ("backward", "eager", "empty", "backward_empty"):
            self.names.claim(f"_{name}_{further}")
        backward, parts = self.runner.backward(step), self._parts(step)
        taken = frozenset({name, f"{name}_backward", self.eager.class_name})
        self.operations[step] = Operation(
            name,
            label(launcher.region),
            launcher,
            backward,
            self.sizes,
            taken,
            parts,
        )

    def _held(self) -> tuple[Size, ...]:
        kernels = [kernel for each in self.operations.values() for kernel in each.kernels()]
        sizes = [size for kernel in kernels for size in Launch(kernel, self.sizes).held_sizes()]
        known = self.request.sizes
        return tuple(
            size
            for size in dict.fromkeys(sizes)
            if any(symbol.name not in known for symbol in size.symbols())
        )

    def _share(self) -> None:
        """Write kernels and operations once that are the same up to names."""
        operations = list(self.operations.values())
        share_kernels([kernel for each in operations for kernel in each.kernels()], self.sizes)
        for operation in operations:
            operation.taken |= Launch.tables(operation.kernels())
        share_operations(operations)

    def _kernels(self) -> dict[str, str]:
        """The text of every kernel by its name."""
        found: dict[str, str] = {}
        for step, launcher in self.runner.program.launchers.items():
            parts = self._parts(step)
            own = kernels_of(launcher, self.runner.backward(step))
            for kernel in (*own, *(parts.kernels if parts else ())):
                found[kernel.name] = kernel.text
        return found

    def _parts(self, step: Step) -> Parts | None:
        """The kernels of a step in parts, made once."""
        if step not in self.parts:
            launcher = self.runner.program.launchers[step]
            self.parts[step] = parts_of(launcher, self.runner.sizes)
        return self.parts[step]

    def _labels(self) -> dict[str, list[str]]:
        """What the kernels of the forward pass make, by the names of those who make it."""
        found: dict[str, list[str]] = {}
        for operation in self.operations.values():
            kernels = [*operation.launcher.kernels]
            kernels += operation.parts.kernels if operation.parts is not None else []
            if operation.backward is not None:
                kernels += operation.backward.forward.kernels
            found.setdefault(operation.label, []).extend(kernel.name for kernel in kernels)
        return found

    # ---- the text --------------------------------------------------------------------------------

    def _body(self, name: str, helper: str) -> str:
        operations = list(self.operations.values())
        kernels = [kernel for each in operations for kernel in each.kernels()]
        first = kernels[0].name
        fused = "\n".join(_Forward(self).text(helper))
        calls = dict.fromkeys(each.strip() for kernel in kernels for each in kernel.calls)
        steps = self.runner.plan.steps
        calls |= dict.fromkeys(filter(None, map(class_text, steps)))
        sections = [*calls, *(text.strip() for text in self._kernels().values())]
        sections.append(
            "# Whether Triton interprets kernels on the CPU (TRITON_INTERPRET=1).\n"
            f"INTERPRETED = not isinstance({first}, triton.JITFunction)"
        )
        distinct = {kernel.name: kernel for kernel in reversed(kernels)}
        tables = [
            line for k in reversed(distinct.values()) for line in Launch(k, self.sizes).tiles()
        ]
        sections.append(
            "# The largest tiles of each kernel by GPU or format and the longest axis that a tile\n"
            "# holds whole: first the default ones, then those that tuning tries as well.\n"
            + "\n".join(tables)
        )
        sections.append(default_text(self.runner, choice(self.request), tunes(self.request)))
        sections.append(
            "# The namespace of the operations.\n"
            f'OPERATIONS = _namespace("{_PLACEHOLDER}", "{operations[0].called}")'
        )
        sections += ["\n".join(each.text()) for each in operations if each.called == each.name]
        mine = "\n\n\n".join([*sections, fused])
        parts = [*used(mine), mine]
        for constant in CONSTANTS & self.defined:
            parts = [re.sub(rf"\b{constant}\b", f"{constant}_", part) for part in parts]
        return self._joined([*parts, "\n".join(self._class(name, helper))])

    def _joined(self, parts: list[str]) -> str:
        """The eager file with its imports completed, and what comes after it."""
        head, _, classes = self.eager.text.partition("\nimport torch\n")
        header, _, _ = head.partition("\nimport math\n")
        imports = ["import math", "import threading", "from typing import Any", "", "import torch"]
        rest = classes.replace(
            "from torch import Tensor, nn\n",
            "import triton\nimport triton.language as tl\nfrom torch import Tensor, nn\n",
            1,
        )
        start = f"{header.rstrip()}\n\n" + "\n".join(imports) + "\n" + rest.rstrip()
        return "\n\n\n".join([start, *parts]) + "\n"

    def _class(self, name: str, helper: str) -> list[str]:
        function = Function(self.sizes, frozenset())
        inputs = [function.scope.claim(wire.name) for wire in self.diagram.parameters]
        given = ", ".join(inputs)
        count = len(self.diagram.results)
        returned = "Tensor" if count == 1 else f"tuple[{', '.join(['Tensor'] * count)}]"
        listed = "".join(f", {each}: Tensor" for each in inputs)
        made = f"{helper}(self, {given})"
        if inputs:  # what runs on a processor costs no more than without kernels
            interpreted = f"INTERPRETED{'_' if 'INTERPRETED' in self.defined else ''}"
            made += f" if {interpreted} or not {inputs[0]}.is_cpu else None"
        return [
            f"class {name}({self.eager.class_name}):",
            f'    """{self.eager.class_name} by kernels where they run and are preferred."""',
            "",
            f"    derived = DERIVED{'_' if 'DERIVED' in self.defined else ''}",
            "",
            f"    def forward(self{listed}) -> {returned}:",
            f"        made = {made}",
            f"        return super().forward({given}) if made is None else made",
        ]


class _Forward:
    """The function that runs the steps of a plan on the inputs and parameters of a module."""

    def __init__(self, writer: _Writer) -> None:
        self.writer = writer
        self.diagram = writer.diagram
        self.plan = writer.runner.plan
        taken = {operation.name for operation in writer.operations.values()}
        self.function = Function(writer.sizes, frozenset(taken))
        self.function.module = lambda path: self._module(path)[0]
        self.inputs = {
            array: self.function.scope.claim(plain(array.name)) for array in self.plan.opened.inputs
        }
        self.parameters = {array: self._path(array) for array in self.plan.opened.parameters}

    def _path(self, array: Array) -> str:
        """How a module reads one of its parameters."""
        module, diagram = self._module(array.path)
        return f"{module}.{attribute_names(diagram)[array.name]}"

    def _module(self, path: tuple[str, ...]) -> tuple[str, CheckedDiagram]:
        """How a module reads one of those in it, and the diagram of that."""
        diagram, text = self.diagram, "self"
        for name in path:
            stem, *rest = name.split(".")
            places = (part if part.isdigit() else f'"{part}"' for part in rest)
            text += f".{attribute_names(diagram)[stem]}" + "".join(f"[{p}]" for p in places)
            diagram = next(i.callee for i in diagram.instances if i.name == name)
        return text, diagram

    def text(self, name: str) -> list[str]:
        listed = "".join(f", {each}: Tensor" for each in self.inputs.values())
        count = len(self.plan.results)
        returned = "Tensor" if count == 1 else "tuple[Tensor, ...]"
        body = [
            '"""The results by kernels, None where the eager class has to make them."""',
            *self._guards(),
            *self._arrays(),
            *self._steps(),
            *self._results(),
        ]
        head = f"def {name}(self: Any{listed}) -> {returned} | None:"
        return [head, *(f"    {line}" for line in body)]

    def _read(self, array: Array) -> str:
        return self.inputs.get(array) or self.parameters[array]

    # ---- what has to hold ------------------------------------------------------------------------

    def _guards(self) -> list[str]:
        every = [*self.inputs.values(), *self.parameters.values()]
        ranks = [(name, len(array.axes)) for array, name in self.inputs.items()]
        lines = [f"if not _fits({', '.join(every)}) or not _alike({', '.join(every)}):"]
        lines.append("    return None")
        low = [f"{name}.dim() < {rank}" for name, rank in ranks if rank]
        if low:
            lines += [f"if {' or '.join(low)}:", "    return None"]
        lines += self._solved()
        wrong = [
            f"{self._shape(array)} != ({', '.join(self._lengths(array))},)"
            for array in (*self.inputs, *self.parameters)
            if array.axes
        ]
        if wrong:
            lines += ["if (", *(f"    {'or ' if i else ''}{w}" for i, w in enumerate(wrong)), "):"]
            lines.append("    return None")
        whole = self._whole()
        if whole:
            most = whole[0] if len(whole) == 1 else f"max({', '.join(whole)})"
            lines += [f"if {most} > {RESIDENT}:  # tiles hold these whole", "    return None"]
            lines += self._room(most)
        lines += self._orders()
        named = self.writer.sizes.names
        listed = ", ".join(named[s] for s in self.diagram.unknowns if s in named)
        like = self._read(self._anchor())
        lines += [f"if not _preferred(self.derived, {like}, {listed}):", "    return None"]
        return lines

    def _room(self, most: str) -> list[str]:
        """Where a GPU has no room for the tiles of some kernel."""
        kernels = [k for each in self.writer.operations.values() for k in each.kernels()]
        launches = [Launch(kernel, self.writer.sizes) for kernel in kernels]
        tables = ", ".join(launch.table for launch in launches if launch.is_short)
        like = self._read(self._anchor())
        text = f"if {most} > {LENGTHS[0]} and not _has_room({like}, {tables}):"
        return [text, "    return None"] if tables else []

    def _orders(self) -> list[str]:
        """Where the eager class takes sums in another order, with far fewer operations."""
        lines: list[str] = []
        like = self._read(self._anchor())
        for other in self.plan.choices:
            if other.taken:
                continue
            written, reordered = map(self.function.scope.claim, ("as_written", "reordered"))
            before, after = other.association.before, other.association.after
            lines += [
                f"{written} = {self.writer.sizes.text(before)}  # operations of its sums",
                f"{reordered} = {self.writer.sizes.text(after)}  # the same ones in another order",
                f"if {MARGIN} * {reordered} < {written} and {like}.dtype != torch.float16:",
                "    if self.derived is not True and not torch.compiler.is_exporting():",
                "        return None  # the eager class takes the other order",
            ]
        return lines

    def _anchor(self) -> Array:
        found = anchor((*self.inputs, *self.parameters))
        assert found is not None
        return found

    def _shape(self, array: Array) -> str:
        name = self._read(array)
        return f"{name}.shape[-{len(array.axes)} :]" if array in self.inputs else f"{name}.shape"

    def _lengths(self, array: Array) -> list[str]:
        return [self.writer.sizes.text(axis.size) for axis in array.axes]

    def _whole(self) -> list[str]:
        found: dict[str, None] = {}
        for operation in self.writer.operations.values():
            for kernel in operation.kernels():
                found.update(dict.fromkeys(Launch(kernel, self.writer.sizes).held()))
        return [text for text in found if not text.isdigit()]

    def _solved(self) -> list[str]:
        """The sizes: those that were given, those of shapes, and defaults."""
        sizes, lines = self.writer.sizes, list[str]()
        given = self.writer.request.sizes
        known: set[Symbol] = set()
        for symbol in self.diagram.unknowns:
            if symbol.name in given:
                lines.append(f"{sizes.name(symbol)} = {given[symbol.name]}")
                known.add(symbol)
        places = [
            (axis.size, f"{self._read(array)}.shape[{i - len(array.axes)}]")
            for array in (*self.inputs, *self.parameters)
            for i, axis in enumerate(array.axes)
        ]
        lines += self._shapes(places, known)
        for free in self.diagram.free:
            symbol, default = free.axis.symbol, free.default
            if symbol is None or symbol in known:
                continue
            if default is not None and default.symbols() <= known:
                lines.append(f"{sizes.name(symbol)} = {sizes.text(default)}")
                known.add(symbol)
        return lines + self._shapes(places, known)

    def _shapes(self, places: list[tuple[Size, str]], known: set[Symbol]) -> list[str]:
        sizes, lines, progress = self.writer.sizes, list[str](), True
        while progress:
            progress = False
            for size, text in sorted(places, key=lambda p: len(p[0].terms) > 1):
                found = isolated(size, known)
                if found is None:
                    continue
                symbol, factor, rest = found
                if rest.value != 0:
                    text = f"({text} - ({sizes.text(rest)}))"
                if factor.value != 1:
                    text = f"{text} // max({sizes.text(factor)}, 1)"
                lines.append(f"{sizes.name(symbol)} = {text}")
                known.add(symbol)
                progress = True
                break
        return lines

    # ---- what is done ----------------------------------------------------------------------------

    def _arrays(self) -> list[str]:
        """Arrays with one leading dimension."""
        ranks = ", ".join(f"({name}, {len(a.axes)})" for a, name in self.inputs.items())
        lines = [f"lead = _lead({ranks})", "if lead is None:", "    return None"]
        if not self.inputs:
            lines = ["lead = ()"]
        if any(isinstance(step, Foreign) and step.path for step in self.plan.steps):
            lines += [
                "if lead:",
                "    return None  # it calls modules, for which nothing leads",
            ]
        for array, name in (*self.inputs.items(), *self.parameters.items()):
            variable = self.function.array(array)
            lines.append(f"{variable} = _lifted({name}, {len(array.axes)}, lead)")
        like = self.function.array(self._anchor())
        lines.append(f"dtype, wide = {like}.dtype, _wide({like})")
        return lines

    def _steps(self) -> list[str]:
        lines: list[str] = []
        like = self.function.array(self._anchor())
        writer = self.function.writer(self.plan.opened.terms, like, False, differentiated=True)
        for step in self.plan.steps:
            operation = self.writer.operations.get(step)
            if operation is None:
                lines += library_lines(step, writer, self.function)
                continue
            keep = self._keeps(operation)
            if operation.backward is not None:
                lines += self._call(operation, keep)
                continue
            lines.append(f"if {keep}:  # its gradient is left to PyTorch")
            terms = self.plan.opened.terms
            inner = self.function.writer(terms, like, False, differentiated=True)
            lines += [f"    {line}" for line in library_lines(step, inner, self.function)]
            lines.append("else:")
            lines += [f"    {line}" for line in self._call(operation, "False")]
        return lines

    def _keeps(self, operation: Operation) -> str:
        given = ", ".join(self.function.array(array) for array in operation.inputs)
        return f"torch.is_grad_enabled() and any(t.requires_grad for t in ({given},))"

    def _call(self, operation: Operation, keep: str) -> list[str]:
        given = [self.function.array(array) for array in operation.inputs]
        arguments = ", ".join([*given, *operation.size_names(), keep])
        made = [self.function.array(array) for array in operation.results]
        if len(operation.outputs) == 1:
            return [f"{made[0]} = {operation.called}({arguments})"]
        if len(operation.outputs) == len(made):
            return [f"{', '.join(made)} = {operation.called}({arguments})"]
        return [f"{', '.join(made)}, *_ = {operation.called}({arguments})"]

    def _results(self) -> list[str]:
        made: list[str] = []
        for array, wire in zip(self.plan.results, self.diagram.results, strict=True):
            name = self.function.array(array)
            sizes = [self.writer.sizes.text(axis.size) for axis in wire.type.axes]
            shape = ", ".join(["*lead", *sizes])
            made.append(f"{name}.expand(math.prod(lead), *{name}.shape[1:]).reshape(({shape},))")
        if len(made) == 1:
            return [f"return {made[0]}"]
        return ["return (", *(f"    {each}," for each in made), ")"]
