"""The formatter: uniform texts that mean the same, keep every comment, and stay as they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from format_texts import Layout, Writer
from hypothesis import given
from hypothesis import strategies as st
from syntax_texts import FILES, ROOT

from ncdlang.cli.main import main
from ncdlang.codes import all_codes, page
from ncdlang.source import Source
from ncdlang.syntax import format as formatter
from ncdlang.syntax.format import Unfaithful, format_file
from ncdlang.syntax.parser import parse
from ncdlang.syntax.wrap import WIDTH


def formatted(text: str) -> str:
    source = Source("test.ncd", text)
    return format_file(source, parse(source))


def in_body(text: str) -> str:
    return f"diagram f(X: [m]) -> [m] {{\n{text.strip(chr(10))}\n}}\n"


def comments(text: str) -> list[str]:
    """The comments of a text, by the lexer's account."""
    return [span.text.rstrip() for span in parse(Source("t", text)).file.comments]


# ---- the repository's own files --------------------------------------------------------------

OWN = [
    *sorted((ROOT / "stdlib").rglob("*.ncd")),
    *sorted((ROOT / "examples").rglob("*.ncd")),
    *(path for path in FILES if path.stem != "everything"),  # that one is written in all ways
]


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_repository_is_formatted(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert formatted(text) == text, "run `ncdc fmt`"


def test_programs_in_the_documentation_are_formatted() -> None:
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for block in re.findall(r"```ncd\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            assert formatted(block) == block, path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_formatting_again_changes_nothing(path: Path) -> None:
    once = formatted(path.read_text(encoding="utf-8"))
    assert formatted(once) == once


def test_good_examples_of_error_pages_can_be_formatted() -> None:
    for code in all_codes():
        known = page(code)
        assert known is not None
        once = formatted(known.good)
        assert formatted(once) == once


# ---- random programs -------------------------------------------------------------------------

seeds = st.integers(0, 2**32 - 1)


def program(seed: int) -> str:
    return Writer(Random(seed)).program()


@given(seeds, seeds, seeds)
def test_blanks_and_meaningless_line_ends_do_not_count(seed: int, one: int, other: int) -> None:
    layout = Layout(program(seed), Random(seed), comments=seed % 2 == 0)
    texts = layout.write(Random(one)), layout.write(Random(other))
    assert formatted(texts[0]) == formatted(texts[1])


@given(seeds, seeds)
def test_any_text_is_formatted_once_for_all(seed: int, layout: int) -> None:
    """`format_file` itself raises if the tree or the comments changed."""
    text = Layout(program(seed), Random(layout), comments=True).write(Random(layout))
    once = formatted(text)
    assert formatted(once) == once
    assert comments(once) == comments(text)
    lines = once.split("\n")
    assert all(line == line.rstrip() for line in lines)
    assert "\n\n\n\n" not in once
    assert lines[-1] == ""
    assert lines[0] != ""
    assert not [line for line in lines if len(line.partition("  #")[0]) > WIDTH]


@given(seeds)
def test_one_line_for_each_statement_gives_a_narrow_text(seed: int) -> None:
    once = formatted(program(seed))
    assert formatted(once) == once
    assert max(map(len, once.split("\n"))) <= WIDTH


# ---- spacing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Y[ i  j ]=A[i j]*B[ j ]", "Y[i j] = A[i j] * B[j]"),
        ("Y = X[2 * i+j,c]", "Y = X[2*i + j, c]"),
        ("Y = X[-2 * i - size( k ) * 3 * j]", "Y = X[-2*i - size(k)*3*j]"),
        ("Y = X[(2 * i+j)%3]", "Y = X[(2*i + j) % 3]"),
        ("Y = X[2 * i % 3, n//2, f(2*n)]", "Y = X[2*i % 3, n // 2, f(2 * n)]"),
        ("Y = X[(h k)]", "Y = X[(h k)]"),
        ("Y = 2*X^2+-X ^ -2", "Y = 2 * X^2 + -X^-2"),
        ("Y = f [h=2*k,value=-inf] (X)", "Y = f[h = 2 * k, value = -inf](X)"),
        ("Y=clip[min=0,max=1](X)", "Y = clip[min = 0, max = 1](X)"),
        ("Out  max=  X", "Out max= X"),
        ("max=X", "max = X"),
        ("A,B=( f|g>>h )( X,Y )", "A, B = (f | g >> h)(X, Y)"),
        ("Y = einsum[q k,x k->q x](A,B)", "Y = einsum[q k, x k -> q x](A, B)"),
        ("Y = einsum[q k ->](A)", "Y = einsum[q k ->](A)"),
        ("Y = f[ -> h](A)", "Y = f[-> h](A)"),
        ('Y = block  "A b"(f>>g)(X)', 'Y = block "A b" (f >> g)(X)'),
        ("Y = not(a==b)or not c and-d<e", "Y = not (a == b) or not c and -d < e"),
        ("Y = ( X , )", "Y = (X,)"),
        ("Y = f( X , )", "Y = f(X)"),
        ("Y = f( )", "Y = f()"),
        ("Y :N( v )[ n ]", "Y: N(v)[n]"),
        ("learn A,B :linear [m->h k]", "learn A, B: linear[m -> h k]"),
        ("learn W:f32[ f m ]~normal( 0,0.02 )", "learn W: f32[f m] ~ normal(0, 0.02)"),
        ("axis i,j=3,n:set=2*size( k )", "axis i, j = 3, n : set = 2 * size(k)"),
        ("assert size( m )%size( h )==0", "assert size(m) % size(h) == 0"),
        ("return A ,B", "return A, B"),
        ('block "Core"{ }', 'block "Core" { }'),
        ("Y = std . relu(X)", "Y = std.relu(X)"),
    ],
)
def test_spacing_in_bodies(written: str, expected: str) -> None:
    assert formatted(in_body(written)) == in_body(f"  {expected}")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("use std . nn.{ linear,rms_norm  as  n, }", "use std.nn.{linear, rms_norm as n}"),
        ("use  a.b  as c", "use a.b as c"),
        ("const depth=6", "const depth = 6"),
        ("config base{h=8,k=2*h,}", "config base { h = 8, k = 2 * h }"),
        ("config base{ }", "config base { }"),
        ("op exp[ const b=2 ] :[]->[]{linear}", "op exp[const b = 2]: [] -> [] { linear }"),
        (
            "diagram f[a b,c=3,ins..]( X,Y:[ins.. a] )->(B[a],[ ]){return X}",
            "diagram f[a b, c = 3, ins..](X, Y: [ins.. a]) -> (B[a], []) { return X }",
        ),
        ("diagram f[ins..->outs..](X:[])->[]{ }", "diagram f[ins.. -> outs..](X: []) -> [] { }"),
        ("diagram f:[m]->[m]=id+(f>>g)", "diagram f : [m] -> [m] = id + (f >> g)"),
    ],
)
def test_spacing_of_declarations(written: str, expected: str) -> None:
    assert formatted(written) == f"{expected}\n"


