"""The `forward` method of a diagram: one statement for each named wire."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol, assert_never

from ncdlang.ir.diagram import (
    Block,
    Contraction,
    Edge,
    Iota,
    Library,
    Number,
    Pointwise,
    Reduction,
    Reindex,
    Scan,
    Scattering,
)
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import REAL, Axis, Wire

from . import operators
from .code import Code, call, number
from .formats import computable, computed, elementwise, kept
from .fusions import fusion_node
from .lines import Line, listing
from .names import Scope, local_scope, quoted
from .nodes import (
    FORMATS,
    HELD,
    Axes,
    Converted,
    Domain,
    Fixed,
    Index,
    Node,
    Scalar,
    domain_of,
    is_real,
    mapped,
)
from .planning import Plan
from .pointwise import cast, in_format, pointwise
from .reads import reading, regroup
from .registry import is_native
from .render import full, render
from .scan import Loop
from .scatter import scattering
from .sizes import size_code
from .stacks import find_stacks
from .views import Reader
from .wires import (
    composites,
    flattened,
    index_uses,
    is_cheap,
    is_inner,
    label_of,
    names_of,
    operand_count,
    order_of,
    told,
)


class Owner(Protocol):
    """What the method needs of its class and module."""

    def parameter(self, wire: Wire) -> str:
        """The attribute of a raw parameter: `self.W`."""
        ...

    def built_size(self, symbol: Symbol) -> str:
        """The attribute of a size that the constructor takes: `self.h`."""
        ...

    @property
    def deferred(self) -> Mapping[Symbol, Size]:
        """Sizes of the constructor whose default is made of sizes of the inputs."""
        ...

    def submodule(self, operator: Library) -> str:
        """The attribute of the module that a call calls."""
        ...

    def late_sizes(self, operator: Library) -> list[tuple[str, Size]]:
        """Sizes that the callee wants with every call, by its names for them."""
        ...

    def helper(self, name: str) -> str:
        """The name of a helper function of the module."""
        ...

    def anchor(self) -> str:
        """A tensor that has the module's dtype and device, for want of inputs and parameters."""
        ...

    def taken(self) -> frozenset[str]:
        """The names of the module's helpers."""
        ...


