"""The standard library: every diagram against PyTorch by hand, in both backends."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
import stdlib_wholes  # noqa: F401  (adds its cases)
import torch
from stdlib_cases import CASES, Case
from torch import Tensor, nn

import ncdlang
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.source import Source
from ncdlang.syntax import tree
from ncdlang.syntax.parser import parse

FILES = sorted((Path(__file__).parent.parent / "stdlib" / "std").glob("*.ncd"))
Sizes = dict[str, int]


def declared() -> dict[str, tree.Diagram | tree.Op]:
    """Every diagram and operator of the library by its full name."""
    found: dict[str, tree.Diagram | tree.Op] = {}
    for path in FILES:
        parsed = parse(Source(path.name, path.read_text(encoding="utf-8")))
        assert not parsed.diagnostics
        for each in parsed.file.declarations:
            if isinstance(each, tree.Diagram | tree.Op):
                found[f"std.{path.stem}.{each.name.text}"] = each
    return found


NAMES = declared()


# ---- every diagram has a case --------------------------------------------------------------------


def test_every_diagram_has_a_case() -> None:
    assert {case.of for case in CASES} == NAMES.keys()


@pytest.mark.parametrize("name", NAMES)
def test_every_diagram_is_documented(name: str) -> None:
    doc = NAMES[name].doc
    assert doc.strip().endswith("."), "documentation is made of sentences"
    assert all(len(line) <= 92 for line in doc.splitlines()), "it is indented where it is emitted"


# ---- cases as modules ----------------------------------------------------------------------------


@cache
def together() -> ncdlang.Library:
    """All cases in one file."""
    uses = dict.fromkeys(case.source.partition("diagram ")[0] for case in CASES)
    bodies = (case.source[case.source.index("diagram ") :] for case in CASES)
    return ncdlang.loads("".join(uses) + "\n".join(bodies))


@cache
def alone(case: Case) -> ncdlang.Library:
    """A case by itself: a library checks its whole file again for sizes that are given."""
    return ncdlang.loads(case.source)


def checked(case: Case) -> CheckedDiagram:
    found = together().program.diagram(case.name)
    assert found is not None
    return found


def module(case: Case, sizes: Sizes, backend: str) -> nn.Module:
    """The module of a case with random parameters, the same for every backend."""
    diagram = checked(case)
    built = {symbol.name for symbol in diagram.needed} | {f.axis.name for f in diagram.free}
    given = {name: sizes[name] for name in sorted(built)}
    if given:
        made = alone(case).module(case.name, sizes=given, backend=backend, dtype="f64")
    else:
        made = together().module(case.name, backend=backend, dtype="f64")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, tensor in sorted(made.state_dict().items()):
            value = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(value.exp() if key.endswith("var") else value)
    return made.eval()


def inputs(case: Case, sizes: Sizes, leads: Sequence[tuple[int, ...]] = ()) -> tuple[Tensor, ...]:
    """Random inputs of a case, each with its leading axes."""
    generator = torch.Generator().manual_seed(2)
    diagram = checked(case)
    known = {symbol: sizes[symbol.name] for symbol in diagram.unknowns}
    made: list[Tensor] = []
    for i, wire in enumerate(diagram.parameters):
        lead = leads[i] if leads else ()
        shape = (*lead, *(axis.size.evaluate(known) for axis in wire.type.axes))
        if wire.type.kind.name == "natural":
            assert wire.type.kind.bound is not None
            bound = wire.type.kind.bound.evaluate(known)
            made.append(torch.randint(bound, shape, generator=generator))
        elif wire.type.kind.name == "boolean":
            made.append(torch.rand(shape, generator=generator) < 0.5)
        else:
            made.append(torch.randn(shape, generator=generator, dtype=torch.float64))
    return case.changed(*made)


def weights(made: nn.Module) -> dict[str, Tensor]:
    """The parameters by the names that they have in the library's diagram."""
    own = made.state_dict(keep_vars=True)
    return {key.partition(".")[2] or key: tensor for key, tensor in own.items()}


def results(value: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)


