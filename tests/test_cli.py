"""The contract of the command line: exit codes, streams, files, and every kind of bad input."""

from __future__ import annotations

import gc
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from ncdlang.cli.main import COMMANDS, main

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
ATTENTION = str(EXAMPLES / "attention.ncd")
GOOD = "diagram twice(X: [x]) -> [x] { return Y[x] = X[x] + X[x] }\n"
BAD = "diagram f(X: [x]) -> [x] { return softmax[z](X) }\n"


class Result(NamedTuple):
    code: int
    out: str
    err: str


Ncdc = Callable[..., Result]


@pytest.fixture
def ncdc(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ncdc:
    """Run a command in this process, with a text for standard input."""
    monkeypatch.delenv("NO_COLOR", raising=False)

    def run(*arguments: object, stdin: str = "") -> Result:
        stream = io.TextIOWrapper(io.BytesIO(stdin.encode()))
        monkeypatch.setattr(sys, "stdin", stream)
        code = main([str(argument) for argument in arguments])
        sys.stdout.flush()
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.ncd"
    path.write_text(GOOD)
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.ncd"
    path.write_text(BAD)
    return path


def process(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    command = [
        sys.executable,
        "-c",
        "import sys; from ncdlang.cli.main import main; sys.exit(main())",
    ]
    return subprocess.run(  # type: ignore[call-overload]
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options
    )


# ---- check ---------------------------------------------------------------------------------------


def test_check_says_that_all_is_well(ncdc: Ncdc, good: Path) -> None:
    assert ncdc("check", ATTENTION) == (0, "All checks passed: 3 diagrams\n", "")
    assert ncdc("check", good) == (0, "All checks passed: 1 diagram\n", "")
    assert ncdc("check", good, ATTENTION).out == "All checks passed: 4 diagrams\n"


def test_check_reports_on_stderr(ncdc: Ncdc, bad: Path, good: Path) -> None:
    result = ncdc("check", good, bad)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error[NCD2003]")
    assert result.err.endswith("Found 1 error.\n")
    assert f"{bad}:1:43" in result.err


def test_check_in_machine_formats(ncdc: Ncdc, bad: Path, good: Path) -> None:
    result = ncdc("check", "--format", "json", bad)
    assert (result.code, result.err) == (1, "")
    assert [entry["code"] for entry in json.loads(result.out)] == ["NCD2003"]
    result = ncdc("check", "--format", "sarif", good)
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)["runs"][0]["results"] == []
    assert ncdc("check", "--format", "concise", bad).err.count("\n") == 2
    assert ncdc("check", "--format", "github", bad).err.startswith("::error file=")


def test_check_types(ncdc: Ncdc) -> None:
    result = ncdc("check", "--types", EXAMPLES / "convolution.ncd")
    assert result.code == 0
    assert "conv1d[j = 3, c'](X: [x c]) -> [x' c']\n" in result.out
    assert "\n  learn W: [c' j c]" in result.out
    assert "\n  Y: [n w]\n" in result.out


def test_check_reads_standard_input(ncdc: Ncdc) -> None:
    assert ncdc("check", "-", stdin=GOOD).code == 0
    result = ncdc("check", "-", stdin=BAD)
    assert result.code == 1
    assert "<stdin>:1:43" in result.err


def test_check_of_an_empty_file(ncdc: Ncdc) -> None:
    assert ncdc("check", "-") == (0, "All checks passed: 0 diagrams\n", "")


def test_one_broken_module_is_reported_once(ncdc: Ncdc, tmp_path: Path) -> None:
    (tmp_path / "m.ncd").write_text(BAD)
    for name in ("a", "b"):
        use = f"use m.{{f}}\ndiagram {name}(X: [x]) -> [x] {{ return f(X) }}\n"
        (tmp_path / f"{name}.ncd").write_text(use)
    result = ncdc("check", "--format", "json", tmp_path / "a.ncd", tmp_path / "b.ncd")
    assert len(json.loads(result.out)) == 1


def test_check_leaves_the_collector_as_it_was(ncdc: Ncdc, good: Path) -> None:
    assert gc.isenabled()
    ncdc("check", good)
    assert gc.isenabled()


def test_include_folders(ncdc: Ncdc, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "m.ncd").write_text(GOOD)
    user = tmp_path / "a.ncd"
    user.write_text("use m.{twice}\ndiagram g(X: [x]) -> [x] { return twice(X) }\n")
    assert ncdc("check", user).code == 1
    assert ncdc("check", user, "-I", tmp_path / "lib").code == 0


def test_colours(ncdc: Ncdc, bad: Path) -> None:
    assert "\x1b[" not in ncdc("check", bad).err
    assert "\x1b[" in ncdc("check", "--color", "always", bad).err
    assert "\x1b[" not in ncdc("check", "--color", "never", bad).err


# ---- what can't be read --------------------------------------------------------------------------


def test_unreadable_files(ncdc: Ncdc, tmp_path: Path, good: Path) -> None:
    (tmp_path / "junk.ncd").write_bytes(bytes(range(256)))
    for path, reason, code in (
        (tmp_path / "missing.ncd", "no such file", 2),
        (tmp_path, "it is a folder", 2),
        (tmp_path / "junk.ncd", "not UTF-8", 1),
        ("/dev/zero", "not a regular file", 2),
        ("", "no such file", 2),
    ):
        for command in ("check", "draw", "build", "run", "ir"):
            result = ncdc(command, path)
            assert (result.code, result.out) == (code, ""), (command, path)
            assert result.err.startswith("error: cannot read")
            assert reason in result.err
    result = ncdc("check", tmp_path / "missing.ncd", good)
    assert result.code == 2


def test_an_unreadable_module(ncdc: Ncdc, tmp_path: Path) -> None:
    (tmp_path / "m.ncd").write_bytes(b"\xff")
    user = tmp_path / "a.ncd"
    user.write_text("use m.{f}\n")
    result = ncdc("check", user)
    assert result.code == 1
    assert "not UTF-8" in result.err
    assert f"{user}:1:5" in result.err


@pytest.mark.parametrize(
    "text",
    [
        "\0\1\2\3",
        "((((((((((",
        "diagram " * 50,
        "}" * 1000,
        "diagram f(X: [x]) -> [x] { return " + "(" * 5000 + "X" + ")" * 5000 + " }",
        "diagram f(X: [x]) -> [x] { return " + "-" * 5000 + "X }",
        "diagram f(X: [x]) -> [x] { return " + " + ".join(["X"] * 3000) + " }",
        'block "' * 200,
        "\ufeffdiagram",
        "\u202e\u2066diagram f",
        "#" * 100_000,
        "\r\r\r\n",
    ],
    ids=range(12),
)
def test_junk_never_gives_a_traceback(ncdc: Ncdc, text: str) -> None:
    result = ncdc("check", "-", stdin=text)
    assert result.code in (0, 1)
    assert "Traceback" not in result.err
    assert "internal error" not in result.err


# ---- usage ---------------------------------------------------------------------------------------


def test_usage_errors(ncdc: Ncdc, good: Path) -> None:
    for arguments, said in (
        ((), "usage: ncdc"),
        (("chekc",), "did you mean `ncdc check`?"),
        (("--wrong",), "unrecognized arguments"),
        (("check",), "the following arguments are required"),
        (("check", "--wrong", good), "unrecognized arguments"),
        (("check", "--format", "xml", good), "invalid choice"),
        (("check", "--size", "h", good), "not of the form name=number"),
        (("check", "--size", "h=big", good), "not a number"),
        (("check", "--types", "--format", "json", good), "--types is for people"),
        (("check", "--config", "nothing", good), "has no config `nothing`"),
        (("check", "--config", "smal", ATTENTION), "did you mean `small`?"),
        (("draw", good, "twise"), "did you mean `twice`?"),
        (("build", good, "--backend", "nothing"), "there is no backend `nothing`"),
        (("draw", good, "-o", "x.tiff"), "give --format"),
        (("explain", "NCD9999"), "there is no code"),
        (("run", good), "needs the size of x"),
        (("run", good, "--input", "Z=z.npy"), "has no input `Z`"),
        (("run", good, "--size", "x=-1"), "natural number"),
    ):
        result = ncdc(*arguments)
        assert (result.code, result.out) == (2, ""), arguments
        assert said in result.err, arguments
        assert "Traceback" not in result.err


def test_help_is_no_error(ncdc: Ncdc) -> None:
    assert "commands:" in ncdc("--help").out
    assert ncdc("--version").out.startswith("ncdc ")
    for command in COMMANDS:
        result = ncdc(command, "--help")
        assert (result.code, result.err) == (0, "")
        assert f"usage: ncdc {command}" in result.out


def test_a_file_without_diagrams(ncdc: Ncdc) -> None:
    for command in ("draw", "build", "run"):
        result = ncdc(command, "-", stdin="const a = 1\n")
        assert result.code == 2
        assert "declares no diagram" in result.err


# ---- artefacts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["draw", "build"])
def test_an_artefact_goes_to_stdout_or_a_file(ncdc: Ncdc, tmp_path: Path, command: str) -> None:
    result = ncdc(command, ATTENTION, "attention")
    assert (result.code, result.err) == (0, "")
    target = tmp_path / {"draw": "out.svg", "build": "out.py"}[command]
    assert ncdc(command, ATTENTION, "attention", "-o", target) == (0, "", "")
    assert target.read_text(encoding="utf-8") == result.out
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


@pytest.mark.parametrize("command", ["draw", "build", "ir"])
def test_a_file_with_errors_leaves_the_output_alone(
    ncdc: Ncdc, tmp_path: Path, bad: Path, command: str
) -> None:
    target = tmp_path / "out.svg"
    target.write_text("precious")
    result = ncdc(command, bad, "-o", target)
    assert (result.code, result.out) == (1, "")
    assert "NCD2003" in result.err
    assert target.read_text() == "precious"


def test_outputs_that_cannot_be_written(ncdc: Ncdc, tmp_path: Path) -> None:
    for target in (tmp_path / "no" / "out.py", tmp_path):
        result = ncdc("build", ATTENTION, "attention", "-o", target)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith(f"error: cannot write {target}")
    assert list(tmp_path.iterdir()) == []


def test_writing_keeps_links_and_modes(ncdc: Ncdc, tmp_path: Path) -> None:
    real = tmp_path / "real.py"
    real.write_text("old")
    real.chmod(0o640)
    link = tmp_path / "link.py"
    link.symlink_to(real)
    assert ncdc("build", ATTENTION, "attention", "-o", link).code == 0
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert "class Attention" in real.read_text(encoding="utf-8")


def test_devices_are_written_to(ncdc: Ncdc) -> None:
    assert ncdc("build", ATTENTION, "attention", "-o", os.devnull).code == 0
    assert not Path(os.devnull).is_file()


def test_the_last_diagram_is_chosen_aloud(ncdc: Ncdc, good: Path) -> None:
    result = ncdc("build", ATTENTION)
    assert result.err == "ncdc: building `multi_head`, the last of 3 diagrams\n"
    assert "class MultiHead" in result.out
    assert ncdc("build", good).err == ""


def test_draw_formats(ncdc: Ncdc, tmp_path: Path) -> None:
    for ending, start in ((".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")):
        target = tmp_path / f"out{ending}"
        assert ncdc("draw", ATTENTION, "attention", "-o", target).code == 0
        assert target.read_bytes().startswith(start)
    assert ncdc("draw", ATTENTION, "attention", "--format", "gv").out.startswith("graph")
    target = tmp_path / "out"
    assert ncdc("draw", ATTENTION, "attention", "--format", "svg", "-o", target).code == 0


def test_draw_style_width_and_font(ncdc: Ncdc) -> None:
    def drawn(*options: str) -> str:
        return ncdc("draw", ATTENTION, "multi_head", "--format", "gv", *options).out

    assert drawn("--style", "graph").startswith("digraph")
    assert drawn("--style", "circuit") == drawn()
    assert drawn("--width", "400") != drawn()
    assert "-Georgia" in drawn("--font", "Georgia")
    result = ncdc("draw", ATTENTION, "multi_head", "--width", "narrow")
    assert result.code == 2
    assert "`width` is a whole number" in result.err


def test_draw_opens_the_file_where_there_is_a_desktop(
    ncdc: Ncdc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda uri: bool(shown.append(uri)) or True)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    target = tmp_path / "out.gv"
    assert ncdc("draw", ATTENTION, "attention", "-o", target, "--open").code == 0
    assert shown == [target.as_uri()]
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    result = ncdc("draw", ATTENTION, "attention", "-o", target, "--open")
    assert result.code == 2
    assert "no desktop" in result.err
    assert len(shown) == 1


def test_without_graphviz_the_text_is_kept(
    ncdc: Ncdc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = ncdc("draw", ATTENTION, "attention", "-o", tmp_path / "out.svg")
    assert result.code == 2
    assert "apt-get install graphviz" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["out.gv"]
    assert (tmp_path / "out.gv").read_text(encoding="utf-8").startswith("graph")


def test_build_for_a_config(ncdc: Ncdc) -> None:
    result = ncdc("build", ATTENTION, "multi_head", "--config", "small")
    assert result.code == 0
    assert "k: int = 64" in result.out
    assert "k: int = 32" in ncdc("build", ATTENTION, "--config", "small", "--size", "k=32").out


@pytest.mark.parametrize("stage", ["tree", "checked", "diagram"])
def test_stages_are_printed(ncdc: Ncdc, stage: str) -> None:
    result = ncdc("ir", ATTENTION, "--stage", stage)
    assert (result.code, result.err) == (0, "")
    assert "causal_attention" in result.out
    assert ncdc("build", ATTENTION, "attention", "--emit", "ir").out in ncdc("ir", ATTENTION).out


def test_explain(ncdc: Ncdc) -> None:
    result = ncdc("explain", "ncd2003")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("NCD2003: ")
    listed = ncdc("explain")
    assert listed.code == 0
    assert "NCD2003  " in listed.out
    assert ncdc("explain", "2003").out == result.out


# ---- processes -----------------------------------------------------------------------------------


def test_check_imports_nothing_heavy() -> None:
    program = (
        "import sys; from ncdlang.cli.main import main; code = main(['check', *sys.argv[1:]]);"
        "heavy = {'torch', 'triton', 'lark', 'islpy', 'numpy', 'sympy'} & set(sys.modules);"
        "sys.exit(code or ' '.join(heavy) or 0)"
    )
    command = [sys.executable, "-c", program, ATTENTION, str(EXAMPLES / "mlp.ncd")]
    subprocess.run([sys.executable, "-c", program, ATTENTION], check=False)  # fills the cache
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")


def test_a_closed_pipe_is_quiet() -> None:
    command = f"'{sys.executable}' -m ncdlang.cli ir --stage tree '{ATTENTION}' | head -n 1"
    finished = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert finished.stdout.count("\n") == 1
    assert finished.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
@pytest.mark.parametrize("command", ["check", "build", "ir"])
def test_output_that_cannot_be_written(command: str) -> None:
    with open("/dev/full", "w") as full:
        finished = subprocess.run(
            [sys.executable, "-m", "ncdlang.cli", command, ATTENTION],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert finished.returncode == 2
    assert "error: cannot write the output: No space left" in finished.stderr
    assert "Exception ignored" not in finished.stderr


def test_closed_streams() -> None:
    ncdc = f"'{sys.executable}' -m ncdlang.cli"
    for command, code in (
        (f"{ncdc} check '{ATTENTION}' >&-", 0),
        (f"{ncdc} check '{ATTENTION}' >&- 2>&-", 0),
        (f"{ncdc} check - <&-", 2),
        (f"{ncdc} check missing.ncd 2>&-", 2),
    ):
        finished = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
        assert finished.returncode == code, (command, finished.stderr)
        assert b"Traceback" not in finished.stderr


def test_an_interrupt_is_quiet(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ncdlang.cli", "check", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdin is not None
        running.stdin.write(b"diagram")
        running.stdin.flush()
        try:
            running.wait(timeout=2)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert (running.returncode, out, err) == (130, b"", b"")


def test_an_internal_error_is_owned_up_to(
    ncdc: Ncdc, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ncdlang import api

    def broken(*arguments: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(api, "check", broken)
    result = ncdc("check", good)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: internal error: KeyError: 'lost'\n  this is a bug in ncdc")
    monkeypatch.setenv("NCDLANG_DEBUG", "1")
    assert "Traceback" in ncdc("check", good).err


def test_an_ascii_terminal(tmp_path: Path) -> None:
    path = tmp_path / "α.ncd"
    path.write_text("diagram f(α: [x]) -> [x] { return softmax[β](α) }\n", encoding="utf-8")
    finished = process("check", path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert finished.returncode == 1
    assert "\\u03b2" in finished.stderr