@dataclass(slots=True)
class Method:
    """Writes the statements of one `forward`. It is the `Writer` that nodes are rendered with."""

    plan: Plan
    owner: Owner
    lines: list[Line] = field(default_factory=list[Line])
    values: dict[Wire, Node] = field(default_factory=dict[Wire, Node])
    used: dict[Symbol, None] = field(default_factory=dict[Symbol, None])
    locals: dict[Symbol, str] = field(default_factory=dict[Symbol, str])
    blocks: tuple[Block, ...] = ()
    wide: str = ""
    indices: dict[Axis, Node] = field(default_factory=dict[Axis, Node])
    labels: dict[Wire, str] = field(default_factory=dict[Wire, str])
    remarks: dict[Wire, str] = field(default_factory=dict[Wire, str])
    inputs: dict[Wire, str] = field(default_factory=dict[Wire, str])
    index_uses: dict[Axis, int] = field(default_factory=dict[Axis, int])
    uses: dict[Wire, int] = field(default_factory=dict[Wire, int])
    before: list[Line] | None = None
    whole: bool = False
    may_lack_batch: bool = False
    fixed: frozenset[Symbol] = frozenset()
    made: set[str] = field(default_factory=set[str])
    stacks: dict[Edge, list[Edge]] = field(default_factory=dict[Edge, list[Edge]])
    scope: Scope = field(init=False)
    reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        plan, owner = self.plan, self.owner
        # What a caller gives with every call comes under the name that the class has for it.
        self.locals = {s: owner.built_size(s).removeprefix("self.") for s in plan.late}
        self.scope = local_scope((*owner.taken(), *self.locals.values(), "layer"))
        self.inputs = {w: self.scope.claim(w.name) for w in self.plan.graph.inputs}
        for solution in plan.layout.solved:
            self.locals[solution.symbol] = self.scope.claim(solution.symbol.name)
        self.fixed = frozenset(plan.built) - frozenset(owner.deferred)
        self.reader = Reader(self, self.value, self.plan.equal)
        for wire, name in self.inputs.items():
            self.values[wire] = Fixed(Code(name), wire.type.axes, True, domain_of(wire.type.kind))
        for learned in self.plan.graph.learned:
            wire = learned.wire
            code = Code(self.owner.parameter(wire))
            self.values[wire] = Fixed(code, wire.type.axes, False, domain_of(wire.type.kind))
        self.index_uses = index_uses(plan)
        self.uses = dict(plan.uses)
        self.stacks = find_stacks(plan.graph, plan.live, plan.uses)

    # ---- the Writer -----------------------------------------------------------------------------

    def size(self, size: Size) -> Code:
        """A size as an expression; the unknowns that it uses become local variables."""
        return size_code(size, self.symbol)

    def symbol(self, symbol: Symbol) -> Code:
        """An unknown size: an attribute if it is built in, else a local variable."""
        if symbol in self.fixed:
            return Code(self.owner.built_size(symbol))
        self.used[symbol] = None
        if symbol not in self.locals:
            self.locals[symbol] = self.scope.claim(symbol.name)
        return Code(self.locals[symbol])

    def new_symbol(self, name: str) -> Symbol:
        """A number that is a local variable of the method."""
        symbol = Symbol(name, -1 - len(self.locals))
        self.locals[symbol] = self.scope.claim_numbered(name)
        return symbol

    def index(self, axis: Axis) -> Code:
        """`arange` along an axis; a variable if it is used more than once."""
        if axis in self.indices:
            return render(self, self.indices[axis], (axis,))
        code = Code(f"torch.arange({self.size(axis.size).text}, device={self.device()})")
        if self.before is None and self.index_uses.get(axis, 0) < 2:
            return code
        name = self.scope.claim(f"{axis.name}_index")
        lines = self.lines if self.before is None else self.before
        lines.append(Line(f"{name} = {code.text}", f"[{axis}]", self.blocks))
        self.indices[axis] = Fixed(Code(name), (axis,), False, "integer")
        return Code(name)

    def told(self, wire: Wire) -> str:
        """How the only read of an input names it, to say when it leaves its bound."""
        return "" if self.whole or self.blocks else told(self.plan, wire)

    def dtype(self, domain: Domain) -> str:
        """The dtype of a domain; `wide` is a local variable of that name."""
        match domain:
            case "integer":
                return "torch.int64"
            case "boolean":
                return "torch.bool"
            case "wide":
                if not self.wide:
                    self.wide = self.scope.claim("wide")
                return self.wide
            case "real":
                return f"{self.real_tensor()}.dtype"
            case "complex":
                return f"{self.real_tensor()}.dtype.to_complex()"
            case _:
                return f"torch.{FORMATS[domain]}"

    def real_tensor(self) -> str:
        """A tensor whose dtype is the one of the module's reals."""
        for wire in (*self.inputs, *(p.wire for p in self.plan.graph.learned)):
            kind = wire.type.kind
            if kind.name == "real" and kind.format is None:
                return self.inputs.get(wire) or self.owner.parameter(wire)
        return self.owner.anchor()

    def device(self) -> str:
        """The device of the first input, else of a parameter."""
        first = next(iter(self.inputs.values()), None)
        return f"{first or self.real_tensor()}.device"

    def helper(self, name: str) -> str:
        """A helper function of the module."""
        return self.owner.helper(name)

    @contextmanager
    def as_whole(self) -> Iterator[None]:
        """Inside, expressions are written whole: what is not evaluated stays so."""
        outer, self.whole = self.whole, True
        self.may_lack_batch = True
        try:
            yield
        finally:
            self.whole = outer

    def variable(self, code: Code, axes: Axes, hint: str) -> str:
        """A local variable for a part of an expression."""
        name = self.scope.claim_numbered(hint)
        self.lines.append(Line(f"{name} = {code.text}", f"[{names_of(axes)}]", self.blocks))
        return name

    # ---- wires ----------------------------------------------------------------------------------

    def value(self, wire: Wire) -> Node:
        """The node of a wire that was made before."""
        return self.values[wire]

    def edge(self, edge: Edge) -> None:
        """Add what makes the outputs of an edge."""
        self.blocks = edge.blocks
        fusion = self.plan.fusions.get(edge)
        if fusion is not None:
            node = fusion_node(self, self.reader, fusion)
            self._made(edge.outputs[0].wire, node, fused=self.plan.fused[edge])
            return
        if any(edge in edges[1:] for edges in self.stacks.values()):
            return
        if isinstance(edge.operator, Library) and not is_native(edge):
            self._call(edge)
            return
        if isinstance(edge.operator, Scan):
            self.may_lack_batch = True
            Loop(self, edge).write()
            return
        wire = edge.outputs[0].wire
        if isinstance(edge.operator, Scattering):
            written = scattering(self, self.reader, edge, self.plan.diagram)
            before = () if edge.operator.is_first else (self.remarks.get(edge.inputs[1].wire, ""),)
            said = filter(None, (*before, written.remark))
            self.remarks[wire] = "; ".join(dict.fromkeys(said))
            self._made(wire, written.node, composites(wire), remark=self.remarks[wire])
            return
        reads = [reading(edge, operand) for operand in edge.inputs[: operand_count(edge)]]
        tiled = [a for a, t in zip(wire.type.axes, edge.outputs[0].weave, strict=True) if not t]
        reads, whole = regroup(reads, tiled, self.plan.equal)
        nodes = [self.reader.read(read) for read in reads]
        self._made(wire, self._node(edge, nodes), frozenset(whole))

    def _node(self, edge: Edge, nodes: list[Node]) -> Node:
        operator, wire = edge.operator, edge.outputs[0].wire
        kind = computed(wire.type.kind)
        match operator:
            case Pointwise():
                return elementwise(self, operator.name, wire.type.kind, nodes)
            case Number():
                return self._number(operator, wire)
            case Iota():
                return Index(edge.degree[0])
            case Reindex():
                return self._promised(edge, nodes[0])
            case Contraction():
                return operators.contraction(self, operator, kind, computable(self, nodes))
            case Reduction():
                return operators.reduction(self, operator, kind, *computable(self, nodes))
            case Library():
                return operators.library(self, edge, computable(self, nodes), self.plan)
            case Scattering() | Scan():
                raise AssertionError
            case _:
                assert_never(operator)

    def _promised(self, edge: Edge, node: Node) -> Node:
        """What is read; integers that go by naturals below a bound are looked at."""
        source, wire = edge.inputs[0].wire, edge.outputs[0].wire
        bound = wire.type.kind.bound
        if bound is None or source.type.kind.bound is not None or isinstance(node, Scalar):
            return node
        options = (self.size(bound).text, quoted(f"an entry of {source.name}"))
        helper = self.helper("_inside")
        return mapped(lambda codes: call(helper, codes[0].text, *options), (node,), "integer")

    def _number(self, operator: Number, wire: Wire) -> Node:
        domain = domain_of(wire.type.kind)
        value = operator.value
        if isinstance(value, Size):
            if value.value is None:
                return Scalar(self.size(value), None, domain)
            value = value.value
        if is_real(domain):
            value = float(value)
        return Scalar(number(value), value, domain)

    def _made(
        self,
        wire: Wire,
        node: Node,
        whole: frozenset[Axis] = frozenset(),
        fused: tuple[Wire, ...] = (),
        remark: str = "",
    ) -> None:
        """Keep the value of a wire: as an expression where it is read once, else as a variable."""
        self.labels[wire] = label_of(wire, fused, remark)
        kind = wire.type.kind
        if kind.name in ("real", "complex") and node.domain == "integer":
            node = pointwise(self, "real", REAL, [node])
        domain = domain_of(kind)
        if not (is_inner(wire) and domain in HELD):
            node = kept(self, node, domain)
        order = order_of(wire, whole.union(node.axes))
        plain = order == wire.type.axes
        uses = self.uses.get(wire, 0)
        results = self.plan.graph.outputs.count(wire)
        if isinstance(node, Scalar) and not results:
            self._scalar(wire, node)
        elif plain and isinstance(node, Fixed) and node.axes == order and self._is_local(node):
            self.values[wire] = node
        elif uses == 0 and len(self.plan.graph.outputs) == 1:
            self.values[wire] = node if plain else self._flat(wire, node, order)
        elif plain and not results and wire.name.startswith("_") and (uses == 1 or is_cheap(node)):
            self.values[wire] = node
        else:
            self._define(wire, node, order)

    def _is_local(self, node: Fixed) -> bool:
        """Whether the value is a variable that was made for it."""
        return node.code.text in self.made

    def _scalar(self, wire: Wire, node: Scalar) -> None:
        """A plain number: a variable of its own if it has a name and is more than a literal."""
        if node.value is None and not wire.name.startswith("_"):
            name = self.scope.claim(wire.name)
            self.lines.append(Line(f"{name} = {node.code.text}", "", self.blocks))
            node = Scalar(Code(name), None, node.domain)
        self.values[wire] = node

    def _define(self, wire: Wire, node: Node, order: Axes) -> None:
        flat = self._flat(wire, node, order)
        name = self.scope.claim(wire.name) if wire.name[0] != "_" else self._unnamed(node)
        self.lines.append(Line(f"{name} = {flat.code.text}", self.labels[wire], self.blocks))
        self.values[wire] = replace(flat, code=Code(name), is_own=False)

    def _flat(self, wire: Wire, node: Node, order: Axes) -> Fixed:
        """The value with exactly the wire's axes, composite ones flattened."""
        if isinstance(node, Converted):
            node = cast(self, node, "wide")
        code = flattened(full(self, node, order), wire.type.axes, order)
        return Fixed(code, wire.type.axes, node.batched, node.domain)

    def _unnamed(self, node: Node) -> str:
        return self.scope.claim_numbered("mask" if node.domain == "boolean" else "t")

    def _call(self, edge: Edge) -> None:
        """A call of a submodule."""
        operator = edge.operator
        assert isinstance(operator, Library)
        nodes = [self.reader.read(reading(edge, operand)) for operand in edge.inputs]
        texts, batched = operators.call_arguments(self, edge, nodes)
        for name, size in self.owner.late_sizes(operator):
            texts.append(f"{name}={self.size(size).text}")
        if edge in self.stacks:
            self._stack(self.stacks[edge], texts, batched)
            return
        made = call(self.owner.submodule(operator), *texts)
        if len(edge.outputs) == 1:
            self._result(edge, made, batched)
        else:
            self._results(edge, made, batched)

    def _result(self, edge: Edge, code: Code, batched: bool) -> None:
        wire = edge.outputs[0].wire
        axes = operators.result_axes(edge, 0)
        node = Fixed(code, axes, batched, domain_of(wire.type.kind))
        self._made(wire, node, composites(wire))

    def _results(self, edge: Edge, code: Code, batched: bool) -> None:
        """Several results are unpacked first; those in another order get a line of their own."""
        names: list[str] = []
        moved: list[tuple[Wire, Node]] = []
        for i, result in enumerate(edge.outputs):
            wire, axes = result.wire, operators.result_axes(edge, i)
            same = axes == wire.type.axes and wire.name[0] != "_"
            name = self.scope.claim(wire.name) if same else self.scope.claim_numbered("t")
            names.append(name)
            node = Fixed(Code(name), axes, batched, domain_of(wire.type.kind))
            self.values[wire] = node
            self.labels[wire] = label_of(wire)
            if axes != wire.type.axes:
                moved.append((wire, node))
        labels = ", ".join(self.labels[result.wire] for result in edge.outputs)
        self.lines.append(Line(f"{', '.join(names)} = {code.text}", labels, self.blocks))
        for wire, node in moved:
            self._made(wire, node, composites(wire))

    def _stack(self, edges: list[Edge], texts: list[str], batched: bool) -> None:
        """A whole stack as a loop."""
        first, last = edges[0].operator, edges[-1]
        assert isinstance(first, Library)
        wire = last.outputs[0].wire
        plain = wire.name[0] != "_" and operators.result_axes(last, 0) == wire.type.axes
        name = self.scope.claim(wire.name) if plain else self.scope.claim_numbered("t")
        stack = self.owner.submodule(first).removesuffix("[0]")
        step = call("layer", name, *texts[1:])
        self.lines.append(Line(f"{name} = {texts[0]}", "", self.blocks))
        self.lines.append(Line(f"for layer in {stack}:", "", self.blocks))
        self.lines.append(Line(f"{name} = {step.text}", label_of(wire), self.blocks, 1))
        self.made.add(name)
        self._result(last, Code(name), batched)

    # ---- the end --------------------------------------------------------------------------------

    def results(self) -> None:
        """The return statement: every result in full, with all batch axes of the inputs."""
        outputs = self.plan.graph.outputs
        codes: list[str] = []
        for wire in outputs:
            node = self.values[wire]
            node = in_format(self, node, domain_of(wire.type.kind))
            code = full(self, node, wire.type.axes)
            codes.append(self._spread(wire, code).text)
        text = ", ".join(codes)
        plain = all(code.isidentifier() for code in codes)
        remark = "" if plain else ", ".join(self._said_of(wire) for wire in outputs)
        self.lines.append(Line(f"return {text}", remark, () if plain else self.blocks))

    def _said_of(self, wire: Wire) -> str:
        """The label of a result; how it was made has been said where a variable holds it."""
        node = self.values[wire]
        is_held = isinstance(node, Fixed) and node.code.text.isidentifier()
        return label_of(wire) if is_held else self.labels.get(wire, label_of(wire))

    def _spread(self, wire: Wire, code: Code) -> Code:
        """Batch axes of inputs that a result does not depend on."""
        inputs = self.plan.graph.inputs
        if self._sources(wire) >= frozenset(inputs) and not self.may_lack_batch:
            return code
        shapes = [f"({self.inputs[w]}, {len(w.type.axes)})" for w in inputs]
        helper = self.helper("_spread")
        return Code(f"{helper}({code.text}, {len(wire.type.axes)}, {', '.join(shapes)})")

    def _sources(self, wire: Wire) -> frozenset[Wire]:
        """The inputs whose batch axes a wire has."""
        found: set[Wire] = set()
        needed = {wire}
        for edge in reversed(self.plan.live):
            if any(result.wire in needed for result in edge.outputs):
                fusion = self.plan.fusions.get(edge)
                needed.update(fusion.wires() if fusion else (o.wire for o in edge.inputs))
        found.update(w for w in self.plan.graph.inputs if w in needed)
        return frozenset(found)

    def mentions(self, name: str) -> bool:
        """Whether a statement uses a local variable; what asked for it may have been dropped."""
        code = (re.sub(r'"[^"]*"', "", line.text) for line in self.lines)
        return any(re.search(rf"(?<![\w.]){name}\b", text) for text in code)

    def body(self) -> list[str]:
        """The statements as lines, with a comment where a block begins."""
        return listing(self.lines)


def write_body(plan: Plan, owner: Owner) -> Method:
    """Run through the live edges of a plan."""
    method = Method(plan, owner)
    for edge in plan.live:
        method.edge(edge)
    method.results()
    return method
