"""The surface tree: one node for each construct of the text, with its place. No meaning here.

Equality of nodes ignores spans, so two texts that differ in white space and comments only have
equal trees.
"""

from __future__ import annotations

from typing import TypeAlias

from ncdlang.records import field, record
from ncdlang.source import Span


@record
class Name:
    """An identifier, NFC-normalised: `x'`."""

    text: str
    span: Span = field(compare=False, repr=False)


@record
class Pack:
    """A run of axes of any length in a signature of the standard library: `ins..`."""

    text: str
    span: Span = field(compare=False, repr=False)


@record
class Number:
    """A number as written; `value` is an int exactly when the text has no point and no exponent."""

    text: str
    value: int | float
    span: Span = field(compare=False, repr=False)


@record
class String:
    """A quoted text, without its quotes."""

    value: str
    span: Span = field(compare=False, repr=False)


@record
class Unary:
    """`-a` or `not a`."""

    op: str
    operand: Expr
    span: Span = field(compare=False, repr=False)


@record
class Binary:
    """`left op right` for every infix operator, `>>` and `|` and comparisons included."""

    op: str
    left: Expr
    right: Expr
    op_span: Span = field(compare=False, repr=False)
    span: Span = field(compare=False, repr=False)


@record
class SizeOf:
    """`size(k)`; `axis` is a name, a composite or a pack."""

    axis: Expr | Pack
    span: Span = field(compare=False, repr=False)


@record
class Slot:
    """One comma-separated part of a bracket.

    `[q h k]` is one slot of three items, all names or packs; any other slot has one item.
    `name` is set for a setting: `value = -inf`.
    """

    name: Name | None
    items: tuple[Expr | Pack, ...]
    span: Span = field(compare=False, repr=False)


@record
class Brackets:
    """`[...]`. `arrow` holds the slots after `->`, None where there is no arrow."""

    slots: tuple[Slot, ...]
    arrow: tuple[Slot, ...] | None
    span: Span = field(compare=False, repr=False)


@record
class Bracketed:
    """`head[...]`: a wire with indices, or an operator with axes and settings."""

    head: Expr
    brackets: Brackets
    span: Span = field(compare=False, repr=False)


@record
class Call:
    """`function(arguments)`."""

    function: Expr
    arguments: tuple[Expr, ...]
    span: Span = field(compare=False, repr=False)


@record
class Group:
    """`(inner)`, kept because parentheses matter to contraction."""

    inner: Expr
    span: Span = field(compare=False, repr=False)


@record
class TupleExpr:
    """`(a, b)`, and `()`."""

    items: tuple[Expr, ...]
    span: Span = field(compare=False, repr=False)


@record
class Composite:
    """`(h k)`: two or more axes flattened row-major."""

    names: tuple[Name, ...]
    span: Span = field(compare=False, repr=False)


@record
class BlockExpr:
    """`block "Title" (f >> g)` within a pipeline."""

    title: String
    body: Expr
    span: Span = field(compare=False, repr=False)


Expr: TypeAlias = (
    Name
    | Number
    | String
    | Unary
    | Binary
    | SizeOf
    | Bracketed
    | Call
    | Group
    | TupleExpr
    | Composite
    | BlockExpr
)


@record
class ArrayTypeExpr:
    """`[q h k]`, `N(v)[n]`, `f32[m]`: `format` is the word before the bracket, `bound` the `v`."""

    format: Name | None
    bound: Expr | None
    axes: Brackets
    span: Span = field(compare=False, repr=False)


@record
class TupleTypeExpr:
    """`(A, B)`: parallel wires."""

    items: tuple[TypeExpr, ...]
    span: Span = field(compare=False, repr=False)


TypeExpr: TypeAlias = ArrayTypeExpr | TupleTypeExpr


@record
class Target:
    """A wire on the left of an equation, with its axes or indices if they are written."""

    name: Name
    brackets: Brackets | None
    span: Span = field(compare=False, repr=False)


@record
class Equation:
    """`targets op value` with op one of `=`, `+=`, `*=`, `max=`, `min=`."""

    targets: tuple[Target, ...]
    op: str
    value: Expr
    span: Span = field(compare=False, repr=False)


