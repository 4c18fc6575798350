"""Finds functions that are the same up to names: a deep model writes the kernels of one layer.

The texts are compared as syntax trees. Only names that a function gives itself may differ, its
arguments and variables, so what is launched or called in place of another one does the same with
the same arrays and sizes in the same order.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from functools import reduce

from .launching import Launch
from .operations import Operation
from .source import Kernel
from .variables import Sizes

ALSO = "# the same for "


def share_kernels(kernels: Iterable[Kernel], sizes: Sizes) -> None:
    """Let kernels that are the same up to names have one text and name, that of the first.

    The text tells with one line each what it makes for the others.
    """
    known: dict[str, Kernel] = {}
    followers: list[tuple[Kernel, Kernel]] = []
    for kernel in dict.fromkeys(kernels):
        first = known.setdefault(_key(kernel, sizes), kernel)
        if first.name != kernel.name:
            _take(kernel, first)
            followers.append((kernel, first))
    for kernel, first in followers:
        kernel.text = first.text


def share_operations(operations: Iterable[Operation]) -> None:
    """Let operations that are the same up to names be called by the name of the first."""
    known: dict[str, Operation] = {}
    for operation in operations:
        text = "\n".join(operation.text())
        first = known.setdefault(alike(text, {operation.name: "operation"}), operation)
        if first is not operation:
            operation.called = first.name
            first.others.append(operation.label)


def _key(kernel: Kernel, sizes: Sizes) -> str:
    """What has to be equal of kernels that are the same."""
    arrays = [len(argument.strides) for argument in kernel.arguments.arrays.values()]
    dims = [(dim.role, len(dim.axes), dim in kernel.wide) for dim in kernel.dims]
    tiles = Launch(kernel, sizes).tiles()[1:]
    text = alike(kernel.text, {kernel.name: "kernel"})
    return repr((text, arrays, len(kernel.arguments.sizes), dims, tiles, kernel.calls))


def _take(kernel: Kernel, first: Kernel) -> None:
    """Launch another kernel instead, by its name and with its names of tiles."""
    told = kernel.text.partition("\n")[0].removeprefix("# ")
    head, mark, body = first.text.partition("@triton.jit")
    if not any(line.removeprefix(ALSO).removeprefix("# ") == told for line in head.split("\n")):
        first.text = f"{head}{ALSO}{told}\n{mark}{body}"
    kernel.name = first.name
    for own, other in zip(kernel.dims, first.dims, strict=True):
        own.block = other.block


def alike(text: str, names: Mapping[str, str]) -> str:
    """A text of functions that is equal for those that are the same up to their own names.

    `names` are the names by which others call the functions, and what to read instead. Comments and
    docstrings do not count.
    """
    for name, other in names.items():
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", other, text)
    tree = ast.parse(text)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            _Own(node).visit(node)
    return ast.dump(tree)


class _Own(ast.NodeTransformer):
    """Numbers the names that a function gives itself, in the order in which they stand."""

    def __init__(self, function: ast.FunctionDef) -> None:
        self.numbers: dict[str, str] = {}
        self.own = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
        self.sizes = {name for name in self.own if name.startswith("n_")}
        self.own |= {
            node.id
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        if ast.get_docstring(function) is not None:
            del function.body[0]

    def _numbered(self, name: str) -> str:
        return (
            self.numbers.setdefault(name, f"own {len(self.numbers)}") if name in self.own else name
        )

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """A product of sizes with its factors in the order of the arguments."""
        factors = self._sizes_of(node)
        if factors is None:
            self.generic_visit(node)
            return node
        named: list[ast.expr] = [self.visit_Name(factor) for factor in factors]
        named.sort(key=ast.dump)
        return reduce(lambda left, right: ast.BinOp(left, ast.Mult(), right), named)

    def _sizes_of(self, node: ast.expr) -> list[ast.Name] | None:
        """The factors of a product of sizes, None where it is none: whole numbers commute."""
        match node:
            case ast.Name() if node.id in self.sizes:
                return [node]
            case ast.BinOp(op=ast.Mult()):
                left, right = self._sizes_of(node.left), self._sizes_of(node.right)
                return left + right if left and right else None
            case _:
                return None

    def visit_arg(self, node: ast.arg) -> ast.arg:
        """An argument by its number."""
        node.arg = self._numbered(node.arg)
        return node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """A variable by its number."""
        node.id = self._numbered(node.id)
        return node
