"""What the names of a file refer to: read off the surface tree, so a broken file has names too.

Within a diagram a name means one thing: something that the diagram binds itself, or what the file
means by it. A file's names are its declarations and what it uses from other files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

from ncdlang.records import field, record
from ncdlang.source import Source, Span
from ncdlang.syntax import tree
from ncdlang.syntax.parser import Parsed

Kind: TypeAlias = Literal[
    "axis", "wire", "parameter", "setting", "const", "diagram", "op", "module", "config", "instance"
]
Resolve: TypeAlias = Callable[[Source, tuple[str, ...]], "FileNames | None"]


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


class FileNames:
    """All names of one file and what they refer to."""

    def __init__(self, source: Source, parsed: Parsed, resolve: Resolve) -> None:
        self.source = source
        self.file = parsed.file
        self.symbols: dict[str, Symbol] = {}
        self.local: dict[str, dict[str, Symbol]] = {}
        self.modules: dict[str, FileNames] = {}
        self.occurrences: list[Occurrence] = []
        self._resolve = resolve
        self._resolved: dict[tuple[str, ...], FileNames | None] = {}
        self._declare()
        bodies = [_Body(self, each) for each in map(_as_diagram, self._diagrams())]
        for body in bodies:
            body.bind()
        for body in bodies:
            body.walk()
        for declared in self.file.declarations:
            self._walk(declared)

    def at(self, offset: int) -> Occurrence | None:
        """The name at an offset, or right before it."""
        best: Occurrence | None = None
        for each in self.occurrences:
            if each.span.start <= offset <= each.span.end:
                if best is None or len(each.span.text) < len(best.span.text):
                    best = each
        return best

    def find(self, name: str, owner: str = "") -> Symbol | None:
        """What a name refers to in a diagram, or in the file."""
        return self.local.get(owner, {}).get(name) or self.symbols.get(name)

    def module_of(self, use: tree.Use) -> FileNames | None:
        """The names of a file that this one uses; None where it can't be found."""
        path = tuple(part.text for part in use.path)
        if path not in self._resolved:
            self._resolved[path] = self._resolve(self.source, path)
        return self._resolved[path]

    # ---- declarations --------------------------------------------------------------------------

    def _declare(self) -> None:
        for declared in self.file.declarations:
            match declared:
                case tree.Diagram():
                    self._define(declared.name, "diagram", declared.doc)
                case tree.Op():
                    self._define(declared.name, "op", declared.doc)
                case tree.Const():
                    self._define(declared.name, "const", declared.doc)
                case tree.AxisStatement():
                    for item in declared.items:
                        self._define(item.name, "axis", declared.doc)
                case tree.Use():
                    self._use(declared)
                case tree.Config() | tree.Assert():
                    pass

    def _define(self, name: tree.Name, kind: Kind, doc: str = "") -> None:
        made = Symbol(self.source.name, "", name.text, kind, name.span, doc)
        self.symbols.setdefault(name.text, made)
        self._add(name.span, self.symbols[name.text], defines=self.symbols[name.text] is made)

    def _use(self, use: tree.Use) -> None:
        module = self.module_of(use)
        if use.names is None:
            alias = use.alias or use.path[-1]
            if module is not None:
                self.modules[alias.text] = module
            if use.alias is not None:
                self._define(alias, "module")
            else:
                self._module(use, module)
                self.symbols.setdefault(alias.text, self._module_symbol(alias, module))
            if use.alias is not None:
                self._module(use, module)
            return
        self._module(use, module)
        for name, alias in use.names:
            found = module.symbols.get(name.text) if module is not None else None
            if found is not None:
                self._add(name.span, found)
            if alias is not None:
                self._define(alias, found.kind if found else "diagram", found.doc if found else "")
            elif found is not None:
                self.symbols.setdefault(name.text, found)

    def _module_symbol(self, name: tree.Name, module: FileNames | None) -> Symbol:
        if module is None:
            return Symbol(self.source.name, "", name.text, "module", name.span)
        return Symbol(module.source.name, "", "", "module", Span(module.source, 0, 0))

    def _module(self, use: tree.Use, module: FileNames | None) -> None:
        if module is not None:
            span = use.path[0].span.to(use.path[-1].span)
            self._add(span, self._module_symbol(use.path[-1], module))

    def _add(self, span: Span, symbol: Symbol, *, defines: bool = False) -> None:
        self.occurrences.append(Occurrence(span, symbol, defines))

    # ---- uses ----------------------------------------------------------------------------------

    def _walk(self, declared: tree.Declared) -> None:
        match declared:
            case tree.Const():
                self.expression(declared.value, "")
            case tree.AxisStatement():
                for item in declared.items:
                    if item.size is not None:
                        self.expression(item.size, "")
            case tree.Config():
                for name, value in declared.settings:
                    self._setting(name)
                    self.expression(value, "")
            case tree.Assert():
                self.expression(declared.condition, "")
            case tree.Use() | tree.Diagram() | tree.Op():
                pass

    def _setting(self, name: tree.Name) -> None:
        """A config sets an axis or const of the file, or of the one diagram that has it."""
        found = self.symbols.get(name.text)
        owners = [table[name.text] for table in self.local.values() if name.text in table]
        if found is not None:
            self._add(name.span, found)
        elif len(owners) == 1:
            self._add(name.span, owners[0])

    def expression(self, expr: tree.Expr | tree.Pack, owner: str) -> None:
        """Note every name in an expression."""
        for node in nodes_of(expr):
            match node:
                case tree.Name():
                    self.name(node, owner)
                case tree.Bracketed(head=tree.Name() as head, brackets=brackets):
                    for slot in (*brackets.slots, *(brackets.arrow or ())):
                        if slot.name is not None:
                            self._named_slot(head, slot.name, owner)
                case _:
                    pass

    def name(self, name: tree.Name, owner: str) -> None:
        """Note a name where it is used."""
        if "." in name.text:
            self._dotted(name)
            return
        found = self.find(name.text, owner)
        if found is not None:
            self._add(name.span, found, defines=found.span == name.span)

    def _dotted(self, name: tree.Name) -> None:
        prefix, _, last = name.text.partition(".")
        written = name.span.text
        dot = written.find(".")
        if dot < 0:
            return
        start = name.span.start
        first = Span(self.source, start, start + len(written[:dot].rstrip()))
        begin = start + len(written) - len(written[dot + 1 :].lstrip())
        if prefix in self.symbols:
            self._add(first, self.symbols[prefix])
        module = self.modules.get(prefix)
        found = module.symbols.get(last) if module is not None else None
        if found is not None:
            self._add(Span(self.source, begin, name.span.end), found)

    def _named_slot(self, head: tree.Name, name: tree.Name, owner: str) -> None:
        callee = self.callee(head.text, owner)
        if callee is None:
            return
        names, diagram = callee
        found = names.local.get(diagram, {}).get(name.text)
        if found is not None:
            self._add(name.span, found)

    def callee(self, name: str, owner: str) -> tuple[FileNames, str] | None:
        """The file and the name of the diagram that a name refers to."""
        prefix, dot, last = name.partition(".")
        if dot:
            module = self.modules.get(prefix)
            return module.callee(last, "") if module is not None else None
        found = self.find(name, owner)
        if found is None or found.kind not in ("diagram", "op"):
            return None
        if found.file == self.source.name:
            if any(each.name.text == name for each in self._diagrams()):
                return self, name
            return self._aliased(name)
        for use in self._uses():
            module = self.module_of(use)
            if module is not None and module.symbols.get(found.name) == found:
                return module.callee(found.name, "")
        return None

    def _aliased(self, name: str) -> tuple[FileNames, str] | None:
        for use in self._uses():
            for original, alias in use.names or ():
                if alias is not None and alias.text == name:
                    module = self.module_of(use)
                    return module.callee(original.text, "") if module is not None else None
        return None

    def used(self) -> Iterator[FileNames]:
        """The files that this one uses."""
        for use in self._uses():
            module = self.module_of(use)
            if module is not None:
                yield module

    def target(self, symbol: Symbol) -> Symbol:
        """What an alias stands for, the symbol itself if it is none."""
        if symbol.file == self.source.name and not symbol.owner:
            found = self._aliased(symbol.name)
            if found is not None and not any(d.name.text == symbol.name for d in self._diagrams()):
                return found[0].symbols.get(found[1], symbol)
            module = self.modules.get(symbol.name)
            if symbol.kind == "module" and module is not None:
                return Symbol(module.source.name, "", "", "module", Span(module.source, 0, 0))
        return symbol

    def _uses(self) -> Iterator[tree.Use]:
        return (each for each in self.file.declarations if isinstance(each, tree.Use))

    def _diagrams(self) -> Iterator[tree.Diagram | tree.Op]:
        return (d for d in self.file.declarations if isinstance(d, (tree.Diagram, tree.Op)))


def _as_diagram(declared: tree.Diagram | tree.Op) -> tree.Diagram:
    """An operator as a diagram without a body."""
    if isinstance(declared, tree.Diagram):
        return declared
    name, formals, doc, span = declared.name, declared.formals, declared.doc, declared.span
    inputs = tuple(tree.Parameter(None, item, item.span) for item in declared.parameters)
    return tree.Diagram(name, formals, inputs, declared.result, (), None, doc, span, span)


class _Body:
    """The names that one diagram binds, and those that it uses."""

    def __init__(self, names: FileNames, diagram: tree.Diagram) -> None:
        self._names = names
        self._diagram = diagram
        self._owner = diagram.name.text
        self._table: dict[str, Symbol] = {}

    def bind(self) -> None:
        """Note what the diagram gives a name."""
        self._signature()
        self._bind_statements(self._diagram.body or ())
        self._names.local.setdefault(self._owner, self._table)

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
