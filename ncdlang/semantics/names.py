"""Looking names up, and saying what was probably meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ncdlang.diagnostics import Fix, Label, Sink
from ncdlang.semantics import remedies
from ncdlang.semantics.primitives import FUNCTIONS, REDUCTIONS
from ncdlang.semantics.program import FreeAxis
from ncdlang.semantics.report import Reported, Reporter, listed
from ncdlang.semantics.scope import Broken, DeclaredWire, Meaning, Scope, closest
from ncdlang.semantics.size import Size, product
from ncdlang.semantics.types import Axis, Wire
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.module import ModuleChecker

OPERATORS = ("where", *sorted(FUNCTIONS), *sorted(REDUCTIONS))
BUILTIN_NAMES = ("inf", "pi", *OPERATORS)


class Names(Reporter):
    """A scope that reports names it does not know."""

    module: ModuleChecker
    declaration: tree.Diagram
    packs: dict[str, tuple[Axis, ...]]
    composites: dict[tuple[Axis, ...], Axis]
    free: list[FreeAxis]
    later: dict[str, Span]

    def __init__(self, sink: Sink, scope: Scope) -> None:
        super().__init__(sink)
        self.scope = scope

    def tell_once(self, name: str, of_file: bool = False) -> None:
        """What a name is not is said once in a diagram, or in the file. Raises Reported."""
        self.module.asks_told()
        if name in self.module.told:
            raise Reported
        super().tell_once(name)
        if of_file:
            self.module.told.add(name)

    def has_broken(self, span: Span) -> bool:
        """Whether part of a region did not parse."""
        header = self.declaration.header
        return self.module.has_broken(span) or self.module.has_broken(header)

    def look_up(self, name: tree.Name, wanted: str) -> Meaning:
        """What a name means. `wanted` says for the message what was expected:
        `wire`, `axis`, `diagram`, `const` or `value`. Raises Reported."""
        meaning = self.scope.find(name.text)
        if isinstance(meaning, Broken):
            raise Reported
        if meaning is None:
            self._unknown(name, wanted)
        if isinstance(meaning, DeclaredWire):
            self._unfinished(name, meaning)
        return meaning

    def _unknown(self, name: tree.Name, wanted: str) -> NoReturn:
        if name.text in self.later:
            self._too_early(name)
        self.tell_once(name.text, wanted in ("diagram", "const"))
        if name.text == "_":
            self.fail(
                "NCD2001",
                "`_` has no value: it only discards",
                name.span,
                label="can't be read",
                help="give the wire a name",
            )
        if name.text in OPERATORS and wanted != "axis":
            self._operator(name, wanted)
        if wanted == "axis":
            self._unknown_axis(name)
        if wanted == "diagram":
            self._missing_use(name)
        noun = {"value": "wire, axis or number", "const": "const"}.get(wanted, wanted)
        short = remedies.without_namespace(name.text, self.scope, OPERATORS)
        method = remedies.method(name.text, self.scope)
        guess = short or (self._guess(name.text, wanted) if not method else None)
        self.fail(
            "NCD2001",
            f"there is no {noun} named `{name.text}`",
            name.span,
            label="not found",
            labels=remedies.defined_at(guess, self.scope, name.span.source),
            help=f"did you mean `{guess}`?" if guess else method or remedies.habit(name.text),
            fix=self._respelt(name, guess) if guess else None,
        )

    def _respelt(self, name: tree.Name, guess: str) -> Fix:
        is_of_file = self.module.exports.local(guess) is not None
        if is_of_file:
            self.module.is_unrepeatable()
        whole = Span(name.span.source, 0, len(name.span.source.text))
        region = whole if is_of_file else self.declaration.span
        return remedies.respell(name, guess, self.scope, region)

    def _missing_use(self, name: tree.Name) -> None:
        """Report a diagram of the standard library that no `use` brings in."""
        found = remedies.missing_use(self.module, name.text)
        if found is None:
            return
        path, fix, names = found
        # What one line is missing for is one mistake.
        self.module.told.update(names)
        self.fail(
            "NCD2001",
            f"there is no diagram named `{name.text}`",
            name.span,
            label="not found",
            notes=[f"`{path}` has {listed(names)}"],
            help=fix.title,
            fix=fix,
        )

    def _operator(self, name: tree.Name, wanted: str) -> NoReturn:
        brackets = "[x]" if name.text in REDUCTIONS and name.text not in FUNCTIONS else ""
        noun = {"value": "array", "const": "number"}.get(wanted, wanted)
        self.fail(
            "NCD2012",
            f"`{name.text}` is an operator, not {'an' if noun == 'array' else 'a'} {noun}",
            name.span,
            label="needs arguments",
            help=f"call it: `{name.text}{brackets}(...)`",
        )

    def _unfinished(self, name: tree.Name, declared: DeclaredWire) -> NoReturn:
        self.fail(
            "NCD2013",
            f"`{name.text}` is read before the last of its equations",
            name.span,
            label="read here",
            labels=[Label(declared.wire.span, "declared here")],
            notes=["a declared wire is read only when all its equations have been applied"],
        )

    def _too_early(self, name: tree.Name) -> NoReturn:
        if self.module.has_broken(self.declaration.span):
            raise Reported
        place = self.later[name.text]
        self.fail(
            "NCD2013",
            f"`{name.text}` is read before it is defined",
            name.span,
            label="read here",
            labels=[Label(place, "defined here")],
            help="move the definition up if this is no recurrence",
        )

    def _unknown_axis(self, name: tree.Name) -> NoReturn:
        guess = self._guess(name.text, "axis", remedies.listed_beside(name.span))
        diagram = self.declaration.name.text
        unnamed = remedies.unnamed(name.text, self.scope)
        if unnamed:
            self.fail(
                "NCD2003",
                f"there is no axis named `{name.text}` here",
                name.span,
                label="an axis in no scope",
                help=unnamed,
            )
        self.fail(
            "NCD2003",
            f"there is no axis named `{name.text}` here",
            name.span,
            label="an axis in no scope",
            notes=["an axis gets its size from an input, a declaration, or an array it indexes"],
            help=f"did you mean `{guess}`?"
            if guess
            else f"make it a free axis, `diagram {diagram}[{name.text}](...)`, "
            f"or declare it: `axis {name.text} = ...`",
            labels=remedies.defined_at(guess, self.scope, name.span.source),
            fix=remedies.respell(name, guess, self.scope, self.declaration.span)
            if guess
            else remedies.free_axis(self.declaration, name.text)
            if remedies.is_axis_of_list(name.span)
            else None,
        )

    def _guess(self, name: str, wanted: str, taken: frozenset[str] = frozenset()) -> str | None:
        fitting = (n for n, meaning in self.scope.names() if self._fits(meaning, wanted))
        candidates = [n for n in fitting if n not in taken]
        if wanted in ("value", "diagram"):
            candidates += BUILTIN_NAMES
        return closest(name, candidates)

    @staticmethod
    def _fits(meaning: Meaning, wanted: str) -> bool:
        if isinstance(meaning, Broken):
            return False
        match wanted:
            case "axis":
                return isinstance(meaning, Axis)
            case "wire":
                return isinstance(meaning, Wire)
            case "const":
                return isinstance(meaning, (int, float))
            case "diagram":
                return not isinstance(meaning, (Axis, Wire, int, float))
            case _:
                return True

    @staticmethod
    def is_callable(meaning: Meaning) -> bool:
        """Whether a meaning is a diagram or an instance of one."""
        return type(meaning).__name__ in ("DiagramRef", "LearnedUse", "LearnedPipeline")

    def describe(self, meaning: Meaning) -> str:
        """What a meaning is, with an article."""
        match meaning:
            case Axis():
                return "an axis"
            case Wire():
                return "a wire"
            case int() | float():
                return "a const"
            case _:
                kind = type(meaning).__name__
                return {"LearnedUse": "a learned instance", "ModuleChecker": "a module"}.get(
                    kind, "a diagram"
                )

    # ---- axes ----------------------------------------------------------------------------------

    def axis_named(self, name: tree.Name) -> Axis:
        """The axis of that name. Raises Reported."""
        meaning = self.look_up(name, "axis")
        if isinstance(meaning, Axis):
            return meaning
        self.tell_once(name.text)
        self.fail(
            "NCD2012",
            f"`{name.text}` is {self.describe(meaning)}, not an axis",
            name.span,
            label="not an axis",
        )

    def axes_of_item(self, item: tree.Expr | tree.Pack) -> tuple[Axis, ...]:
        """The axes that an item of a bracket names. Raises Reported."""
        match item:
            case tree.Pack():
                if item.text not in self.packs:
                    self.fail(
                        "NCD2003",
                        f"there is no pack of axes named `{item.text}..` here",
                        item.span,
                        label="not a pack",
                    )
                return self.packs[item.text]
            case tree.Composite():
                return (self.composite(tuple(self.axis_named(name) for name in item.names)),)
            case tree.Name():
                return (self.axis_named(item),)
            case _:
                self.fail(
                    "NCD2012",
                    f"`{item.span.text}` is no axis",
                    item.span,
                    label="the name of an axis is wanted",
                    fix=remedies.numbered_axis(item.span, self.scope),
                )

    def composite(self, parts: tuple[Axis, ...]) -> Axis:
        """The composite axis of `parts`, always the same object."""
        if parts not in self.composites:
            size: Size = product(part.size for part in parts)
            self.composites[parts] = Axis(" ".join(p.name for p in parts), size, parts)
        return self.composites[parts]

    def new_axis(
        self, name: str, size: Size | None, span: Span | None, same: Axis | None = None
    ) -> Axis:
        """Define an axis; without a size it gets an unknown one. `same` is one of its kind."""
        size = size if size is not None else self.module.new_size(name)
        axis = Axis(name, size, same=same)
        self.scope.define(name, axis, span)
        return axis

    def add_free_axis(self, name: str, span: Span) -> Axis:
        """A free axis that the diagram's brackets do not list."""
        axis = self.new_axis(name, None, span)
        self.free.append(FreeAxis(axis, None))
        return axis

    def is_free(self, axis: Axis) -> bool:
        """Whether an axis is one of this diagram's free axes."""
        return any(free.axis is axis for free in self.free)

    # ---- numbers -------------------------------------------------------------------------------

    def number(self, item: tree.Expr | tree.Pack) -> int | float:
        """The number that a setting is: a literal, a const, or arithmetic of them."""
        from ncdlang.semantics.numbers import evaluate

        return evaluate(self, item)
