"""What is known of sizes, and the answers to questions about index maps."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Literal, ParamSpec, TypeAlias, TypeVar

from ncdlang.records import record
from ncdlang.semantics.size import Size, Symbol, TooComplexError
from ncdlang.semantics.types import Axis, Gathered

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")


def giving_up(answer: A) -> Callable[[Callable[P, T]], Callable[P, T | A]]:
    """Gives `answer` where a polynomial grows too large to be worked with."""

    def decorate(function: Callable[P, T]) -> Callable[P, T | A]:
        @wraps(function)
        def answered(*args: P.args, **kwargs: P.kwargs) -> T | A:
            try:
                return function(*args, **kwargs)
            except TooComplexError:
                return answer

        return answered

    return decorate


Comparison = Literal["==", "!=", "<=", "<", ">=", ">"]
Relation: TypeAlias = tuple[Size, Comparison, Size]


@record
class Facts:
    """Relations between sizes that hold. That every unknown is at least 0 goes without saying."""

    relations: tuple[Relation, ...] = ()

    def also(self, *relations: Relation) -> Facts:
        """These facts and further ones."""
        return Facts(self.relations + relations)


NO_FACTS = Facts()


@record
class Inside:
    """Proved: the index stays in the array, whatever the sizes."""


@record
class Outside:
    """Refuted: at these sizes and this index the array is left.

    `index` gives the axes (and gathered values) that matter, `value` what the index is there and
    `size` what the array's size is. `limits` names the largest sizes that single axes can have so
    that the index stays inside, where there is a closed form.
    """

    sizes: tuple[tuple[Symbol, int], ...]
    index: tuple[tuple[Axis | Gathered, int], ...]
    value: int
    size: int
    limits: tuple[tuple[Axis, Size], ...] = ()

    @property
    def limit(self) -> tuple[Axis, Size] | None:
        """The first of `limits`."""
        return self.limits[0] if self.limits else None


@record
class Unknown:
    """Neither proved nor refuted: it has to be checked at run time."""


Verdict: TypeAlias = Inside | Outside | Unknown


@record
class Collision:
    """Two index tuples with one image, at these sizes (and some contents of gathered arrays)."""

    sizes: tuple[tuple[Symbol, int], ...]
    first: tuple[tuple[Axis, int], ...]
    second: tuple[tuple[Axis, int], ...]
    image: tuple[int, ...]
