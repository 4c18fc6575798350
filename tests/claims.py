"""How the tests of the language's own description state what it says.

A claim is about a text that checks, with the types of its wires, about a text that gives exactly
one error, or about the values of a diagram, where the emitted module and the reference must agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from checked import check, diagram, wires
from torch import Tensor, nn

import ncdlang
from ncdlang.semantics.program import CheckedProgram

__all__ = ["array", "both", "checks", "diagram", "error", "returns", "types", "value"]

Numbers = int | float | bool | Sequence[Any]


def checks(text: str) -> CheckedProgram:
    """The program of a text without mistakes."""
    program, found = check(text)
    assert not found, [f"{d.code} {d.span} {d.message}" for d in found]
    return program


def types(text: str, name: str = "f") -> dict[str, str]:
    """The types of the named wires of a diagram, and of its results as `return`."""
    return wires(diagram(text, name))


def error(text: str, code: str, *words: str) -> str:
    """A text that has one mistake, of this code, whose report holds these words."""
    found = check(text)[1]
    told = [f"{d.code} {d.message}" for d in found]
    assert [d.code for d in found] == [code], told
    (one,) = found
    told = [one.message, *(label.text for label in one.labels), *one.notes, one.help]
    for word in words:
        assert any(word in part for part in told), told
    return one.message


def array(numbers: Numbers | Tensor) -> Tensor:
    """Numbers as an input: reals in float64, naturals and booleans as they are."""
    made = numbers if isinstance(numbers, Tensor) else torch.tensor(numbers)
    return made.to(torch.float64) if made.is_floating_point() else made


def both(
    text: str, name: str | None = None, sizes: Mapping[str, int | float] | None = None
) -> tuple[nn.Module, nn.Module]:
    """The emitted module and the reference, in eval mode, with the same parameters."""
    library = ncdlang.loads(text)
    made = library.module(name, sizes=sizes, dtype="f64").eval()
    judge = library.module(name, sizes=sizes, dtype="f64", backend="reference").eval()
    judge.load_state_dict(made.state_dict())
    return made, judge


def value(
    text: str,
    *arguments: Numbers | Tensor,
    name: str | None = None,
    sizes: Mapping[str, int | float] | None = None,
) -> Tensor:
    """The result of a diagram with one result, the last of the text unless named."""
    (result,) = returns(text, *arguments, name=name, sizes=sizes)
    return result


def returns(
    text: str,
    *arguments: Numbers | Tensor,
    name: str | None = None,
    sizes: Mapping[str, int | float] | None = None,
) -> tuple[Tensor, ...]:
    """All results of a diagram, by the emitted module, which agree with the reference's."""
    made, judge = both(text, name, sizes)
    given = [array(argument) for argument in arguments]
    own, wanted = made(*given), judge(*given)
    own = own if isinstance(own, tuple) else (own,)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    for mine, other in zip(own, wanted, strict=True):
        torch.testing.assert_close(mine.to(other.dtype), other, rtol=1e-9, atol=1e-9)
    return own
