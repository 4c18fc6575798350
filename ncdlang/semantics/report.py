"""How the checker reports: it adds a diagnostic and leaves the statement by `Reported`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from ncdlang.diagnostics import Diagnostic, Fix, Label, Sink
from ncdlang.source import Span


class Reported(Exception):
    """A mistake was reported (or is a follower of one that was); the statement is given up."""


class Reporter:
    """Adds errors to a sink."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.told: set[str] = set()

    def tell_once(self, name: str) -> None:
        """What a name is not is said once. Raises Reported after that."""
        if name in self.told:
            raise Reported
        self.told.add(name)

    def has_broken(self, span: Span) -> bool:
        """Whether part of a region did not parse: what is found there is a guess."""
        del span
        return False

    def error(
        self,
        code: str,
        message: str,
        span: Span,
        *,
        label: str = "",
        labels: Iterable[Label] = (),
        notes: Iterable[str] = (),
        help: str = "",
        fix: Fix | None = None,
    ) -> None:
        """Report a mistake and go on."""
        if self.has_broken(span):
            return
        self.sink.add(
            Diagnostic(code, message, span, label, tuple(labels), tuple(notes), help, fix)
        )

    def too_complex(self, span: Span) -> None:
        """Report sizes that have grown beyond what can be worked with."""
        self.error(
            "NCD3004",
            "the sizes here are too complicated to work with",
            span,
            label="products of too many terms",
            help="declare an axis for a part of the formula, as an input carries it",
        )

    def fail(
        self,
        code: str,
        message: str,
        span: Span,
        *,
        label: str = "",
        labels: Iterable[Label] = (),
        notes: Iterable[str] = (),
        help: str = "",
        fix: Fix | None = None,
    ) -> NoReturn:
        """Report a mistake and give the statement up."""
        self.error(code, message, span, label=label, labels=labels, notes=notes, help=help, fix=fix)
        raise Reported


def rename(span: Span, name: str) -> Fix:
    """The fix that writes `name` instead."""
    return Fix(f"write `{name}`", ((span, name),))


def listed(words: Iterable[str], last: str = "and") -> str:
    """`a`, `b` and `c`."""
    quoted = [f"`{word}`" for word in words]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


def has_axes(axes: Iterable[object]) -> str:
    """`has the axes q and x`, for the label of an array."""
    names = [str(axis) for axis in axes]
    return (
        f"has the {'axis' if len(names) == 1 else 'axes'} {listed(names)}"
        if names
        else "has no axes"
    )


def counted(number: int, noun: str) -> str:
    """`1 axis`, `2 axes`."""
    plural = {"axis": "axes", "index": "indices"}.get(noun, f"{noun}s")
    return f"{number} {noun if number == 1 else plural}"
