"""Print a script that completes the arguments of ncdc in a shell: commands, options and their
values, files, the diagrams of a file, and the codes of errors.

    ncdc completion bash > ~/.local/share/bash-completion/completions/ncdc
    ncdc completion zsh > ~/.zfunc/_ncdc      # a folder of $fpath
    ncdc completion fish > ~/.config/fish/completions/ncdc.fish
"""

from __future__ import annotations

import re
from argparse import Action, ArgumentParser, Namespace
from importlib import import_module
from typing import Any

from ncdlang.cli import output
from ncdlang.cli.console import CommandError

SHELLS = ("bash", "zsh", "fish")

Completer = dict[str, Any]

# The names of the diagrams of the first file of the line, as far as they are plain words: what is
# written in a file must not reach a shell as more than a word.
_NAMES = (
    r"sed -nE 's/^[[:space:]]*diagram[[:space:]]+([[:alnum:]_]+)[[:space:]]*[:[(].*/\1/p'"
    ' -- "$file" 2>/dev/null'
)
_DIAGRAMS: Completer = {
    "bash": "_ncdc_diagrams",
    "zsh": "_ncdc_diagrams",
    "fish": "(_ncdc_diagrams)",
    "preamble": {
        "bash": f"""\
_ncdc_diagrams() {{
  local file
  for file in "${{COMP_WORDS[@]:2}}"; do
    if [[ $file == *.ncd ]]; then
      compgen -W "$({_NAMES})" -- "$1"
      return
    fi
  done
}}""",
        "zsh": f"""\
_ncdc_diagrams() {{
  local file
  local -a names
  for file in "${{(@)words[2,-1]}}"; do
    if [[ $file == *.ncd ]]; then
      names=("${{(@f)$({_NAMES})}}")
      compadd -a names
      return
    fi
  done
}}""",
        "fish": f"""\
function _ncdc_diagrams
  for file in (commandline -opc)
    if string match -q '*.ncd' -- $file
      {_NAMES}
      return
    end
  end
end""",
    },
}


def configure(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("shell", choices=SHELLS, help="the shell to write a script for")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file")


def run(options: Namespace) -> int:
    """Print the script."""
    try:
        import shtab
    except ModuleNotFoundError as error:
        raise CommandError("completion needs shtab", "pip install shtab") from error
    script = shtab.complete(_all_commands(), options.shell)
    if options.shell == "zsh":  # shtab lets the first of several files be completed only
        script = re.sub(r'"\(\*\)::?', '"*:', script)
    output.write(options.output, script + "\n")
    return 0


def _all_commands() -> ArgumentParser:
    """One parser with every command below it, and how their arguments are completed."""
    from ncdlang.cli.main import COMMANDS, module_of

    parser = ArgumentParser("ncdc", description="The compiler of neural circuit diagrams.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers()
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        import_module(module_of(name)).configure(command)
        for action in command._actions:  # pyright: ignore[reportPrivateUsage]
            _complete(name, action)
    return parser


def _complete(command: str, action: Action) -> None:
    """Say how an argument is completed, by what it is called in the help."""
    import shtab

    metavar = action.metavar if isinstance(action.metavar, str) else ""
    found: Completer | None = None
    if action.dest in ("file", "files", "other") and not action.option_strings:
        found = shtab.FILE if command == "import" else shtab.glob("*.ncd")
    elif metavar == "DIR":
        found = shtab.DIRECTORY
    elif "FILE" in metavar:
        found = shtab.FILE
    elif action.dest in ("diagram", "counterpart"):
        found = _DIAGRAMS
    elif action.dest == "code":
        found = _codes()
    if found is not None:
        setattr(action, "complete", found)  # noqa: B010 -- an attribute that only shtab knows


def _codes() -> Completer:
    """For `explain`: the codes of errors and files, and after a file its diagrams."""
    from ncdlang import codes

    words = " ".join(codes.all_codes())
    bash = f"""\
_ncdc_codes_or_file() {{
  if [[ " ${{COMP_WORDS[*]:2:COMP_CWORD-2}} " == *".ncd "* ]]; then
    _ncdc_diagrams "$1"
    return
  fi
  compgen -W "{words}" -- "$1"
  compgen -f -X '!*.ncd' -- "$1"
  compgen -d -- "$1"
}}"""
    zsh = f"""\
_ncdc_codes_or_file() {{
  if [[ " ${{words[2,CURRENT-1]}} " == *".ncd "* ]]; then
    _ncdc_diagrams
    return
  fi
  compadd {words}
  _files -g '*.ncd'
}}"""
    fish = f"""\
function _ncdc_codes_or_file
  if string match -q '*.ncd' -- (commandline -opc)
    _ncdc_diagrams
    return
  end
  string split ' ' '{words}'
  __fish_complete_suffix .ncd
end"""
    preamble: dict[str, str] = _DIAGRAMS["preamble"]
    return {
        "bash": "_ncdc_codes_or_file",
        "zsh": "_ncdc_codes_or_file",
        "fish": "(_ncdc_codes_or_file)",
        "preamble": {
            "bash": f"{preamble['bash']}\n{bash}",
            "zsh": f"{preamble['zsh']}\n{zsh}",
            "fish": f"{preamble['fish']}\n{fish}",
        },
    }
