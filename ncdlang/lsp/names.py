"""What the names of a file refer to: read off the surface tree, so a broken file has names too.

Within a diagram a name means one thing: something that the diagram binds itself, or what the file
means by it. A file's names are its declarations and what it uses from other files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from ncdlang.lsp.bodies import Body, Kind, Occurrence, Symbol, nodes_of
from ncdlang.source import Source, Span
from ncdlang.syntax import tree
from ncdlang.syntax.parser import Parsed

Resolve: TypeAlias = Callable[[Source, tuple[str, ...]], "FileNames | None"]


class FileNames:
    """All names of one file and what they refer to."""

    def __init__(self, source: Source, parsed: Parsed, resolve: Resolve) -> None:
        self.source = source
        self.file = parsed.file
        self.symbols: dict[str, Symbol] = {}
        self.modules: dict[str, FileNames] = {}
        self._found: list[Occurrence] = []
        self._tables: dict[str, dict[str, Symbol]] = {}
        self._walked: dict[int, list[Occurrence]] = {}
        self._resolve = resolve
        self._resolved: dict[tuple[str, ...], FileNames | None] = {}
        self._bodies: dict[str, tree.Diagram | tree.Op] = {}
        for each in self._diagrams():
            self._bodies.setdefault(each.name.text, each)
        self._declare()
        self._declared = self._found

    @property
    def occurrences(self) -> list[Occurrence]:
        """Every place of the file that names something."""
        inside = (found for declared in self.file.declarations for found in self._inside(declared))
        return [*self._declared, *inside]

    def local(self, owner: str) -> dict[str, Symbol]:
        """The names that a diagram binds itself."""
        if owner not in self._tables:
            declared = self._bodies.get(owner)
            self._tables[owner] = {}
            if declared is not None:
                self._tables[owner] = Body(self, _as_diagram(declared)).bound()
        return self._tables[owner]

    def locals(self) -> Iterator[tuple[str, dict[str, Symbol]]]:
        """The names that each diagram binds itself."""
        return ((owner, self.local(owner)) for owner in self._bodies)

    def at(self, offset: int) -> Occurrence | None:
        """The name at an offset, or right before it; of several the shortest."""
        near = [each for each in self._declared if each.span.start <= offset <= each.span.end]
        for declared in self.file.declarations:
            if declared.span.start <= offset <= declared.span.end:
                inside = self._inside(declared)
                near += [each for each in inside if each.span.start <= offset <= each.span.end]
        return min(near, key=lambda each: each.span.end - each.span.start, default=None)

    def _inside(self, declared: tree.Declared) -> list[Occurrence]:
        """The names in a declaration, apart from what it defines for the file."""
        start = declared.span.start
        if start not in self._walked:
            self._found = self._walked[start] = []
            if isinstance(declared, (tree.Diagram, tree.Op)):
                Body(self, _as_diagram(declared)).walk()
            else:
                self._walk(declared)
        return self._walked[start]

    def find(self, name: str, owner: str = "") -> Symbol | None:
        """What a name refers to in a diagram, or in the file."""
        return self.local(owner).get(name) or self.symbols.get(name)

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
        self._found.append(Occurrence(span, symbol, defines))

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
                self._add(declared.name.span, self._config(declared), defines=True)
                for name, value in declared.settings:
                    self._setting(name)
                    self.expression(value, "")
            case tree.Assert():
                self.expression(declared.condition, "")
            case tree.Use() | tree.Diagram() | tree.Op():
                pass

    def _config(self, declared: tree.Config) -> Symbol:
        name = declared.name
        return Symbol(self.source.name, "", name.text, "config", name.span, declared.doc)

    def _setting(self, name: tree.Name) -> None:
        """A config sets an axis or const of the file, or of the one diagram that has it free, or of
        the one that has it at all."""
        found = self.symbols.get(name.text)
        owners = [owner for owner, table in self.locals() if name.text in table]
        free = [owner for owner in owners if name.text in _formals(self._bodies[owner])]
        if found is not None:
            self._add(name.span, found)
        elif len(free or owners) == 1:
            self._add(name.span, self.local((free or owners)[0])[name.text])

    def set_by(self, symbol: Symbol) -> str:
        """The config that sets it for several diagrams that have it free; empty if none does."""
        owners = [o for o, each in self._bodies.items() if symbol.name in _formals(each)]
        if symbol.owner not in owners or len(owners) == 1 or symbol.name in self.symbols:
            return ""
        for declared in self.file.declarations:
            if isinstance(declared, tree.Config):
                if any(name.text == symbol.name for name, _ in declared.settings):
                    return declared.name.text
        return ""

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
        found = names.local(diagram).get(name.text)
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
            if name in self._bodies:
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
            if found is not None and symbol.name not in self._bodies:
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


def _formals(declared: tree.Diagram | tree.Op) -> set[str]:
    """The names in the brackets of a header."""
    entries = declared.formals.entries if declared.formals is not None else ()
    return {each.name.text for each in entries if isinstance(each.name, tree.Name)}
