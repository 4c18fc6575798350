"""Files with mistakes in random places: everything that can go wrong is a diagnostic."""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest

from ncdlang.api import check
from ncdlang.project import Project
from ncdlang.report import render
from ncdlang.source import Source

ROOT = Path(__file__).parent.parent
FILES = [*(ROOT / "examples").glob("*.ncd"), *(ROOT / "stdlib").rglob("*.ncd")]
TEXTS = [path.read_text(encoding="utf-8") for path in sorted(FILES)]
PIECE = re.compile(r"\w+|\s+|[^\w\s]")
PIECES = [piece for text in TEXTS for piece in PIECE.findall(text)]
ROUNDS = 100 if os.environ.get("NCDLANG_FULL") else 4


def mutated(source: random.Random) -> str:
    """A file with up to four pieces dropped, added, replaced or exchanged."""
    pieces = PIECE.findall(source.choice(TEXTS))
    for _ in range(source.choice((1, 1, 2, 4))):
        place = source.randrange(len(pieces) - 1)
        match source.randrange(4):
            case 0:
                del pieces[place : place + source.choice((1, 1, 2, 5))]
            case 1:
                pieces.insert(place, source.choice(PIECES))
            case 2:
                pieces[place] = source.choice(PIECES)
            case _:
                other = source.randrange(len(pieces))
                pieces[place], pieces[other] = pieces[other], pieces[place]
        if len(pieces) < 2:
            break
    return "".join(pieces)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_mistakes_in_random_places_are_diagnostics(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(50):
        text = mutated(source)
        checked = check(Source("mutated.ncd", text), Project((ROOT / "examples",)).find)
        for diagnostic in checked.diagnostics:
            spans = [diagnostic.span, *(label.span for label in diagnostic.labels)]
            assert all(0 <= s.start <= s.end <= len(s.source.text) for s in spans), text
        assert bool(render(checked.diagnostics)) == bool(checked.diagnostics)
