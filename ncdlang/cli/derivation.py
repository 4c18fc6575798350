"""What the commands that derive kernels share: the device, the plan of a diagram."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ncdlang.cli import options as shared
from ncdlang.cli.console import CommandError
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import Symbol

if TYPE_CHECKING:
    from ncdlang.analysis.devices import Device
    from ncdlang.analysis.plan import Plan

DTYPES = ("f64", "f32", "bf16", "f16", "f8e4m3", "f8e5m2")


def add_device(parser: ArgumentParser) -> None:
    """The device and the format that costs are for."""
    parser.add_argument("--device", default="h200", help="a100-40, a100, h100 or h200 (default)")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16", help="default: bf16")


def device(options: Namespace) -> Device:
    """The device that was named."""
    from ncdlang.analysis.devices import DEVICES

    found = DEVICES.get(options.device.lower())
    if found is None:
        known = ", ".join(DEVICES)
        raise CommandError(f"there is no device `{options.device}`", f"the devices are {known}")
    return found


def planned(options: Namespace, doing: str) -> tuple[CheckedDiagram, Plan, dict[Symbol, int]]:
    """The diagram that was asked for, how it is cut into regions, and the sizes that are known."""
    diagram, sizes = chosen(options, doing)
    return diagram, plan_of(diagram, sizes), sizes


def chosen(options: Namespace, doing: str) -> tuple[CheckedDiagram, dict[Symbol, int]]:
    """The diagram that was asked for, and the sizes that are known."""
    checked = shared.load(options)
    diagram = shared.choose(checked.program, options.diagram, doing)
    return diagram, known_sizes(diagram, checked.values)


def plan_of(diagram: CheckedDiagram, sizes: dict[Symbol, int]) -> Plan:
    """How a diagram is cut into regions. Raises CommandError where it has no kernels."""
    from ncdlang.analysis.opening import Opaque, open_diagram
    from ncdlang.analysis.plan import make_plan

    try:
        return make_plan(open_diagram(diagram), sizes)
    except Opaque as opaque:
        place = f"{opaque.span.file}:{opaque.span.line}:{opaque.span.column}"
        told = f"{diagram.name} has no kernels: {opaque.what} ({place})"
        raise CommandError(told, exit_code=1) from None


def known_sizes(diagram: CheckedDiagram, values: Mapping[str, int | float]) -> dict[Symbol, int]:
    """The sizes of a diagram's axes that values or defaults give."""
    sizes: dict[Symbol, int] = {}
    for symbol in diagram.unknowns:
        value = values.get(symbol.name)
        if isinstance(value, int):
            sizes[symbol] = value
    for free in diagram.free:
        symbol, default = free.axis.symbol, free.default
        if symbol is not None and default is not None and default.symbols() <= sizes.keys():
            sizes.setdefault(symbol, default.evaluate(sizes))
    return sizes
