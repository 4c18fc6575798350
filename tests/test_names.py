"""Names mean nothing: programs with all names changed derive the same kernels and arguments."""

from __future__ import annotations

import io
import keyword
import os
import random
import re
import tokenize
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from ncdlang.backends.kernels.training import Runner

import ncdlang
from ncdlang.analysis.devices import DEVICES
from ncdlang.analysis.explain import explain
from ncdlang.analysis.opening import Opaque, open_diagram
from ncdlang.analysis.plan import make_plan
from ncdlang.semantics.primitives import FUNCTIONS, REDUCTIONS, STAGES

ROOT = Path(__file__).parent.parent
FILES = (
    ROOT / "tests" / "data" / "kernels.ncd",
    ROOT / "tests" / "data" / "indexed.ncd",
    ROOT / "examples" / "attention.ncd",
    ROOT / "examples" / "graph.ncd",
    ROOT / "stdlib" / "std" / "attention.ncd",
)
WORD = re.compile(r"(?<!\w)[^\W\d]\w*'*")
DECLARED = re.compile(r"^(?:diagram|op) (\w+)", re.MULTILINE)
USED = re.compile(r"^use [^{\n]*(?:\{[^}]*\})?", re.MULTILINE)
SETTING = re.compile(r"(\w+) = [^,\]\n]+[,\]]")
KEYWORDS = set(
    re.findall(
        r"\S+",
        "use axis const config op diagram learn block return assert as size and or not inf pi real "
        "set ordered cyclic N B C f64 f32 bf16 f16 f8e4m3 f8e5m2 where equivariant invariant "
        "zeros ones normal uniform kaiming xavier elementwise linear",
    )
)


@cache
def library_names() -> frozenset[str]:
    """What the standard library calls things."""
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / "stdlib" / "std").glob("*.ncd"))
    return frozenset(name for text in texts for name in DECLARED.findall(text))


def pieces(text: str) -> list[tuple[str, bool]]:
    """The text in pieces, and whether each may hold names of the program: not in comments, `use`
    and strings."""
    fixed = re.compile(r"#[^\n]*|\"[^\"\n]*\"|^use [^{\n]*(?:\{[^}]*\})?", re.MULTILINE)
    found: list[tuple[str, bool]] = []
    last = 0
    for match in fixed.finditer(text):
        found += [(text[last : match.start()], True), (match[0], False)]
        last = match.end()
    return [*found, (text[last:], True)]


@cache
def own_names(path: Path) -> tuple[str, ...]:
    """The names that a file gives, in order of their first use."""
    text = path.read_text(encoding="utf-8")
    taken = {word for use in USED.findall(text) for word in WORD.findall(use)}
    taken |= KEYWORDS | FUNCTIONS | REDUCTIONS.keys() | {*STAGES}
    taken |= library_names() - set(DECLARED.findall(text))
    # What brackets bind by name may be the library's.
    taken |= {name for line in re.findall(r"\[[^\]\n]*\]", text) for name in SETTING.findall(line)}
    words = (word for part, free in pieces(text) if free for word in WORD.findall(part))
    return tuple(dict.fromkeys(word for word in words if word not in taken))


def renamed(path: Path, names: tuple[str, ...]) -> str:
    """The text of a file with its own names replaced."""
    images = dict(zip(own_names(path), names, strict=False))
    text = path.read_text(encoding="utf-8")
    return "".join(
        WORD.sub(lambda m: images.get(m[0], m[0]), part) if free else part
        for part, free in pieces(text)
    )


@cache
def plain(path: Path) -> tuple[ncdlang.Library, tuple[str, ...]]:
    """A file under names that occur nowhere else, and its diagrams in order."""
    names = tuple(f"w{i}w" for i in range(len(own_names(path))))
    library = ncdlang.loads(renamed(path, names), path.name)
    return library, tuple(diagram.name for diagram in library.program.diagrams)


def alpha(text: str) -> list[str]:
    """The words of a text by the order in which they first occur, and all that is between."""
    numbers: dict[str, int] = {}
    found: list[str] = []
    for piece in re.split(r"(\w+'*)", text):
        is_word = bool(WORD.fullmatch(piece))
        found.append(f"<{numbers.setdefault(piece, len(numbers))}>" if is_word else piece)
    return found


