"""The rules of the house, enforced on the text of the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = sorted((ROOT / "ncdlang").rglob("*.py"))
BACKENDS = sorted((ROOT / "backends").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# A module imports only from its own group and from groups above it.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("records", "source", "resources", "spelling"),
    ("diagnostics", "codes"),
    ("fixing",),
    ("syntax",),
    ("semantics",),
    ("ir",),
    ("algebra",),
    ("analysis", "gradients", "interchange"),
    ("targets",),
    ("project", "refuting"),
    ("report", "vocabulary"),
    ("api",),
    ("lsp",),
    ("cli", "jupyter", "pygments"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

# Who may import what is no part of Python: folders or files, and whether only inside functions.
THIRD_PARTY: dict[str, tuple[tuple[str, ...], bool]] = {
    "lark": (("ncdlang/syntax",), False),
    "islpy": (("ncdlang/semantics", "ncdlang/analysis"), True),
    "numpy": (("ncdlang/cli/arrays.py", "ncdlang/cli/execution.py", "backends"), False),
    "torch": (("ncdlang/cli/execution.py", "backends"), True),
    "triton": (("backends/kernels",), True),
    "pygments": (("ncdlang/pygments.py",), False),
    "pygls": (("ncdlang/lsp",), False),
    "lsprotocol": (("ncdlang/lsp",), False),
    "sympy": (("ncdlang/analysis",), True),
}
READERS = ("project.py", "resources.py", "syntax/cache.py")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def group(module: str) -> str:
    """The part of `ncdlang.semantics.size` that has a level."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(tree: ast.AST) -> Iterator[tuple[str, int, bool]]:
    """(module, level of relative import, at the top of a module and run) of every import."""
    lazy = {
        id(node)
        for scope in ast.walk(tree)
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef) or is_type_checking(scope)
        for node in ast.walk(scope)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, 0, id(node) not in lazy
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if base == "ncdlang":
                for alias in node.names:
                    yield f"ncdlang.{alias.name}", 0, id(node) not in lazy
            else:
                yield base, node.level, id(node) not in lazy


def is_type_checking(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", CORE, ids=relative)
def test_imports_go_one_way(path: Path) -> None:
    module = relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    own = group(module)
    if not own:
        return
    assert own in LEVEL, f"{own} has no place in the order of imports"
    for name, level, _ in imports(parsed(path)):
        assert level == 0, f"{module} imports relatively"
        if name.split(".")[0] == "ncdlang":
            other = group(name)
            assert other != "backends", f"{module} imports a backend"
            assert other == own or LEVEL[other] < LEVEL[own], f"{module} imports {name}"


@pytest.mark.parametrize("path", BACKENDS, ids=relative)
def test_backends_import_the_core_and_their_siblings(path: Path) -> None:
    for name, level, _ in imports(parsed(path)):
        assert name.split(".")[0] != "backends"
        if level == 0:
            assert not name.startswith("ncdlang.backends"), "siblings are imported relatively"
            assert group(name) not in ("api", "cli") or not name.startswith("ncdlang")


@pytest.mark.parametrize("path", [*CORE, *BACKENDS], ids=relative)
def test_heavy_packages_stay_where_they_belong(path: Path) -> None:
    for name, level, at_top in imports(parsed(path)):
        package = name.split(".")[0]
        if level or package not in THIRD_PARTY:
            continue
        allowed, only_lazy = THIRD_PARTY[package]
        is_type = is_only_for_types(path, package)
        assert is_type or relative(path).startswith(allowed), f"{relative(path)} imports {name}"
        assert not (only_lazy and at_top), f"{relative(path)} imports {name} when it is imported"


def is_only_for_types(path: Path, package: str) -> bool:
    """Whether a package is named in `if TYPE_CHECKING:` alone."""
    tree = parsed(path)
    guarded = [node for node in ast.walk(tree) if is_type_checking(node)]
    inside = sum(name.split(".")[0] == package for node in guarded for name, _, _ in imports(node))
    return inside == sum(name.split(".")[0] == package for name, _, _ in imports(tree))


def calls(tree: ast.AST) -> Iterator[str]:
    """The names of everything that is called: `print`, `os.open`, `.read_text`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name):
                    yield name
                case ast.Attribute(value=ast.Name(id=owner), attr=name):
                    yield f"{owner}.{name}"
                    yield f".{name}"
                case ast.Attribute(attr=name):
                    yield f".{name}"
                case _:
                    pass


@pytest.mark.parametrize("path", [*CORE, *BACKENDS], ids=relative)
def test_only_the_command_line_prints(path: Path) -> None:
    if not relative(path).startswith("ncdlang/cli/"):
        assert not {"print", "input", "breakpoint"} & set(calls(parsed(path)))
        assert "sys.stdout" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [*CORE, *BACKENDS], ids=relative)
def test_only_the_project_reads_files(path: Path) -> None:
    if relative(path).startswith("ncdlang/cli/") or relative(path).endswith(READERS):
        return
    reading = {"open", "os.open", "io.open", ".read_text", ".read_bytes"}
    assert not reading & set(calls(parsed(path)))


@pytest.mark.parametrize("path", [*CORE, *BACKENDS, *TESTS], ids=relative)
def test_files_are_short(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= (700 if path in TESTS else 500)


@pytest.mark.parametrize("path", [*CORE, *BACKENDS], ids=relative)
def test_every_module_says_what_it_is(path: Path) -> None:
    tree = parsed(path)
    assert not tree.body or ast.get_docstring(tree), "a module has a docstring"


@pytest.mark.parametrize("path", [*CORE, *BACKENDS], ids=relative)
def test_nothing_is_left_unfinished(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for word in ("TODO", "FIXME", "XXX"):
        assert word not in text
    raised = [node.exc for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Raise)]
    assert not any("NotImplementedError" in ast.dump(exc) for exc in raised if exc)


def test_folders_hide_no_package() -> None:
    names = {path.parent.name for path in [*CORE, *BACKENDS]}
    assert not names & {"torch", "triton", "graphviz", "lark", "numpy"}
    assert not any("utils" in path.stem for path in [*CORE, *BACKENDS])
