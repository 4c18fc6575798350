"""What holds of every program: names do not matter, runs agree, nothing raises, nothing hangs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checked import PROJECT, check, program
from clock import processor_seconds, within
from hypothesis import given, settings
from hypothesis import strategies as st
from test_suite import CASES

from ncdlang.diagnostics import Diagnostic
from ncdlang.report.text import render
from ncdlang.semantics.check import check_source
from ncdlang.semantics.program import CheckedProgram
from ncdlang.semantics.text import render_checked
from ncdlang.source import Source

ROOT = Path(__file__).parent.parent
EXAMPLES = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples").glob("*.ncd"))]
LIBRARY = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "stdlib").rglob("*.ncd"))]
CORRECT = [
    given.files["main.ncd"] for _, given in CASES if not given.expected and len(given.files) == 1
]
PROGRAMS = [
    text for text in (*EXAMPLES, *CORRECT) if not re.search(r"^use (?!std)", text, re.MULTILINE)
]


def printed(checked: CheckedProgram) -> str:
    return "\n".join(render_checked(diagram) for diagram in checked.diagrams)


def examined(text: str) -> tuple[CheckedProgram, tuple[Diagnostic, ...]]:
    """Checks a text and prints all of it; whatever this raises is a bug."""
    checked, found = check_source(Source("test.ncd", text), PROJECT.find)
    render(found)
    printed(checked)
    return checked, found


# ---- agreement -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", PROGRAMS)
def test_two_runs_agree(text: str) -> None:
    assert printed(program(text)) == printed(program(text))


def test_findings_agree() -> None:
    for _, case in CASES[::5]:
        text = case.files["main.ncd"]
        assert render(examined(text)[1]) == render(examined(text)[1])


WORD = re.compile(r"\"[^\"]*\"|#[^\n]*|[\w']+|[^\w']+")
KEYWORDS = """
    use axis const config op diagram learn block return assert as size and or not inf pi
    f64 f32 bf16 f16 f8e4m3 f8e5m2 N B C set ordered cyclic zeros ones normal uniform kaiming
    xavier frozen id route einsum scale cast initial value eps
    linear elementwise monotone random pictogram stateful requires
