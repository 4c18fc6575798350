"""Deep models: what is derived of a layer does not grow with the layers before it."""

from __future__ import annotations

from pathlib import Path

from ncdlang.backends.kernels.training import Runner

import ncdlang
from ncdlang.analysis.keeping import MAX_COPIED, Kept
from ncdlang.analysis.opening import Opened, open_diagram
from ncdlang.analysis.plan import Plan, make_plan
from ncdlang.analysis.steps import terms_of
from ncdlang.analysis.terms import Array, Term, Terms, subterms
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import Axis

TEXT = (Path(__file__).parent.parent / "examples" / "transformer.ncd").read_text(encoding="utf-8")


def diagram_of(layers: int) -> CheckedDiagram:
    text = TEXT.replace("layer[h, k, f]^6", f"layer[h, k, f]^{layers}")
    diagram = ncdlang.loads(text).program.diagram("transformer")
    assert diagram is not None
    return diagram


def opened(layers: int) -> Opened:
    return open_diagram(diagram_of(layers))


def planned(layers: int) -> Plan:
    return make_plan(opened(layers), order="written")


def test_every_layer_takes_as_many_steps_as_the_one_before() -> None:
    steps = [len(planned(layers).steps) for layers in (3, 4, 5)]
    assert steps[2] - steps[1] == steps[1] - steps[0] <= 12


def test_every_layer_streams() -> None:
    regions = [len(planned(layers).regions) for layers in (1, 2, 3)]
    assert regions[2] - regions[1] == regions[1] - regions[0] >= 2


def test_layers_of_known_sizes_are_derived_alike_both_ways() -> None:
    """The terms of a region do not hold the layers before it, nor do its gradients."""
    wide = {"x": 1024, "w": 50_000, "m": 512, "h": 8, "k": 64, "f": 2048}
    longest: list[int] = []
    for layers in (3, 5):
        found = diagram_of(layers)
        sizes = {symbol: wide[symbol.name] for symbol in found.unknowns}
        runner = Runner(make_plan(open_diagram(found), sizes), sizes)
        steps = list(runner.program.launchers)
        assert len(steps) == 3 * layers
        assert all(runner.backward(step) for step in steps)
        longest.append(max(sum(1 for t in terms_of(s) for _ in subterms(t)) for s in steps))
    assert longest[0] == longest[1]


def test_keys_and_values_of_later_layers_are_kept() -> None:
    found = opened(6)
    kept = [step for step in found.made if isinstance(step, Kept)]
    assert [step.array.name for step in kept] == ["K", "V"] * 5
    lengths = [sum(1 for _ in subterms(step.term)) for step in kept]
    assert all(length < 12 * 2 * MAX_COPIED for length in lengths)


def test_what_one_layer_needs_is_not_kept() -> None:
    assert not opened(1).made


def norms(count: int) -> str:
    lines = ["diagram deep(X0: [t m]) -> [t m] {"]
    for i in range(count):
        lines += [
            f"  a{i}[t] = mean[m](X{i})",
            f"  C{i}[t m] = X{i}[t m] - a{i}[t]",
            f"  b{i}[t] = mean[m](C{i} * C{i})",
            f"  X{i + 1}[t m] = X{i}[t m] + C{i}[t m] / sqrt(b{i}[t] + 1e-5)",
        ]
    return "\n".join([*lines, f"  return X{count}", "}"])


def test_norms_of_norms_are_separated_in_time_for_each() -> None:
    """Twice for each was twice the time for each more: 40 took minutes."""
    source = ncdlang.loads(norms(40)).source("deep")
    assert source.count("layer_norm") >= 40


class Counting(Terms):
    """Terms that count how many are rebuilt."""

    count = 0

    def rebuilt(self, term: Term, args: tuple[Term, ...]) -> Term:
        self.count += 1
        return super().rebuilt(term, args)


def test_what_nested_sums_share_is_substituted_once() -> None:
    """Sums in sums that all read one term: their number may not double with each of them."""
    terms, row = Counting(), Axis("q", Size.of(Symbol("q", 1)))
    term = terms.load(Array("A", (row,)), (terms.index(row),))
    for depth in range(12):
        inner = Axis(f"x{depth}", Size.of(Symbol(f"x{depth}", depth + 2)))
        once = terms.apply("mul", term, terms.apply("real", terms.index(inner)))
        twice = terms.apply("add", terms.fold("sum", (inner,), once), term)
        term = terms.apply("mul", twice, terms.fold("max", (inner,), once))
    moved = Axis("t", row.size)
    made = terms.substitute(term, {row: terms.apply("add", terms.index(moved), terms.number(1))})
    assert made.axes == {moved}
    assert terms.count <= len(list(subterms(term)))
