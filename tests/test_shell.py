"""What ncdc brings for shells and for commits: completion scripts, and hooks for pre-commit."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ncdlang.cli.completion import SHELLS
from ncdlang.cli.main import COMMANDS, main

ROOT = Path(__file__).parent.parent
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
GOOD = "diagram twice(X: [x]) -> [x] { return Y[x] = X[x] + X[x] }\n"
BAD = "diagram f(X: [x]) -> [x] { return softmax[z](X) }\n"
UNTIDY = "diagram twice( X:[x] )->[x] { return Y[x]=X[x]+X[x] }\n"
# What looks like a diagram and must not be run by a shell that completes its name.
ODD = """\
diagram $(touch run)(X: [x]) -> [x] { return X }
diagram `touch run`(X: [x]) -> [x] { return X }
diagram ; touch run (X: [x]) -> [x] { return X }
diagram plain[h](X: [x]) -> [x] { return X }
"""

# (words before the cursor, what is offered, what is not)
OFFERS = [
    (["ch"], ["check"], ["draw"]),
    (["draw", ""], ["good.ncd", "odd.ncd"], ["notes.txt"]),
    (["draw", "good.ncd", ""], ["twice"], ["notes.txt"]),
    (["draw", "odd.ncd", ""], ["plain"], ["touch"]),
    (["draw", "good.ncd", "--form"], ["--format"], ["--theme"]),
    (["draw", "good.ncd", "--format", ""], ["svg", "gv"], ["full"]),
    (["explain", "NCD200"], ["NCD2001"], ["NCD3001"]),
    (["explain", "good.ncd", ""], ["twice"], ["NCD2001"]),
    (["completion", ""], list(SHELLS), ["good.ncd"]),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("good.ncd", GOOD), ("odd.ncd", ODD), ("notes.txt", "")):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def script(shell: str) -> Path:
    path = Path(f"ncdc.{shell}")
    assert main(["completion", shell, "-o", str(path)]) == 0
    return path.absolute()


def shell_says(shell: str, program: str, *arguments: str) -> list[str]:
    plain = {"bash": ["--norc"], "fish": ["-N"], "zsh": ["-f"]}[shell]
    command = [shell, *plain, "-c", program, *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert finished.stderr == ""
    return finished.stdout.splitlines()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_knows_every_command_and_is_read_by_its_shell(shell: str, folder: Path) -> None:
    path = script(shell)
    text = path.read_text(encoding="utf-8")
    for name in COMMANDS:
        assert name in text
    assert "--watch" in text or "-l watch" in text
    if shutil.which(shell):
        subprocess.run([shell, "-n", str(path)], check=True, timeout=60)


@pytest.mark.parametrize(("words", "offered", "others"), OFFERS, ids=lambda each: " ".join(each))
def test_what_is_offered(
    words: list[str], offered: list[str], others: list[str], folder: Path
) -> None:
    bash = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_ncdc\n'
    bash += 'printf "%s\\n" "${COMPREPLY[@]}"'
    answers = [shell_says("bash", bash, str(script("bash")), "ncdc", *words)]
    if shutil.which("fish"):
        line = shlex.quote(" ".join(["ncdc", *words]))
        lines = shell_says("fish", f"source {script('fish')}; complete -C {line}")
        answers.append([line.partition("\t")[0] for line in lines])
    for answer in answers:
        assert set(offered) <= set(answer)
        assert not set(others) & set(answer)
    assert not (folder / "run").exists()


def test_completion_without_its_library(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install shtab" in capsys.readouterr().err
    assert main(["completion", "powershell"]) == 2


# ---- hooks -----------------------------------------------------------------------------------


def test_hooks_have_what_pre_commit_asks_for() -> None:
    assert [hook["id"] for hook in HOOKS] == ["ncdc-check", "ncdc-fmt"]
    for hook in HOOKS:
        assert set(hook) == {"id", "name", "description", "entry", "language", "files"}
        assert hook["language"] == "python"
        assert hook["files"] == r"\.ncd$"
        assert hook["entry"].split()[0] == "ncdc"
        assert hook["entry"].split()[1] in COMMANDS


def hook(name: str, *files: Path) -> int:
    """Run a hook as pre-commit does: its entry, and the files after it."""
    (entry,) = (each["entry"] for each in HOOKS if each["id"] == name)
    return main([*entry.split()[1:], *map(str, files)])


def test_the_hook_that_checks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = folder / "bad.ncd"
    bad.write_text(BAD)
    assert hook("ncdc-check", folder / "good.ncd") == 0
    assert hook("ncdc-check", folder / "good.ncd", bad) == 1
    assert "NCD2003" in capsys.readouterr().err
    assert bad.read_text() == BAD


def test_the_hook_that_formats(folder: Path) -> None:
    """pre-commit fails a hook that changes a file, and passes it the next time."""
    untidy = folder / "untidy.ncd"
    untidy.write_text(UNTIDY)
    assert hook("ncdc-fmt", folder / "good.ncd", untidy) == 0
    assert untidy.read_text() == GOOD
    assert hook("ncdc-fmt", folder / "good.ncd", untidy) == 0
    assert untidy.read_text() == GOOD