@record
class Declaration:
    """`Y: [v d]`: a wire that equations then write."""

    name: Name
    type: TypeExpr
    span: Span = field(compare=False, repr=False)


@record
class Learn:
    """`learn W: [f m] ~ init` (`spec` is a type) or `learn L: linear[m -> h]` (an expression)."""

    names: tuple[Name, ...]
    spec: TypeExpr | Expr
    init: Expr | None
    span: Span = field(compare=False, repr=False)


@record
class AxisItem:
    """One axis of an `axis` statement: `x : set = 8`."""

    name: Name
    structure: Name | None
    size: Expr | None
    span: Span = field(compare=False, repr=False)


@record
class AxisStatement:
    """`axis h, k = 64`."""

    items: tuple[AxisItem, ...]
    doc: str
    span: Span = field(compare=False, repr=False)


@record
class Assert:
    """`assert size(m) % size(h) == 0`."""

    condition: Expr
    span: Span = field(compare=False, repr=False)


@record
class Block:
    """`block "Title" { ... }`."""

    title: String
    body: tuple[Statement, ...]
    span: Span = field(compare=False, repr=False)


@record
class Return:
    """`return A, B` (no targets) or `return O[q h k] = ...` (one value)."""

    targets: tuple[Target, ...]
    values: tuple[Expr, ...]
    span: Span = field(compare=False, repr=False)


Statement: TypeAlias = Equation | Declaration | Learn | AxisStatement | Assert | Block | Return


@record
class Use:
    """`use a.b as c` or `use a.b.{f, g as h}`; `names` is None for a whole module."""

    path: tuple[Name, ...]
    alias: Name | None
    names: tuple[tuple[Name, Name | None], ...] | None
    span: Span = field(compare=False, repr=False)


@record
class Const:
    """`const depth = 6`."""

    name: Name
    value: Expr
    doc: str
    span: Span = field(compare=False, repr=False)


@record
class Config:
    """`config base { h = 8, k = 64 }`."""

    name: Name
    settings: tuple[tuple[Name, Expr], ...]
    doc: str
    span: Span = field(compare=False, repr=False)


@record
class Formal:
    """An entry of brackets in a signature: `h`, `k = 64`, `const p = 0.1`, `ins..`."""

    name: Name | Pack
    is_const: bool
    default: Expr | None
    span: Span = field(compare=False, repr=False)


@record
class FormalBrackets:
    """The brackets after a diagram's or an op's name; `arrow` as in `Brackets`."""

    entries: tuple[Formal, ...]
    arrow: tuple[Formal, ...] | None
    span: Span = field(compare=False, repr=False)


@record
class Parameter:
    """An input of a diagram: `Q: [q h k]`; in a point-free signature it has no name."""

    name: Name | None
    type: TypeExpr
    span: Span = field(compare=False, repr=False)


@record
class Diagram:
    """`diagram f[...](...) -> type { body }`, or point-free `diagram f : type -> type = pipeline`.

    Exactly one of `body` and `pipeline` is set.
    """

    name: Name
    formals: FormalBrackets | None
    parameters: tuple[Parameter, ...]
    result: TypeExpr
    body: tuple[Statement, ...] | None
    pipeline: Expr | None
    doc: str
    span: Span = field(compare=False, repr=False)
    header: Span = field(compare=False, repr=False)


@record
class Op:
    """`op name[...]: type -> type { properties }`; a property is `word` or `word = value`."""

    name: Name
    formals: FormalBrackets | None
    parameters: tuple[TypeExpr, ...]
    result: TypeExpr
    properties: tuple[tuple[Name, Expr | None], ...]
    doc: str
    span: Span = field(compare=False, repr=False)


Declared: TypeAlias = Use | AxisStatement | Const | Config | Op | Diagram | Assert


@record
class File:
    """A whole file. `comments` are the spans of all comments, in order, docs included."""

    declarations: tuple[Declared, ...]
    comments: tuple[Span, ...] = field(compare=False, repr=False)
    span: Span = field(compare=False, repr=False)