# ---- what an author spread stays spread ------------------------------------------------------

STABLE = {
    "pipeline": """\
diagram core : ([q h k], [x h k]) -> [q h k]
  = einsum[q h k, x h k -> h q x] >> softmax[x]
    >> block "Values" (
      f
      | g
    )
    >> id
""",
    "bodies": """\
diagram f(X: [m]) -> [m] { return X }

diagram g(X: [m]) -> [m] {
  return X
}
""",
    "config": """\
config small { h = 8, k = 64 }
config large {
  h = 16
  k = 128

  depth = 6  # and no more
}
""",
    "use": """\
use std.nn.{
  linear,
  rms_norm as norm,
}
""",
    "parameters": """\
diagram f[
  h,
  const p = 0.1,
](
  X, Y: [m],  # both
  Z: [m],
) -> [m] {
  return X
}
""",
    "header": """\
diagram f(X: [m])
    -> [m] {
  return X
}
""",
    "arguments": """\
diagram f(X: [m]) -> [m] {
  Y = where(
    X > 0
      and X < 1,
    # inside
    X,
    0,
  ) + f(g(
    X,
    X,
  ))
  return Y[
    i,
    j
    -> k
  ]
}
""",
    "blank lines": """\
# A file.


## Documented.
axis h

# between

axis k


diagram f(X: [m]) -> [m] {
  # above
  Y = X

  # apart
  ## note

  return Y
  # below
}
# end
""",
    "aligned": """\
config large {
  h     = 8     # heads
  depth = 6     # layers

  k = 3
}
diagram f(X: [m]) -> [m] {
  Y[m]  = X         # one
  # neither of these
  Z[m] += 2 * X     # two
  LongName = Y  # apart
  W = Z                # further apart
  return W
}
""",
    "list": """\
diagram f(X: [m]) -> [m] {
  axis i = 2,
    j = 3
  return X,
    Y
}
""",
}


@pytest.mark.parametrize("name", STABLE)
def test_spread_text_stays_as_it_is(name: str) -> None:
    assert formatted(STABLE[name]) == STABLE[name]


