"""One file: its declarations, what it uses from others, and the checked forms of its diagrams."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar, overload

from ncdlang.diagnostics import Label, Sink
from ncdlang.semantics.assertions import Assertion, assert_in_file
from ncdlang.semantics.binding import InstanceKey, Template, is_complete, needs_settings
from ncdlang.semantics.body import Body
from ncdlang.semantics.compilation import PRELUDE, Compilation
from ncdlang.semantics.configs import Configs
from ncdlang.semantics.memory import FileMemory, Outcome, Use
from ncdlang.semantics.numbers import check_size, evaluate
from ncdlang.semantics.order import callees_first, named
from ncdlang.semantics.outcomes import at_use, outcome_of
from ncdlang.semantics.program import CheckedDiagram, Claim
from ncdlang.semantics.proofs import Symmetry, prove
from ncdlang.semantics.remedies import is_commoner
from ncdlang.semantics.report import Reported, Reporter, listed, rename
from ncdlang.semantics.scope import Broken, DiagramRef, Meaning, Scope, closest
from ncdlang.semantics.size import Size, TooComplexError, constant
from ncdlang.semantics.types import Axis
from ncdlang.source import Source, Span
from ncdlang.syntax import tree

T = TypeVar("T")
PROPERTIES = ("linear", "elementwise", "monotone", "random", "stateful", "pictogram")


class ModuleChecker(Reporter):
    """The names of one file, and its diagrams checked on demand."""

    def __init__(self, compilation: Compilation, source: Source, library: str = "") -> None:
        super().__init__(Sink())
        self.compilation = compilation
        self.source = source
        self.library = library
        self.packs: dict[str, tuple[Axis, ...]] = {}
        parsed = compilation.parsed(source)
        self.tree = parsed.file
        self.memory: FileMemory | None = None
        if compilation.memory is not None and not library:
            self.memory = compilation.memory.file(source.name, compilation.overrides)
            self.memory.begin(parsed.file)
        self.outcomes: dict[tuple[int, InstanceKey], Outcome] = {}
        self.sink.extend(parsed.diagnostics)
        self._broken = parsed.broken
        self._lost = parsed.lost
        self._templates: dict[tuple[int, InstanceKey], Template | None] = {}
        self.properties: dict[str, tuple[str, ...]] = {}
        self.assertions: list[Assertion] = []
        self.symmetries: dict[Span, Symmetry] = {}
        self.claims: list[Claim] = []
        self.required: dict[str, list[tree.Expr]] = {}
        self.configs: list[tuple[str, tuple[tuple[str, float | int], ...]]] = []
        self.config_names: dict[str, Span] = {}
        self.exports = Scope(self._prelude_scope())
        self.scope = self.exports
        for name in sorted(parsed.lost):
            if self.scope.find(name) is None:
                self.scope.define(name, Broken("lost"), None)
        self._declare()

    def _prelude_scope(self) -> Scope | None:
        if self.library == ".".join(PRELUDE):
            return None
        source = self.compilation.find(self.source, PRELUDE)
        return self.compilation.module(source, ".".join(PRELUDE)).exports if source else None

    # ---- names ---------------------------------------------------------------------------------

    def watched_scope(self) -> Scope:
        """The names of the file for one diagram; what it looks up is recorded."""
        recordings = self.compilation.recordings
        return (
            self.scope
            if self.memory is None or not recordings
            else recordings[-1].watched(self.scope)
        )

    def read(self, question: Callable[[tree.Diagram], T], diagram: tree.Diagram) -> T:
        """What a function reads off a diagram, or read off one of the same text before."""
        return question(diagram) if self.memory is None else self.memory.read(question, diagram)

    def is_unrepeatable(self) -> None:
        """What is being checked depends on what can't be asked again: it is not remembered."""
        if self.compilation.recordings:
            self.compilation.recordings[-1].is_final = False

    def is_commoner(self, name: str, other: str) -> bool:
        """Whether the file has one name more often than another."""
        result = is_commoner(name, other, self.source)
        if self.compilation.recordings:
            self.compilation.recordings[-1].commoner[name, other] = result
        return result

    def asks_told(self) -> None:
        """What is being checked depends on which names were told to be unknown."""
        if self.compilation.recordings:
            self.compilation.recordings[-1].asked_told = True

    def is_own_name(self, name: str, scope: Scope) -> bool:
        """Whether the file itself (not the prelude) gives a name its meaning."""
        del scope
        entry = self.exports.local(name)
        return entry is not None and not isinstance(entry[0], Broken)

    @overload
    def overridden(self, name: str, value: int | float) -> int | float: ...
    @overload
    def overridden(self, name: str, value: None) -> int | float | None: ...
    def overridden(self, name: str, value: int | float | None) -> int | float | None:
        """The number that a config or the command line gives instead."""
        return value if self.library else self.compilation.overrides.get(name, value)

    def new_size(self, name: str) -> Size:
        """A new unknown size."""
        return Size.of(self.compilation.symbol(name))

    def has_broken(self, span: Span) -> bool:
        """Whether part of a region did not parse."""
        return any(b.start < span.end and span.start < b.end for b in self._broken)

    def _define(self, name: tree.Name, meaning: Meaning) -> None:
        earlier = self.exports.local(name.text)
        if earlier is not None and not isinstance(earlier[0], Broken):
            self.already_defined(name, earlier[1])
            return
        self.exports.define(name.text, meaning, name.span)

    def already_defined(self, name: tree.Name, earlier: Span | None) -> None:
        """Report the later of two definitions of a name."""
        span = name.span
        if earlier is not None and earlier.source is span.source and earlier.start > span.start:
            span, earlier = earlier, span
        self.error(
            "NCD2002",
            f"`{name.text}` is defined already",
            span,
            label="defined again",
            labels=[Label(earlier, "first defined here")] if earlier else [],
            notes=["a name means one thing in a scope"],
            help="choose another name",
        )

    def _declare(self) -> None:
        for declared in self.tree.declarations:
            if isinstance(declared, tree.Diagram):
                self._define(declared.name, DiagramRef(self, declared))
            elif isinstance(declared, tree.Op):
                self._define(declared.name, DiagramRef(self, self._operator(declared)))
        for declared in self.tree.declarations:
            try:
                self._declare_one(declared)
            except Reported:
                self._break(declared)
            except TooComplexError:
                self.too_complex(declared.span)
                self._break(declared)

    def _break(self, declared: tree.Declared) -> None:
        """Silence every use of what a mistaken declaration would have defined."""
        match declared:
            case tree.Const():
                names = [declared.name]
            case tree.AxisStatement():
                names = [item.name for item in declared.items]
            case _:
                names = []
        for name in names:
            if self.exports.local(name.text) is None:
                self.exports.define(name.text, Broken("declaration"), name.span)

    def _declare_one(self, declared: tree.Declared) -> None:
        match declared:
            case tree.Use():
                self._use(declared)
            case tree.Const():
                value = self.overridden(declared.name.text, evaluate(self, declared.value))
                self._define(declared.name, value)
            case tree.AxisStatement():
                for item in declared.items:
                    self._axis(item)
            case tree.Assert():
                self.assertions += assert_in_file(self, declared.condition)
            case tree.Config() | tree.Diagram() | tree.Op():
                pass

    def _operator(self, op: tree.Op) -> tree.Diagram:
        """An operator's declaration as a diagram without a body, its properties checked."""
        words: list[str] = []
        for name, value in op.properties:
            if name.text == "requires" and value is not None:
                self.required.setdefault(op.name.text, []).append(value)
                continue
            words.append(name.text)
            if name.text not in PROPERTIES:
                guess = closest(name.text, (*PROPERTIES, "requires"))
                self.error(
                    "NCD2001",
                    f"there is no property `{name.text}`",
                    name.span,
                    label="unknown",
                    help=f"did you mean `{guess}`?"
                    if guess
                    else f"it is {listed(PROPERTIES, 'or')}, or `requires = ...`",
                )
        self.properties[op.name.text] = tuple(words)
        inputs = tuple(tree.Parameter(None, item, item.span) for item in op.parameters)
        return tree.Diagram(
            op.name, op.formals, inputs, op.result, None, None, op.doc, op.span, op.span
        )

    def _axis(self, item: tree.AxisItem) -> None:
        from ncdlang.semantics.statements import STRUCTURES
        from ncdlang.semantics.tokens import repeated

        if item.structure is not None and item.structure.text not in STRUCTURES:
            self.fail(
                "NCD2001",
                f"there is no axis structure `{item.structure.text}`",
                item.structure.span,
                label="unknown",
                help=f"it is one of {listed(STRUCTURES, 'or')}",
            )
        value = self.overridden(item.name.text, None)
        if value is not None:
            size = constant(int(value))
        elif item.size is not None:
            size = self.size(item.size)
        else:
            size = self.new_size(item.name.text)
        check_size(self, f"axis `{item.name.text}`", size.value, item.span)
        structure = item.structure.text if item.structure is not None else None
        same = repeated(self.scope, item.size if value is None else None)
        axis = Axis(item.name.text, size, structure=structure, same=same)
        self._define(item.name, axis if self.memory is None else self.memory.axis(axis, item))

    def size(self, expr: tree.Expr) -> Size:
        """A size expression at file level: axes and consts of the file."""
        match expr:
            case tree.Group():
                return self.size(expr.inner)
            case tree.SizeOf(axis=tree.Name() as name):
                meaning = self.scope.find(name.text)
                if isinstance(meaning, Axis):
                    return meaning.size
                self.fail(
                    "NCD2003",
                    f"there is no axis named `{name.text}` here",
                    name.span,
                    label="an axis in no scope",
                    help="declare the axis above",
                )
            case tree.Binary() if expr.op in ("+", "-", "*", "//", "%"):
                left, right = self.size(expr.left), self.size(expr.right)
                if expr.op == "+":
                    return left + right
                if expr.op == "-":
                    return left - right
                if expr.op == "*":
                    return left * right
                if right.value == 0:
                    self.fail("NCD3004", "division by zero in a size", expr.span, label="by 0")
                return left // right if expr.op == "//" else left % right
            case _:
                value = evaluate(self, expr)
                if isinstance(value, int):
                    return constant(value)
                self.fail("NCD3004", "a size is a whole number", expr.span, label="not whole")

    # ---- other files ---------------------------------------------------------------------------

    def _use(self, use: tree.Use) -> None:
        path = tuple(name.text for name in use.path)
        span = use.path[0].span.to(use.path[-1].span)
        try:
            source = self.compilation.find(self.source, path)
        except OSError as error:
            self._break_use(use)
            self.fail("NCD4006", str(error), span, label="can't be read")
        if source is None:
            self._break_use(use)
            self.fail(
                "NCD4006",
                f"there is no module `{'.'.join(path)}`",
                span,
                label="not found",
                notes=[
                    "modules lie beside this file, in the -I folders, or in the standard library"
                ],
            )
        if source.name in self.compilation.open_files:
            self._break_use(use)
            names = self.compilation.open_files
            cycle = [*names[names.index(source.name) :], source.name]
            self.fail(
                "NCD4005",
                "files use each other in a circle",
                span,
                label="closes the circle",
                notes=[" uses ".join(f"`{name}`" for name in cycle)],
                help="move what both need into a file of its own",
            )
        module = self.compilation.module(source, ".".join(path) if path[0] == "std" else "")
        if use.names is None:
            prefix = use.alias or use.path[-1]
            self._define(prefix, module)
            for name, meaning in module.exports.local_names():
                self.exports.define(f"{prefix.text}.{name}", meaning, prefix.span)
            return
        for name, alias in use.names:
            self._import(module, name, alias or name, ".".join(path))

    def _break_use(self, use: tree.Use) -> None:
        names = [alias or name for name, alias in use.names] if use.names is not None else []
        for name in names or [use.alias or use.path[-1]]:
            self.exports.define(name.text, Broken("use"), name.span)

    def _import(self, module: ModuleChecker, name: tree.Name, alias: tree.Name, path: str) -> None:
        entry = module.exports.local(name.text)
        if entry is None:
            known = [n for n, _ in module.exports.local_names()]
            guess = closest(name.text, known)
            for lost in (alias.text, guess):
                if lost is not None and self.exports.local(lost) is None:
                    self.exports.define(lost, Broken("use"), alias.span)
            self.error(
                "NCD4007",
                f"module `{path}` has no `{name.text}`",
                name.span,
                label="not found",
                help=f"did you mean `{guess}`?" if guess else f"it has {listed(sorted(known))}",
                fix=rename(name.span, guess) if guess else None,
            )
            return
        self._define(alias, entry[0])

    # ---- diagrams ------------------------------------------------------------------------------

    def check_each(
        self, only: str | None = None
    ) -> Generator[None, None, tuple[CheckedDiagram, ...]]:
        """Check every diagram that is complete without a use, and the configs; pauses after each.

        The diagrams are what it returns.
        """
        diagrams = [d for d in self.tree.declarations if isinstance(d, tree.Diagram)]
        wanted = [
            d
            for d in diagrams
            if self.read(is_complete, d) and (only is None or d.name.text == only)
        ]
        if only is None:
            for declared in callees_first(wanted, lambda each: self.read(named, each)):
                self._checked(declared, InstanceKey())
                yield
        templates = [self._checked(declared, InstanceKey()) for declared in wanted]
        configs = Configs(self)
        for declared in self.tree.declarations:
            if isinstance(declared, tree.Config):
                self.configs.append(configs.check(declared))
            elif isinstance(declared, tree.Op) and only is None:
                self._check_operator(declared)
        for symmetry in self.symmetries.values():
            prove(self, symmetry)
            yield
        return tuple(template.checked for template in templates if template is not None)

    def form(self, declaration: tree.Diagram, key: InstanceKey) -> Template | None:
        """A checked form of a diagram that nothing calls; mistakes of another form are silent."""
        if key == InstanceKey():
            return self._checked(declaration, key)
        place = (declaration.span.start, key)
        return self._templates.get(place) or outcome_of(self, declaration, key).template

    def again(self, declaration: tree.Diagram, key: InstanceKey) -> Template | None:
        """The form of a diagram that a use asked for before; mistakes are not told."""
        place = (declaration.span.start, key)
        if key == InstanceKey(packs=key.packs):
            return self._checked(declaration, key)
        if self._templates.get(place) is None:
            self._templates[place] = outcome_of(self, declaration, key).template
        return self._templates[place]

    def _check_operator(self, op: tree.Op) -> None:
        entry = self.exports.local(op.name.text)
        if entry is not None and isinstance(entry[0], DiagramRef):
            declaration = entry[0].declaration
            if declaration.span == op.span and is_complete(declaration):
                self._checked(declaration, InstanceKey())

    def template(
        self, declaration: tree.Diagram, key: InstanceKey, user: Body, span: Span
    ) -> Template:
        """The form of a diagram that a use asks for. Raises Reported."""
        stack = self.compilation.open_diagrams
        for i, (open_declaration, _) in enumerate(stack):
            if open_declaration is declaration:
                names = [name for _, name in stack[i:]] + [declaration.name.text]
                self.is_unrepeatable()
                user.fail(
                    "NCD4005",
                    f"`{declaration.name.text}` calls itself",
                    span,
                    label="closes the circle",
                    notes=[" calls ".join(f"`{name}`" for name in names)],
                    help="use a recurrence along an axis, or `f^6` for copies",
                )
        # What does not fit a library's diagram is a mistake of its use.
        plain = key == InstanceKey(packs=() if self.library else key.packs)
        template = (
            self._checked(declaration, key)
            if plain
            else self._special(declaration, key, user, span)
        )
        if self.memory is not None and self.compilation.recordings:
            use = Use(self.source.name, declaration.name.text, key, template)
            self.compilation.recordings[-1].uses.append(use)
        if template is None:
            raise Reported
        return template

    def _checked(self, declaration: tree.Diagram, key: InstanceKey) -> Template | None:
        place = (declaration.span.start, key)
        if place not in self._templates:
            outcome = outcome_of(self, declaration, key, blame=True)
            self._templates[place] = outcome.template
            self.sink.extend(map(self.compilation.moves.finding, outcome.found))
        return self._templates[place]

    def _special(
        self, declaration: tree.Diagram, key: InstanceKey, user: Body, span: Span
    ) -> Template | None:
        """A form that differs from the declared one: its mistakes belong to the use."""
        place = (declaration.span.start, key)
        if place in self._templates:
            cached = self._templates[place]
            if cached is not None:
                return cached
        elif (
            not (self.library and key.packs)
            and not needs_settings(declaration)
            and (self._checked(declaration, InstanceKey(packs=key.packs)) is None)
        ):
            return None
        outcome = outcome_of(self, declaration, key)
        self._templates[place] = outcome.template
        # One use is one mistake, whatever follows from it inside.
        for found in outcome.found[:1]:
            user.sink.add(at_use(found, declaration, key, span, bool(self.library)))
        return outcome.template
