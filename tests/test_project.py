"""How files are found and read, and what may not be."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from ncdlang.project import MAX_BYTES, Project, ProjectError
from ncdlang.source import Source

TEXT = "diagram f(X: [x]) -> [x] { return X }\n"


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.ncd"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_a_source_has_the_name_that_the_user_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, a=TEXT)
    monkeypatch.chdir(tmp_path)
    assert Project().open("./a.ncd").name == "./a.ncd"
    assert Project().open(tmp_path / "a.ncd").name == str(tmp_path / "a.ncd")


def test_a_file_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, a="use b", b=TEXT)
    project = Project()
    first = project.open(tmp_path / "a.ncd")
    assert project.open(tmp_path / "." / "a.ncd") is first
    assert project.find(first, ("b",)) is project.open(tmp_path / "b.ncd")
    assert project.find(first, ("a",)) is first


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    monkeypatch.chdir(tmp_path)
    write(tmp_path, b=TEXT)
    project = Project()
    source = project.open("-")
    assert (source.name, source.text) == ("<stdin>", TEXT)
    assert project.open("-") is source
    found = project.find(source, ("b",))
    assert found is not None
    assert found.name == "b.ncd"


def test_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.ncd"
    path.write_bytes(b"\xef\xbb\xbfconst a = 1\r\nconst b = 2\r\n")
    source = Project().open(path)
    assert source.text == "const a = 1\r\nconst b = 2\r\n"
    assert source.line_text(2) == "const b = 2"


# ---- search --------------------------------------------------------------------------------------


def test_the_search_goes_folder_then_include(tmp_path: Path) -> None:
    write(tmp_path / "own", a=TEXT, b="own", models__d="nested")
    write(tmp_path / "first", b="first", c="first")
    write(tmp_path / "second", c="second", e="second")
    project = Project((tmp_path / "first", tmp_path / "second"))
    importer = project.open(tmp_path / "own" / "a.ncd")
    texts = [
        found.text if (found := project.find(importer, path)) else None
        for path in (("b",), ("c",), ("e",), ("models", "d"), ("nothing",), ("d",))
    ]
    assert texts == ["own", "first", "second", "nested", None, None]


def test_a_module_looks_in_its_own_folder(tmp_path: Path) -> None:
    write(tmp_path, a=TEXT, models__b="b", models__c="c")
    project = Project()
    importer = project.find(project.open(tmp_path / "a.ncd"), ("models", "b"))
    assert importer is not None
    found = project.find(importer, ("c",))
    assert found is not None
    assert found.text == "c"


def test_the_standard_library(tmp_path: Path) -> None:
    write(tmp_path, a=TEXT, std__nn="not the library", std__mine="mine")
    project = Project((tmp_path,))
    importer = project.open(tmp_path / "a.ncd")
    found = project.find(importer, ("std", "nn"))
    assert found is not None
    assert found.name == "<std>/nn.ncd"
    assert "diagram linear" in found.text
    assert project.find(importer, ("std", "mine")) is None
    assert project.find(found, ("std", "prelude")) is not None


def test_a_text_without_a_file_finds_the_library_and_include(tmp_path: Path) -> None:
    write(tmp_path, b=TEXT)
    assert Project().find(Source("<string>", ""), ("b",)) is None
    assert Project((tmp_path,)).find(Source("<string>", ""), ("b",)) is not None
    assert Project().find(Source("<string>", ""), ("std", "nn")) is not None


@pytest.mark.parametrize(
    "dotted", [("..", "b"), ("", "b"), ("/etc", "b"), ("a/b",), ("a\0",), (), (".",), ("a.b",)]
)
def test_names_that_are_no_names_find_nothing(tmp_path: Path, dotted: tuple[str, ...]) -> None:
    write(tmp_path, b=TEXT, own__a=TEXT)
    project = Project()
    assert project.find(project.open(tmp_path / "own" / "a.ncd"), dotted) is None


@pytest.mark.parametrize("through", ["file", "folder"])
def test_links_may_not_leave_the_folder(tmp_path: Path, through: str) -> None:
    write(tmp_path / "secret", b="secret")
    write(tmp_path / "own", a=TEXT, inside="inside")
    own = tmp_path / "own"
    if through == "file":
        (own / "b.ncd").symlink_to(tmp_path / "secret" / "b.ncd")
        dotted = ("b",)
    else:
        (own / "m").symlink_to(tmp_path / "secret", target_is_directory=True)
        dotted = ("m", "b")
    (own / "alias.ncd").symlink_to(own / "inside.ncd")
    project = Project()
    importer = project.open(own / "a.ncd")
    with pytest.raises(ProjectError, match="leaves its folder"):
        project.find(importer, dotted)
    found = project.find(importer, ("alias",))
    assert found is not None
    assert found.text == "inside"


def test_a_link_to_a_folder_itself_is_fine(tmp_path: Path) -> None:
    write(tmp_path / "real", a=TEXT, b="b")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    project = Project()
    found = project.find(project.open(tmp_path / "link" / "a.ncd"), ("b",))
    assert found is not None
    assert found.name == str(tmp_path / "link" / "b.ncd")


# ---- what can't be read --------------------------------------------------------------------------


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "junk.ncd").write_bytes(b"const a = 1\n\xff\xfe\x00")
    (tmp_path / "huge.ncd").write_bytes(b"#" * (MAX_BYTES + 1))
    (tmp_path / "loop.ncd").symlink_to(tmp_path / "loop.ncd")
    for path, reason in (
        (tmp_path / "missing.ncd", "no such file"),
        (tmp_path, "it is a folder"),
        (tmp_path / "junk.ncd", r"not UTF-8 \(byte 0xff in line 2\)"),
        (tmp_path / "huge.ncd", "larger than 10 MB"),
        (tmp_path / "loop.ncd", "symbolic links"),
        (tmp_path / "junk.ncd" / "a.ncd", "not a directory"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path / ("a" * 300), "too long"),
        (Path("a\0b"), "null"),
    ):
        with pytest.raises(ProjectError, match=reason):
            Project().open(path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a.ncd"
    path.write_text(TEXT)
    path.chmod(0)
    with pytest.raises(ProjectError, match="permission denied"):
        Project().open(path)


def test_a_module_may_not_be_a_pipe(tmp_path: Path) -> None:
    write(tmp_path, a=TEXT)
    os.mkfifo(tmp_path / "b.ncd")
    project = Project()
    with pytest.raises(ProjectError, match="not a regular file"):
        project.find(project.open(tmp_path / "a.ncd"), ("b",))
