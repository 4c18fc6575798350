"""The surface tree: one node for each construct of the text, with its place. No meaning here.

Equality of nodes ignores spans, so two texts that differ in white space and comments only have
equal trees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from ncdlang.source import Span


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier, NFC-normalised: `x'`."""

    text: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Pack:
    """A run of axes of any length in a signature of the standard library: `ins..`."""

    text: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written; `value` is an int exactly when the text has no point and no exponent."""

    text: str
    value: int | float
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class String:
    """A quoted text, without its quotes."""

    value: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Unary:
    """`-a` or `not a`."""

    op: str
    operand: Expr
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """`left op right` for every infix operator, `>>` and `|` and comparisons included."""

    op: str
    left: Expr
    right: Expr
    op_span: Span = field(compare=False, repr=False)
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class SizeOf:
    """`size(k)`; `axis` is a name or a composite."""

    axis: Expr
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Slot:
    """One comma-separated part of a bracket.

    `[q h k]` is one slot of three items, all names or packs; any other slot has one item.
    `name` is set for a setting: `value = -inf`.
    """

    name: Name | None
    items: tuple[Expr | Pack, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Brackets:
    """`[...]`. `arrow` holds the slots after `->`, None where there is no arrow."""

    slots: tuple[Slot, ...]
    arrow: tuple[Slot, ...] | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Bracketed:
    """`head[...]`: a wire with indices, or an operator with axes and settings."""

    head: Expr
    brackets: Brackets
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """`function(arguments)`."""

    function: Expr
    arguments: tuple[Expr, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Group:
    """`(inner)`, kept because parentheses matter to contraction."""

    inner: Expr
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TupleExpr:
    """`(a, b)`, and `()`."""

    items: tuple[Expr, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Composite:
    """`(h k)`: two or more axes flattened row-major."""

    names: tuple[Name, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class ArrayTypeExpr:
    """`[q h k]`, `N(v)[n]`, `f32[m]`: `format` is the word before the bracket, `bound` the `v`."""

    format: Name | None
    bound: Expr | None
    axes: Brackets
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TupleTypeExpr:
    """`(A, B)`: parallel wires."""

    items: tuple[TypeExpr, ...]
    span: Span = field(compare=False, repr=False)


TypeExpr: TypeAlias = ArrayTypeExpr | TupleTypeExpr


@dataclass(frozen=True, slots=True)
class Target:
    """A wire on the left of an equation, with its axes or indices if they are written."""

    name: Name
    brackets: Brackets | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Equation:
    """`targets op value` with op one of `=`, `+=`, `*=`, `max=`, `min=`."""

    targets: tuple[Target, ...]
    op: str
    value: Expr
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Declaration:
    """`Y: [v d]`: a wire that equations then write."""

    name: Name
    type: TypeExpr
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Learn:
    """`learn W: [f m] ~ init` (`spec` is a type) or `learn L: linear[m -> h]` (an expression)."""

    names: tuple[Name, ...]
    spec: TypeExpr | Expr
    init: Expr | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class AxisItem:
    """One axis of an `axis` statement: `x : set = 8`."""

    name: Name
    structure: Name | None
    size: Expr | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class AxisStatement:
    """`axis h, k = 64`."""

    items: tuple[AxisItem, ...]
    doc: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Assert:
    """`assert size(m) % size(h) == 0`."""

    condition: Expr
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Block:
    """`block "Title" { ... }`."""

    title: String
    body: tuple[Statement, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Return:
    """`return A, B` (no targets) or `return O[q h k] = ...` (one value)."""

    targets: tuple[Target, ...]
    values: tuple[Expr, ...]
    span: Span = field(compare=False, repr=False)


Statement: TypeAlias = Equation | Declaration | Learn | AxisStatement | Assert | Block | Return


@dataclass(frozen=True, slots=True)
class Use:
    """`use a.b as c` or `use a.b.{f, g as h}`; `names` is None for a whole module."""

    path: tuple[Name, ...]
    alias: Name | None
    names: tuple[tuple[Name, Name | None], ...] | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Const:
    """`const depth = 6`."""

    name: Name
    value: Expr
    doc: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """`config base { h = 8, k = 64 }`."""

    name: Name
    settings: tuple[tuple[Name, Expr], ...]
    doc: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Formal:
    """An entry of a diagram's brackets: a free axis or target `h`, `k = 64`, `const p = 0.1`, `ins..`."""

    name: Name | Pack
    is_const: bool
    default: Expr | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class FormalBrackets:
    """The brackets after a diagram's or an op's name; `arrow` as in `Brackets`."""

    entries: tuple[Formal, ...]
    arrow: tuple[Formal, ...] | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Parameter:
    """An input of a diagram: `Q: [q h k]`; in a point-free signature it has no name."""

    name: Name | None
    type: TypeExpr
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class File:
    """A whole file. `comments` are the spans of all comments, in order, docs included."""

    declarations: tuple[Declared, ...]
    comments: tuple[Span, ...] = field(compare=False, repr=False)
    span: Span = field(compare=False, repr=False)
