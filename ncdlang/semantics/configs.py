"""Configs: named settings of sizes and consts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncdlang.semantics import remedies
from ncdlang.semantics.numbers import check_size, evaluate
from ncdlang.semantics.report import Reported, rename
from ncdlang.semantics.scope import closest
from ncdlang.semantics.types import Axis
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.module import ModuleChecker


class Configs:
    """Checks the configs of one file; each is named once."""

    def __init__(self, module: ModuleChecker) -> None:
        self.module = module

    def check(self, config: tree.Config) -> tuple[str, tuple[tuple[str, float | int], ...]]:
        """The name and the settings of a config, evaluated; mistakes are reported."""
        settings: list[tuple[str, float | int]] = []
        self._once(config.name, self.module.config_names)
        known = self._config_names()
        names: dict[str, Span] = {}
        for name, expr in config.settings:
            try:
                self._once(name, names)
                if name.text not in known:
                    self.module.tell_once(name.text)
                    if self._is_lost(name.text):
                        raise Reported
                    guess = closest(name.text, known)
                    self.module.fail(
                        "NCD2001",
                        f"config `{config.name.text}` sets `{name.text}`, "
                        "which is no axis or const of this file",
                        name.span,
                        label="not found",
                        help=f"did you mean `{guess}`?" if guess else "",
                        fix=rename(name.span, guess) if guess else None,
                    )
                value = evaluate(self.module, expr)
                if self._is_axis(name.text):
                    self._check_size(name.text, value, expr.span)
                settings.append((name.text, value))
            except Reported:
                continue
        return config.name.text, tuple(settings)

    def _is_lost(self, name: str) -> bool:
        """Whether a line with a mistake has the name: it would be known if that were mended."""
        return any(
            span.source is self.module.source and remedies.occurrences(span.lines(), name)
            for found in self.module.sink
            for span in (found.span, *(label.span for label in found.labels))
        )

    def _once(self, name: tree.Name, seen: dict[str, Span]) -> None:
        earlier = seen.setdefault(name.text, name.span)
        if earlier is not name.span:
            self.module.already_defined(name, earlier)

    def _check_size(self, name: str, value: int | float, span: Span) -> None:
        if not isinstance(value, int):
            self.module.fail("NCD3004", "a size is a whole number", span, label="not whole")
        check_size(self.module, f"axis `{name}`", value, span)

    def _is_axis(self, name: str) -> bool:
        """Whether a name of a config is that of an axis, of the file or of a signature."""
        entry = self.module.exports.local(name)
        return isinstance(entry[0], Axis) if entry is not None else name not in self._settings()

    def _settings(self) -> frozenset[str]:
        return frozenset(
            name
            for declared in self.module.tree.declarations
            if isinstance(declared, tree.Diagram)
            for name in self.module.read(_setting_names, declared)
        )

    def _config_names(self) -> frozenset[str]:
        names = {
            n for n, m in self.module.exports.local_names() if isinstance(m, (Axis, int, float))
        }
        for declared in self.module.tree.declarations:
            if isinstance(declared, tree.Diagram):
                names |= self.module.read(_signature_names, declared)
        return frozenset(names)


def _setting_names(declaration: tree.Diagram) -> tuple[str, ...]:
    formals = declaration.formals
    entries = formals.entries if formals is not None else ()
    return tuple(entry.name.text for entry in entries if entry.is_const)


def _signature_names(declaration: tree.Diagram) -> set[str]:
    names: set[str] = set()
    if declaration.formals is not None:
        names |= {entry.name.text for entry in declaration.formals.entries}
    pending: list[tree.TypeExpr] = [p.type for p in declaration.parameters]
    while pending:
        current = pending.pop()
        if isinstance(current, tree.TupleTypeExpr):
            pending.extend(current.items)
            continue
        items = [item for slot in current.axes.slots for item in slot.items]
        for item in (*items, current.bound):
            if isinstance(item, tree.Name):
                names.add(item.text)
            elif isinstance(item, tree.Composite):
                names.update(name.text for name in item.names)
    return names
