"""The elementwise primitives in PyTorch, on tensors and on plain numbers."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace

from ncdlang.semantics.primitives import COMPARISONS
from ncdlang.semantics.types import Kind

from .code import (
    AND,
    ATOM,
    BIT_AND,
    BIT_OR,
    COMPARE,
    CONDITIONAL,
    NOT,
    OR,
    POWER,
    PRODUCT,
    SUM,
    UNARY,
    Code,
    call,
    infix,
    number,
)
from .nodes import (
    Axes,
    Converted,
    Domain,
    Index,
    Mapped,
    Node,
    Scalar,
    domain_of,
    is_real,
    mapped,
    natural_order,
    repeated,
)
from .render import Writer, filled

_INFIX = {
    "add": ("+", SUM),
    "sub": ("-", SUM),
    "mul": ("*", PRODUCT),
    "div": ("/", PRODUCT),
    "floordiv": ("//", PRODUCT),
    "mod": ("%", PRODUCT),
}
_COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_MATH = frozenset(
    {"exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tan", "tanh", "erf", "floor", "ceil"}
)

Write = Callable[[Sequence[Code]], Code]


def pointwise(w: Writer, name: str, kind: Kind, children: Sequence[Node]) -> Node:
    """The primitive `name` of `primitives.ELEMENTWISE` (or `select`) applied to the children."""
    numbers = [child for child in children if isinstance(child, Scalar)]
    if len(numbers) == len(children):
        return _on_numbers(w, name, domain_of(kind), numbers)
    if name == "real":
        return _real(w, children[0])
    if name == "select":
        return _select(w, kind, children)
    if name == "mul":
        for scalar, other in (children, reversed(children)):
            if isinstance(scalar, Scalar) and scalar.quotient is not None:
                return _times_quotient(w, kind, other, scalar.quotient)
    nodes, domain = _one_format(w, name, domain_of(kind), children)
    return mapped(_writer(name, nodes), nodes, domain)


def _times_quotient(w: Writer, kind: Kind, node: Node, quotient: tuple[Code, Code]) -> Node:
    """`x * (a / b)` as `x * a / b`, which has a value where b is 0."""
    above, below = (Scalar(code, None, "real") for code in quotient)
    if above.code.text != "1":
        node = pointwise(w, "mul", kind, [node, above])
    return pointwise(w, "div", kind, [node, below])


def cast(w: Writer, node: Node, domain: Domain) -> Node:
    """The value in the number format of `domain`."""
    if isinstance(node, Scalar) or (node.domain == domain and not isinstance(node, Converted)):
        return node
    if isinstance(node, Converted):
        node = node.child
    dtype = w.dtype(domain)
    if isinstance(node, Index):
        axis = node.axis
        return mapped(lambda codes: _arange_as(codes[0], dtype), (Index(axis),), domain)
    return mapped(lambda codes: codes[0].method(f"to({dtype})"), (node,), domain)


def _arange_as(code: Code, dtype: str) -> Code:
    if code.text.startswith("torch.arange(") and code.text.endswith(")"):
        return Code(f"{code.text[:-1]}, dtype={dtype})")
    return code.method(f"to({dtype})")


def in_format(w: Writer, node: Node, domain: Domain) -> Node:
    """A real in the format of `domain`; anything else as it is."""
    real = is_real(node.domain) or node.domain == "wide"
    return cast(w, node, domain) if real and is_real(domain) else node


def common_format(w: Writer, nodes: Sequence[Node], result: Domain) -> tuple[list[Node], Domain]:
    """Operands of an operator that converts nothing itself, in the format of its result."""
    domains: list[Domain] = [node.domain for node in nodes]
    if "complex" in domains:
        return list(nodes), "complex"
    if any(is_real(domain) for domain in domains):
        return [cast(w, node, result) for node in nodes], result
    if "wide" in domains:
        return [cast(w, node, "wide") for node in nodes], "wide"
    return list(nodes), domains[0]


# ---- formats -------------------------------------------------------------------------------------


def _one_format(
    w: Writer, name: str, result: Domain, children: Sequence[Node]
) -> tuple[list[Node], Domain]:
    """The operands of an elementwise function in formats that PyTorch promotes rightly."""
    domains: list[Domain] = [child.domain for child in children if not isinstance(child, Scalar)]
    if name in COMPARISONS:
        return [_beside(child, domains) for child in children], "boolean"
    if result in ("integer", "boolean") or "complex" in domains:
        return list(children), result
    if any(is_real(domain) for domain in domains):
        return [_into_reals(w, child, result) for child in children], result
    plain = all(isinstance(child, (Scalar, Converted)) for child in children)
    if plain:
        return [cast(w, child, "wide") for child in children], "wide"
    return [_beside(child, domains) for child in children], "wide"


def _beside(child: Node, domains: list[Domain]) -> Node:
    """Whole numbers beside reals are promoted by PyTorch."""
    return child.child if isinstance(child, Converted) and domains else child


def _into_reals(w: Writer, child: Node, domain: Domain) -> Node:
    if isinstance(child, Converted) and child.promotes:
        return child.child
    return in_format(w, child, domain)


def _real(w: Writer, child: Node) -> Node:
    match child.domain:
        case "integer":
            return Converted(child)
        case "boolean":
            return cast(w, child, "real")
        case "complex":
            return mapped(lambda codes: Code(f"{codes[0].at(ATOM)}.real"), (child,), "real")
        case _:
            return child


# ---- on tensors ----------------------------------------------------------------------------------


def _short(nodes: Sequence[Node], codes: Sequence[Code]) -> list[Code]:
    """The codes, with `2` for the literal `2.0`: beside a tensor they mean the same."""
    return [
        number(node.value, whole=True)
        if isinstance(node, Scalar) and node.value is not None
        else code
        for node, code in zip(nodes, codes, strict=True)
    ]


def _writer(name: str, nodes: Sequence[Node]) -> Write:
    function = _tensor_function(name, nodes)
    return lambda codes: function(_short(nodes, codes))


def _tensor_function(name: str, nodes: Sequence[Node]) -> Write:
    if name in _INFIX:
        sign, level = _INFIX[name]
        return lambda c: infix(sign, level, c[0], c[1])
    if name in _COMPARE:
        sign = _COMPARE[name]
        return lambda c: Code(f"{c[0].at(SUM)} {sign} {c[1].at(SUM)}", COMPARE)
    match name:
        case "neg":
            return lambda c: Code(f"-{c[0].at(UNARY)}", UNARY)
        case "pow":
            return lambda c: Code(f"{c[0].at(ATOM)} ** {c[1].at(UNARY)}", POWER)
        case "and":
            return lambda c: infix("&", BIT_AND, c[0], c[1])
        case "or":
            return lambda c: infix("|", BIT_OR, c[0], c[1])
        case "not":
            return lambda c: Code(f"~{c[0].at(UNARY)}", UNARY)
        case "max" | "min":
            return _extreme(name, nodes)
        case _:
            return lambda c: call(f"torch.{name}", *(code.text for code in c))


def _extreme(name: str, nodes: Sequence[Node]) -> Write:
    """`max` and `min` of two; a plain number clamps."""
    plain = [isinstance(node, Scalar) for node in nodes]
    if any(plain):
        bound = plain.index(True)
        keyword = "min" if name == "max" else "max"
        return lambda c: c[1 - bound].method(f"clamp({keyword}={c[bound].text})")
    return lambda c: call(f"torch.{name}imum", c[0].text, c[1].text)


def _select(w: Writer, kind: Kind, children: Sequence[Node]) -> Node:
    condition, *branches = children
    domain = domain_of(kind)
    if isinstance(condition, Scalar):
        return _choice(w, domain, condition, branches)
    if not is_real(domain):
        return mapped(_write_where, [condition, *branches], domain)
    if all(isinstance(branch, Scalar) for branch in branches):
        return _choice_of_numbers(w, condition, branches)
    nodes, domain = _one_format(w, "select", domain, branches)
    return mapped(_write_where, [condition, *nodes], domain)


def _choice(w: Writer, domain: Domain, condition: Scalar, branches: Sequence[Node]) -> Node:
    """One branch or the other as a whole, by a plain truth value: both get the same shape."""
    tensors = [branch for branch in branches if not isinstance(branch, Scalar)]
    if is_real(domain) and not any(is_real(tensor.domain) for tensor in tensors):
        domain = "wide"
    axes = natural_order(branches)
    nodes = [_alike(w, branch, domain, axes) for branch in branches]
    test = condition.code.at(OR)

    def write(codes: Sequence[Code]) -> Code:
        then, otherwise = (code.at(OR) for code in codes)
        return Code(f"{then} if {test} else {otherwise}", CONDITIONAL)

    return Mapped(write, tuple(nodes), axes, any(n.batched for n in nodes), domain, lazy=True)


def _alike(w: Writer, node: Node, domain: Domain, axes: Axes) -> Node:
    if isinstance(node, Scalar):
        node = replace(node, domain=domain)
        return repeated(node, axes) if axes else as_tensor(w, node, domain)
    return repeated(node if domain == "complex" else cast(w, node, domain), axes)


def _choice_of_numbers(w: Writer, condition: Node, branches: Sequence[Node]) -> Node:
    """Without a tensor among the branches torch.where gives the default format."""
    values = [branch.value for branch in branches if isinstance(branch, Scalar)]
    exact = [float(value) for value in values if value is not None and _is_exact(value)]
    if len(exact) < 2:
        first = as_tensor(w, branches[0], "wide")
        return mapped(_write_where, [condition, first, branches[1]], "wide")
    literals = [Scalar(number(value), value, "real") for value in exact]
    return Converted(mapped(_write_where, [condition, *literals], "wide"), promotes=False)


def _write_where(codes: Sequence[Code]) -> Code:
    return call("torch.where", *(code.text for code in codes))


def _is_exact(value: float) -> bool:
    """Whether a number is the same in every format that torch.where may take."""
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0] == value
    except OverflowError:
        return False


def as_tensor(w: Writer, scalar: Node, domain: Domain) -> Node:
    """A plain number as a tensor without axes."""
    dtype = w.dtype(domain)
    value = scalar.value if isinstance(scalar, Scalar) else None
    return mapped(lambda c: filled(w, Scalar(c[0], value, domain), (), dtype), (scalar,), domain)


# ---- on plain numbers ----------------------------------------------------------------------------


def _on_numbers(w: Writer, name: str, domain: Domain, numbers: Sequence[Scalar]) -> Scalar:
    codes = [n.code for n in numbers]
    if name == "real":
        value = numbers[0].value
        code = codes[0] if value is None else number(float(value))
        if value is None and numbers[0].domain == "boolean":
            code = Code(f"float({code.text})")  # PyTorch subtracts no booleans
        return Scalar(code, None if value is None else float(value), "real")
    if name == "div":
        return _quotient(w, *numbers)
    if name == "rsqrt":
        return _quotient(w, _ONE, _on_numbers(w, "sqrt", domain, numbers))
    if name == "pow" and isinstance(numbers[1].value, (int, float)) and numbers[1].value < 0:
        exponent = -numbers[1].value
        positive = Scalar(number(exponent), exponent, "real")
        return _quotient(w, _ONE, _on_numbers(w, "pow", domain, (numbers[0], positive)))
    if name == "mul":
        for scalar, other in (numbers, reversed(numbers)):
            if scalar.quotient is not None:
                above, below = scalar.quotient
                product = (
                    other.code if above.text == "1" else _number_code(name, [above, other.code])
                )
                top, bottom = Scalar(product, None, "real"), Scalar(below, None, "real")
                return _quotient(w, top, bottom)
    return Scalar(_number_code(name, codes), None, domain)


_ONE = Scalar(Code("1"), 1.0, "real")


def _quotient(w: Writer, above: Scalar, below: Scalar) -> Scalar:
    top, bottom = (number(n.value, True) if n.value is not None else n.code for n in (above, below))
    if below.value:
        return Scalar(infix("/", PRODUCT, top, bottom), None, "real")
    code = call(w.helper("_ratio"), top.text, bottom.text)
    return Scalar(code, None, "real", quotient=(top, bottom))


def _number_code(name: str, c: list[Code]) -> Code:
    texts = [code.text for code in c]
    if name in _MATH:
        return call(f"math.{name}", texts[0])
    match name:
        case "select":
            condition, then, otherwise = (code.at(OR) for code in c)
            return Code(f"{then} if {condition} else {otherwise}", CONDITIONAL)
        case "and":
            return infix("and", AND, c[0], c[1])
        case "or":
            return infix("or", OR, c[0], c[1])
        case "not":
            return Code(f"not {c[0].at(NOT)}", NOT)
        case "max" | "min":
            return call(name, *texts)
        case "abs" | "round":
            return call(name, texts[0])
        case "sigmoid":
            return Code(f"0.5 + 0.5 * math.tanh(0.5 * {c[0].at(UNARY)})", SUM)
        case "sign":
            return Code(f"({c[0].at(SUM)} > 0) - ({c[0].at(SUM)} < 0)", SUM)
        case _:
            return _tensor_function(name, ())(c)