def test_columns_of_equal_signs_move_together() -> None:
    written = in_body("A[x]=1\n  Long    =2\n  B       =3\n\n  C = 4")
    moved = in_body("  A[x] = 1\n  Long = 2\n  B    = 3\n\n  C = 4")
    assert formatted(written) == moved


def test_columns_of_comments_move_together() -> None:
    written = in_body("  A=1      # a\n  B = 2    # b\n  C = 2 # c")
    moved = in_body("  A = 1    # a\n  B = 2    # b\n  C = 2  # c")
    assert formatted(written) == moved


def test_what_is_not_aligned_is_not_aligned() -> None:
    assert formatted(in_body("A  = 1\nBc  = 2")) == in_body("  A = 1\n  Bc = 2")


# ---- lines that are too long -----------------------------------------------------------------


def test_long_lines_end_at_the_loosest_operators() -> None:
    long = " + ".join(f"left_factor_{i}[x y] * right_factor_{i}[y]" for i in range(3))
    assert formatted(in_body(f"Y[x] = {long}")) == in_body(
        """
  Y[x] = left_factor_0[x y] * right_factor_0[y] + left_factor_1[x y] * right_factor_1[y]
    + left_factor_2[x y] * right_factor_2[y]
"""
    )


def test_long_lists_get_a_line_for_each_entry() -> None:
    names = [f"argument_number_{i}" for i in range(6)]
    lines = "".join(f"    {name},\n" for name in names)
    written = in_body(f"Y = function({', '.join(names)})")
    assert formatted(written) == in_body(f"  Y = function(\n{lines}  )")


def test_long_settings_and_headers() -> None:
    settings = [f"parameter_{i} = {i}" for i in range(8)]
    lines = "".join(f"  {setting}\n" for setting in settings)
    assert formatted(f"config c {{ {', '.join(settings)} }}") == f"config c {{\n{lines}}}\n"
    inputs = [f"input_{i}: [batch length]" for i in range(5)]
    lines = "".join(f"  {name},\n" for name in inputs)
    header = f"diagram f({', '.join(inputs)}) -> [m] {{ return X }}"
    assert formatted(header) == f"diagram f(\n{lines}) -> [m] {{\n  return X\n}}\n"
    result = "([batch length width], [batch length])"
    header = f"diagram long_name_of_it({', '.join(inputs[:2])}) -> {result} {{ }}"
    head = f"diagram long_name_of_it({', '.join(inputs[:2])})"
    assert formatted(header) == f"{head}\n    -> {result} {{ }}\n"


def test_a_long_right_side_may_start_on_its_own_line() -> None:
    left, right = "a_rather_long_name" * 3, "f_of_x[" + "long_axis_name " * 3 + "i]"
    written = in_body(f"{left}[i] = {right}")
    assert formatted(written) == in_body(f"  {left}[i] =\n    {right}")


def test_many_axes_fill_lines() -> None:
    axes = " ".join(f"axis_{i}" for i in range(30))
    text = formatted(f"diagram f(X: [{axes}]) -> [] {{ }}")
    assert max(map(len, text.split("\n"))) <= WIDTH
    assert formatted(text) == text


def test_two_statements_are_not_put_on_one_line() -> None:
    assert formatted("diagram f() -> [] { A = 1\nreturn A }") == (
        "diagram f() -> [] {\n  A = 1\n  return A\n}\n"
    )


# ---- comments, line ends, and refusals -------------------------------------------------------


def test_comments_stay_where_nothing_else_may_stand() -> None:
    written = in_body("Y = f( # one\n  X # two\n, # three\n # four\n Z # five\n) # six\n# seven")
    assert formatted(written) == in_body(
        """
  Y = f(  # one
    X,  # two
    # three
    # four
    Z,  # five
  )  # six
  # seven
"""
    )


def test_a_comment_ends_a_line_in_the_middle_of_an_expression() -> None:
    written = in_body("Y = A + # why\n  B *\n # own\n C")
    assert formatted(written) == in_body("  Y = A  # why\n    + B\n      # own\n      * C")


def test_documentation_stays_documentation() -> None:
    text = "## one\n\n## two  \n## three\naxis h\n## four\n# plain\naxis k\n"
    once = formatted(text)
    assert once == text.replace("two  ", "two")
    docs = [getattr(item, "doc", None) for item in parse(Source("t", once)).file.declarations]
    assert docs == ["two\nthree", ""]


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n", "\n# one\n\n\n\n\n# two\n\n", "\ufeff"])
def test_texts_without_declarations(text: str) -> None:
    once = formatted(text)
    assert formatted(once) == once
    assert once == "" or (once.endswith("\n") and not once.endswith("\n\n"))


