"""What a checker remembers of its last checks, so that a changed file is not all checked again.

A diagram's outcome holds for as long as its text is the same and whatever it asked for has the same
answer: what names of its file mean, and the checked forms of the diagrams that it uses. Both are
recorded while it is checked. What can't be asked again cheaply (the text of the whole file, a
symmetry to be proved) is not remembered. An outcome is kept with the places that it was found at;
`Moves` tells where these are now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from ncdlang.diagnostics import Diagnostic
from ncdlang.records import field, fields, record
from ncdlang.semantics.remedies import is_commoner
from ncdlang.semantics.scope import Broken, DiagramRef, Meaning, Scope
from ncdlang.semantics.types import Axis
from ncdlang.source import Source, Span
from ncdlang.syntax import tree
from ncdlang.syntax.parser import Parsed

if TYPE_CHECKING:
    from ncdlang.semantics.binding import InstanceKey, Template
    from ncdlang.semantics.compilation import Compilation, Find
    from ncdlang.semantics.module import ModuleChecker
    from ncdlang.syntax.incremental import Parser

T = TypeVar("T")
Overrides: TypeAlias = Mapping[str, int | float]
Answer: TypeAlias = tuple[Any, ...] | None

_FORMS_KEPT = 3
_READINGS_KEPT = 20
_CHECKS_KEPT = 12
"""For how many checks an outcome is kept that they do not need."""


@record(eq=False)
class Use:
    """A form of a diagram of a user's file that was asked for, and what came of it."""

    file: str
    name: str
    key: InstanceKey
    template: Template | None


@record(eq=False)
class Outcome:
    """What came of checking one form of a diagram.

    `scope` has the names of the body, as far as it was checked; `place` is where the diagram stood.
    `bound` are the names that the signature gives a meaning. `commoner` says of pairs of names
    whether the file had the first more often. `told` are the names that were known to be unknown
    before, if that mattered, and `telling` those added to them. `anchors` are the declarations
    that findings point to: the place then, the file and the text.
    """

    template: Template | None
    found: tuple[Diagnostic, ...]
    scope: Scope
    place: Span
    bound: frozenset[str]
    names: Mapping[str, Answer] = field(default_factory=dict[str, Answer])
    all_names: tuple[tuple[str, str], ...] | None = None
    uses: tuple[Use, ...] = ()
    commoner: Mapping[tuple[str, str], bool] = field(default_factory=dict[tuple[str, str], bool])
    told: frozenset[str] | None = None
    telling: frozenset[str] = frozenset()
    anchors: tuple[tuple[Span, str, str], ...] = ()


class Recording:
    """What one check of a diagram asks for. `is_final` is unset by what can't be asked again."""

    def __init__(self, told: frozenset[str]) -> None:
        self.names = Asked()
        self.uses: list[Use] = []
        self.commoner: dict[tuple[str, str], bool] = {}
        self.told = told
        self.asked_told = False
        self.is_final = True

    def watched(self, scope: Scope) -> Scope:
        """A scope between a body and its file that notes which names are looked up."""
        return _Watched(scope, self.names)


