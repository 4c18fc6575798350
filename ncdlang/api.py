"""The Python interface: `load` and `loads` give a `Library` of checked diagrams."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from operator import index
from typing import TYPE_CHECKING, Any

from ncdlang.diagnostics import Diagnostic
from ncdlang.project import Project, ProjectError
from ncdlang.records import field, record
from ncdlang.semantics.program import CheckedDiagram, CheckedProgram, signature
from ncdlang.source import Source, Span

if TYPE_CHECKING:
    from torch import nn

    from ncdlang.targets import Request

Find = Callable[[Source, tuple[str, ...]], Source | None]
Values = Mapping[str, int | float]


class NcdError(Exception):
    """What is wrong with a file, or with a request for one of its diagrams.

    `diagnostics` are the findings in the file, none where the request itself is at fault.
    `str()` is the rendered text.
    """

    def __init__(self, message: str, diagnostics: Iterable[Diagnostic] = ()) -> None:
        super().__init__(message)
        self.diagnostics = list(diagnostics)


@record
class Checked:
    """A program as it was checked, at the values of a config and of single sizes."""

    program: CheckedProgram
    diagnostics: tuple[Diagnostic, ...]
    values: Values = field(default_factory=dict[str, int | float])

    @property
    def has_errors(self) -> bool:
        """Whether anything in it is an error."""
        return any(d.severity == "error" for d in self.diagnostics)


def check(
    source: Source,
    find: Find,
    config: str | None = None,
    values: Values | None = None,
    target: str | None = None,
) -> Checked:
    """Check a source, with a config's values and then `values` in place of its own.

    Sizes hold in the diagram `target` alone, "" being the last one of the file, None all.
    Raises NcdError for a config that the file lacks, for a value of nothing in it and for a size
    that is none; mistakes in the file are returned.
    """
    from ncdlang.semantics.check import check_source

    given = {_name(name): _number(name, value) for name, value in (values or {}).items()}
    overrides = given
    if config is not None:
        # No diagram is called "": this reads the configs without checking anything.
        configs = dict(check_source(source, find, only="")[0].configs)
        if config not in configs:
            raise NcdError(f"{source.name} has no config `{config}`{_near(config, configs)}")
        overrides = dict(configs[config]) | given
    if target == "" and overrides:
        names = [diagram.name for diagram in check_source(source, find)[0].diagrams]
        target = names[-1] if names else None
    program, diagnostics = check_source(source, find, overrides, target=target)
    if program.claims:
        from ncdlang.refuting import with_counterexamples

        diagnostics = with_counterexamples(diagnostics, program.claims)
    checked = Checked(program, diagnostics, overrides)
    if given and not checked.has_errors:
        _check_values(program, given)
    return checked


def _name(text: str) -> str:
    """A name as the language compares names."""
    if text.isascii():
        return text
    from unicodedata import normalize

    return normalize("NFC", text)


def _number(name: str, value: Any) -> int | float:
    """A value as a Python number: NumPy's and PyTorch's whole numbers are sizes too."""
    try:
        return index(value)
    except TypeError:
        pass
    try:
        return float(value)
    except (TypeError, ValueError):
        raise NcdError(f"the value of `{name}` is a number, not {value!r}") from None


def _check_values(program: CheckedProgram, values: Values) -> None:
    """See to it that every name is an axis or constant of the file, and every size natural."""
    from ncdlang.syntax import tree
    from ncdlang.syntax.parser import parse

    axes = {axis.name for diagram in program.diagrams for axis in diagram.axes}
    constants = {name for diagram in program.diagrams for name, _ in diagram.settings}
    for declared in parse(program.source).file.declarations:
        if isinstance(declared, tree.Const):
            constants.add(declared.name.text)
        elif isinstance(declared, tree.AxisStatement):
            axes.update(item.name.text for item in declared.items)
    for name, value in values.items():
        if name in axes and not (isinstance(value, int) and value >= 0):
            raise NcdError(f"the size of `{name}` is a natural number, not {value}")
        if name not in axes | constants:
            near = _near(name, sorted(axes | constants))
            raise NcdError(f"{program.source.name} has no axis or constant `{name}`{near}")


def choose(program: CheckedProgram, name: str | None) -> CheckedDiagram:
    """The diagram of that name, the last one of the file for None. Raises NcdError."""
    names = [diagram.name for diagram in program.diagrams]
    if not names:
        raise NcdError(f"{program.source.name} declares no diagram")
    diagram = program.diagrams[-1] if name is None else program.diagram(_name(name))
    if diagram is None:
        raise NcdError(f"{program.source.name} has no diagram `{name}`{_near(name or '', names)}")
    return diagram


def request(
    checked: Checked,
    diagram: CheckedDiagram,
    dtype: str = "f32",
    sizes: Mapping[str, int] | None = None,
    options: Mapping[str, str] | None = None,
) -> Request:
    """What to ask a backend for; the sizes among the values go with it, then `sizes`."""
    from ncdlang.targets import Request

    known = {name: value for name, value in checked.values.items() if isinstance(value, int)}
    return Request(checked.program, diagram, known | dict(sizes or {}), dtype, options or {})


def _near(name: str, names: Iterable[str]) -> str:
    from ncdlang.semantics.scope import closest

    known = list(names)
    near = closest(name, known)
    if near:
        return f"; did you mean `{near}`?"
    return f"; it has {', '.join(f'`{each}`' for each in known)}" if known else ""


class Library:
    """The checked diagrams of one file.

    Made by `load` and `loads`. Each of `module`, `source` and `draw` takes the name of a diagram
    (the last one of the file if left out), the name of a `config`, and sizes of axes or values
    of constants by name. Where values are given the file is checked again with them.
    All three raise NcdError.
    """

    def __init__(self, source: Source, find: Find) -> None:
        self._source = source
        self._find = find
        self._checked = self._check(None, None)

    @property
    def diagrams(self) -> tuple[str, ...]:
        """Names of the diagrams, in the order of the file."""
        return tuple(diagram.name for diagram in self.program.diagrams)

    @property
    def program(self) -> CheckedProgram:
        """The checked program."""
        return self._checked.program

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The warnings of the file."""
        return self._checked.diagnostics

    def module(
        self,
        name: str | None = None,
        sizes: Values | None = None,
        config: str | None = None,
        backend: str = "torch",
        dtype: str = "f32",
        **options: str,
    ) -> nn.Module:
        """The diagram as a `torch.nn.Module`.

        Inputs have the axes of the signature, in order, and may have further leading ones.
        Sizes that no parameter's shape needs may be left open: they are read off the inputs.
        """
        return self._ask(backend, "module", name, sizes, config, dtype, options)

    def source(
        self,
        name: str | None = None,
        config: str | None = None,
        sizes: Values | None = None,
        backend: str = "torch",
        dtype: str = "f32",
        **options: str,
    ) -> str:
        """The text that a backend makes of the diagram: with `torch` a Python module."""
        content = self._ask(backend, "emit", name, sizes, config, dtype, options).content
        return content if isinstance(content, str) else content.decode()

    def draw(
        self,
        name: str | None = None,
        style: str = "circuit",
        config: str | None = None,
        sizes: Values | None = None,
        **options: str,
    ) -> Drawing:
        """A drawing of the diagram: a neural circuit, or with `style="graph"` its dataflow.

        Further options are those of `ncdc draw`: `theme`, `labels`, `depth`, `width`, ...
        """
        checked = self._check(config, sizes, name)
        return Drawing(checked, choose(checked.program, name), {"style": style, **options})

    def gradient(
        self,
        name: str | None = None,
        wrt: Iterable[str] | None = None,
        config: str | None = None,
        sizes: Values | None = None,
        *,
        training: bool = False,
        recompute: bool = False,
    ) -> str:
        """The gradient of a diagram as the text of a file: `loads` makes a library of it.

        Its one diagram takes the inputs, the parameters and the adjoints of the real results, and
        gives those of `wrt` (`X`, `Lq.weight`), by default of all real inputs and parameters.
        """
        from ncdlang.gradients.derivation import gradient
        from ncdlang.gradients.error import GradientError
        from ncdlang.gradients.file import written

        checked = self._check(config, sizes, name)
        chosen = list(wrt) if wrt is not None else None
        try:
            found = gradient(choose(checked.program, name), chosen, training, recompute)
            return written(found, self._find)
        except GradientError as error:
            span = error.span
            place = f"\n  --> {span.file}:{span.line}:{span.column}" if span is not None else ""
            raise NcdError(f"{error}{place}") from error

    def _check(self, config: str | None, values: Values | None, name: str | None = None) -> Checked:
        if config is None and not values and hasattr(self, "_checked"):
            return self._checked
        checked = check(self._source, self._find, config, values, _name(name or ""))
        if checked.has_errors:
            from ncdlang.report import render

            raise NcdError(render(checked.diagnostics), checked.diagnostics)
        return checked

    def _ask(
        self,
        backend: str,
        method: str,
        name: str | None,
        sizes: Values | None,
        config: str | None,
        dtype: str,
        options: Mapping[str, str],
    ) -> Any:
        checked = self._check(config, sizes, name)
        wanted = request(checked, choose(checked.program, name), dtype, options=options)
        return ask(backend, method, wanted)

    def __repr__(self) -> str:
        from ncdlang.report.columns import visible

        lines = [f"<ncdlang.Library {visible(self._source.name)}"]
        lines += [f"  {signature(diagram)}" for diagram in self.program.diagrams]
        return "\n".join(lines) + ">"