def assert_close(given: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
    assert len(given) == len(wanted)
    for one, other in zip(given, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def sizes_of(text: str) -> Sizes:
    return {name: int(size) for name, size in (item.split("=") for item in text.split())}


def id_of(item: object) -> str:
    if isinstance(item, Case):
        return f"{item.of.removeprefix('std.')}-{item.name.removeprefix('case_')}"
    return str(item)


AT = [(case, sizes) for case in CASES for sizes in case.sizes]


@pytest.mark.parametrize(("case", "sizes"), AT, ids=id_of)
def test_equals_what_is_written_by_hand(case: Case, sizes: str) -> None:
    at = sizes_of(sizes)
    made, given = module(case, at, "torch"), inputs(case, at)
    wanted = results(case.hand(weights(made), *given))
    assert_close(results(made(*given)), wanted)
    assert_close(results(module(case, at, "reference")(*given)), [w.detach() for w in wanted])


@pytest.mark.parametrize("case", [c for c in CASES if c.lifts], ids=id_of)
def test_leading_axes_are_lifted(case: Case) -> None:
    at = sizes_of(case.sizes[0])
    made, judge = module(case, at, "torch"), module(case, at, "reference")
    count = len(checked(case).parameters)
    for leads in ([(2,)] * count, [(2, 1), *[(3,)] * (count - 1)], [(2,), *[()] * (count - 1)]):
        given = inputs(case, at, leads)
        wanted = results(case.hand(weights(made), *given))
        assert_close(results(made(*given)), wanted)
        if leads == [(2,)] * count:
            assert_close(results(judge(*given)), [w.detach() for w in wanted])


@pytest.mark.parametrize("case", CASES, ids=id_of)
def test_gradients_are_those_of_what_is_written_by_hand(case: Case) -> None:
    at = sizes_of(case.sizes[0])
    check_gradients(case, module(case, at, "torch"), at)


def check_gradients(case: Case, made: nn.Module, at: Sizes) -> None:
    """Compare the results of a module and their derivatives with those by hand."""
    given = inputs(case, at)
    variables = [x.requires_grad_() for x in given if x.is_floating_point()]
    variables += list(made.parameters())
    outputs, wanted = results(made(*given)), results(case.hand(weights(made), *given))
    assert_close(outputs, wanted)
    mine = [part for part in outputs if part.requires_grad]
    theirs = [part for part in wanted if part.requires_grad]
    assert len(mine) == len(theirs)
    if mine:
        towards = [torch.randn_like(part) for part in mine]
        found = torch.autograd.grad(mine, variables, towards, allow_unused=True)
        known = torch.autograd.grad(theirs, variables, towards, allow_unused=True)
        assert [one is None for one in found] == [other is None for other in known]
        assert_close([f for f in found if f is not None], [k for k in known if k is not None])


@pytest.mark.parametrize("case", [case for case in CASES if case.native], ids=id_of)
def test_emits_the_function_of_pytorch(case: Case) -> None:
    at = sizes_of(case.sizes[0])
    diagram = checked(case)
    free = {f.axis.name: at[f.axis.name] for f in diagram.free}
    assert case.native in alone(case).source(case.name, sizes=free)


# ---- the equations themselves --------------------------------------------------------------------

BY_EQUATIONS = [
    case
    for case in CASES
    if isinstance(NAMES[case.of], tree.Diagram)
    and case.of != "std.nn.batch_norm"  # it uses an operator, which has no equations
    and (case.native or case.of == "std.prelude.logaddexp")
]


@pytest.mark.parametrize("case", BY_EQUATIONS, ids=id_of)
def test_the_equations_mean_the_same(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    at = sizes_of(case.sizes[0])
    monkeypatch.setattr("ncdlang.backends.pytorch.registry.FUNCTIONS", {})
    monkeypatch.setattr("ncdlang.backends.pytorch.registry._ALONG", {})
    monkeypatch.setattr("ncdlang.backends.pytorch.ready._CLASSES", {})
    check_gradients(case, module(case, at, "torch"), at)
