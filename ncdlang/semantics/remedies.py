"""Fixes of mistakes in meaning: the changes of the text that an error suggests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from ncdlang.diagnostics import Fix, Label
from ncdlang.semantics.naming import is_anonymous
from ncdlang.semantics.primitives import REDUCTIONS
from ncdlang.semantics.report import listed
from ncdlang.semantics.scope import Scope
from ncdlang.semantics.types import ArrayType, Axis, Wire
from ncdlang.source import Source, Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.module import ModuleChecker

LIBRARY = ("nn", "attention", "conv", "position", "loss")
_NAME = re.compile(r"[^\W\d]\w*'*")
_TEXT_ONLY = re.compile(r'#[^\n]*|"[^"\n]*"')
_PYTHON_AXES = ("dim", "dims", "axis", "axes")


def occurrences(span: Span, name: str) -> list[Span]:
    """The places in a part of a text where a name stands, comments and strings aside."""
    first, length = span.start, len(name)
    return [
        Span(span.source, first + place, first + place + length)
        for place in _words(span.text).get(name, ())
    ]


@lru_cache(maxsize=8)
def _words(text: str) -> dict[str, list[int]]:
    """Where each name stands in a text, comments and strings aside."""
    found: dict[str, list[int]] = {}
    for match in _NAME.finditer(_TEXT_ONLY.sub(lambda match: " " * len(match[0]), text)):
        found.setdefault(match[0], []).append(match.start())
    return found


def is_commoner(name: str, other: str, source: Source) -> bool:
    """Whether a text has one name more often than another."""
    words = _words(source.text)
    return len(words.get(name, ())) > len(words.get(other, ()))


def respell(name: tree.Name, guess: str, scope: Scope, region: Span) -> Fix:
    """Write `guess` wherever the unknown name stands in a region.

    If the guess is defined there and never used while the unknown name is, more than once, its
    definition is what was misspelt.
    """
    entry = scope.entry(guess)
    uses = occurrences(region, name.text) or [name.span]
    place = entry[1] if entry is not None else None
    if place is not None and place.source is region.source and len(uses) > 1:
        if occurrences(region, guess) == [place]:
            return Fix(f"write `{name.text}` where it is defined", ((place, name.text),))
    return Fix(f"write `{guess}`", tuple((use, guess) for use in uses))


def defined_at(guess: str | None, scope: Scope, source: Source) -> Iterator[Label]:
    """The place where what was probably meant is defined, if it is in the same file."""
    entry = scope.entry(guess) if guess is not None else None
    if entry is not None and entry[1] is not None and entry[1].source is source:
        yield Label(entry[1], f"`{guess}` is defined here")


# ---- names of the standard library -------------------------------------------------------------


def missing_use(module: ModuleChecker, name: str) -> tuple[str, Fix, tuple[str, ...]] | None:
    """The module of the standard library that has a diagram of this name, the fix that uses it,
    and all names of that module that the file has and does not know."""
    if module.library:
        return None
    module.is_unrepeatable()
    for part in LIBRARY:
        path = ("std", part)
        names = _diagrams_of(module, path)
        if name in names:
            wanted = [name, *_unknown_calls(module, names - {name})]
            return ".".join(path), use_of(module, path, wanted), tuple(wanted)
    return None


def _diagrams_of(module: ModuleChecker, path: tuple[str, ...]) -> set[str]:
    source = module.compilation.find(module.source, path)
    if source is None:
        return set()
    declarations = module.compilation.parsed(source).file.declarations
    return {d.name.text for d in declarations if isinstance(d, (tree.Diagram, tree.Op))}


def _unknown_calls(module: ModuleChecker, names: set[str]) -> Iterator[str]:
    text = _TEXT_ONLY.sub(lambda match: " " * len(match[0]), module.source.text)
    for name in sorted(names):
        uses = list(re.finditer(rf"(?<![\w.']){re.escape(name)}(?![\w'])", text))
        is_called = uses and all(text[use.end() : use.end() + 1] in ("[", "(") for use in uses)
        if is_called and module.exports.find(name) is None:
            yield name


def use_of(module: ModuleChecker, path: tuple[str, ...], names: list[str]) -> Fix:
    """The fix that uses names of a file: in a `use` of it that is there, else in a new one."""
    listed = ", ".join(names)
    title = f"add `use {'.'.join(path)}.{{{listed}}}`"
    uses = [d for d in module.tree.declarations if isinstance(d, tree.Use)]
    for use in uses:
        if use.names and tuple(part.text for part in use.path) == path:
            last = use.names[-1][1] or use.names[-1][0]
            end = Span(module.source, last.span.end, last.span.end)
            return Fix(title, ((end, f", {listed}"),))
    line = f"use {'.'.join(path)}.{{{listed}}}\n"
    if uses:
        text, end = module.source.text, uses[-1].span.end
        start = text.find("\n", end) + 1
        if not start:
            start, line = len(text), f"\n{line}"
    else:
        start, line = _first_line(module), f"{line}\n"
    return Fix(title, ((Span(module.source, start, start), line),))


def _first_line(module: ModuleChecker) -> int:
    """Where the first declaration begins, with its documentation."""
    text = module.source.text
    declarations = module.tree.declarations
    start = text.rfind("\n", 0, declarations[0].span.start) + 1 if declarations else 0
    while start and text[:start].rstrip("\n").rpartition("\n")[2].lstrip().startswith("##"):
        start = text.rfind("\n", 0, start - 1) + 1
    return start


# ---- axes and brackets -------------------------------------------------------------------------


def free_axis(declaration: tree.Diagram, name: str) -> Fix | None:
    """Make an axis a free axis of a diagram: one of several ways to give it a size. One that is
    named only once is rather a slip."""
    if len(occurrences(declaration.span, name)) < 2:
        return None
    source = declaration.name.span.source
    if declaration.formals is None:
        at, text = declaration.name.span.end, f"[{name}]"
    else:
        at = declaration.formals.span.end - 1
        is_empty = not declaration.formals.span.text[1:-1].strip()
        text = name if is_empty else f", {name}"
    title = f"make `{name}` a free axis of `{declaration.name.text}`"
    return Fix(title, ((Span(source, at, at), text),), safe=False)


def bound(head: Span, name: str) -> Fix | None:
    """`f` as `f[h = h]`."""
    text, end = head.source.text, head.end
    setting = f"{name} = {name}"
    if text[end : end + 1] != "[":
        return Fix(f"bind it: `[{setting}]`", ((Span(head.source, end, end), f"[{setting}]"),))
    close = _closing(text, end)
    if close is None:
        return None
    added = f", {setting}" if text[end + 1 : close].strip() else setting
    return Fix(f"bind it: `{setting}`", ((Span(head.source, close, close), added),))


def _closing(text: str, start: int) -> int | None:
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == "[") - (text[place] == "]")
        if depth == 0:
            return place
    return None


def python_axis(slot: tree.Slot) -> Fix | None:
    """`softmax[dim = c]` as `softmax[c]`."""
    if slot.name is None or slot.name.text not in _PYTHON_AXES or not slot.items:
        return None
    if not isinstance(slot.items[0], tree.Name):
        return None
    prefix = Span(slot.name.span.source, slot.name.span.start, slot.items[0].span.start)
    return Fix(f"write `{slot.items[0].text}` alone", ((prefix, ""),))


def arrow_for_comma(brackets: Span) -> Fix | None:
    """`linear[m, k]` as `linear[m -> k]`."""
    lists = re.fullmatch(r"\[([^,\[\]=>]+)(,\s*)([^,\[\]=>]+)\]", brackets.text)
    if lists is None:
        return None
    start = brackets.start + lists.start(2)
    comma = Span(brackets.source, start, start + len(lists[2]))
    return Fix("write `->` between what goes in and what comes out", ((comma, " -> "),))


def numbered_axis(number: Span, scope: Scope) -> Fix | None:
    """`sum[0](A)` or `softmax[-1](A)` with the name of that axis, if `A` is a wire."""
    if not re.fullmatch(r"-?\d+", number.text):
        return None
    argument = re.match(r"\](?:\(\s*([^\W\d]\w*'*)\s*[,)])", number.source.text[number.end :][:100])
    wire = scope.find(argument[1]) if argument is not None else None
    if not isinstance(wire, Wire):
        return None
    axes, place = wire.type.axes, int(number.text)
    if not -len(axes) <= place < len(axes) or axes[place].parts or axes[place].derived:
        return None
    return Fix(f"write `{axes[place]}`", ((number, axes[place].name),))


def leftover(
    declaration: tree.Diagram, target: tree.Target, term: Span, left: list[str]
) -> Fix | None:
    """Keep an axis that is promised, or sum over it; None if the wire is read with more axes."""
    given = _NAME.findall(target.brackets.span.text) if target.brackets is not None else []
    promised = declaration.result
    if isinstance(promised, tree.ArrayTypeExpr) and target.brackets is not None:
        is_returned = target.span.source.text[: target.span.start].rstrip().endswith("return")
        axes = promised.axes.span.text
        if is_returned and sorted(_NAME.findall(axes)) == sorted([*given, *left]):
            return Fix(f"write `{target.name.text}{axes}`", ((target.brackets.span, axes),))
        if is_returned:
            return None
    for use in occurrences(declaration.span, target.name.text):
        brackets = re.match(r"\[([^\[\]]*)\]", use.source.text[use.end : use.end + 100])
        if brackets is not None and len(_NAME.findall(brackets[1])) > len(given):
            return None
    return _summed(term, left[0]) if len(left) == 1 else None


def _summed(term: Span, axis: str) -> Fix:
    """`sum[j](...)` round a term: the other way out is to keep the axis."""
    edits = ((Span(term.source, term.start, term.start), f"sum[{axis}]("),)
    edits += ((Span(term.source, term.end, term.end), ")"),)
    return Fix(f"sum over `{axis}`", edits, safe=False)


def reordered(span: Span, target: tree.Target | None, axes: str, scope: Scope) -> Fix | None:
    """Give the returned wire its axes in the promised order."""
    if target is not None:
        if target.brackets is None:
            return None
        return Fix(f"write `{target.name.text}{axes}`", ((target.brackets.span, axes),))
    name = next((n for n in ("Y", "T", "R", "Y2") if scope.find(n) is None), None)
    if name is None or not span.source.text[: span.start].rstrip().endswith("return"):
        return None
    start = Span(span.source, span.start, span.start)
    return Fix(f"write `{name}{axes} = ...`", ((start, f"{name}{axes} = "),))


# ---- numbers -----------------------------------------------------------------------------------


def whole_division(expr: tree.Expr) -> Fix | None:
    """`n / 2` in an index or a size as `n // 2`."""
    if not (isinstance(expr, tree.Binary) and expr.op == "/"):
        return None
    return Fix("replace it by `//`", ((expr.op_span, "//"),))


def flipped(index: Span) -> Fix | None:
    """`size(i) - i` as `size(i) - 1 - i`, the last entry first."""
    found = re.fullmatch(r"size\(\s*([^\W\d]\w*'*)\s*\)(\s*)-\s*\1", index.text)
    if found is None:
        return None
    text = f"size({found[1]}) - 1 - {found[1]}"
    return Fix(f"write `{text}`", ((index, text),))


def returned(statement: tree.Equation, declaration: tree.Diagram) -> Fix | None:
    """Return what the last equation defines, unless its axes are not what is promised."""
    brackets, promised = statement.targets[0].brackets, declaration.result
    if brackets is not None and isinstance(promised, tree.ArrayTypeExpr):
        names = _NAME.findall(promised.axes.span.text)
        if sorted(_NAME.findall(brackets.span.text)) != sorted(names):
            return None
    start = Span(statement.span.source, statement.span.start, statement.span.start)
    return Fix("add `return`", ((start, "return "),))


# ---- habits of other languages -------------------------------------------------------------------

_NAMESPACES = ("torch", "F", "nn", "np", "numpy", "jnp", "jax", "math", "tf", "einops")
_REINDEXING = "write the axes in the order you want: `Y[j i] = X[i j]`"
_HABITS = {
    **dict.fromkeys(("transpose", "permute", "swapaxes", "T", "mT", "t", "rearrange"), _REINDEXING),
    **dict.fromkeys(
        ("reshape", "view", "flatten", "unflatten"),
        "a composite axis joins axes, and takes them apart: `Y[x, (h k)] = X[x h k]`",
    ),
    **dict.fromkeys(
        ("unsqueeze", "squeeze", "expand", "repeat", "broadcast_to"),
        "axes are matched by name; one that only the left has repeats the value: `Y[i j] = X[i]`",
    ),
    **dict.fromkeys(
        ("matmul", "bmm", "mm", "dot", "tensordot"),
        "a contraction names its axes: `Y[i j] = A[i k] * B[k j]`",
    ),
    **dict.fromkeys(("cat", "concatenate"), "arrays are joined by `concat[c, d](A, B)`"),
    **dict.fromkeys(("stop_gradient", "no_grad"), "no gradient flows through `detach(X)`"),
    **dict.fromkeys(("Linear", "Embedding", "LayerNorm"), "`use std.nn.{linear, affine}`"),
}


def habit(name: str) -> str:
    """What to write instead of a well-known function or method of another library; "" for none."""
    last = name.rpartition(".")[2]
    return _HABITS.get(last, "")


def method(name: str, scope: Scope) -> str:
    """What to write instead of a method of an array; "" if the name is none."""
    array, _, last = name.rpartition(".")
    if not isinstance(scope.find(array), Wire):
        return ""
    along = f"`{last}[x]({array})`"
    if last not in REDUCTIONS:
        along = f"`{last}({array})`, or {along} where it acts along an axis x"
    return habit(name) or f"an array has no methods: write {along}"


def naming(axes: Iterable[Axis], guess: str | None) -> str:
    """What to do about an axis that an array with these axes lacks."""
    derived = [axis.name for axis in axes if axis.derived]
    if derived:
        has = "has" if len(derived) == 1 else "have"
        return (
            f"{listed(derived)} {has} no name yet: "
            "name the axes of the array on the left where it is made, `Y[...] = ...`"
        )
    return f"did you mean `{guess}`?" if guess else ""


def splitting(wire: Wire, part: Axis) -> str:
    """How to split the composite axis of a wire that an axis is a part of; "" if there is none."""
    axes = wire.type.axes
    if not any(part in axis.atoms for axis in axes if axis.parts):
        return ""
    split = " ".join(atom.name for axis in axes for atom in axis.atoms)
    # A value without a name in the program has to get one first.
    read = f"{wire.name}[{', '.join(str(axis) for axis in axes)}]"
    if is_anonymous(wire):
        return f"split the composite axis first: write the array as `[{split}]`"
    return f"split the composite axis first: `Y[{split}] = {read}`"


def unnamed(name: str, scope: Scope) -> str:
    """How to name an axis that a wire has, but as a size without a name; "" if there is none."""
    for known, meaning in reversed([*scope.names()]):
        if not isinstance(meaning, Wire) or known.startswith("_"):
            continue
        if any(axis.derived and axis.name == name for axis in meaning.type.axes):
            return (
                f"the `{name}` of `{known}` is a size without a name: "
                f"name it where `{known}` is defined, `{known}{ArrayType(meaning.type.axes)} = ...`"
            )
    return ""


def without_namespace(name: str, scope: Scope, known: tuple[str, ...]) -> str | None:
    """`torch.exp` as `exp`, if there is one."""
    space, _, last = name.rpartition(".")
    is_known = scope.find(last) is not None or last in known
    return last if space.split(".")[0] in _NAMESPACES and is_known else None


def contracted(expr: Span, declaration: tree.Diagram, scope: Scope) -> Fix | None:
    """State the promised axes of a returned product, so that the others are contracted."""
    if not isinstance(declaration.result, tree.ArrayTypeExpr):
        return None
    return reordered(expr, None, declaration.result.axes.span.text, scope)


def is_axis_of_list(name: Span) -> bool:
    """Whether a name stands in the axes of a type or of the left side of an equation, and not in
    the brackets of a call."""
    text = name.source.text
    start, end = text.rfind("[", 0, name.start), text.find("]", name.end)
    if start < 0 or end < 0:
        return False
    before, after = text[:start].rstrip(), text[end + 1 : end + 4].lstrip()
    is_left = after.startswith("=") and not after.startswith("==")
    return before.endswith((":", "->", ",", "(")) or is_left


def listed_beside(name: Span) -> frozenset[str]:
    """The words of the list of axes that holds a name: a list names an axis once."""
    if not is_axis_of_list(name):
        return frozenset()
    text = name.source.text
    start, end = text.rfind("[", 0, name.start), text.find("]", name.end)
    words = text[start + 1 : name.start] + " " + text[name.end : end]
    return frozenset(re.split(r"[\s,()]+", words))
