"""Initialisers of raw parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ncdlang.semantics.program import Learned
from ncdlang.semantics.size import Size, product

from .code import Code, number
from .lines import statement
from .nodes import HELD, domain_of

_INDENT = " " * 8


def initialiser(
    learned: Learned,
    siblings: Sequence[Learned],
    target: str,
    write: Callable[[Size], Code],
) -> list[str]:
    """The statement that fills one parameter in place.

    The default is torch.nn.Linear's: uniform up to 1 / sqrt(fan_in), the first axis being the
    output. A parameter of one axis takes the fan-in of a sibling that begins with that axis, as
    a bias does. PyTorch draws no numbers of 8 bits: those are drawn wider and then copied.
    """
    is_held = domain_of(learned.wire.type.kind) in HELD
    drawn = f"torch.empty({target}.shape)" if is_held else target
    before, filled = _filled(learned, siblings, drawn, write)
    text = f"{target}.data.copy_({filled})" if is_held else filled
    return [*before, *statement(text, _INDENT)]


def _filled(
    learned: Learned, siblings: Sequence[Learned], target: str, write: Callable[[Size], Code]
) -> tuple[list[str], str]:
    """The call that fills the target, and the lines before it."""
    arguments = "".join(f", {number(value).text}" for value in learned.init_arguments)
    match learned.init:
        case "zeros" | "ones":
            return [], f"nn.init.{learned.init}_({target})"
        case "normal" | "uniform":
            return [], f"nn.init.{learned.init}_({target}{arguments})"
        case "kaiming":
            std = f"math.sqrt(2 / {_at_least_one(_fan_in(learned, siblings), write)})"
            return [], f"nn.init.normal_({target}, 0.0, {std})"
        case "xavier":
            axes = learned.wire.type.axes
            fan_out = axes[0].size if axes else product(())
            total = _at_least_one(_fan_in(learned, siblings) + fan_out, write)
            return _uniform(target, f"math.sqrt(6 / {total})")
        case _:
            fan_in = _fan_in(learned, siblings)
            if fan_in.value == 1:
                return [], f"nn.init.uniform_({target}, -1.0, 1.0)"
            return _uniform(target, f"1 / math.sqrt({_at_least_one(fan_in, write)})")


def _at_least_one(size: Size, write: Callable[[Size], Code]) -> str:
    if size.value is not None:
        return str(max(size.value, 1))
    return f"max({write(size).text}, 1)"


def _uniform(target: str, bound: str) -> tuple[list[str], str]:
    return statement(f"bound = {bound}", _INDENT), f"nn.init.uniform_({target}, -bound, bound)"


def _fan_in(learned: Learned, siblings: Sequence[Learned]) -> Size:
    axes = learned.wire.type.axes
    if len(axes) == 1:
        for other in siblings:
            longer = other.wire.type.axes
            if len(longer) > 1 and longer[0] is axes[0] and other.init == learned.init:
                return product(axis.size for axis in longer[1:])
    return product(axis.size for axis in axes[1:])
