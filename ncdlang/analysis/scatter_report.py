"""What `ncdc explain` says of scatters: classes of axes, collisions, slices, indexing."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from ncdlang.analysis.scatter import AxisRole, Variator, Written, writes
from ncdlang.semantics.facts import Collision, Unknown
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import ONE, Size, Symbol, constant, product
from ncdlang.semantics.types import Axis

Sizes = Mapping[Symbol, int]

_COMBINED = {"+=": "summed", "*=": "multiplied", "max=": "joined by max", "min=": "joined by min"}


def scatter_report(diagram: CheckedDiagram, sizes: Sizes | None = None) -> str:
    """A paragraph for each write of a diagram and of those it calls; "" if there is none.

    With `sizes` the sparsity is a number too, where they give all sizes that it depends on.
    """
    found = list(writes(diagram))
    if not found:
        return ""
    count = f"{len(found)} write{'' if len(found) == 1 else 's'}"
    paragraphs = [f"Scatters of {diagram.name}: {count} at indices."]
    paragraphs += ["\n".join(_lines(diagram, each, sizes or {})) for each in found]
    return "\n\n".join(paragraphs) + "\n"


def _lines(diagram: CheckedDiagram, written: Written, sizes: Sizes) -> list[str]:
    made = written.variator
    equation = " ".join(written.write.span.text.split())
    inside = "" if written.diagram is diagram else f"   (in {written.diagram.name})"
    lines = [equation + inside]
    lines += [f"  axis {role.axis!s:6} {role.name:10} {_does(role)}" for role in made.roles]
    facts = [
        ("parallel", _parallel(made)),
        ("collisions", _collisions(made, written)),
        ("slices", _slices(made)),
        ("indexing", _indexing(made, sizes)),
    ]
    return lines + [f"  {label:11} {text}" for label, text in facts]


def _does(role: AxisRole) -> str:
    parts: list[str] = []
    if role.copies:
        parts.append(f"copied to {_dimensions(role.copies)}")
    if role.reads:
        parts.append(f"read by {_dimensions(role.reads)}")
    if role.stride is not None:
        parts.append(f"a window: neighbours are {_apart(role.stride)} apart")
    return ", ".join(parts) or "nothing depends on it"


def _dimensions(positions: tuple[int, ...]) -> str:
    word = "dimension" if len(positions) == 1 else "dimensions"
    return f"{word} {', '.join(map(str, positions))}"


def _apart(stride: Size) -> str:
    number = stride.value
    return str(stride) if number is None else str(abs(number))


def _names(axes: tuple[Axis, ...]) -> str:
    return ", ".join(map(str, axes))


def _parallel(made: Variator) -> str:
    free = tuple(role.axis for role in made.roles if role.is_parallel)
    return f"over {_names(free)}" if free else "over no axis"


def _collisions(made: Variator, written: Written) -> str:
    found, op = made.collision, written.write.op
    is_rounded = written.wire.type.kind.name in ("real", "complex")
    if found is None:
        return "none: no two sources meet, whatever the sizes"
    combined = f"; they are {_COMBINED[op]}" if op in _COMBINED else ""
    if op in ("+=", "*=") and is_rounded:
        combined += ", and the order of rounding is not fixed"
    if isinstance(found, Unknown):
        return f"not excluded{combined}"
    return f"{_meeting(found)}{combined}"


def _meeting(found: Collision) -> str:
    first, second = (
        ", ".join(f"{a} = {n}" for a, n in side) for side in (found.first, found.second)
    )
    return f"{first} and {second} may both write [{', '.join(map(str, found.image))}]"


def _slices(made: Variator) -> str:
    slices = made.of_class("slice")
    if not slices:
        entangled = made.of_class("entangled")
        why = f": {_names(entangled)} copied and read" if entangled else ": no axis is copied"
        return f"none{why}"
    where = "as the last dimensions" if made.slice_dimensions else "weakly, not the last dimensions"
    text = f"along {_names(slices)}, {where}"
    if made.run:
        text += f"; runs of {product(axis.size for axis in made.run)} in one piece"
    return text


def _indexing(made: Variator, sizes: Sizes) -> str:
    number, rest = made.sparsity
    value = _value(number, rest, sizes)
    shown = _ratio(number, rest)
    text = f"sparsity {shown}" + (f" = {value}" if value and value != shown else "")
    if not made.computed:
        return f"{text}: every dimension copies"
    tables = [
        f"{wire.spelling} ({product(a.size for a in wire.type.axes)})" for wire in made.tables
    ]
    text += f"; {_dimensions(made.computed)} from {_names(made.index_axes) or 'no axis'}"
    return text + (f", looked up in {', '.join(tables)}" if tables else ", looked up nowhere")


def _ratio(number: Fraction, rest: Size) -> str:
    if not number or rest == ONE:
        return str(number)
    bottom = rest * constant(number.denominator)
    text = str(bottom)
    return f"{number.numerator}/{text if bottom.value is not None else f'({text})'}"


def _value(number: Fraction, rest: Size, sizes: Sizes) -> str:
    if not rest.symbols() <= sizes.keys():
        return ""
    extent = rest.evaluate(sizes)
    return f"{float(number / extent):.4g}" if extent else ""