class Asked(dict[str, Any]):
    """Stands for the names of a scope that has none, and keeps those that are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.listed = False

    def get(self, key: str, default: Any = None) -> Any:
        """Nothing; that it was asked for is noted."""
        self.seen.add(key)
        return default

    def items(self) -> Any:
        """Nothing; that all names were asked for is noted."""
        self.listed = True
        return super().items()


class _Watched(Scope):
    def __init__(self, parent: Scope, asked: Asked) -> None:
        super().__init__(parent)
        self._names = asked


class Moves:
    """Where the places of remembered outcomes are now."""

    def __init__(self) -> None:
        self._moves: dict[Source, list[tuple[Span, Span]]] = {}

    def add(self, old: Span, new: Span) -> None:
        """What stood at one place stands at another."""
        if old.source is not new.source:
            self._moves.setdefault(old.source, []).append((old, new))

    def span(self, span: Span) -> Span:
        """Where a place is now."""
        for old, new in self._moves.get(span.source, ()):
            if old.start <= span.start and span.end <= old.end:
                by = new.start - old.start
                return Span(new.source, span.start + by, span.end + by)
        return span

    def finding(self, found: Diagnostic) -> Diagnostic:
        """A finding where it is now."""
        made: Diagnostic = self._moved(found)
        return made if self._moves else found

    def _moved(self, value: Any) -> Any:
        if type(value) is Span:
            return self.span(value)
        if type(value) is tuple:
            return tuple([self._moved(item) for item in cast("tuple[object, ...]", value)])
        names = fields(value)
        if not names:
            return value
        return type(value)(*[self._moved(getattr(value, name)) for name in names])


class FileMemory:
    """The outcomes of one file, at one choice of sizes and constants."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str, InstanceKey], list[Outcome]] = {}
        self.used: dict[tuple[str, str, InstanceKey], int] = {}
        self.axes: dict[str, tuple[Axis, str]] = {}
        self._ground: tuple[tuple[str, ...], tuple[str, ...]] = (), ()
        self._read: dict[tuple[Any, str], Any] = {}
        self.check = 0

    def begin(self, file: tree.File) -> None:
        """Forget what a change of the declarations outside of diagrams makes void."""
        self.check += 1
        stated = tuple(
            d.span.text for d in file.declarations if isinstance(d, (tree.Assert, tree.Op))
        )
        axes = tuple(
            d.span.text
            for d in file.declarations
            if isinstance(d, (tree.AxisStatement, tree.Const))
        )
        if stated != self._ground[0]:
            self.outcomes.clear()
        if axes != self._ground[1]:
            self.axes.clear()
        self._ground = stated, axes
        if len(self._read) > _READINGS_KEPT * (1 + len(file.declarations)):
            self._read.clear()
        for key in [k for k, last in self.used.items() if last < self.check - _CHECKS_KEPT]:
            self.outcomes.pop(key, None)
            del self.used[key]

    def read(self, question: Callable[[tree.Diagram], T], diagram: tree.Diagram) -> T:
        """What a function reads off the text of a diagram; it is asked once for a text."""
        place = question, diagram.span.text
        if place not in self._read:
            self._read[place] = question(diagram)
        return self._read[place]

    def axis(self, made: Axis, item: tree.AxisItem) -> Axis:
        """The axis that a declaration gave before, if it gives the same again."""
        text = item.span.text
        known = self.axes.get(made.name)
        if known is not None and known[1] == text:
            axis = known[0]
            fits = axis.size == made.size or (item.size is None and made.symbol is not None)
            if fits and axis.structure == made.structure and axis.same is made.same:
                return axis
        self.axes[made.name] = made, text
        return made


class Memory:
    """What is remembered of the files that are checked by one process, one after the other."""

    def __init__(self) -> None:
        self.numbers = count(1)
        self._files: dict[tuple[str, frozenset[tuple[str, int | float]]], FileMemory] = {}
        self._parsers: dict[str, Parser] = {}
        self._parsed: dict[str, tuple[Source, Parsed]] = {}
        self._library: Compilation | None = None

    def parsed(self, source: Source) -> Parsed:
        """The tree of a source, made from that of the text before it."""
        from ncdlang.syntax.incremental import Parser  # a check of one text needs none

        known = self._parsed.get(source.name)
        if known is None or known[0] is not source:
            parser = self._parsers.setdefault(source.name, Parser())
            known = self._parsed[source.name] = source, parser.parse(source)
        return known[1]

    def file(self, name: str, overrides: Overrides) -> FileMemory:
        """The outcomes of a file."""
        return self._files.setdefault((name, frozenset(overrides.items())), FileMemory())

    def library(self, find: Find) -> Compilation:
        """The run in which the modules of the standard library are checked, once for all."""
        if self._library is None:
            from ncdlang.semantics.compilation import Compilation

            self._library = Compilation(find, {}, memory=self)
        return self._library

    def keep_only(self, names: Iterable[str]) -> None:
        """Forget all other files."""
        kept = set(names)
        self._files = {key: kept_file for key, kept_file in self._files.items() if key[0] in kept}
        self._parsers = {name: p for name, p in self._parsers.items() if name in kept}
        self._parsed = {name: p for name, p in self._parsed.items() if name in kept}


# ---- asking again ------------------------------------------------------------------------------


