"""Derivatives of the elementwise primitives, as terms."""

from __future__ import annotations

import math

from ncdlang.analysis.terms import Term, Terms


def derivative(terms: Terms, term: Term, position: int) -> Term | None:
    """The derivative of an elementwise operation by one of its arguments; None if it has none."""
    apply, number = terms.apply, terms.number
    one, zero = number(1.0), number(0.0)
    args = term.args
    x = args[0]
    match term.op:
        case "add" | "real" | "cast":
            return one
        case "sub":
            return one if position == 0 else number(-1.0)
        case "neg":
            return number(-1.0)
        case "mul":
            return args[1 - position]
        case "div" if position == 0:
            return apply("div", one, args[1])
        case "div":
            return apply("neg", apply("div", x, apply("mul", args[1], args[1])))
        case "pow" if position == 0:
            if args[1].op != "number":
                return None
            lower = number(args[1].data - 1)
            return apply("mul", args[1], apply("pow", x, lower))
        case "select":
            chosen = (one, zero) if position == 1 else (zero, one)
            return apply("select", args[0], *chosen)
        case "max" | "min":
            return _extremum(terms, term, position)
        case _:
            return _unary(terms, term, x)


def _extremum(terms: Terms, term: Term, position: int) -> Term:
    """1 for the chosen argument; where both are equal each has a half, as in PyTorch."""
    apply, number = terms.apply, terms.number
    own, other = term.args[position], term.args[1 - position]
    is_chosen = apply("gt" if term.op == "max" else "lt", own, other)
    shared = apply("select", apply("eq", own, other), number(0.5), number(0.0))
    return apply("select", is_chosen, number(1.0), shared)


def _unary(terms: Terms, term: Term, x: Term) -> Term | None:
    apply, number = terms.apply, terms.number
    one = number(1.0)
    square = apply("mul", x, x)
    match term.op:
        case "exp":
            return term
        case "expm1":
            return apply("exp", x)
        case "log":
            return apply("div", one, x)
        case "log1p":
            return apply("div", one, apply("add", one, x))
        case "sqrt":
            return apply("div", number(0.5), term)
        case "rsqrt":
            return apply("mul", number(-0.5), apply("mul", term, apply("mul", term, term)))
        case "sin":
            return apply("cos", x)
        case "cos":
            return apply("neg", apply("sin", x))
        case "tan":
            return apply("add", one, apply("mul", term, term))
        case "tanh":
            return apply("sub", one, apply("mul", term, term))
        case "sigmoid":
            return apply("mul", term, apply("sub", one, term))
        case "abs":
            return apply("sign", x)
        case "sign" | "floor" | "ceil" | "round" | "still":
            return number(0.0)
        case "erf":
            scale = number(2 / math.sqrt(math.pi))
            return apply("mul", scale, apply("exp", apply("neg", square)))
        case _:
            return None
