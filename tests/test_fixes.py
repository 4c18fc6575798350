"""Fixes: what `ncdc check --fix` may change, and that every fix of the corpus mends its error."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from test_cli import Ncdc, ncdc  # noqa: F401
from test_suite import CASES, MAIN, Case

from ncdlang import fixing
from ncdlang.diagnostics import Diagnostic, Fix
from ncdlang.project import Project
from ncdlang.semantics.check import check_source
from ncdlang.source import Source, Span

MISSPELT = "diagram f(X: [x y]) -> [x y] { return sofmax[y](X) }\n"
MENDED = MISSPELT.replace("sofmax", "softmax")
ONLY_CLEAN = 0.9  # of the fixes of a single error, how many leave no error at all


# ---- the corpus ----------------------------------------------------------------------------------


class Corpus:
    """A case of the suite that can be checked again with one of its files changed."""

    def __init__(self, given: Case) -> None:
        self.given = given
        self.project = Project()
        self.sources = {file: Source(file, text) for file, text in given.files.items()}
        self.found = self.check(self.sources)

    def check(self, sources: dict[str, Source]) -> tuple[Diagnostic, ...]:
        def find(importer: Source, dotted: tuple[str, ...]) -> Source | None:
            return sources.get(f"{'/'.join(dotted)}.ncd") or self.project.find(importer, dotted)

        return check_source(sources[MAIN], find, self.given.changes)[1]

    def after(self, fix: Fix) -> tuple[Source, tuple[Diagnostic, ...]]:
        source = fix.edits[0][0].source
        changed = Source(source.name, fixing.edited(source, fix.edits))
        return changed, self.check(self.sources | {source.name: changed})


WRONG = [(file, given) for file, given in CASES if given.expected]


@pytest.mark.parametrize("given", [c for _, c in WRONG], ids=[f"{f}: {c.name}" for f, c in WRONG])
def test_every_fix_of_the_corpus_mends_its_error(given: Case) -> None:
    corpus = Corpus(given)
    for found in corpus.found:
        if found.fix is None:
            continue
        changed, after = corpus.after(found.fix)
        shown = changed.text, [f"{d.code} {d.message}" for d in after]
        assert not fixing.still_has(changed, found, after), shown
        assert len(after) <= len(corpus.found), shown


def test_most_fixes_leave_a_clean_program() -> None:
    single = [c for c in (Corpus(given) for _, given in WRONG) if len(c.found) == 1]
    fixes = [(c, fix) for c in single if (fix := c.found[0].fix) is not None]
    unclean = [c.given.name for c, fix in fixes if c.after(fix)[1]]
    assert len(unclean) <= (1 - ONLY_CLEAN) * len(fixes), unclean
    assert len(fixes) > 70


# ---- the mechanism -------------------------------------------------------------------------------


def check(source: Source) -> tuple[Diagnostic, ...]:
    return check_source(source, Project().find)[1]


def fixed(text: str, **options: bool) -> str:
    return fixing.fix_source(Source("a.ncd", text), check, **options).source.text


def test_several_fixes_are_applied_at_once_and_again() -> None:
    text = "diagram f(X: [x y]) -> [x y] {\n  Y := sofmax[y](X)\n  return exq(Y) }\n"
    assert fixed(text) == "diagram f(X: [x y]) -> [x y] {\n  Y = softmax[y](X)\n  return exp(Y) }\n"


def test_a_fix_that_breaks_more_is_not_applied() -> None:
    good, bad = Source("a.ncd", MISSPELT), MISSPELT.index("sofmax")

    def careless(source: Source) -> tuple[Diagnostic, ...]:
        """As the checker, but with a fix that removes a bracket."""
        return tuple(
            Diagnostic(d.code, d.message, d.span, fix=Fix("", ((Span(source, bad - 8, bad), "("),)))
            for d in check(source)
        )

    assert fixing.fix_source(good, careless).source is good


def test_a_fix_that_goes_in_circles_ends() -> None:
    def restless(source: Source) -> tuple[Diagnostic, ...]:
        other = "b" if source.text == "a" else "a"
        span = Span(source, 0, 1)
        return (Diagnostic("NCD2001", source.text, span, fix=Fix("", ((span, other),))),)

    assert fixing.fix_source(Source("a.ncd", "a"), restless).source.text in "ab"


def test_a_fix_of_another_file_is_not_applied() -> None:
    other = Source("b.ncd", "a")

    def check(source: Source) -> tuple[Diagnostic, ...]:
        span = Span(other, 0, 1)
        return (Diagnostic("NCD2001", "", span, fix=Fix("", ((span, "b"),))),)

    assert not fixing.fix_source(Source("a.ncd", "a"), check).applied


def test_one_bad_fix_does_not_keep_the_others_from_being_applied() -> None:
    def check(source: Source) -> tuple[Diagnostic, ...]:
        """Every `x` is an error that `y` mends, but a `z` becomes two errors of syntax."""
        found: list[Diagnostic] = []
        for i, c in enumerate(source.text):
            span = Span(source, i, i + 1)
            if c == "x":
                found.append(Diagnostic("NCD2001", "x", span, fix=Fix("", ((span, "y"),))))
            if c == "z":
                found.append(Diagnostic("NCD2001", "z", span, fix=Fix("", ((span, "(("),))))
            if c == "(":
                found.append(Diagnostic("NCD1001", "(", span))
        return tuple(found)

    done = fixing.fix_source(Source("a.ncd", "xxzxxzxz"), check)
    assert done.source.text == "yyzyyzyz"
    assert len(done.applied) == 5
    assert len(done.left) == 3


def test_unsafe_fixes_are_asked_for() -> None:
    def check(source: Source) -> tuple[Diagnostic, ...]:
        if source.text != "a":
            return ()
        span = Span(source, 0, 1)
        return (Diagnostic("NCD2001", "", span, fix=Fix("", ((span, "b"),), safe=False)),)

    assert not fixing.fix_source(Source("a.ncd", "a"), check).applied
    assert fixing.fix_source(Source("a.ncd", "a"), check, unsafe=True).source.text == "b"


# ---- the command ---------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "f.ncd"
    path.write_text(MISSPELT)
    return path


def test_fix_writes_the_file_and_says_so(ncdc: Ncdc, file: Path) -> None:  # noqa: F811
    result = ncdc("check", "--fix", file)
    assert result.code == 0
    assert file.read_text() == MENDED
    assert f"fixed {file}:1:39: NCD2001: write `softmax`" in result.err
    assert result.err.endswith("Found 1 error (1 fixed, 0 remaining).\n")
    again = ncdc("check", "--fix", file)
    assert (again.code, again.err) == (0, "All checks passed; there is nothing to fix.\n")


def test_what_is_left_is_reported(ncdc: Ncdc, file: Path) -> None:  # noqa: F811
    file.write_text(MISSPELT + "diagram g(X: [x]) -> [x] { return Nothing(X) }\n")
    result = ncdc("check", "--fix", file)
    assert result.code == 1
    assert file.read_text().startswith(MENDED)
    assert "no diagram named `Nothing`" in result.err
    assert "sofmax" not in result.err
    assert result.err.endswith("Found 2 errors (1 fixed, 1 remaining).\n")


def test_a_plain_check_tells_of_fixes(ncdc: Ncdc, file: Path) -> None:  # noqa: F811
    result = ncdc("check", file)
    assert result.err.endswith("Found 1 error.\n1 can be fixed by `ncdc check --fix`.\n")
    assert file.read_text() == MISSPELT


def test_diff_writes_nothing(ncdc: Ncdc, file: Path) -> None:  # noqa: F811
    result = ncdc("check", "--diff", file)
    assert result.code == 1
    assert file.read_text() == MISSPELT
    assert f"-{MISSPELT}+{MENDED}" in result.out
    assert "1 fixable, 0 remaining" in result.err


def test_stdin_is_fixed_to_stdout(ncdc: Ncdc) -> None:  # noqa: F811
    assert ncdc("check", "--fix", "-", stdin=MISSPELT)[:2] == (0, MENDED)
    assert ncdc("check", "--fix", "-", stdin=MENDED)[:2] == (0, MENDED)
    assert ncdc("check", "--fix", "--types", "-", stdin=MISSPELT).code == 2
    assert ncdc("check", "--fix", "--format", "json", "-", stdin=MISSPELT).code == 2


def test_mode_marks_and_line_ends_are_kept(ncdc: Ncdc, file: Path) -> None:  # noqa: F811
    text = "\ufeffdiagram f(X: [x]) -> [x] {\r\n  Y = exp(X); return Y }\r\n"
    file.write_bytes(text.encode())
    file.chmod(0o640)
    assert ncdc("check", "--fix", file).code == 0
    assert file.read_bytes() == text.replace(";", "\r\n", 1).encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.listdir(file.parent) == [file.name]


def test_a_link_is_followed(ncdc: Ncdc, file: Path) -> None:  # noqa: F811
    link = file.parent / "link.ncd"
    link.symlink_to(file.name)
    assert ncdc("check", "--fix", link).code == 0
    assert link.is_symlink()
    assert file.read_text() == MENDED


def test_used_files_are_fixed_only_if_named(ncdc: Ncdc, file: Path) -> None:  # noqa: F811
    user = file.parent / "user.ncd"
    file.write_text(MISSPELT.replace("diagram f", "diagram pointed"))
    user.write_text("use f.{pointed}\ndiagram g(X: [x y]) -> [x y] { return ponted(X) }\n")
    result = ncdc("check", "--fix", user)
    assert result.code == 1
    assert "sofmax" in file.read_text()
    assert "return pointed(X)" in user.read_text()
    assert ncdc("check", "--fix", user, file).code == 0
    assert "softmax" in file.read_text()


def test_a_file_that_cannot_be_read_keeps_no_other_from_it(
    ncdc: Ncdc,  # noqa: F811
    file: Path,
) -> None:
    result = ncdc("check", "--fix", file.parent / "missing.ncd", file)
    assert result.code == 2
    assert file.read_text() == MENDED
    assert "no such file" in result.err
