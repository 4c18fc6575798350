"""What is said of a name: its type, its size, its documentation."""

from __future__ import annotations

import re

from ncdlang.lsp.bodies import Symbol
from ncdlang.lsp.names import FileNames
from ncdlang.lsp.workspace import Analysis
from ncdlang.semantics.matching import LearnedUse
from ncdlang.semantics.primitives import FUNCTIONS, REDUCTIONS
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.program import signature as checked_signature
from ncdlang.semantics.scope import DeclaredWire, LearnedPipeline, Meaning
from ncdlang.semantics.types import ArrayType, Axis, Wire
from ncdlang.syntax import tree

_BUILTIN = {
    "where": "`where(condition, a, b)`: a where the condition holds, else b",
    "cast": "`cast[bf16](X)`: X held in another number format",
    "einsum": "`einsum[q k, x k -> q x]`: the contraction of its inputs",
    "scale": "`scale[s]`: multiplies by s",
    "route": "`route[a b -> b a]`: copies, drops and permutes wires",
    "id": "`id`: passes a wire unchanged",
    "inf": "infinity",
    "pi": "3.14159...",
}


def declaration_of(names: FileNames, diagram: str) -> tree.Diagram | tree.Op | None:
    """The declaration of a diagram or operator in a file."""
    for declared in names.file.declarations:
        if isinstance(declared, (tree.Diagram, tree.Op)) and declared.name.text == diagram:
            return declared
    return None


def header_of(declared: tree.Diagram | tree.Op) -> str:
    """`diagram f[h](X: [x m]) -> [x m]`, on one line."""
    if isinstance(declared, tree.Diagram):
        return " ".join(declared.header.text.split())
    return " ".join(declared.span.text.partition("{")[0].split())


def meaning_of(analysis: Analysis | None, symbol: Symbol) -> Meaning | None:
    """What the last check says that a name means."""
    if analysis is None:
        return None
    if symbol.owner and symbol.file == analysis.source.name:
        outcome = analysis.outcome(symbol.owner)
        entry = outcome.scope.local(symbol.name) if outcome is not None else None
        return entry[0] if entry is not None else _checked_wire(analysis, symbol)
    if not symbol.owner:
        module = analysis.module.compilation.modules.get(symbol.file)
        entry = module.exports.local(symbol.name) if module is not None else None
        return entry[0] if entry is not None else None
    return None


def _checked_wire(analysis: Analysis, symbol: Symbol) -> Wire | None:
    diagram = analysis.program.diagram(symbol.owner)
    wires = (*diagram.parameters, *diagram.results) if diagram is not None else ()
    return next((wire for wire in wires if wire.name == symbol.name), None)


def typed(type: ArrayType) -> str:
    """A type with the sizes that are known: `[x m]`, then `m = 512`."""
    known = [
        f"{atom} = {atom.size}" for axis in type.axes for atom in axis.atoms if atom.symbol is None
    ]
    return f"{type}" + (f"  # {', '.join(dict.fromkeys(known))}" if known else "")


def axis_text(axis: Axis, checked: CheckedDiagram | None) -> str:
    """`axis k = 64`, with its structure."""
    structure = f" : {axis.structure}" if axis.structure else ""
    if axis.symbol is None:
        return f"axis {axis}{structure} = {axis.size}"
    default = next((f.default for f in checked.free if f.axis is axis), None) if checked else None
    told = f" = {default}  # unless a use gives another size" if default is not None else ""
    return f"axis {axis}{structure}{told}"


def describe(names: FileNames, symbol: Symbol, analysis: Analysis | None) -> str:
    """What a symbol is, in Markdown."""
    owner = analysis.program.diagram(symbol.owner) if analysis is not None else None
    code = ""
    doc = symbol.doc
    match symbol.kind:
        case "diagram" | "op":
            code, doc = _diagram_text(names, symbol, analysis)
        case "module":
            return f"module `{symbol.name or symbol.file}`"
        case "config":
            code = f"config {symbol.name}"
        case _:
            code = _value_text(symbol, meaning_of(analysis, symbol), owner)
    return "\n\n".join(part for part in (f"```ncd\n{code}\n```", _prose(doc)) if part)


def _value_text(symbol: Symbol, meaning: Meaning | None, owner: CheckedDiagram | None) -> str:
    match meaning:
        case Axis():
            return axis_text(meaning, owner)
        case Wire():
            learned = owner is not None and any(p.wire is meaning for p in owner.learned)
            return f"{'learn ' if learned else ''}{symbol.name}: {typed(meaning.type)}"
        case DeclaredWire():
            return f"{symbol.name}: {typed(meaning.wire.type)}"
        case LearnedUse():
            callee = meaning.opened.callee
            inputs = ", ".join(str(wire.type) for wire in callee.parameters)
            results = ", ".join(str(wire.type) for wire in callee.results)
            return f"learn {symbol.name}: {callee.name} ({inputs} -> {results})"
        case LearnedPipeline():
            return f"learn {symbol.name}: {' '.join(meaning.spec.span.text.split())}"
        case int() | float():
            return f"const {symbol.name} = {meaning}"
        case _:
            return f"{symbol.kind} {symbol.name}"


def _diagram_text(names: FileNames, symbol: Symbol, analysis: Analysis | None) -> tuple[str, str]:
    """The header of a diagram, its type as it was inferred, and its documentation."""
    found = names.callee(symbol.name, "")
    declared = declaration_of(found[0], found[1]) if found is not None else None
    if declared is None:
        declared = _declared_in(names, symbol)
    if declared is None:
        return f"{symbol.kind} {symbol.name}", symbol.doc
    code = header_of(declared)
    checked = analysis.program.diagram(symbol.name) if analysis is not None else None
    if checked is not None and symbol.file == names.source.name and checked.free:
        code += f"\n# {checked_signature(checked)}"
    return code, declared.doc


def _declared_in(names: FileNames, symbol: Symbol) -> tree.Diagram | tree.Op | None:
    for module in names.used():
        if module.source.name == symbol.file:
            return declaration_of(module, symbol.name)
    return declaration_of(names, symbol.name) if names.source.name == symbol.file else None


def builtin(word: str) -> str | None:
    """What is said of a name that the compiler knows without a declaration."""
    if word in _BUILTIN:
        return _BUILTIN[word]
    if word in FUNCTIONS and word in REDUCTIONS:
        return f"`{word}(a, b)` for each entry, or `{word}[x](...)` over the axis x"
    if word in REDUCTIONS:
        return f"`{word}[x](...)`: a reduction over the axis x"
    if word in FUNCTIONS:
        return f"`{word}(...)`: acts on each entry"
    return None


def _prose(doc: str) -> str:
    """Documentation as Markdown; what would be read as markup of HTML is not."""
    return re.sub(r"[<&]", lambda match: "&lt;" if match[0] == "<" else "&amp;", doc)
