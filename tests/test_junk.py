"""Files with mistakes in random places, and files of anything at all: everything that can go wrong
is a diagnostic, in less than 5 seconds and 1 GB for 10 kB."""

from __future__ import annotations

import os
import random
import re
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ncdlang.api import check
from ncdlang.cli.main import main
from ncdlang.project import Project
from ncdlang.report import render
from ncdlang.source import Source

ROOT = Path(__file__).parent.parent
FILES = [*(ROOT / "examples").glob("*.ncd"), *(ROOT / "stdlib").rglob("*.ncd")]
TEXTS = [path.read_text(encoding="utf-8") for path in sorted(FILES)]
PIECE = re.compile(r"\w+|\s+|[^\w\s]")
PIECES = [piece for text in TEXTS for piece in PIECE.findall(text)]
FULL = bool(os.environ.get("NCDLANG_FULL"))
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


# ---- the command line ----------------------------------------------------------------------------

SIZE = 10_000
SECONDS = 5
BYTES = 10**9
COMMANDS = (
    ("check",),
    ("check", "--fix"),
    ("fmt", "--diff"),
    ("draw", "--format", "gv"),
    ("build",),
    ("ir",),
    ("run", "--size", "x=2"),
)


def repeated(unit: str) -> Callable[[random.Random], bytes]:
    return lambda _: (unit * (SIZE // len(unit))).encode()


def in_a_body(unit: str) -> Callable[[random.Random], bytes]:
    header = "diagram f(X: [x]) -> [x] { return X"
    return lambda _: (header + unit * ((SIZE - 50) // len(unit)) + " }\n").encode()


def any_bytes(source: random.Random) -> bytes:
    return source.randbytes(SIZE)


def any_characters(source: random.Random) -> bytes:
    points = (
        source.choice((source.randrange(0x80), source.randrange(0xD800))) for _ in range(SIZE)
    )
    return "".join(map(chr, points)).encode()[:SIZE]


def any_pieces(source: random.Random) -> bytes:
    return "".join(source.choices(PIECES, k=SIZE // 4)).encode()[:SIZE]


def many_mutations(source: random.Random) -> bytes:
    return "".join(mutated(source) for _ in range(8)).encode()[:SIZE]


JUNK: dict[str, Callable[[random.Random], bytes]] = {
    "bytes": any_bytes,
    "characters": any_characters,
    "pieces": any_pieces,
    "mutations": many_mutations,
    **{
        f"only {unit!r}": repeated(unit)
        for unit in ("(", "[", "{", "}", "\0", "a ", "-", '"', "\n;")
    },
    **{
        f"a sum of {unit!r}": in_a_body(unit)
        for unit in (" + X", "^X", " - (X", "[x]", "(X)", " >> f")
    },
    "unknown names": in_a_body(" + Xx"),
    "declarations": repeated("diagram f(X: [x]) -> [x] { return X }\n"),
    "uses": repeated("use std.nn.{linear}\n"),
    "axes": lambda _: (
        f"diagram f(X: [{' '.join(f'a{i}' for i in range(1500))}]) -> [] {{}}".encode()
    ),
}


@pytest.mark.parametrize("name", JUNK)
def test_any_file_is_answered_soon(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "junk.ncd"
    content = JUNK[name](random.Random(name))
    assert len(content) <= SIZE
    # A file with syntax errors is read alike by all of them.
    for command in COMMANDS if FULL else COMMANDS[:2]:
        path.write_bytes(content)
        start = time.process_time()
        code = main([command[0], str(path), *command[1:]])
        took = time.process_time() - start
        shown = capfd.readouterr().err
        assert code in (0, 1, 2), command
        assert "internal error" not in shown, (command, shown[:500])
        assert "Traceback" not in shown, command
        assert took < SECONDS, (command, took)
    # The unit is a kibibyte; imports of other tests in this process count too.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < 2 * BYTES


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("kind", ["bytes", "characters", "pieces", "mutations"])
def test_random_files_are_answered(
    kind: str, seed: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "junk.ncd"
    path.write_bytes(JUNK[kind](random.Random(seed))[:2000])
    for command in COMMANDS:
        assert main([command[0], str(path), *command[1:]]) in (0, 1, 2)
        shown = capfd.readouterr().err
        assert "internal error" not in shown, (command, shown[:500])