def answer(scope: Scope, name: str, bound: frozenset[str]) -> Answer:
    """What a name means in a file, in a form that can be compared with that of another check.

    That a broken part of the file has the name is nothing to a diagram that has it `bound`.
    """
    meaning = scope.find(name)
    if meaning is None or (isinstance(meaning, Broken) and name in bound):
        return None
    is_own = scope.local(name) is not None
    match meaning:
        case DiagramRef():
            declaration = meaning.declaration
            file = meaning.module.source.name
            return is_own, "diagram", file, declaration.header.text
        case int() | float():
            return is_own, type(meaning), meaning
        case Broken():
            return is_own, "broken"
        case Axis():
            return is_own, meaning
        case _:
            return is_own, type(meaning).__name__, getattr(meaning, "source", None) and name


def all_names(scope: Scope) -> tuple[tuple[str, str], ...]:
    """Every name that a file knows, with its kind, in the order in which guesses look at them."""
    return tuple((name, _kind(meaning)) for name, meaning in scope.names())


def _kind(meaning: Meaning) -> str:
    return type(meaning).__name__


def recalled(module: ModuleChecker, declaration: tree.Diagram, key: InstanceKey) -> Outcome | None:
    """A remembered outcome that still holds. Its findings are moved to where they are now."""
    memory = module.memory
    if memory is None:
        return None
    place = declaration.span.text, declaration.doc, key
    for outcome in memory.outcomes.get(place, ()):
        if _holds(module, outcome):
            memory.used[place] = memory.check
            return outcome
    return None


def _holds(module: ModuleChecker, outcome: Outcome) -> bool:
    if outcome.told is not None and set(outcome.told) != module.told:
        return False
    scope = module.scope
    if any(answer(scope, n, outcome.bound) != known for n, known in outcome.names.items()):
        return False
    if outcome.all_names is not None and outcome.all_names != all_names(scope):
        return False
    if any(is_commoner(*pair, module.source) != known for pair, known in outcome.commoner.items()):
        return False
    if any(_anchor(module, file, text) is None for _, file, text in outcome.anchors):
        return False
    return all(_again(module, use) is use.template for use in outcome.uses)


def _again(module: ModuleChecker, use: Use) -> Template | object | None:
    """What a form of a diagram is now."""
    other = module.compilation.modules.get(use.file)
    entry = other.exports.local(use.name) if other is not None else None
    if other is None or entry is None or not isinstance(entry[0], DiagramRef):
        return use
    return other.again(entry[0].declaration, use.key)


def _anchor(module: ModuleChecker, file: str, text: str) -> Span | None:
    other = module.compilation.modules.get(file)
    if other is None:
        return None
    return next((d.span for d in other.tree.declarations if d.span.text == text), None)


def taken_up(module: ModuleChecker, declaration: tree.Diagram, outcome: Outcome) -> None:
    """Make an outcome part of a new check."""
    moves = module.compilation.moves
    moves.add(outcome.place, declaration.span)
    for old, file, text in outcome.anchors:
        new = _anchor(module, file, text)
        if new is not None:
            moves.add(old, new)
    module.told |= outcome.telling


def remember(
    module: ModuleChecker,
    declaration: tree.Diagram,
    key: InstanceKey,
    outcome: Outcome,
) -> None:
    """Keep an outcome."""
    memory = module.memory
    if memory is None:
        return
    place = declaration.span.text, declaration.doc, key
    memory.used[place] = memory.check
    memory.outcomes[place] = [outcome, *memory.outcomes.get(place, ())][:_FORMS_KEPT]


def anchors(
    module: ModuleChecker, declaration: tree.Diagram, found: tuple[Diagnostic, ...]
) -> tuple[tuple[Span, str, str], ...] | None:
    """The declarations outside of a diagram that findings in it point to; None if a finding
    points outside of all declarations."""
    own = declaration.span
    made: dict[Span, tuple[Span, str, str]] = {}
    for span in (span for each in found for span in places(each)):
        if _is_within(span, own) or span in made:
            continue
        other = module.compilation.modules.get(span.source.name)
        if other is None:
            if span.source.name.startswith("<std>"):
                continue
            return None
        holder = next((d.span for d in other.tree.declarations if _is_within(span, d.span)), None)
        if holder is None:
            return None
        made[span] = holder, span.source.name, holder.text
    return tuple(made.values())


def _is_within(span: Span, whole: Span) -> bool:
    return span.source is whole.source and whole.start <= span.start and span.end <= whole.end


def places(found: Diagnostic) -> Iterator[Span]:
    """All places that a finding speaks of."""
    yield found.span
    yield from (label.span for label in found.labels)
    if found.fix is not None:
        yield from (span for span, _ in found.fix.edits)
