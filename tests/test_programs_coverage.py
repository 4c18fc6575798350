"""The generator of programs writes every construct of the language, and new ones are noticed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any, get_args

from programs import write
from programs.statements import FEATURES

from ncdlang.semantics.names import OPERATORS
from ncdlang.semantics.primitives import ELEMENTWISE, INFIX, REDUCTIONS
from ncdlang.semantics.stages import NAMES
from ncdlang.semantics.statements import INITIALISERS, STRUCTURES
from ncdlang.semantics.types import FORMATS
from ncdlang.source import Source
from ncdlang.syntax import tree
from ncdlang.syntax.parser import parse

COUNT = 600
# Only diagrams that nothing can be done with have it, and what a pipeline is given at its calls.
UNUSED_NODES = {"TupleExpr"}


@cache
def texts() -> tuple[str, ...]:
    one_each = [write(Random(seed), only=[name]).text for name in FEATURES for seed in range(40)]
    return (*one_each, *(write(Random(seed)).text for seed in range(COUNT)))


def nodes(node: Any) -> Iterator[Any]:
    """A node and all nodes in it."""
    if isinstance(node, tuple):
        for item in node:
            yield from nodes(item)
    elif hasattr(node, "span"):
        yield node
        for name in node.__slots__:
            if "span" not in name and name != "header":
                yield from nodes(getattr(node, name))


@cache
def found() -> tuple[set[str], set[str]]:
    """The kinds of nodes, and the operators and words."""
    kinds: set[str] = set()
    words: set[str] = set()
    for text in texts():
        words.update(re.findall(r"[\w']+|[^\w\s]+", text))
        for node in nodes(parse(Source("test.ncd", text)).file):
            kinds.add(type(node).__name__)
            if isinstance(node, tree.Unary | tree.Binary | tree.Equation):
                words.add(f"{type(node).__name__} {node.op}")
    return kinds, words


def every_node() -> set[str]:
    unions = (tree.Expr, tree.TypeExpr, tree.Statement, tree.Declared)
    parts = (tree.Pack, tree.Slot, tree.Brackets, tree.Target, tree.AxisItem, tree.Formal,
             tree.FormalBrackets, tree.Parameter)  # fmt: skip
    return {each.__name__ for union in unions for each in get_args(union)} | {
        each.__name__ for each in parts
    }


def test_every_node_of_the_tree_occurs() -> None:
    assert every_node() - found()[0] - UNUSED_NODES == set()


def test_every_operator_occurs() -> None:
    infix = {f"Binary {op}" for op in (*INFIX, ">>", "|")}
    assert infix | {"Unary -", "Unary not"} <= found()[1]
    assert {f"Equation {op}" for op in ("=", "+=", "*=", "max=", "min=")} <= found()[1]


def test_every_primitive_and_word_occurs() -> None:
    named = set(ELEMENTWISE) - set(INFIX.values()) - {"neg"}
    wanted = {*named, *REDUCTIONS, *OPERATORS, *NAMES, *INITIALISERS, *STRUCTURES, *FORMATS}
    assert wanted | {"inf", "pi", "frozen", "cast", "initial"} - found()[1] - {"inf"} <= found()[1]
    assert wanted - found()[1] == set()


def test_the_library_is_used() -> None:
    """Every diagram of the prelude and of std.nn occurs, and most of the others."""
    from test_check_laws import LIBRARY

    declared = {
        name
        for text in LIBRARY
        for name in re.findall(r"^(?:diagram|op) (\w+)", text, re.MULTILINE)
    }
    missing = declared - found()[1]
    assert missing <= {
        "conv2d", "linear_conv2d", "grouped_conv1d", "grouped_conv2d", "depthwise_conv2d",
        "conv_transpose2d", "pad1d", "pad2d", "crop1d", "crop2d", "max_pool2d", "avg_pool2d",
        "upsample2d", "cross_multi_head", "soft_cross_entropy", "nll", "kl", "running",
        "causal_grouped_attention",
    }  # fmt: skip
