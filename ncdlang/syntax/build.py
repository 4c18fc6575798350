"""The parser's actions: each makes the tree node of one rule of the grammar."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from ncdlang.diagnostics import Diagnostic, Fix
from ncdlang.source import Span
from ncdlang.syntax import tree
from ncdlang.syntax.depth import MAX_DEPTH, deepest
from ncdlang.syntax.lexer import Tokens

Args: TypeAlias = list[Any]
Action: TypeAlias = Callable[[Args, int, int], Any]

_MAX_DIGITS = 300

_MOST_REPORTS = 100
"""How many statements that are wrong in themselves are worth reporting."""


class Builder:
    """Actions by name, for one text. They get the kept parts of a rule and the offsets it covers.

    A part is a node, a `Name` for a name, the token's index for any other token, or None where an
    optional part is absent. A statement or declaration that is wrong in itself becomes None.
    """

    def __init__(self, tokens: Tokens, literals: dict[int, str]) -> None:
        self.tokens = tokens
        self._literals = literals
        self.source = tokens.source
        self._docs = tokens.docs
        self._reported: set[int] = set()

    def action(self, name: str) -> Action:
        """The action that the grammar calls `name`."""
        action: Action = _tuple_of if name in _TUPLES else getattr(self, f"_{name}")
        return action

    def _span(self, start: int, end: int) -> Span:
        return Span(self.source, start, end)

    def _operator(self, token: int) -> str:
        """The text of an operator, however it was typed; recovery adds one as `-1 - kind`."""
        return self._literals[self.tokens.kinds[token] if token >= 0 else -1 - token]

    def _report(self, found: Diagnostic, broken: Span) -> None:
        """Report one thing for a statement, even if recovery builds it again."""
        self.tokens.broken.append(broken)
        if broken.start in self._reported or len(self._reported) >= _MOST_REPORTS:
            return
        self._reported.add(broken.start)
        places = (known.span.start for known in self.tokens.findings)
        if not any(broken.start <= place < broken.end for place in places):
            self.tokens.findings.append(found)

    # ---- files ----

    def _file(self, args: Args, start: int, end: int) -> tree.File:
        del start, end
        whole = self._span(0, len(self.source.text))
        kept = tuple(item for item in args if item is not None and self._is_shallow(item))
        return tree.File(kept, tuple(self.tokens.comments), whole)

    def _use(self, args: Args, start: int, end: int) -> tree.Use:
        return tree.Use(args[0], args[1], None, self._span(start, end))

    def _use_names(self, args: Args, start: int, end: int) -> tree.Use:
        return tree.Use(args[0], None, tuple(args[1:]), self._span(start, end))

    def _module(self, args: Args, start: int, end: int) -> tuple[tree.Name, ...]:
        del start, end
        return (args[0],) if len(args) == 1 else (*args[0], args[1])

    def _axes(self, args: Args, start: int, end: int) -> tree.AxisStatement:
        doc = self._docs.get(start, "")
        return tree.AxisStatement(tuple(args), doc, self._span(start, end))

    def _axis_item(self, args: Args, start: int, end: int) -> tree.AxisItem:
        return tree.AxisItem(args[0], args[1], args[2], self._span(start, end))

    def _const(self, args: Args, start: int, end: int) -> tree.Const:
        return tree.Const(args[0], args[1], self._docs.get(start, ""), self._span(start, end))

    def _config(self, args: Args, start: int, end: int) -> tree.Config:
        doc = self._docs.get(start, "")
        return tree.Config(args[0], args[1] or (), doc, self._span(start, end))

    def _op(self, args: Args, start: int, end: int) -> tree.Op:
        name, formals, domain, result, properties = args
        doc, span = self._docs.get(start, ""), self._span(start, end)
        return tree.Op(name, formals, _wires(domain), result, properties or (), doc, span)

    # ---- diagrams ----

    def _diagram(self, args: Args, start: int, end: int) -> tree.Diagram | None:
        name, formals, parameters, result, body = args
        if not name.text:  # a header that recovery put in
            return None
        doc, span = self._docs.get(start, ""), self._span(start, end)
        header = self._span(start, result.span.end)
        return tree.Diagram(name, formals, parameters or (), result, body, None, doc, span, header)

    def _point_free(self, args: Args, start: int, end: int) -> tree.Diagram:
        name, formals, domain, result, pipeline = args
        inputs = tuple(tree.Parameter(None, wire, wire.span) for wire in _wires(domain))
        doc, span = self._docs.get(start, ""), self._span(start, end)
        header = self._span(start, result.span.end)
        return tree.Diagram(name, formals, inputs, result, None, pipeline, doc, span, header)

    def _formals(self, args: Args, start: int, end: int) -> tree.FormalBrackets:
        return tree.FormalBrackets(args[0] or (), None, self._span(start, end))

    def _formals_arrow(self, args: Args, start: int, end: int) -> tree.FormalBrackets:
        return tree.FormalBrackets(args[0] or (), args[1] or (), self._span(start, end))

    def _formal_axis(self, args: Args, start: int, end: int) -> tree.Formal:
        return tree.Formal(args[0], False, None, self._span(start, end))

    def _formal_default(self, args: Args, start: int, end: int) -> tree.Formal:
        return tree.Formal(args[0], False, args[1], self._span(start, end))

    def _formal_const(self, args: Args, start: int, end: int) -> tree.Formal:
        return tree.Formal(args[0], True, args[1], self._span(start, end))

    def _parameters(self, args: Args, start: int, end: int) -> tuple[tree.Parameter, ...]:
        del start, end
        return tuple(parameter for group in args for parameter in group)

    def _parameter(self, args: Args, start: int, end: int) -> tuple[tree.Parameter, ...]:
        *names, kind = args
        if len(names) == 1:
            return (tree.Parameter(names[0], kind, self._span(start, end)),)
        return tuple(tree.Parameter(name, kind, name.span) for name in names)

    # ---- types ----

    def _array_type(self, args: Args, start: int, end: int) -> tree.ArrayTypeExpr:
        return tree.ArrayTypeExpr(None, None, args[0], self._span(start, end))

    def _format_type(self, args: Args, start: int, end: int) -> tree.ArrayTypeExpr:
        return tree.ArrayTypeExpr(args[0], None, args[1], self._span(start, end))

    def _bounded_type(self, args: Args, start: int, end: int) -> tree.ArrayTypeExpr:
        return tree.ArrayTypeExpr(args[0], args[1], args[2], self._span(start, end))

    def _tuple_type(self, args: Args, start: int, end: int) -> tree.TypeExpr:
        if len(args) == 1:  # parentheses round one type only group it
            only: tree.TypeExpr = args[0]
            return only
        return tree.TupleTypeExpr(tuple(args), self._span(start, end))

    # ---- statements ----

    def _body(self, args: Args, start: int, end: int) -> tuple[tree.Statement, ...]:
        del start, end
        return tuple(item for item in args if item is not None and self._is_shallow(item))

    def _equation(self, args: Args, start: int, end: int) -> tree.Equation | None:
        sides, op, value = args
        span = self._span(start, end)
        targets = self._targets(sides, span)
        if targets is None:
            return None
        return tree.Equation(targets, self._operator(op), value, span)

    def _declared(self, args: Args, start: int, end: int) -> tree.Declaration:
        return tree.Declaration(args[0], args[1], self._span(start, end))

    def _learn(self, args: Args, start: int, end: int) -> tree.Learn:
        return tree.Learn(args[0], args[1], args[2], self._span(start, end))

    def _assertion(self, args: Args, start: int, end: int) -> tree.Assert:
        return tree.Assert(args[0], self._span(start, end))

    def _block(self, args: Args, start: int, end: int) -> tree.Block:
        return tree.Block(args[0], args[1], self._span(start, end))

    def _return(self, args: Args, start: int, end: int) -> tree.Return:
        return tree.Return((), args[0], self._span(start, end))

    def _return_equation(self, args: Args, start: int, end: int) -> tree.Return | None:
        span = self._span(start, end)
        targets = self._targets(args[0], span)
        return None if targets is None else tree.Return(targets, (args[1],), span)

    def _targets(self, sides: tuple[tree.Expr, ...], whole: Span) -> tuple[tree.Target, ...] | None:
        """The left side of an equation, None if it is none."""
        targets: list[tree.Target] = []
        for side in sides:
            match side:
                case tree.Name() if _is_plain(side):
                    targets.append(tree.Target(side, None, side.span))
                case tree.Bracketed(head=tree.Name() as name, brackets=brackets) if _is_plain(name):
                    targets.append(tree.Target(name, brackets, side.span))
                case _:
                    self._report(_not_a_target(side), whole)
                    return None
        return tuple(targets)

    def _is_shallow(self, item: tree.Statement | tree.Declared) -> bool:
        """Whether later passes can recurse over a statement; reports if not."""
        depth = deepest(item)
        if depth <= MAX_DEPTH:
            return True
        message = f"this is nested more than {MAX_DEPTH} levels deep"
        rule = "name parts of it in equations of their own"
        self._report(Diagnostic("NCD1014", message, item.span, help=rule), item.span)
        return False

    # ---- expressions ----

    def _binary(self, args: Args, start: int, end: int) -> tree.Binary:
        left, op, right = args
        place = self.tokens.span(op)
        return tree.Binary(self._operator(op), left, right, place, self._span(start, end))

    def _unary(self, args: Args, start: int, end: int) -> tree.Unary:
        return tree.Unary(self._operator(args[0]), args[1], self._span(start, end))

    def _bracketed(self, args: Args, start: int, end: int) -> tree.Bracketed:
        return tree.Bracketed(args[0], args[1], self._span(start, end))

    def _call(self, args: Args, start: int, end: int) -> tree.Call:
        return tree.Call(args[0], tuple(args[1:]), self._span(start, end))

    def _number(self, args: Args, start: int, end: int) -> tree.Number:
        del args
        span = self._span(start, end)
        text = span.text
        try:
            value = int(text) if text.isdecimal() and len(text) <= _MAX_DIGITS else float(text)
        except ValueError:  # reported by the lexer
            value = 0
        if value == math.inf or len(text) > _MAX_DIGITS:
            rule = "infinity is written `inf`"
            self._report(Diagnostic("NCD1005", "this number is too large", span, help=rule), span)
        return tree.Number(text, value, span)

    def _string(self, args: Args, start: int, end: int) -> tree.String:
        del args
        span = self._span(start, end)
        text = span.text.strip("\"'“”„«»") if span.text[:1] != '"' else span.text[1:-1]
        value = text.replace('\\"', '"').replace("\\\\", "\\") if "\\" in text else text
        return tree.String(value, span)

    def _qualified(self, args: Args, start: int, end: int) -> tree.Name:
        return tree.Name(f"{args[0].text}.{args[1].text}", self._span(start, end))

    def _size_of(self, args: Args, start: int, end: int) -> tree.SizeOf:
        return tree.SizeOf(args[0], self._span(start, end))

    def _group(self, args: Args, start: int, end: int) -> tree.Group:
        return tree.Group(args[0], self._span(start, end))

    def _tuple(self, args: Args, start: int, end: int) -> tree.TupleExpr:
        return tree.TupleExpr(tuple(args), self._span(start, end))

    def _composite(self, args: Args, start: int, end: int) -> tree.Composite:
        return tree.Composite(tuple(args), self._span(start, end))

    def _block_expression(self, args: Args, start: int, end: int) -> tree.BlockExpr:
        return tree.BlockExpr(args[0], args[1], self._span(start, end))

    def _brackets(self, args: Args, start: int, end: int) -> tree.Brackets:
        return tree.Brackets(tuple(args), None, self._span(start, end))

    def _brackets_arrow(self, args: Args, start: int, end: int) -> tree.Brackets:
        return tree.Brackets(args[0] or (), args[1] or (), self._span(start, end))

    def _slot(self, args: Args, start: int, end: int) -> tree.Slot:
        return tree.Slot(None, tuple(args), self._span(start, end))

    def _setting(self, args: Args, start: int, end: int) -> tree.Slot:
        return tree.Slot(args[0], (args[1],), self._span(start, end))

    def _pack(self, args: Args, start: int, end: int) -> tree.Pack:
        return tree.Pack(args[0].text, self._span(start, end))


def _tuple_of(args: Args, start: int, end: int) -> tuple[Any, ...]:
    del start, end
    return tuple(args)


_TUPLES = frozenset(
    (
        *("imported", "settings", "assignment", "properties", "property"),
        *("entries", "names", "expressions", "slots"),
    )
)
"""Rules whose value is the tuple of their parts."""


def _wires(domain: tree.TypeExpr) -> tuple[tree.TypeExpr, ...]:
    """The inputs that the left side of a point-free signature stands for."""
    return domain.items if isinstance(domain, tree.TupleTypeExpr) else (domain,)


def _is_plain(name: tree.Name) -> bool:
    """Whether a name is not one of another file: `layers.f`."""
    return "." not in name.text


def _not_a_target(side: tree.Expr) -> Diagnostic:
    """The diagnostic for a left side that is no wire."""
    message = "the left side of an equation is a wire, with its axes if they are written"
    rule = "write `Y = ...` or `Y[i j] = ...`"
    fix: Fix | None = None
    span = side.span
    match side:
        case tree.TupleExpr(items=items) if items:
            first, last = items[0].span, items[-1].span
            edits = (
                (Span(span.source, span.start, first.start), ""),
                (Span(span.source, last.end, span.end), ""),
            )
            rule = "several results are written `A, B = f(X)`"
            fix = Fix("remove the parentheses", edits)
        case tree.Call(function=tree.Name() as name):
            rule = f"a wire is indexed in square brackets: `{name.text}[...]`"
        case _:
            pass
    return Diagnostic("NCD1020", message, span, "not a wire", help=rule, fix=fix)
