"""Diagrams in notebooks: `%load_ext ncdlang`, then cells that begin with `%%ncd`.

What a cell declares is a value of the notebook afterwards: it shows its drawing, and makes modules.
What is wrong with a cell is shown as on the command line.
"""

from __future__ import annotations

import os
from argparse import Namespace
from builtins import __dict__ as builtin_names
from collections.abc import Mapping, MutableMapping, Sequence
from keyword import iskeyword
from types import ModuleType
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser
from IPython.display import display as _display  # pyright: ignore[reportUnknownVariableType]

from ncdlang import api
from ncdlang.diagnostics import Diagnostic
from ncdlang.project import LIBRARY, Project, ProjectError
from ncdlang.report import html, text
from ncdlang.report.types import render_types
from ncdlang.semantics.program import CheckedDiagram, signature
from ncdlang.source import Source

if TYPE_CHECKING:
    from torch import nn

LIBRARY_NAME = "_ncd"
DRAWING_OPTIONS = ("style", "theme", "labels", "detail", "depth", "library", "font", "width")

Bundle = dict[str, str]
display: Any = _display  # pyright: ignore[reportUnknownVariableType]


def load(shell: Any) -> None:
    """Register the magics `%%ncd` and `%ncd`."""
    cells = Cells(shell)
    shell.register_magic_function(cells.run, magic_kind="line_cell", magic_name="ncd")


class Diagram:
    """A checked diagram in a notebook: shows its drawing, and makes modules and source."""

    def __init__(
        self, library: api.Library, checked: CheckedDiagram, options: Mapping[str, str]
    ) -> None:
        self._library = library
        self._checked = checked
        self._options = dict(options)
        doc = f"\n\n{checked.doc}" if checked.doc else ""
        self.__doc__ = f"{signature(checked)}{doc}"

    @property
    def name(self) -> str:
        """What the diagram is called in its cell or file."""
        return self._checked.name

    def module(
        self,
        sizes: api.Values | None = None,
        config: str | None = None,
        backend: str = "torch",
        dtype: str = "f32",
        **options: str,
    ) -> nn.Module:
        """As `Library.module`."""
        return self._library.module(self.name, sizes, config, backend, dtype, **options)

    def source(
        self,
        config: str | None = None,
        sizes: api.Values | None = None,
        backend: str = "torch",
        dtype: str = "f32",
        **options: str,
    ) -> str:
        """As `Library.source`."""
        return self._library.source(self.name, config, sizes, backend, dtype, **options)

    def draw(
        self, config: str | None = None, sizes: api.Values | None = None, **options: str
    ) -> api.Drawing:
        """As `Library.draw`."""
        given = {"style": "circuit", **self._options, **options}
        return self._library.draw(self.name, config=config, sizes=sizes, **given)

    def __repr__(self) -> str:
        return signature(self._checked)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:
        """The drawing, and the signature for where there are no pictures."""
        del include, exclude
        try:
            return self.bundle()
        except api.NcdError as error:
            return {"text/plain": f"{self!r}\n({error})"}

    def bundle(self) -> Bundle:
        """What is shown; without Graphviz that is text. Raises NcdError for wrong options."""
        plain = {"text/plain": repr(self)}
        try:
            return plain | {"image/svg+xml": html.fitted(self.draw().svg())}
        except api.NcdError as error:
            if not hasattr(error.__cause__, "gv"):
                raise
            return {"text/plain": f"{self!r}\n({error})"}


