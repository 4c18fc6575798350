"""The pages of the documentation as lists of fenced blocks, and how each block is put to the test.

A page is followed from its top to its end, as a reader does, in one folder:

- `ncd` is a program without mistakes, formatted; `ncd layers.ncd` is kept as that file;
- `ncd error=NCD2004` gives that error alone; a block `text` after it is the error, in short;
- `console` shows commands (`$ ncdc check layers.ncd`) and what they write;
- `python` is run, all blocks of a page one after another; so are the cells `ipython`, by the shell
  of notebooks, with names of its own;
- `sh` shows commands whose arguments are valid; `yaml` is read.

What the program writes is written anew by `make docs`.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from ncdlang.cli.main import COMMANDS, main
from ncdlang.project import Project
from ncdlang.semantics.check import check_source
from ncdlang.syntax.format import format_file
from ncdlang.syntax.parser import parse

FENCE = re.compile(r"^```(\w*)(?: ([^\n]+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
GENERATED = re.compile(r"<!-- generated: .*?<!-- end -->", re.DOTALL)
LANGUAGES = frozenset(("console", "ipython", "json", "lua", "ncd", "python", "sh", "text", "yaml"))


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the rest of its first line, its text and its place."""

    language: str
    info: str
    text: str
    line: int

    @property
    def error(self) -> str:
        """The code that the block is an example of, if any."""
        return self.info.removeprefix("error=") if self.info.startswith("error=") else ""


def blocks(text: str) -> list[Block]:
    """The blocks of a page; those of generated sections have tests of their own."""
    spans = [match.span() for match in GENERATED.finditer(text)]
    return [
        Block(match[1], match[2] or "", match[3], text.count("\n", 0, match.start()) + 1)
        for match in FENCE.finditer(text)
        if not any(start <= match.start() < end for start, end in spans)
    ]


class Reader:
    """Follows one page in a folder; `follow` gives what its blocks should be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, Any] = {}
        self.last_error = ""

    def follow(self, block: Block) -> Block:
        """The block as it should be. Raises AssertionError where the page is wrong."""
        read: dict[str, Callable[[Block], Block]] = {
            "ncd": self.program,
            "console": self.console,
            "python": self.python,
            "ipython": self.cell,
            "json": self.settings,
            "yaml": self.settings,
            "sh": self.commands,
            "text": self.report,
        }
        assert block.language in LANGUAGES, f"line {block.line}: a block of `{block.language}`"
        return read.get(block.language, lambda same: same)(block)

    def program(self, block: Block) -> Block:
        """A program, right or wrong. It is checked beside the files that came before."""
        named = block.info.removesuffix(" wrong")
        name = named if named.endswith(".ncd") else "example.ncd"
        path = self.folder / name
        path.write_text(block.text, encoding="utf-8")
        project = Project()
        source = project.open(str(path))
        found = check_source(source, project.find)[1]
        codes = [finding.code for finding in found]
        if block.info.endswith(" wrong"):
            assert codes, f"line {block.line} has no mistake"
            return block
        told = [finding.message for finding in found]
        assert codes == ([block.error] if block.error else []), f"line {block.line}: {told}"
        self.last_error = "".join(
            f"{finding.span.line}:{finding.span.column} {finding.code} {finding.message}\n"
            for finding in found
        )
        if block.error:
            return block
        return replace(block, text=format_file(source, parse(source)))

    def report(self, block: Block) -> Block:
        """The error of the block before, if that has one."""
        fresh = replace(block, text=self.last_error) if self.last_error else block
        self.last_error = ""
        return fresh

    def console(self, block: Block) -> Block:
        """Commands and what they write."""
        lines: list[str] = []
        for line in block.text.splitlines():
            if line.startswith("$ "):
                lines += [line, *self.run(line[2:]).splitlines()]
        return replace(block, text="".join(f"{line}\n" for line in lines))

    def run(self, command: str) -> str:
        """What a command writes."""
        name, *arguments = shlex.split(command)
        with contextlib.chdir(self.folder):
            if name == "cat":
                return "".join(Path(each).read_text(encoding="utf-8") for each in arguments)
            assert name == "ncdc", command
            written = io.StringIO()
            with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
                main(arguments)
        return written.getvalue()

    def python(self, block: Block) -> Block:
        """Statements that raise nothing."""
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(io.StringIO()):
            exec(compile(block.text, f"line {block.line}", "exec"), self.names)
        return block

    def cell(self, block: Block) -> Block:
        """A cell of a notebook that shows no error."""
        from IPython.utils.capture import capture_output

        shell = self.notebook
        with contextlib.chdir(self.folder), capture_output() as captured:
            result = shell.run_cell(block.text)
        problem = result.error_before_exec or result.error_in_exec
        assert problem is None, f"line {block.line}: {captured.stdout}{captured.stderr}"
        return block

    @cached_property
    def notebook(self) -> Any:
        """A shell of the page's own; IPython has one at a time."""
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        InteractiveShell.clear_instance()
        return InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))

    def settings(self, block: Block) -> Block:
        """A file of settings that is no more than read."""
        import yaml

        assert yaml.safe_load(block.text), f"line {block.line}"
        return block

    def commands(self, block: Block) -> Block:
        """Commands that exist, with arguments that they take."""
        for line in block.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line.partition("  #")[0])
            if words[:1] == ["ncdc"] and words[1] in COMMANDS:
                take_arguments(words[1], [word for word in words[2:] if word != "<"])
            else:
                assert words[:1] != ["ncdc"], line
        return block


def take_arguments(command: str, words: list[str]) -> None:
    """Parse the arguments of a command; argparse exits where they are none."""
    from argparse import ArgumentParser

    parser = ArgumentParser(command, allow_abbrev=False, exit_on_error=False)
    import_module(f"ncdlang.cli.{command}").configure(parser)
    parser.parse_args(words)


def written_anew(text: str, reader: Reader) -> str:
    """A page with what the program writes now."""
    wanted: Iterator[Block] = iter([reader.follow(block) for block in blocks(text)])
    spans = [match.span() for match in GENERATED.finditer(text)]

    def fence(match: re.Match[str]) -> str:
        if any(start <= match.start() < end for start, end in spans):
            return match[0]
        block = next(wanted)
        return match[0].replace(f"\n{match[3]}```", f"\n{block.text}```")

    return FENCE.sub(fence, text)
