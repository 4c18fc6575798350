"""The wheel holds everything, and works away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLACES = {"ncdlang": "ncdlang", "backends": "ncdlang/backends", "grammar": "ncdlang/grammar"}
PLACES["stdlib"] = "ncdlang/stdlib"
ENDINGS = (".py", ".toml", ".lark", ".json", ".ncd", "py.typed")


def shipped() -> Iterator[tuple[str, str]]:
    """(path in the checkout, path in the wheel) of every file that the wheel must hold."""
    for folder, place in PLACES.items():
        for path in sorted((ROOT / folder).rglob("*")):
            inside = path.relative_to(ROOT / folder).as_posix()
            if path.is_file() and path.name.endswith(ENDINGS) and "__pycache__" not in inside:
                yield path.relative_to(ROOT).as_posix(), f"{place}/{inside}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without the network from a copy, so that the checkout stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "checkout"
    for source in [*(path for path, _ in shipped()), "pyproject.toml", "LICENSE", "README.md"]:
        target = copy / source
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / source).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(copy)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_every_folder_of_code_is_a_package_of_the_wheel() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(settings["tool"]["setuptools"]["packages"])
    needed = {str(Path(place).parent).replace("/", ".") for _, place in shipped()}
    assert needed == listed


def test_the_wheel_holds_every_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    assert {place for _, place in shipped()} <= held
    assert any(name.endswith("LICENSE") for name in held)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, which borrows what it depends on from this one."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    (site,) = folder.glob("lib/python*/site-packages")
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", str(wheel)], check=True)
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    # Paths only: the `.pth` files there, the editable install of this checkout among them, are
    # not read from a folder that is added this way.
    (site / "borrowed.pth").write_text("\n".join(borrowed) + "\n", encoding="utf-8")
    return folder


def run(installed: Path, folder: Path, *command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    program, *arguments = command
    finished = subprocess.run(
        [str(installed / "bin" / program), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_the_installed_command_works_anywhere(installed: Path, tmp_path: Path) -> None:
    example = ROOT / "examples" / "attention.ncd"
    (tmp_path / "a.ncd").write_bytes(example.read_bytes())
    assert run(installed, tmp_path, "ncdc", "check", "a.ncd") == "All checks passed: 3 diagrams\n"
    assert "class MultiHead" in run(installed, tmp_path, "ncdc", "build", "a.ncd", "multi_head")
    assert run(installed, tmp_path, "ncdc", "draw", "a.ncd", "multi_head", "--format", "gv")
    assert "NCD2003" in run(installed, tmp_path, "ncdc", "explain")


def test_the_installed_package_is_the_one_that_is_used(installed: Path, tmp_path: Path) -> None:
    program = "import ncdlang; print(ncdlang.__file__, ncdlang.load)"
    assert str(installed) in run(installed, tmp_path, "python", "-c", program)


def test_backends_are_found(installed: Path, tmp_path: Path) -> None:
    program = "from ncdlang.targets import backend, backends; print(*map(backend, backends()))"
    printed = run(installed, tmp_path, "python", "-c", program)
    for name in ("DrawBackend", "PyTorchBackend", "ReferenceBackend"):
        assert name in printed
