"""What streams, what must not, and that names mean nothing to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ncdlang
from ncdlang.analysis.devices import DEVICES
from ncdlang.analysis.explain import explain
from ncdlang.analysis.opening import open_diagram
from ncdlang.analysis.plan import Library, Plan, Region, make_plan
from ncdlang.analysis.proof import agrees, ratio
from ncdlang.analysis.steps import Rows
from ncdlang.analysis.wording import Wording

PROGRAMS = Path(__file__).parent / "data" / "kernels.ncd"
TEXT = PROGRAMS.read_text(encoding="utf-8")
LIBRARY = ncdlang.loads(TEXT)

HEAD = "diagram f(Q: [q k], K: [x k], V: [x e]) -> [q e] {\n  S[q x] = Q[q k] * K[x k]\n"


def plan_of(library: ncdlang.Library, name: str) -> Plan:
    diagram = library.program.diagram(name)
    assert diagram is not None
    return make_plan(open_diagram(diagram))


def body(*lines: str) -> str:
    return HEAD + "".join(f"  {line}\n" for line in lines) + "}\n"


REFUSED = {
    "softmax over its own axis": (
        "diagram f(S: [q x]) -> [q x] { return softmax[x](S) }",
        "result that has x itself",
    ),
    "norm over its own axis": (
        "diagram f(S: [q x]) -> [q x] { return Y[q x] = S[q x] / norm[x](S) }",
        "result that has x itself",
    ),
    "norm whose output escapes": (
        """diagram f(S: [q x], V: [x e]) -> ([q x], [q e]) {
  P = softmax[x](S)
  O[q e] = P[q x] * V[x e]
  return P, O
}
""",
        "result that has x itself",
    ),
    "a bend at the mean": (
        body("m = mean[x](S)", "return O[q e] = relu(S[q x] - m[q]) * V[x e]"),
        "does not separate",
    ),
    "sigmoid of a normalised score": (
        body("z = sum[x](S * S)", "return O[q e] = sigmoid(S[q x] / z[q]) * V[x e]"),
        "does not separate",
    ),
    "exponent times a sum": (
        body("z = sum[x](S * S)", "return O[q e] = exp(S[q x] * z[q]) * V[x e]"),
        "does not separate",
    ),
    "a power that waits": (
        body("z = sum[x](S * S)", "return O[q e] = abs(S[q x]) ^ z[q] * V[x e]"),
        "does not separate",
    ),
    "a maximum of what waits": (
        body(
            "z = sum[x](S * S)",
            "m = max[x](S[q x] / z[q])",
            "return O[q e] = exp(S[q x] - m[q]) * V[x e]",
        ),
        "a max is taken of what depends on a finished one",
    ),
    "a threshold at the mean": (
        body("m = mean[x](S)", "return O[q e] = where(S[q x] > m[q], S[q x], 0) * V[x e]"),
        "waits for a finished fold",
    ),
    "a maximum that is added": (
        body("m = max[x](S)", "return O[q e] = (S[q x] + m[q]) * V[x e]"),
        "ratio at two values of the maximum",
    ),
    "softmax over the index axis of a gather": (
        "diagram f(E: [v m], T: N(v)[t]) -> [t m] { return softmax[t](E[T[t], m]) }",
        "result that has t itself",
    ),
    "a bend at the mean of what is gathered": (
        """diagram f(E: [v m], T: N(v)[t], W: [e m]) -> [t e] {
  Z[t m] = E[T[t], m]
  a = mean[m](Z)
  return O[t e] = relu(Z[t m] - a[t]) * W[e m]
}
""",
        "does not separate",
    ),
    "a root of a difference": (
        body("m = mean[x](S)", "return O[q e] = sqrt(abs(S[q x] - m[q])) * V[x e]"),
        "does not separate",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_programs_that_must_not_stream(case: str) -> None:
    text, reason = REFUSED[case]
    plan = plan_of(ncdlang.loads(text, "refused.ncd"), "f")
    refusals = [s.refusal for s in plan.steps if isinstance(s, Library | Rows) and s.refusal]
    assert refusals, "nothing is refused"
    assert reason in refusals[0].reason
    shown = explain(plan, "f", {}, DEVICES["h200"])
    assert "refused" in shown
    assert re.search(r"at \S+\.ncd:\d+:\d+", shown)
    made = {o.array.name for s in plan.steps if isinstance(s, Region) for o in s.outputs}
    assert not made & {"O"} or case == "norm whose output escapes"


@pytest.mark.parametrize("name", LIBRARY.diagrams)
def test_every_program_has_a_region(name: str) -> None:
    plan = plan_of(LIBRARY, name)
    assert plan.regions or plan.opened.made or any(isinstance(s, Rows) for s in plan.steps)
    for region in plan.regions:
        for output in region.outputs:
            assert agrees(output.written, output.term)


RENAMED = {"q": "qq_", "x": "ax_", "h": "zh_", "k": "bk_", "e": "ye_", "Q": "Wq_", "K": "Ak_"}
RENAMED |= {"V": "Bv_", "S": "Cs_", "P": "Dp_", "O": "Zo_", "M": "Em_", "z": "az_", "m": "zm_"}


@pytest.mark.parametrize(
    "name", ["causal", "grouped", "multi_query", "spherical", "differential", "softmax_plus_one"]
)
def test_names_mean_nothing(name: str) -> None:
    start = TEXT.index(f"diagram {name}(")
    text = TEXT[start : TEXT.index("\n}\n", start) + 3]
    pattern = re.compile(rf"\b({'|'.join(RENAMED)}|{name})\b")
    renamed = pattern.sub(lambda m: RENAMED.get(m[1], "another"), text)
    back = {new: old for old, new in RENAMED.items()} | {"another": name}
    first = explain(plan_of(ncdlang.loads(text), name), name, {}, DEVICES["h200"])
    second = explain(plan_of(ncdlang.loads(renamed), "another"), "another", {}, DEVICES["h200"])
    undone = re.sub(rf"\b({'|'.join(back)})\b", lambda m: back[m[1]], second)
    # The sizes that a cost waits for are listed in the order of their names.
    assert undone.split("cost")[0] == first.split("cost")[0]


def test_the_record_of_softmax() -> None:
    (region,) = plan_of(LIBRARY, "softmax_dense").regions
    sums = [fold for fold in region.folds if fold.kind == "sum"]
    assert [f.kind for f in region.folds] == ["max", "sum", "sum"]
    assert all(fold in region.growth for fold in sums)
    words = Wording(region.terms).factor
    assert {ratio(fold.args[0], frozenset(region.stream), words) for fold in sums} == {
        "exp(m - m')"
    }


def test_a_correction_has_the_numbers_and_names_of_the_program() -> None:
    lines = (
        "m[q] = max[x](S)",
        "E[q x] = exp((size(k) + q) * (S - m[q]))^2",
        "return O[q e] = E[q x] * V[x e] / sum[x](E[q x])",
    )
    told = explain(plan_of(ncdlang.loads(body(*lines)), "f"), "f", {}, DEVICES["h200"])
    assert "by exp(2*(size(k) + q)*(m - m')) when m moves" in told


@pytest.mark.parametrize("seed", range(6))
def test_what_conditions_hide_at_most_points_streams(seed: int) -> None:
    """A row is hidden as a whole at half of the places, by what is read at another one."""
    text = f"""diagram f(Q: [q k], K: [x k], V: [x e], t: [q]) -> ([q e], [q]) {{
  S[q x] = Q[q k] * K[x k] + where(sin(t[q] * {10**seed}) > 0.6, 0, -inf)
  P = softmax[x](S)
  O[q e] = P[q x] * V[x e]
  return O, logsumexp[x](S)
}}
"""
    plan = plan_of(ncdlang.loads(text), "f")
    assert [len(region.outputs) for region in plan.regions] == [2]


def test_spherical_attention_needs_no_correction() -> None:
    (region,) = plan_of(LIBRARY, "spherical").regions
    assert [fold.kind for fold in region.folds] == ["sum", "sum"]
    assert not region.growth


def test_layer_norm_is_affine_in_its_statistics() -> None:
    (region,) = plan_of(LIBRARY, "layer_norm_linear").regions
    assert len(region.folds) == 5
    assert not region.growth


@pytest.mark.parametrize(
    ("name", "batch", "rows", "columns", "stream"),
    [
        ("causal", "h", "q", "e", "x"),
        ("grouped", "g", "q r", "e", "x"),
        ("multi_query", "", "q h", "e", "x"),
        ("rms_norm_linear", "", "t", "f", "m"),
        ("two_layers", "", "t", "m", "f"),
        ("linear_logsumexp", "", "n", "", "v"),
    ],
)
def test_roles(name: str, batch: str, rows: str, columns: str, stream: str) -> None:
    (region,) = plan_of(LIBRARY, name).regions
    found = (region.batch, region.rows, region.outputs[0].columns, region.stream)
    assert [" ".join(a.name for a in axes) for axes in found] == [batch, rows, columns, stream]


def test_what_is_wide_is_made_before() -> None:
    diagram = LIBRARY.program.diagram("two_layers")
    assert diagram is not None
    sizes = dict.fromkeys(diagram.unknowns, 4096)
    assert not make_plan(open_diagram(diagram), sizes).regions


def test_the_argument_reads_well(golden) -> None:
    names = ("causal", "spherical", "layer_norm_linear", "heads", "softmax_rows")
    texts = [explain(plan_of(LIBRARY, name), name, {}, DEVICES["h200"]) for name in names]
    golden("explain.txt", "\n".join(texts))


@pytest.mark.parametrize(("rows", "parts"), [(1, 8), (4096, 0)])
def test_few_rows_are_split(rows: int, parts: int) -> None:
    diagram = LIBRARY.program.diagram("softmax_dense")
    assert diagram is not None
    lengths = {"q": rows, "x": 8192, "h": 16, "k": 128, "e": 128}
    sizes = {symbol: lengths[symbol.name] for symbol in diagram.unknowns}
    shown = explain(make_plan(open_diagram(diagram), sizes), "f", sizes, DEVICES["h200"])
    found = re.search(r"split +x in (\d+) parts", shown)
    # 16 programs, one for each head, and 132 processors.
    assert (int(found[1]) if found else 0) == parts


NESTED = """
use std.nn.{linear, rms_norm}
diagram f[v](X: [x m], T: N(v)[x]) -> [x] {
  learn W: linear[m -> v]
  L = W(rms_norm[m](rms_norm[m](X)))
  return l[x] = logsumexp[v](L) - L[x, T[x]]
}
diagram g[v](X: [x m]) -> [x v] {
  learn W: linear[m -> v]
  return W(rms_norm[m](rms_norm[m](X)))
}
diagram h[e](X: [n m]) -> [n t] {
  learn router: linear[m -> e]
  learn bias: [e]
  G = sigmoid(router(X))
  Z[n e] = G[n e] + bias[e]
  V, I[n t] = top_k[e, 2](Z)
  return V
}
"""


def _defined(name: str, axes: str = "x m v") -> dict[str, list[str]]:
    """What an explanation of nested norms says of each name; `axes` are called otherwise."""
    text = NESTED
    for old, new in zip("xmv", axes.split(), strict=True):
        text = re.sub(rf"\b{old}\b", new, text)
    told = explain(plan_of(ncdlang.loads(text), name), name, {}, DEVICES["h200"])
    found: dict[str, list[str]] = {}
    for line in re.findall(r"^(?:Library|  \w*) +(\w+\[[^]]*\] = .*)$", told, re.MULTILINE):
        head, _, meaning = line.partition(" = ")
        found.setdefault(head.partition("[")[0], []).append(meaning)
    return found


@pytest.mark.parametrize("axes", ["x m v", "a z b", "z b a"])
def test_different_terms_have_different_names(axes: str) -> None:
    for name in ("f", "g"):
        found = _defined(name, axes)
        assert {"r", "r2"} < found.keys()
        assert all(len(set(meanings)) == 1 for meanings in found.values())
        # The inner norm comes first, and nothing is defined by itself.
        assert re.search(r"\br\b", found["r2"][0])
        assert not any(re.search(rf"\b{own}\b", text[0]) for own, text in found.items())


def test_what_a_library_call_is_written_with_is_shown() -> None:
    assert _defined("h")["Z"] == ["G + bias[e]"]
    assert _defined("h")["G"] == ["sigmoid(sum[m](router.weight[e m] * X[n m]))"]