def kernels(text: str) -> list[str]:
    """Each kernel with its names by the order of their first use, without comments."""
    found: list[str] = []
    for kernel in text.split("@triton.jit\n"):
        numbers: dict[str, int] = {}
        before = ""
        for token in tokenize.generate_tokens(io.StringIO(kernel).readline):
            if token.type == tokenize.COMMENT:
                continue
            is_fixed = before == "." or keyword.iskeyword(token.string) or token.string == "tl"
            is_name = token.type == tokenize.NAME and not is_fixed
            text_of = f"<{numbers.setdefault(token.string, len(numbers))}>"
            found.append(text_of if is_name else token.string)
            before = token.string
    return found


Derived = tuple[list[str], list[str]] | str


def derived(library: ncdlang.Library, name: str) -> Derived:
    """The kernels of a diagram and the argument for them; why there are none."""
    diagram = library.program.diagram(name)
    assert diagram is not None
    try:
        plan = make_plan(open_diagram(diagram))
    except Opaque as opaque:
        return opaque.what.split()[-1]
    shown = explain(plan, name, {}, DEVICES["h200"])
    shown = re.sub(r"at \S+:\d+:\d+", "at", shown)
    # Polynomials of sizes are written in the order of their names.
    shown = re.sub(r"^ +(operations|reordered) .*$", "", shown, flags=re.MULTILINE)
    return kernels(Runner(plan, {}).source()), alpha(shown)


@cache
def expected(path: Path, position: int) -> Derived:
    library, diagrams = plain(path)
    return derived(library, diagrams[position])


PLACES = [(path, i) for path in FILES for i in range(len(plain(path)[1]))]
# Letters that sort in all ways, and lie outside of what kernels are written with.
ALPHABET = "abcxyzABCXYZ_αβγδπΩЖé"
# Names that mean something where kernels are written.
ODD = (
    *("lambda", "class", "None", "def", "tl", "triton", "pid", "lift", "start", "at", "kernel_1"),
    *("total", "row_tile", "order", "starts", "PRECISION", "full_first", "float", "range", "key"),
    *("group", "mine", "last", "first", "state", "factor", "offset", "then", "made", "stop"),
)


def fresh_names(generator: random.Random, count: int, odd: bool) -> tuple[str, ...]:
    """As many names, all different whatever the case of their letters."""
    found: dict[str, str] = {}
    while len(found) < count:
        name = "".join(generator.choices(ALPHABET, k=generator.randint(5, 9))) + "q"
        # What begins with an underscore is taken to be a part without a name of its own.
        name = name.lstrip("_")
        found.setdefault(name.casefold(), name)
    names = list(found.values())
    if odd:
        special = generator.sample(ODD, min(len(ODD), count))
        for place, name in zip(generator.sample(range(count), len(special)), special, strict=True):
            names[place] = name
    return tuple(names)


@st.composite
def programs(draw: st.DrawFn, odd: bool) -> tuple[Path, int, str]:
    """A program under other names."""
    path, position = draw(st.sampled_from(PLACES))
    generator = random.Random(draw(st.integers(0, 1 << 32)))
    return path, position, renamed(path, fresh_names(generator, len(own_names(path)), odd))


EXAMPLES = 400 if os.environ.get("NCDLANG_FULL") else 5


def test_there_is_much_to_rename() -> None:
    assert len(PLACES) > 40


@settings(max_examples=EXAMPLES, deadline=None)
@given(programs(odd=False))
def test_names_mean_nothing_to_what_is_derived(case: tuple[Path, int, str]) -> None:
    path, position, text = case
    library = ncdlang.loads(text, path.name)
    made = derived(library, library.program.diagrams[position].name)
    assert made == expected(path, position)


@settings(max_examples=EXAMPLES, deadline=None)
@given(programs(odd=True))
def test_names_that_mean_something_in_kernels_do_no_harm(case: tuple[Path, int, str]) -> None:
    path, position, text = case
    library = ncdlang.loads(text, path.name)
    made, wanted = (
        derived(library, library.program.diagrams[position].name),
        expected(path, position),
    )
    assert made[0] == wanted[0]