def ask(backend: str, method: str, wanted: Request) -> Any:
    """The answer of a backend's method to a request. Raises NcdError where it has none."""
    from ncdlang import targets

    try:
        found = targets.backend(backend)
        if not hasattr(found, method):
            raise NcdError(f"the backend `{backend}` makes no modules")
        targets.refuse_unknown(found, wanted.options)
        return getattr(found, method)(wanted)
    except targets.TargetError as error:
        raise NcdError(str(error)) from error
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "triton"):
            raise
        raise NcdError(
            f"the backend `{backend}` needs {error.name}: pip install 'ncdlang[torch]'"
        ) from error


class Drawing:
    """A drawing of one diagram, rendered when it is asked for. Jupyter shows it as SVG."""

    def __init__(
        self, checked: Checked, diagram: CheckedDiagram, options: Mapping[str, str]
    ) -> None:
        self._checked = checked
        self._diagram = diagram
        self._options = options

    def gv(self) -> str:
        """The text that Graphviz draws it from."""
        return str(self._render("gv"))

    def svg(self) -> str:
        """The drawing as SVG text."""
        content = self._render("svg")
        return content.decode() if isinstance(content, bytes) else content

    def png(self) -> bytes:
        """The drawing as a PNG file's content."""
        return self._bytes("png")

    def pdf(self) -> bytes:
        """The drawing as a PDF file's content."""
        return self._bytes("pdf")

    def _repr_svg_(self) -> str:
        from ncdlang.report.html import fitted

        return fitted(self.svg())

    def _bytes(self, format: str) -> bytes:
        content = self._render(format)
        return content.encode() if isinstance(content, str) else content

    def _render(self, format: str) -> str | bytes:
        options = {**self._options, "format": format}
        wanted = request(self._checked, self._diagram, options=options)
        content: str | bytes = ask("draw", "emit", wanted).content
        return content


def load(path: str | os.PathLike[str], include: Iterable[str | os.PathLike[str]] = ()) -> Library:
    """Read and check a file. `include` are further folders to look for its modules in.

    Raises NcdError for mistakes in it, and where it can't be read.
    """
    project = Project(include)
    try:
        source = project.open(path)
    except ProjectError as error:
        from ncdlang.report import render

        nowhere = Span(Source(os.fsdecode(path), ""), 0, 0)
        found = (Diagnostic("NCD4006", str(error), nowhere, "can't be read"),)
        raise NcdError(render(found), found) from error
    return Library(source, project.find)


def loads(
    text: str, name: str = "<string>", include: Iterable[str | os.PathLike[str]] = ()
) -> Library:
    """Check a text. `name` is what messages call it. Raises NcdError for mistakes in it."""
    return Library(Source(name, text), Project(include).find)
