"""Ids of what is drawn, made of names and lines of the source."""

from __future__ import annotations

from ..text import identifier


class Ids:
    """Hands out ids that are unique in one drawing."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def new(self, *parts: str) -> str:
        """An id of these parts, with a number where another is alike."""
        pieces = (identifier(piece) for part in parts for piece in part.split("."))
        wanted = ".".join(filter(None, pieces)) or "diagram"
        while True:
            number = self._taken.get(wanted, 0) + 1
            self._taken[wanted] = number
            if number == 1:
                return wanted
            wanted = f"{wanted}.{number}"