"""
LIBRARY_NAMES = {word for text in LIBRARY for word in re.findall(r"(?:diagram|op) ([\w']+)", text)}


def renamed(text: str, prefix: str) -> str:
    """The text with a prefix before every name that the file itself gives."""
    from ncdlang.semantics.primitives import ELEMENTWISE, REDUCTIONS

    kept = (
        {*KEYWORDS.split()}
        | LIBRARY_NAMES
        | set(ELEMENTWISE)
        | set(REDUCTIONS)
        | {"where", "std", "_"}
    )
    kept |= {word for text in LIBRARY for word in re.findall(r"const (\w+)", text)}

    def word(match: re.Match[str]) -> str:
        found = match.group()
        is_name = found[0].isalpha() and found not in kept and not re.match(r"use ", found)
        return prefix + found if is_name else found

    lines = [
        line if line.startswith("use ") else WORD.sub(word, line) for line in text.splitlines(True)
    ]
    return "".join(lines)


@pytest.mark.parametrize("text", PROGRAMS)
def test_names_do_not_matter(text: str) -> None:
    """Other names for axes, wires, consts and diagrams change nothing but the names."""
    original = unwrapped(printed(program(text)))
    assert unwrapped(printed(program(renamed(text, "zz"))).replace("zz", "")) == original


def unwrapped(text: str) -> str:
    """Without the line breaks that long names lead to, nor formals bound to their own names.

    Axes of a callee that would clash with the file's have primes, and others where others clash.
    """
    text = re.sub(r"<(\w+):\1>", r"<\1>", text.replace("'", ""))
    text = re.sub(r"(, (\w+) = size\(\2\))+(?=[\s,])", "", text)
    text = re.sub(r"with (\w+) = size\(\1\), ", "with ", text)
    text = re.sub(r" with (\w+) = size\(\1\)(?![\w,])", "", text)
    return re.sub(r",?\s*([)\]])", r"\1", re.sub(r"([(\[])\s+", r"\1", re.sub(r"\s+", " ", text)))


# ---- nothing raises, nothing is lost -------------------------------------------------------------

TEXTS = [*EXAMPLES, *LIBRARY, *(text for _, case in CASES for text in case.files.values())]
PIECE = re.compile(r"\"[^\"\n]*\"|[\w']+|\s+|->|>>|<=|>=|==|//|.", re.DOTALL)
PIECES = sorted({piece for text in TEXTS for piece in PIECE.findall(text)})
HEADER = re.compile(r"^diagram (\w+)(?!.*\.\.)(?!.*const \w+[,\]])", re.MULTILINE)
SECONDS = 5.0

places = st.integers(0, 100_000)
edits = st.tuples(st.sampled_from(["delete", "add", "swap", "replace", "line"]), places, places)


def edited(text: str, changes: list[tuple[str, int, int]]) -> str:
    """The text without comments, after some random edits of its words and lines."""
    text = re.sub(r"#[^\n]*", "", text)
    for kind, first, second in changes:
        pieces = text.splitlines(True) if kind == "line" else PIECE.findall(text)
        if len(pieces) < 2:
            continue
        i, j = first % len(pieces), second % len(pieces)
        match kind:
            case "delete":
                del pieces[i]
            case "add":
                pieces.insert(i, PIECES[second % len(PIECES)])
            case "replace":
                pieces[i] = PIECES[second % len(PIECES)]
            case _:
                pieces[i], pieces[j] = pieces[j], pieces[i]
        text = "".join(pieces)
    return text


@given(st.sampled_from(TEXTS), st.lists(edits, min_size=1, max_size=4))
@settings(deadline=None)
def test_random_edits_give_findings_or_a_program(
    text: str, changes: list[tuple[str, int, int]]
) -> None:
    text = edited(text, changes)
    start = time.process_time()
    checked, found = examined(text)
    assert time.process_time() - start < SECONDS
    if not found:
        assert set(HEADER.findall(text)) <= {diagram.name for diagram in checked.diagrams}


@given(st.text(max_size=60))
def test_any_text_gives_findings_or_a_program(text: str) -> None:
    examined(text)
    examined("diagram f(X: [n]) -> [n] {\n  return " + text + "\n}\n")


# ---- adversarial texts ---------------------------------------------------------------------------


def body(lines: str, inputs: str = "A: [i]", result: str = "[i]") -> str:
    return f"diagram f({inputs}) -> {result} {{\n{lines}\n}}\n"


def names(count: int) -> str:
    return " ".join(f"a{i}" for i in range(count))


MANY = names(300)
NINES = "9" * 400
GUARDS = " and ".join(f"(i % {p} == {p // 2} or j % {p} == 1 or i > {p} * j)" for p in range(2, 30))

HARD: dict[str, str] = {
    "a number of 400 digits": body(f"  return Y[i] = A[i] * {NINES}"),
    "a number of 5000 digits": body(f"  return Y[i] = A[i] * {'9' * 5000}"),
    "an index of 400 digits": body(f"  return Y[i] = A[{NINES} * i]"),
    "a tower of consts": "const a = 10^18\nconst b = a^1000\nconst c = b^1000\n",
    "2^1000": "const n = 2^1000\naxis m = 10^100\naxis k = n\n",
    "squares of consts": "const a0 = 3\n"
    + "".join(f"const a{i + 1} = a{i} * a{i}\n" for i in range(60)),
    "no number": "const p = inf - inf\nconst q = (0 - 2.0)^0.5\nconst r = 10^999999\n",
    "a polynomial": body(
        f"  axis z = {' * '.join(['(size(i) + size(j) + size(k))'] * 60)}\n  return A",
        "A: [i j k]",
        "[i j k]",
    ),
    "squares of sizes": body(
        "  axis a0 = size(i) + 1\n"
        + "".join(f"  axis a{n + 1} = size(a{n}) * size(a{n}) + 1\n" for n in range(40))
        + "  return A"
    ),
    "nested quotients": body(
        "  axis a0 = size(i) + 1\n"
        + "".join(f"  axis a{n + 1} = (size(a{n}) + 3) // 2 + 1\n" for n in range(30))
        + "  return A"
    ),
    "quotients by sizes": body(
        "  axis a0 = size(i) + 1\n"
        + "".join(
            f"  axis a{n + 1} = (size(a{n}) + size(i)) // size(a{n}) + size(a{n})\n"
            for n in range(30)
        )
        + "  return A"
    ),
    "a product of 40 unknown sizes": body(
        f"  return Y[({names(40)})] = A[({names(40)})]", f"A: [({names(40)})]", f"[({names(40)})]"
    ),
    "300 axes": body("  return 2 * A", f"A: [{MANY}]", f"[{MANY}]"),
    "300 axes of one composite": body(
        f"  return Y[{MANY}] = A[({MANY})]", f"A: [({MANY})]", f"[{MANY}]"
    ),
    "300 inputs": body("  return A0", ", ".join(f"A{i}: [a{i}]" for i in range(300)), "[a0]"),
    "90 equations of sizes": body(
        "  return Y[a0] = " + " + ".join(f"A{i}[a0]" for i in range(90)),
        ", ".join(f"A{i}: [a{i}]" for i in range(90)),
        "[a0]",
    ),
    "40 assertions in a chain": body(
        "".join(f"  assert size(a{i}) < size(a{i + 1})\n" for i in range(39)) + "  return A",
        f"A: [{names(40)}]",
        f"[{names(40)}]",
    ),
    "conditions that run away": body(
        f"  return Y[i j] = where({GUARDS}, A[i - 1, j], 0)", "A: [i j]", "[i j]"
    ),
    "indices that run away": body(
        "  return Y[i j] = where(i % 9973 == j % 9967, A[(i * 9949 + j * 9941) % 9931 // 7, j], 0)",
        "A: [i j]",
        "[i j]",
    ),
    "40 nested conditions": body(
        "  return Y[i] = " + "".join(f"where(i != {k}, " for k in range(40)) + "A[i]" + ", 0)" * 40
    ),
    "a sum of 2000 terms": body("  return Y[i] = " + " + ".join(["A[i]"] * 2000)),
    "2000 parentheses": body("  return Y[i] = " + "(" * 2000 + "A[i]" + ")" * 2000),
    "2000 minus signs": body("  return " + "-" * 2000 + "A"),
    "2000 stages": "diagram f : [i] -> [i] = " + " >> ".join(["relu"] * 2000) + "\n",
    "a million copies": "diagram f : [i] -> [i] = (relu^1000)^1000\n",
    "300 blocks in each other": body('  block "a" {\n' * 300 + "  B = A\n" + "  }\n" * 300),
    "a chain of 1000 calls": "".join(
        f"diagram f{i}(A: [i]) -> [i] {{ return f{i + 1}(A) }}\n" for i in range(1000)
    )
    + "diagram f1000(A: [i]) -> [i] { return A }\n",
    "a circle of 500 calls": "".join(
        f"diagram f{i}(A: [i]) -> [i] {{ return f{(i + 1) % 500}(A) }}\n" for i in range(500)
    ),
    "nothing": "",
    "only comments": "# one\n## two\n#",
    "a byte order mark": "\ufeffdiagram f(A: [i]) -> [i] { return A }",
    "names that differ in primes": body(
        "  A'' = A\n  return B[i i'] = A''[i i'] + A'[i' i]", "A: [i i'], A': [i' i]", "[i i']"
    ),
    "names in two normal forms": body("  return e\u0301", "\u00e9: [i]"),
    "keywords as names": "diagram axis(learn: [size]) -> [size] { return learn }\n",
    "names of operators": "diagram inf(sum: [max]) -> [max] { return sum }\n",
    "a name of 100000 letters": body(f"  return {'x' * 100_000}"),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_texts(name: str) -> None:
    start = time.process_time()
    examined(HARD[name])
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize(
    "name",
    [
        "300 axes",
        "300 axes of one composite",
        "a product of 40 unknown sizes",
        "300 inputs",
        "90 equations of sizes",
        "a chain of 1000 calls",
        "nested quotients",
        "40 nested conditions",
        "nothing",
        "only comments",
        "a byte order mark",
        "names that differ in primes",
        "names in two normal forms",
        "names of operators",
    ],
)
def test_hard_texts_that_are_correct(name: str) -> None:
    assert [d.message for d in examined(HARD[name])[1]] == []


@pytest.mark.parametrize("name", ["a polynomial", "squares of sizes", "a million copies"])
def test_what_is_too_large_is_one_error(name: str) -> None:
    assert [d.code for d in examined(HARD[name])[1]] == ["NCD3004"]


# ---- speed ---------------------------------------------------------------------------------------


def equations(line: str) -> Iterator[str]:
    yield "use std.nn.{linear}\ndiagram f(X: [n m], H0: [n m]) -> [n m] {\n"
    for number in range(1, 1001):
        yield line.format(H=f"H{number}", G=f"H{number - 1}", number=number)
    yield "  return H1000\n}\n"


@pytest.mark.parametrize(
    "line",
    [
        "  {H} = {G} + relu(X)\n",
        "  {H}[n m] = {G}[n k] * X[i k] * X[i m]\n",
        "  {H}[n m] = where(n >= {number}, {G}[n - {number}, m], 0)\n",
        "  {H} = softmax[m]({G})\n",
        "  {H} = linear[m -> m]({G})\n",
    ],
)
def test_a_diagram_of_a_thousand_equations(line: str) -> None:
    """Meant to be 2,000 lines a second and more; half of that on a busy machine."""
    text = "".join(equations(line))
    assert not check(text)[1]
    lines = text.count("\n")
    passed, seen = within(1 / 1000, lambda: processor_seconds(lambda: check(text)) / lines)
    assert passed, seen