class Rendering:
    """Findings as a notebook shows them: coloured in a browser, and as text elsewhere."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self._diagnostics = diagnostics

    def __repr__(self) -> str:
        return text.render(self._diagnostics).rstrip("\n")

    def _repr_html_(self) -> str:
        return html.render(self._diagnostics)


class Shown(api.NcdError):
    """An error that the reader has seen: it ends the run of the notebook, in one line."""

    def __init__(self, error: api.NcdError) -> None:
        count = text.summary(error.diagnostics)
        super().__init__(f"found {count}" if count else str(error), error.diagnostics)

    def _render_traceback_(self) -> list[str]:
        return [f"NcdError: {self}"]


class Cells:
    """The cells of one notebook; those with names can be used by others, as files can."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._named: dict[str, Source] = {}

    def run(self, line: str, cell: str | None = None) -> None:
        """Check the text of a cell, or a file for `%ncd FILE`, and keep its diagrams."""
        options = _arguments(line, is_cell=cell is not None)
        try:
            if cell is None:
                library = api.load(options.file, options.include)
            else:
                library = self._library(cell, options)
            self._keep(library, options)
        except api.NcdError as error:
            if error.diagnostics:
                display(Rendering(error.diagnostics))
            raise Shown(error) from None

    def _library(self, cell: str, options: Namespace) -> api.Library:
        """The library of a cell. Under its name it counts from now on, if it has no errors."""
        project = Project([os.curdir, *options.include])
        # The counter of cells moves before or after a cell runs, as versions of IPython go.
        place = f"In [{len(self._shell.user_ns['In']) - 1}]"
        name: str | None = options.file
        source = Source(f"{name} ({place})" if name else place, cell)
        cells = {**self._named, **({name: source} if name else {})}
        ours = set(cells.values()) | {source}

        def find(importer: Source, dotted: tuple[str, ...]) -> Source | None:
            if importer in ours and len(dotted) == 1 and dotted[0] in cells:
                return cells[dotted[0]]
            return project.find(importer, dotted)

        try:
            library = api.Library(source, find)
        except ProjectError as error:
            raise api.NcdError(str(error)) from error
        self._named = cells
        return library

    def _keep(self, library: api.Library, options: Namespace) -> None:
        """Put the diagrams into the notebook's namespace, and show what was asked for."""
        given = {
            name: value for name in DRAWING_OPTIONS if (value := getattr(options, name)) is not None
        }
        found = {each.name: Diagram(library, each, given) for each in library.program.diagrams}
        chosen = [api.choose(library.program, name).name for name in options.draw]
        if not (options.quiet or options.types or options.draw):
            chosen = list(found)[-1:]
        bundles = [found[name].bundle() for name in chosen]
        space: MutableMapping[str, object] = self._shell.user_ns
        space[LIBRARY_NAME] = library
        taken = [name for name in found if not _is_free(name, space)]
        space.update({name: each for name, each in found.items() if name not in taken})
        if library.diagnostics:
            display(Rendering(library.diagnostics))
        if options.types:
            display(Text("\n".join(map(render_types, library.program.diagrams))))
        for name in taken:
            display(Text(f"`{name}` keeps its meaning: see {LIBRARY_NAME}.module({name!r})"))
        for bundle in bundles:
            display(bundle, raw=True)


class Text:
    """Lines that a notebook shows as they are."""

    def __init__(self, lines: str) -> None:
        self._lines = lines.rstrip("\n")

    def __repr__(self) -> str:
        return self._lines


def _is_free(name: str, space: Mapping[str, object]) -> bool:
    """Whether a diagram may have this name in Python, and takes nothing away that is needed."""
    if not name.isidentifier() or iskeyword(name) or name in builtin_names:
        return False
    return not isinstance(space.get(name), ModuleType)


def _arguments(line: str, *, is_cell: bool) -> Namespace:
    """The options of a cell's first line. Raises UsageError."""
    parser = MagicArgumentParser("%%ncd" if is_cell else "%ncd", description=__doc__)
    help = "what other cells call this one in `use`" if is_cell else "a .ncd file"
    parser.add_argument("file", nargs="?" if is_cell else None, help=help)
    parser.add_argument("--draw", action="append", default=[], help="show this diagram")
    parser.add_argument("--types", action="store_true", help="show types instead of the drawing")
    parser.add_argument("--quiet", action="store_true", help="show nothing")
    parser.add_argument("-I", "--include", action="append", default=[], help="where modules are")
    for name in DRAWING_OPTIONS:
        parser.add_argument(f"--{name}", help="as for `ncdc draw`")
    options: Namespace = parser.parse_args(_words(line))
    name: str | None = options.file
    if is_cell and name is not None and (not name.isidentifier() or name == LIBRARY):
        raise UsageError(f"`{name}` is no name for a module: `%%ncd layers` is")
    return options


def _words(line: str) -> Sequence[str]:
    import shlex

    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"%%ncd: {error}") from error
