"""Run a diagram on random or given arrays and summarise what comes out.

Inputs that --input does not give are random, reproducibly by --seed; so are learned parameters
unless --param gives them. --compare runs a second backend on the same values: exit code 1 if
the results differ by more than the tolerance.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ncdlang import api
from ncdlang.cli import options as shared
from ncdlang.cli import output
from ncdlang.cli.build import DTYPES
from ncdlang.cli.console import CommandError
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.types import Wire

if TYPE_CHECKING:
    import numpy as np

TOLERANCES = {"f64": 1e-9, "f32": 1e-4, "bf16": 5e-2, "f16": 1e-2}


def configure(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    shared.add_file(parser)
    parser.add_argument(
        "--input",
        metavar="NAME=FILE.npy",
        action="append",
        default=[],
        help="an input array; it may have further leading axes (may be repeated)",
    )
    parser.add_argument("--param", metavar="FILE", help="learned parameters, a .npz or .pt file")
    parser.add_argument("--seed", type=int, default=0, help="of everything random; default: 0")
    parser.add_argument("--dtype", choices=DTYPES, default="f32", help="default: f32")
    parser.add_argument("--backend", default="torch", help="default: torch")
    parser.add_argument("--device", default="cpu", help="where to run; default: cpu")
    parser.add_argument("--compare", metavar="BACKEND", help="a second backend, like reference")
    parser.add_argument(
        "--tolerance", type=float, help="the largest difference that passes; default: by dtype"
    )
    parser.add_argument("--save", metavar="FILE.npz", help="keep the results, by their names")
    shared.add_source_options(parser)


def run(options: Namespace) -> int:
    """Run, print a summary, compare."""
    from ncdlang.cli import arrays, execution

    checked = shared.load(options)
    diagram = shared.choose(checked.program, options.diagram, "running")
    given = arrays.read_inputs(options.input, diagram)
    sizes = arrays.solve_sizes(diagram, given, checked.values)
    inputs = arrays.fill_inputs(diagram, given, sizes, options.seed)
    named = {symbol.name: size for symbol, size in sizes.items()}
    wanted = api.request(checked, diagram, options.dtype, named)
    module = execution.make(options.backend, wanted, options)
    results = execution.call(module, inputs, options)
    names = result_names(diagram.results)
    print(_headline(diagram, sizes, options))
    for wire, name, array in zip(diagram.results, names, results, strict=True):
        print(arrays.summary(wire, name, array))
    if options.save:
        output.write(options.save, arrays.npz(dict(zip(names, results, strict=True))))
    if options.compare is None:
        return 0
    judge = execution.make(options.compare, wanted, options)
    execution.share_parameters(module, judge)
    return _compare(names, results, execution.call(judge, inputs, options), options)


def result_names(wires: Sequence[Wire]) -> list[str]:
    """A name for each result: its own, or `result` where the compiler made it."""
    names: list[str] = []
    for wire in wires:
        base = name = "result" if wire.name.startswith("_") else wire.name
        number = 1
        while name in names:
            number += 1
            name = f"{base}_{number}"
        names.append(name)
    return names


def _headline(diagram: CheckedDiagram, sizes: dict[Any, int], options: Namespace) -> str:
    told = ", ".join(f"{symbol.name} = {size}" for symbol, size in sizes.items())
    where = f" with {told}" if told else ""
    return f"{diagram.name}{where}: {options.backend}, {options.dtype}, seed {options.seed}"


def _compare(
    names: list[str], results: list[np.ndarray], others: list[np.ndarray], options: Namespace
) -> int:
    from ncdlang.cli.arrays import difference

    tolerance = TOLERANCES[options.dtype] if options.tolerance is None else options.tolerance
    failed = False
    for name, result, other in zip(names, results, others, strict=True):
        if result.shape != other.shape:
            raise CommandError(
                f"{name} has shape {result.shape} on {options.backend}, "
                f"but {other.shape} on {options.compare}"
            )
        worst = difference(result, other)
        failed |= not worst <= tolerance
        verdict = "within" if worst <= tolerance else "ABOVE"
        print(
            f"{name}: largest difference from {options.compare} {worst:.2e}, "
            f"{verdict} the tolerance of {tolerance:.0e}"
        )
    return int(failed)
