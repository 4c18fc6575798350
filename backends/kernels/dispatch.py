"""Which path a module takes on a GPU: its kernels, or what the eager class calls.

A measured table (`winners.py`, written by the benchmarks) says for a program, a GPU, a format
and a class of sizes which one is faster. Where nothing was measured the kernels run. On the CPU
they only run where Triton interprets them.
"""

from __future__ import annotations

import hashlib
from typing import Any

from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.steps import Step, terms_of
from ncdlang.analysis.terms import Term, subterms
from ncdlang.semantics.size import Atom, Size, Symbol
from ncdlang.targets import Request, TargetError

from ..pytorch.names import quoted
from .training import Runner
from .winners import ROWS

CHOICES = {"auto": None, "": None, "true": True, "false": False}


def choice(request: Request) -> bool | None:
    """What a request says of `derived`. Raises TargetError for what it can't be."""
    given: Any = request.options.get("derived", "auto")
    text = str(given).lower()
    if text not in CHOICES:
        raise TargetError(f"derived is true, false or auto, not {quoted(str(given))}")
    return CHOICES[text]


def tunes(request: Request) -> bool:
    """What a request says of `tune`. Raises TargetError for what it can't be."""
    given: Any = request.options.get("tune", "false")
    text = str(given).lower()
    if text not in ("true", "false"):
        raise TargetError(f"tune is true or false, not {quoted(str(given))}")
    return text == "true"


def fingerprint(runner: Runner) -> str:
    """A program up to its names: the same for every way to call its axes, wires and diagrams."""
    hashed = hashlib.sha256()
    for step in runner.plan.steps:
        hashed.update(_shape_of(step).encode())
    return hashed.hexdigest()[:12]


def _shape_of(step: Step) -> str:
    numbers: dict[Any, int] = {}

    def number(what: Any) -> int:
        return numbers.setdefault(what, len(numbers))

    lines = [f"{type(step).__name__} {step.op if isinstance(step, Scattered) else ''}"]
    for term in subterms(*terms_of(step)):
        lines.append(f"{term.op} {_data(term, number)} {[number(arg) for arg in term.args]}")
        number(term)
    return "\n".join(lines)


def _data(term: Term, number: Any) -> str:
    match term.op:
        case "number":
            return repr(term.data)
        case "index":
            return f"axis {number(term.data)} {_size(term.data.size, number)}"
        case "size":
            return _size(term.data, number)
        case "load":
            return f"array {number(term.data)} {term.data.kind.name}"
        case "fold":
            return f"{term.kind} {[number(axis) for axis in term.bound]}"
        case _:
            return ""


def _size(size: Size, number: Any) -> str:
    """A size up to the names of its symbols, which are numbered in the order of their making."""
    for symbol in sorted(size.symbols(), key=lambda symbol: symbol.uid):
        number(symbol)

    def text(atom: Atom) -> str:
        if isinstance(atom, Symbol):
            return str(number(atom))
        return f"({_size(atom.numerator, number)} // {_size(atom.denominator, number)})"

    return str(sorted((sorted((text(a), power) for a, power in m), c) for m, c in size.terms))


def default_text(runner: Runner, derived: bool | None, tune: bool) -> str:
    """The lines that choose, with the rows of the table that are of this program."""
    own = [row for row in ROWS if row["program"] == fingerprint(runner)]
    lines = [
        "# Which path runs: True is kernels wherever they can run, False what PyTorch offers, None",
        "# what was faster when measured, and kernels where nothing was. On the CPU it is PyTorch,",
        "# but where Triton interprets.",
        f"DERIVED: bool | None = {derived}",
        "",
        "# Whether a GPU measures the tiles of a kernel when it first meets sizes of a class. Else",
        "# it takes the default ones, which are always the same.",
        f"TUNE: bool = {tune}",
        "",
        "# Into how many parts a forward kernel cuts the axis that it streams, without gradients:",
        "# None is one, and where rows are too few for a GPU as many as keep its processors busy.",
        "PARTS: int | None = None",
        "",
        "# Was PyTorch faster? By compute capability, format and the bits of the sizes.",
        "MEASURED: dict[tuple[Any, ...], bool] = {",
    ]
    for row in own:
        key = (tuple(map(int, row["capability"])), str(row["format"]), *map(int, row["sizes"]))
        lines.append(f"    {key!r}: {row['library'] < row['derived']},")
    lines[-1] += "" if own else "}"
    lines += [
        *(["}"] if own else []),
        "",
        "",
        "def _preferred(derived: bool | None, like: Tensor, *sizes: int) -> bool:",
        '    """Whether kernels are to run on arrays like this one."""',
        '    if derived is not None or not MEASURED or like.device.type != "cuda":',
        "        return derived is not False",
        "    capability = torch.cuda.get_device_capability(like.device)",
        '    dtype = str(like.dtype).removeprefix("torch.")',
        "    return not MEASURED.get((capability, dtype, *(n.bit_length() for n in sizes)), False)",
    ]
    return "\n".join(lines)
