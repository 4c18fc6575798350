"""Predict what a diagram costs on a device: bytes moved, operations, the least time.

Every region that streams is one kernel, with the tiles that move least; the other pieces are
library calls that read and write each array once. All sizes have to be known.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ncdlang.cli import derivation
from ncdlang.cli import options as shared
from ncdlang.cli.console import CommandError


def configure(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    shared.add_file(parser)
    derivation.add_device(parser)
    shared.add_source_options(parser)


def run(options: Namespace) -> int:
    """Print one line for each step, and their sum."""
    from ncdlang.analysis.explain import cost_lines
    from ncdlang.analysis.region_cost import unknown_sizes

    device = derivation.device(options)
    diagram, plan, sizes = derivation.planned(options, "pricing")
    missing = sorted({name for step in plan.steps for name in unknown_sizes(step, sizes)})
    if missing:
        flags = " ".join(f"--size {name}=..." for name in missing)
        what = "sizes" if len(missing) > 1 else "size"
        raise CommandError(f"the cost depends on the {what} of {', '.join(missing)}", flags)
    print("\n".join(cost_lines(plan, diagram.name, sizes, device, options.dtype)))
    return 0
