"""Random programs that are well typed by construction, for properties of the whole compiler.

`programs()` is a hypothesis strategy of `Program` records; `write(random)` makes one from any
`random.Random`. With `differentiable=True` a program has real inputs and smooth operations only,
so that gradients exist everywhere. `only={"window", "call"}` keeps to some of the features of
`statements.FEATURES`. A program is valid at the sizes it comes with, which hold 0, 1 and primes:

    @given(programs())
    def test(program):
        module = program.module("torch")              # an nn.Module in float64
        arrays = program.inputs(seed=0, batch=(2,))   # tensors, here with a further leading axis
        module(*arrays)

Entries stay small (so that results are finite), and what has jumps (comparisons of reals, sort,
argmax, floor) is only asked of inputs, whose entries do not tie. `Program.used` names the features
and the finer constructs that the text has, for tests of coverage.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

import ncdlang

from . import calls, files, learned, pipelines, recurrences, statements  # noqa: F401
from .main import Written, written

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


@dataclass(frozen=True, slots=True)
class Program:
    """A file whose diagram `name` is meant to be run.

    `sizes` are those of every axis that a module needs when it is built, `axes` those of all
    axes of the signature. `liftable` says whether inputs may have further leading axes.
    """

    text: str
    name: str
    sizes: Mapping[str, int]
    config: str | None
    liftable: bool
    differentiable: bool
    used: frozenset[str]
    names: frozenset[str]
    wires: tuple[Any, ...]
    axes: Mapping[str, int]

    def __repr__(self) -> str:
        return f"{self.text}\n# {self.name} at {dict(self.axes)}, config {self.config}"

    def renamed(self, prefix: str) -> Program:
        """The program with a prefix before every name of its own."""

        return replace(
            self,
            text=self.renamed_text(self.text, prefix),
            sizes={self.renamed_text(name, prefix): size for name, size in self.sizes.items()},
        )

    def renamed_text(self, text: str, prefix: str) -> str:
        """A text of the program, or a name in it, with the prefix before all its own names."""
        return re.sub(r"[\w']+", lambda m: prefix * (m.group() in self.names) + m.group(), text)

    def module(self, backend: str = "torch", dtype: str = "f64") -> nn.Module:
        """The diagram as a module in eval mode, with all sizes that its parameters need."""
        library = ncdlang.loads(self.text)
        made = library.module(
            self.name, sizes=dict(self.sizes), config=self.config, backend=backend, dtype=dtype
        )
        return made.eval()

    def inputs(self, seed: int = 0, batch: tuple[int, ...] = ()) -> list[Tensor]:
        """Random inputs. Every second one gets the leading axes `batch`, the first one always."""
        generator = torch.Generator().manual_seed(seed)
        return [
            self._array(wire, generator, batch if number % 2 == 0 else ())
            for number, wire in enumerate(self.wires)
        ]

    def _array(self, wire: Any, generator: torch.Generator, batch: tuple[int, ...]) -> Tensor:
        shape = [*batch]
        for axis in wire.axes:
            length = 1
            for atom in axis.strip("()").split():
                length *= self.axes[atom]
            shape.append(length)
        if wire.kind == "bool":
            return torch.rand(shape, generator=generator) > 0.5
        if wire.kind == "complex":
            return torch.randn(shape, generator=generator, dtype=torch.complex128).tanh()
        if wire.kind != "real":
            return torch.randint(0, max(self.axes[wire.kind], 1), shape, generator=generator)
        array = 2 * torch.randn(shape, generator=generator, dtype=torch.float64).tanh()
        return array.to(DTYPES.get(wire.form, torch.float64))


def write(
    random: Random, differentiable: bool = False, only: Collection[str] = (), most: int = 5
) -> Program:
    """A program of up to `most` features, from any source of randomness."""
    made: Written = written(random, differentiable, frozenset(only), most)
    return Program(
        made.text, "f", made.given, made.config, made.liftable, differentiable,
        frozenset(made.used), frozenset(made.names), made.inputs, made.axes,
    )  # fmt: skip


def programs(
    differentiable: bool = False, only: Collection[str] = (), most: int = 5
) -> st.SearchStrategy[Program]:
    """Programs; failures shrink to few features, small expressions and short axes."""
    return st.randoms(use_true_random=False).map(
        lambda random: write(random, differentiable, only, most)
    )
