"""The names of one diagram: what it binds itself, and where it names what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypeAlias

from ncdlang.records import field, record
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.lsp.names import FileNames

Kind: TypeAlias = Literal[
    "axis", "wire", "parameter", "setting", "const", "diagram", "op", "module", "config", "instance"
]


@record
class Symbol:
    """Something that has a name: in a diagram (`owner` is its name) or in the file.

    Two symbols are the same by file, owner and name.
    """

    file: str
    owner: str
    name: str
    kind: Kind = field(compare=False)
    span: Span = field(compare=False, repr=False)
    doc: str = field(compare=False, repr=False, default="")


@record
class Occurrence:
    """A place where a symbol is named; `defines` says that it is its definition."""

    span: Span
    symbol: Symbol
    defines: bool = False


class Body:
    """The names that one diagram binds, and those that it uses."""

    def __init__(self, names: FileNames, diagram: tree.Diagram) -> None:
        self._names = names
        self._diagram = diagram
        self._owner = diagram.name.text
        self._table: dict[str, Symbol] = {}

    def bound(self) -> dict[str, Symbol]:
        """What the diagram gives a name."""
        self._signature()
        self._bind_statements(self._diagram.body or ())
        return self._table

    def walk(self) -> None:
        """Note all names of the diagram."""
        names, diagram = self._names, self._diagram
        for axis in self._signature_names():
            names.name(axis, self._owner)
        for statement in diagram.body or ():
            self._statement(statement)
        if diagram.pipeline is not None:
            names.expression(diagram.pipeline, self._owner)

    # ---- binding ----

    def _bind(self, name: tree.Name, kind: Kind) -> None:
        if name.text != "_" and "." not in name.text and name.text not in self._table:
            source = self._names.source.name
            self._table[name.text] = Symbol(source, self._owner, name.text, kind, name.span)

    def _bind_axis(self, name: tree.Name) -> None:
        known = self._names.symbols.get(name.text)
        if known is None or known.kind != "axis":
            self._bind(name, "axis")

    def _signature(self) -> None:
        formals = self._diagram.formals
        for entry in (*formals.entries, *(formals.arrow or ())) if formals is not None else ():
            if isinstance(entry.name, tree.Name):
                if entry.is_const:
                    self._bind(entry.name, "setting")
                else:
                    self._bind_axis(entry.name)
        for parameter in self._diagram.parameters:
            if parameter.name is not None:
                self._bind(parameter.name, "parameter")
        for parameter in self._diagram.parameters:
            for axis in _type_names(parameter.type):
                self._bind_axis(axis)
        for axis in _type_names(self._diagram.result):
            self._bind_axis(axis)

    def _bind_statements(self, statements: tuple[tree.Statement, ...]) -> None:
        for statement in statements:
            match statement:
                case tree.Equation() | tree.Return():
                    for target in statement.targets:
                        self._bind(target.name, "wire")
                case tree.Learn():
                    kind: Kind = "wire" if _is_type(statement.spec) else "instance"
                    for name in statement.names:
                        self._bind(name, kind)
                case tree.AxisStatement():
                    for item in statement.items:
                        self._bind(item.name, "axis")
                case tree.Declaration():
                    self._bind(statement.name, "wire")
                case tree.Block():
                    self._bind_statements(statement.body)
                case tree.Assert():
                    pass
        for statement in statements:
            if isinstance(statement, (tree.Equation, tree.Return)):
                for target in statement.targets:
                    self._bind_new_axes(target)

    def _bind_new_axes(self, target: tree.Target) -> None:
        """Axes that a left-hand side names for the first time."""
        if target.brackets is None:
            return
        for slot in target.brackets.slots:
            for item in slot.items:
                for name in item.names if isinstance(item, tree.Composite) else (item,):
                    if isinstance(name, tree.Name):
                        self._bind_axis(name)

    def _signature_names(self) -> Iterator[tree.Name]:
        formals = self._diagram.formals
        for entry in (*formals.entries, *(formals.arrow or ())) if formals is not None else ():
            if isinstance(entry.name, tree.Name):
                yield entry.name
            if entry.default is not None:
                self._names.expression(entry.default, self._owner)
        for parameter in self._diagram.parameters:
            if parameter.name is not None:
                yield parameter.name
            yield from _type_names(parameter.type)
        yield from _type_names(self._diagram.result)

    # ---- uses ----

    def _statement(self, statement: tree.Statement) -> None:
        names, owner = self._names, self._owner
        match statement:
            case tree.Equation():
                self._targets(statement.targets)
                names.expression(statement.value, owner)
            case tree.Return():
                self._targets(statement.targets)
                for value in statement.values:
                    names.expression(value, owner)
            case tree.Learn():
                for name in statement.names:
                    names.name(name, owner)
                if isinstance(statement.spec, (tree.ArrayTypeExpr, tree.TupleTypeExpr)):
                    self._type(statement.spec)
                else:
                    names.expression(statement.spec, owner)
            case tree.AxisStatement():
                for item in statement.items:
                    names.name(item.name, owner)
                    if item.size is not None:
                        names.expression(item.size, owner)
            case tree.Declaration():
                names.name(statement.name, owner)
                self._type(statement.type)
            case tree.Assert():
                names.expression(statement.condition, owner)
            case tree.Block():
                for inner in statement.body:
                    self._statement(inner)

    def _type(self, written: tree.TypeExpr) -> None:
        for name in _type_names(written):
            self._names.name(name, self._owner)

    def _targets(self, targets: tuple[tree.Target, ...]) -> None:
        for target in targets:
            self._names.name(target.name, self._owner)
            if target.brackets is not None:
                for slot in target.brackets.slots:
                    for item in slot.items:
                        self._names.expression(item, self._owner)


def _is_type(spec: tree.TypeExpr | tree.Expr) -> bool:
    return isinstance(spec, (tree.ArrayTypeExpr, tree.TupleTypeExpr))


def _type_names(written: tree.TypeExpr) -> Iterator[tree.Name]:
    """The names of axes in a type."""
    if isinstance(written, tree.TupleTypeExpr):
        for item in written.items:
            yield from _type_names(item)
        return
    for slot in written.axes.slots:
        for item in slot.items:
            yield from (n for n in nodes_of(item) if isinstance(n, tree.Name))
    if written.bound is not None:
        yield from (n for n in nodes_of(written.bound) if isinstance(n, tree.Name))


def nodes_of(expr: tree.Expr | tree.Pack) -> Iterator[tree.Expr | tree.Pack]:
    """An expression and everything in it, functions and bracket entries included."""
    stack: list[tree.Expr | tree.Pack] = [expr]
    while stack:
        node = stack.pop()
        yield node
        match node:
            case tree.Unary():
                stack.append(node.operand)
            case tree.Binary():
                stack += (node.left, node.right)
            case tree.SizeOf():
                stack.append(node.axis)
            case tree.Bracketed():
                stack.append(node.head)
                for slot in (*node.brackets.slots, *(node.brackets.arrow or ())):
                    stack += slot.items
            case tree.Call():
                stack.append(node.function)
                stack += node.arguments
            case tree.Group():
                stack.append(node.inner)
            case tree.TupleExpr():
                stack += node.items
            case tree.Composite():
                stack += node.names
            case tree.BlockExpr():
                stack.append(node.body)
            case tree.Name() | tree.Number() | tree.String() | tree.Pack():
                pass
