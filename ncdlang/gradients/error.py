"""What has no gradient."""

from __future__ import annotations

from ncdlang.source import Span


class GradientError(Exception):
    """A diagram has no gradient that can be written down; the message is for the user.

    `span` is the place in the diagram's text that is at fault, None where none is.
    """

    def __init__(self, message: str, span: Span | None = None) -> None:
        super().__init__(message)
        self.span = span


def no_derivative(name: str, span: Span) -> GradientError:
    """That an operator without equations is called where its derivative would be needed."""
    return GradientError(
        f"no derivative is known for the op `{name}`: a diagram of equations has one", span
    )
