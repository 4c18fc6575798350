"""Which name was probably meant by one that does not exist."""

from __future__ import annotations

from collections.abc import Iterable


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that a person most likely meant by `name`, or None.

    A candidate counts within a Damerau-Levenshtein distance of one where either name has up to
    three letters, of two up to seven, then three; case and primes alone always count.
    """
    best: tuple[int, str] | None = None
    for candidate in candidates:
        if candidate.rstrip("'") == name.rstrip("'") or candidate.startswith("_"):
            continue
        shorter = min(len(name), len(candidate))
        limit = 1 if shorter <= 3 else 2 if shorter <= 7 else 3
        same = candidate.casefold().rstrip("'") == name.casefold().rstrip("'")
        distance = 0 if same else _distance(name, candidate, limit)
        if distance > limit or (distance >= shorter and distance > 0):
            continue
        if best is None or (distance, candidate) < best:
            best = (distance, candidate)
    return best[1] if best else None


def _distance(left: str, right: str, limit: int) -> int:
    """Damerau-Levenshtein distance (optimal string alignment), `limit + 1` if larger."""
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        current = [i]
        for j, b in enumerate(right, 1):
            cost = min(row[j] + 1, current[j - 1] + 1, row[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        before, row = row, current
    return min(row[-1], limit + 1)