def test_line_ends_stay_of_one_kind() -> None:
    assert formatted("axis  h\r\naxis  k\r\n") == "axis h\r\naxis k\r\n"
    assert formatted("axis  h # c\r\n\taxis  k") == "axis h  # c\r\naxis k\r\n"
    assert formatted("axis  h\naxis  k\r\n") == "axis h\naxis k\n"


def test_division_before_a_comma() -> None:
    """`// w, x` is no comment of another language."""
    assert formatted(in_body("Y = f(n//w,x)")) == in_body("  Y = f(n // w, x)")


def test_unicode_names_keep_their_form() -> None:
    assert formatted("axis é\naxis  α") == "axis é\naxis α\n"


def test_deep_nesting() -> None:
    for value in (f"{'f(' * 45}X{')' * 45}", f"{'(-' * 30}X{')' * 30}", " + ".join(["X"] * 90)):
        once = formatted(in_body(f"Y = {value}"))
        assert formatted(once) == once


def test_a_text_with_errors_is_refused() -> None:
    with pytest.raises(ValueError, match="syntax errors"):
        formatted("axis = ")


def test_a_changed_meaning_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("axis k\n", "# no comment\n", "axis = \n"):
        with monkeypatch.context() as patch:
            patch.setattr(formatter, "render", lambda lines, wrong=wrong: wrong)
            with pytest.raises(Unfaithful):
                formatted("axis h  # one\n")


# ---- the command -----------------------------------------------------------------------------

UGLY, NEAT = "axis  h=8\n", "axis h = 8\n"


@pytest.fixture
def ugly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.ncd"
    path.write_text(UGLY, encoding="utf-8")
    return path


def test_files_are_formatted_in_place(ugly: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("b.ncd").write_text(NEAT, encoding="utf-8")
    before = os.stat("b.ncd").st_mtime_ns
    assert main(["fmt", "a.ncd", "b.ncd"]) == 0
    assert ugly.read_text(encoding="utf-8") == NEAT
    assert os.stat("b.ncd").st_mtime_ns == before
    assert sorted(os.listdir()) == ["a.ncd", "b.ncd"]
    assert capsys.readouterr().out == "1 file reformatted, 1 file left unchanged\n"


def test_check_writes_nothing(ugly: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt", "--check", "a.ncd"]) == 1
    assert ugly.read_text(encoding="utf-8") == UGLY
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "would reformat a.ncd\n1 file would be reformatted\n"
    ugly.write_text(NEAT, encoding="utf-8")
    assert main(["fmt", "--check", "a.ncd"]) == 0
    assert capsys.readouterr().err == "1 file already formatted\n"


def test_diff_shows_what_would_change(ugly: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ugly.write_text(UGLY.rstrip("\n"), encoding="utf-8")
    assert main(["fmt", "--diff", "a.ncd"]) == 1
    assert ugly.read_text(encoding="utf-8") == UGLY.rstrip("\n")
    assert capfd.readouterr().out == (
        "--- a.ncd\n+++ a.ncd\n@@ -1 +1 @@\n-axis  h=8\n\\ No newline at end of file\n+axis h = 8\n"
    )


def test_a_file_with_errors_is_reported_and_left_alone(
    ugly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.ncd").write_text("axis  = 3\n", encoding="utf-8")
    assert main(["fmt", "bad.ncd", "a.ncd"]) == 1
    assert Path("bad.ncd").read_text(encoding="utf-8") == "axis  = 3\n"
    assert ugly.read_text(encoding="utf-8") == NEAT
    told = capsys.readouterr()
    assert "error[NCD1" in told.err
    assert told.out == "1 file reformatted, 1 file with syntax errors\n"


def test_what_cannot_be_read(ugly: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt", "missing.ncd", "a.ncd"]) == 2
    assert "missing.ncd: no such file" in capsys.readouterr().err
    assert ugly.read_text(encoding="utf-8") == NEAT


def test_a_mistake_of_the_formatter_leaves_the_file_alone(
    ugly: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(formatter, "render", lambda _: "axis k\n")
    assert main(["fmt", "a.ncd"]) == 2
    assert ugly.read_text(encoding="utf-8") == UGLY
    assert "bug in ncdc" in capsys.readouterr().err


def fmt(*arguments: str, given: bytes) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "ncdlang.cli", "fmt", *arguments]
    return subprocess.run(command, input=given, capture_output=True, check=False)


def test_standard_input_goes_to_standard_output() -> None:
    finished = fmt("-", given=b"axis  h=8\r\n")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, b"axis h = 8\r\n", b"")
    finished = fmt("-", given=b"axis = ")
    assert (finished.returncode, finished.stdout) == (1, b"")
    assert b"<stdin>" in finished.stderr
