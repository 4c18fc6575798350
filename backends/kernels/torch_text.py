"""What no kernel does: terms written as calls of PyTorch's own operators.

Every array has a leading dimension of lifted axes, of size 1 where it is the same along them.
Everything pointwise is worked out in `wide` (f32, or f64), products of matrices in `dtype`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ncdlang.analysis.chosen import chosen
from ncdlang.analysis.terms import Array, Term, Terms, number_kind, parts, subterms
from ncdlang.analysis.wording import names
from ncdlang.semantics.size import Size
from ncdlang.semantics.types import Axis

from ..pytorch.code import number
from ..pytorch.names import comment

INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "and": "&",
    "or": "|",
    "floordiv": "//",
    "mod": "%",
}
CALLS = {
    "max": "torch.maximum",
    "min": "torch.minimum",
    "pow": "torch.pow",
    "abs": "torch.abs",
    "sign": "torch.sign",
    "exp": "torch.exp",
    "log": "torch.log",
    "log1p": "torch.log1p",
    "expm1": "torch.expm1",
    "sqrt": "torch.sqrt",
    "rsqrt": "torch.rsqrt",
    "sin": "torch.sin",
    "cos": "torch.cos",
    "tan": "torch.tan",
    "tanh": "torch.tanh",
    "sigmoid": "torch.sigmoid",
    "erf": "torch.erf",
    "floor": "torch.floor",
    "ceil": "torch.ceil",
    "round": "torch.round",
    "not": "torch.logical_not",
    "neg": "torch.neg",
    "still": "torch.detach",
}


@dataclass(frozen=True, slots=True)
class Named:
    """An expression whose dimensions are the lifted one, then the axes.

    `plain` says that it is a number of Python, `atomic` that it needs no parentheses, `wide` that
    it is worked out in the wide format already.
    """

    text: str
    axes: tuple[Axis, ...]
    plain: bool = False
    atomic: bool = False
    wide: bool = False

    @property
    def operand(self) -> str:
        """The text as an operand of anything."""
        return self.text if self.atomic else f"({self.text})"


@dataclass(eq=False, slots=True)
class TorchWriter:
    """Writes terms into `lines`, each once. `arrays` are the variables of those that loads read.

    Where it is `exact`, products of matrices are taken in the wide format; what is
    `differentiated` has no gradient from branches that are not chosen. `like` is the variable
    of an array on the device that is meant.
    """

    terms: Terms
    arrays: Mapping[Array, str]
    size: Callable[[Size], str]
    claim: Callable[[str], str]
    like: str
    exact: bool = False
    differentiated: bool = False
    lines: list[str] = field(default_factory=list[str])
    memo: dict[Term, Named] = field(default_factory=dict[Term, Named])

    def whole(self, term: Term, axes: tuple[Axis, ...], dtype: str | None) -> str:
        """The values of a term over all of the axes, in a format."""
        if self.differentiated:
            term = chosen(self.terms, term)
        value = self._tensor(self.value(term), term)
        sizes = "".join(f", {self.size(axis.size)}" for axis in axes)
        return f"_whole({self._over(value, axes).text}, {dtype}{sizes})"

    def value(self, term: Term) -> Named:
        """The value of a term over its free axes."""
        if term not in self.memo:
            made = self._made(term)
            label = self.terms.names.get(term)
            if not made.plain and (label or term.op not in ("load", "number", "size")):
                name = self.claim(label or {"index": "i", "fold": "total"}.get(term.op, "t"))
                told = f"  {comment(f'# [{names(made.axes)}]')}" if made.axes else ""
                self.lines.append(f"{name} = {made.text}{told}")
                made = Named(name, made.axes, False, True, made.wide)
            self.memo[term] = made
        return self.memo[term]

    def _over(self, named: Named, axes: tuple[Axis, ...]) -> Named:
        """The value with a dimension for each axis, of size 1 where it lacks it."""
        if named.plain:
            return named
        text, atomic = named.text, named.atomic
        order = [named.axes.index(axis) + 1 for axis in axes if axis in named.axes]
        if order != list(range(1, len(named.axes) + 1)):
            text = f"{named.operand}.permute(0, {', '.join(map(str, order))})"
            atomic = True
        marks = [":" if axis in named.axes else "None" for axis in axes]
        while marks and marks[-1] == ":":
            marks.pop()
        if marks:
            text = f"{text if atomic else f'({text})'}[{', '.join([':', *marks])}]"
            atomic = True
        return Named(text, axes, False, atomic, named.wide)

    def _made(self, term: Term) -> Named:
        match term.op:
            case "number":
                text = number(term.data).text
                return Named(text, (), True, not text.startswith("-"))
            case "size":
                text = self.size(term.data)
                return Named(text, (), True, text.isidentifier() or text.isdigit())
            case "index":
                count = self.size(term.data.size)
                text = f"torch.arange({count}, device={self.like}.device)[None]"
                return Named(text, (term.data,), False, True)
            case "load":
                return self._load(term)
            case "fold":
                return self._fold(term)
            case _:
                return self._apply(term)

    # ---- elementwise -----------------------------------------------------------------------------

    def _widened(self, term: Term, value: Named) -> Named:
        """A real value in the wide format."""
        if value.plain or value.wide or number_kind(term) != "real":
            return value
        return Named(f"{value.operand}.to(wide)", value.axes, False, True, True)

    def _as_real(self, term: Term, value: Named) -> Named:
        """A value of any kind as a real one."""
        if value.plain:
            is_real = number_kind(term) == "real"
            return value if is_real else Named(f"{value.operand} * 1.0", (), True)
        return Named(f"{value.operand}.to(wide)", value.axes, False, True, True)

    def _tensor(self, value: Named, term: Term) -> Named:
        """A number as an array."""
        if not value.plain:
            return value
        kinds = {"real": "wide", "integer": "torch.int64", "boolean": "torch.bool"}
        dtype = kinds[number_kind(term)]
        return Named(f"_number({value.text}, {dtype}, {self.like})", (), False, True, True)

    def _joined(self, values: list[Named]) -> tuple[list[Named], tuple[Axis, ...]]:
        axes = tuple(dict.fromkeys(axis for value in values for axis in value.axes))
        return [self._over(value, axes) for value in values], axes

    def _apply(self, term: Term) -> Named:
        raw = [self.value(arg) for arg in term.args]
        is_real = number_kind(term) == "real"
        if term.op in ("real", "cast"):
            return self._as_real(term.args[0], raw[0])
        values: list[Named] = []
        for place, (arg, value) in enumerate(zip(term.args, raw, strict=True)):
            is_condition = term.op == "select" and place == 0
            widen = self._as_real if is_real and not is_condition else self._widened
            values.append(value if value.wide else widen(arg, value))
        if all(value.plain for value in values):
            # Python divides by zero, and takes roots, in its own way.
            values[0] = self._tensor(values[0], term.args[0])
        values, axes = self._joined(values)
        if term.op == "select":
            return self._select(term, values, axes)
        if term.op in INFIX:
            text = f" {INFIX[term.op]} ".join(value.operand for value in values)
            return Named(text, axes, False, False, is_real)
        if term.op in ("max", "min"):
            values = [self._tensor(v, a) for v, a in zip(values, term.args, strict=True)]
        arguments = ", ".join(value.text for value in values)
        return Named(f"{CALLS[term.op]}({arguments})", axes, False, True, is_real)

    def _select(self, term: Term, values: list[Named], axes: tuple[Axis, ...]) -> Named:
        condition, then, otherwise = values
        condition = self._tensor(condition, term.args[0])
        if then.plain and otherwise.plain:
            then = self._tensor(then, term)
        text = f"torch.where({condition.text}, {then.text}, {otherwise.text})"
        return Named(text, axes, False, True, number_kind(term) == "real")

    # ---- reads -----------------------------------------------------------------------------------

    def _load(self, term: Term) -> Named:
        name = self.arrays[term.data]
        plain = [arg.data for arg in term.args if arg.op == "index"]
        own = all(
            arg.op == "index" and arg.data.size == axis.size
            for arg, axis in zip(term.args, term.data.axes, strict=True)
        )
        if own and len(set(plain)) == len(term.args):
            return Named(name, tuple(plain), False, True)
        indices, axes = self._joined([self.value(arg) for arg in term.args])
        places = ", ".join(index.text for index in indices)
        return Named(f"_taken({name}, {places})", axes, False, True)

    # ---- folds -----------------------------------------------------------------------------------

    def _fold(self, term: Term) -> Named:
        if term.kind == "sum":
            factors = parts(self.terms, term.args[0])
            if len(factors) > 1:
                return self._contraction(term, factors)
        body = self._tensor(self.value(term.args[0]), term.args[0])
        body = self._widened(term.args[0], body)
        kept = tuple(axis for axis in body.axes if axis not in term.bound)
        sizes = "".join(f", {self.size(axis.size)}" for axis in term.bound)
        text = self._over(body, (*kept, *term.bound)).text
        return Named(f'_fold("{term.kind}", {text}{sizes})', kept, False, True, body.wide)

    def _contraction(self, term: Term, factors: list[Term]) -> Named:
        """An einsum in the format of the module, as a library call would do it."""
        values = [(factor, self.value(factor)) for factor in factors]
        numbers = [value.operand for _, value in values if value.plain]
        tensors = [value for _, value in values if not value.plain]
        if not tensors:
            tensors = [self._tensor(values[0][1], values[0][0])]
            numbers = [value.operand for _, value in values[1:]]
        tensors = self._merged(tensors)
        kept = tuple(dict.fromkeys(a for v in tensors for a in v.axes if a not in term.bound))
        letters = {a: chr(ord("a") + i) for i, a in enumerate(dict.fromkeys((*kept, *term.bound)))}
        for axis in term.bound:
            if not any(axis in value.axes for value in tensors):
                numbers.append(f"({self.size(axis.size)})")
        inputs = ",".join("".join(letters[a] for a in value.axes) for value in tensors)
        output = "".join(letters[a] for a in kept)
        # A sum of squares leaves the range of f16, and is no product of matrices.
        is_wide = self.exact or len({frozenset(value.axes) for value in tensors}) == 1
        dtype = "wide" if is_wide else "dtype"
        operands = ", ".join(value.text for value in tensors)
        text = f'_einsum("{inputs}->{output}", {dtype}, {operands})'
        for factor in numbers:
            text += f" * {factor}"
        return Named(text, kept, False, not numbers, is_wide)

    def _merged(self, factors: list[Named]) -> list[Named]:
        """The factors with those multiplied first that have all axes of another one.

        einsum takes more than two from left to right, whatever lies between.
        """
        left = list(factors)
        while len(left) > 2:
            pairs = ((a, b) for a in left for b in left if a is not b and {*a.axes} <= {*b.axes})
            pair = next(pairs, None)
            if pair is None:
                break
            small, large = pair
            wide = [v if v.wide else self._wide(v) for v in (large, self._over(small, large.axes))]
            text = f"{wide[0].text} * {wide[1].text}"
            left[left.index(large)] = Named(text, large.axes, False, False, True)
            left.remove(small)
        return left

    def _wide(self, value: Named) -> Named:
        return Named(f"{value.operand}.to(wide)", value.axes, False, True, True)


def sizes_of(*terms: Term) -> set[Size]:
    """All sizes that terms are written with: of axes, of arrays, and as numbers."""
    found: set[Size] = set()
    for term in subterms(*terms):
        if term.op == "size":
            found.add(term.data)
        elif term.op == "index":
            found.add(term.data.size)
        elif term.op == "load":
            found |= {axis.size for axis in term.data.axes}
        elif term.op == "fold":
            found |= {axis.size for axis in term.bound}
    return found
