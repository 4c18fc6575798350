"""What the tests of the syntax layer share: short ways to parse, and to look at trees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ncdlang.diagnostics import Diagnostic
from ncdlang.records import fields
from ncdlang.source import Source
from ncdlang.syntax import tree
from ncdlang.syntax.parser import Parsed, parse

ROOT = Path(__file__).parent.parent
FILES = sorted((Path(__file__).parent / "data" / "language").glob("*.ncd"))
KEYWORDS = [
    *("use", "axis", "const", "config", "op", "diagram", "learn", "block", "return"),
    *("assert", "as", "size", "and", "or", "not"),
]
BINARY = [
    *(">>", "|", "or", "and", "==", "!=", "<=", ">=", "<", ">"),
    *("+", "-", "*", "/", "//", "%", "^"),
]
ASSIGNS = ["=", "+=", "*=", "max=", "min="]


def parsed(text: str) -> Parsed:
    return parse(Source("test.ncd", text))


def clean(text: str) -> tree.File:
    """The tree of a text without errors."""
    found = parsed(text)
    assert [d.message for d in found.diagnostics] == []
    assert found.broken == ()
    return found.file


def codes(text: str) -> list[str]:
    return [found.code for found in parsed(text).diagnostics]


def in_body(statement: str) -> str:
    return f"diagram f(X: [m]) -> [m] {{\n  {statement}\n  return X\n}}\n"


def expression(text: str) -> tree.Expr:
    (declared,) = clean(f"const c = {text}").declarations
    assert isinstance(declared, tree.Const)
    return declared.value


def body(text: str) -> tuple[tree.Statement, ...]:
    (declared,) = clean(f"diagram f(X: [m]) -> [m] {{\n{text}\n}}").declarations
    assert isinstance(declared, tree.Diagram)
    assert declared.body is not None
    return declared.body


def nodes(node: Any) -> Iterator[Any]:
    """All nodes of a tree, the root first."""
    if isinstance(node, tuple) and not hasattr(node, "source"):
        for part in node:
            yield from nodes(part)
    elif fields(node):
        yield node
        for name in fields(node):
            yield from nodes(getattr(node, name))


def shape(node: Any) -> str:
    """An expression with all its parentheses."""
    match node:
        case tree.Name() | tree.Number():
            return node.text
        case tree.Binary():
            return f"({shape(node.left)} {node.op} {shape(node.right)})"
        case tree.Unary():
            return f"({node.op} {shape(node.operand)})"
        case tree.Bracketed():
            return f"{shape(node.head)}[]"
        case tree.Call():
            return f"{shape(node.function)}()"
        case _:
            return type(node).__name__


def mended(text: str, found: Diagnostic) -> str:
    """A text with the fix of a diagnostic applied."""
    assert found.fix is not None
    for span, new in sorted(found.fix.edits, key=lambda edit: -edit[0].start):
        text = text[: span.start] + new + text[span.end :]
    return text
