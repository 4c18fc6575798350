"""Calls: what is bound, what is lifted, which instances with which sizes, what other files give."""

from __future__ import annotations

import pytest
from checked import calls, check, diagram, lifted, messages, program, requirements, wires

from ncdlang.project import Project
from ncdlang.semantics.check import check_source
from ncdlang.semantics.program import BlockStep, CheckedDiagram, CheckedProgram
from ncdlang.source import Source

ATTENTION = """
diagram attention(Q: [q h k], K: [x h k], V: [x h k]) -> [q h k] {
  S[h q x] = Q[q h k] * K[x h k]
  P = softmax[x](S)
  return O[q h k] = P[h q x] * V[x h k]
}
"""

# ---- matching ------------------------------------------------------------------------------------


def weaves(text: str) -> tuple[str, list[str]]:
    """The lifted axes of the one call of `f`, and of each argument `caller's axis = formal`."""
    (call,) = calls(diagram(text))
    shown = [
        " ".join(
            f"{axis}={formal}" if formal is not None else str(axis)
            for axis, formal in zip(wire.type.axes, weave, strict=True)
        )
        for wire, weave in zip(call.arguments, call.argument_weaves, strict=True)
    ]
    return lifted(call), shown


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("(X: [n m]) -> [n m] { return g(X) }", ("n", ["n m=x"])),
        ("(X: [n m]) -> [n m] { return g[x = n](X) }", ("m", ["n=x m"])),
        ("(X: [a x b]) -> [a x b] { return g[x](X) }", ("a b", ["a x=x b"])),
        ("(X: [x]) -> [x] { return g(X) }", ("", ["x=x"])),
        ("(X: [x y]) -> [x y] { return g[x = x](X) }", ("y", ["x=x y"])),
    ],
)
def test_what_is_matched_and_what_is_lifted(use: str, expected: tuple[str, list[str]]) -> None:
    entry = "[x]" if "g[x](" in use else ""
    declared = f"diagram g{entry}(A: [x]) -> [x] {{ return 2 * A }}\n"
    assert weaves(f"{declared}diagram f{use}") == expected


def test_arguments_are_matched_one_by_one() -> None:
    text = (
        ATTENTION + "diagram f(X: [b n h k], M: [m h k]) -> [b n h k] { return attention(X, M, M) }"
    )
    expected = ["b n=q h=h k=k", "m=x h=h k=k", "m=x h=h k=k"]
    assert weaves(text) == ("b", expected)


def test_self_attention_of_one_array() -> None:
    text = ATTENTION + "diagram f(X: [b n h k]) -> [b n h k] { return attention(X, X, X) }"
    assert weaves(text) == ("b", ["b n=q h=h k=k", "b n=x h=h k=k", "b n=x h=h k=k"])


def test_formal_axes_bind_sizes() -> None:
    text = ATTENTION + "diagram f(X: [n a b], M: [m a b]) -> [n a b] { return attention(X, M, M) }"
    (call,) = calls(diagram(text))
    binding = {symbol.name: str(size) for symbol, size in call.binding}
    assert binding == {"q": "size(n)", "h": "size(a)", "k": "size(b)", "x": "size(m)"}


def test_one_formal_axis_bound_to_two_axes_takes_the_first() -> None:
    text = """
        diagram add(A: [i], B: [i]) -> [i] { return A + B }
        diagram f(X: [n], Y: [m]) -> [n] { return add(X, Y) }"""
    checked = diagram(text)
    assert wires(checked)["return"] == "[n]"
    assert requirements(checked) == ["size(n) == size(m)"]


# ---- learned instances ---------------------------------------------------------------------------

LINEAR = "use std.nn.{linear, rms_norm}\n"


def instances(checked: CheckedDiagram) -> list[str]:
    return [
        f"{i.name}: {i.callee.name} " + " ".join(f"{s.name}={size}" for s, size in i.binding)
        for i in checked.instances
    ]


def test_instances_have_their_own_names() -> None:
    text = f"""{LINEAR}
        diagram f[h](X: [n m]) -> [n h] {{
          learn up, gate: linear[m -> h]
          A = rms_norm[m](X)
          B = rms_norm[m](A)
          return up(B) * gate(X)
        }}"""
    names = [i.split(" ")[0] for i in instances(diagram(text))]
    assert names == ["up:", "gate:", "rms_norm:", "rms_norm_2:"]


def test_a_name_of_an_instance_is_not_taken_twice() -> None:
    text = f"""{LINEAR}
        diagram f(X: [n m]) -> [n m] {{
          rms_norm_2 = rms_norm[m](X)
          A = rms_norm[m](X)
          return rms_norm[m](A) + rms_norm_2
        }}"""
    checked = diagram(text)
    names = [i.split(":")[0] for i in instances(checked)]
    assert len(set(names)) == 3
    assert "rms_norm_2" not in names


def test_calling_an_instance_twice_shares_its_parameters() -> None:
    text = f"""{LINEAR}
        diagram f(X: [n m], Y: [n m]) -> [n m] {{
          learn L: linear[m -> m]
          return Z[n m] = L(X) + L(Y)
        }}"""
    checked = diagram(text)
    assert len(checked.instances) == 1
    assert [call.instance for call in calls(checked)] == [checked.instances[0]] * 2


def test_parameters_say_which_sizes_must_be_known() -> None:
    text = f"""{LINEAR}
        diagram f[h](X: [n m]) -> [n h] {{
          learn L: linear[m -> h]
          return L(X)
        }}
        diagram g(X: [n]) -> [n] {{ return 2 * X }}"""
    checked = program(text)
    assert [s.name for s in checked.diagrams[0].needed] == ["m", "h"]
    assert [s.name for s in checked.diagrams[0].unknowns] == ["n", "m", "h"]
    assert checked.diagrams[1].needed == ()


def test_learned_diagrams_nest() -> None:
    text = f"""{LINEAR}
        diagram mlp[h](X: [m]) -> [m] {{
          learn up: linear[m -> h]
          learn down: linear[h -> m]
          return down(relu(up(X)))
        }}
        diagram f(X: [n m]) -> [n m] {{
          learn one: mlp[4 * size(m)]
          return X + one(X)
        }}"""
    checked = diagram(text)
    (one,) = checked.instances
    assert {s.name: str(size) for s, size in one.binding} == {"m": "size(m)", "h": "4*size(m)"}
    assert [i.name for i in one.callee.instances] == ["up", "down"]


def test_initialisers() -> None:
    text = """
        diagram f(X: [m]) -> [m] {
          learn A: [m]
          learn B: [m] ~ normal(0, 0.02)
          learn C, D: [m] ~ frozen(uniform(-1, 2 / 4))
          return X * A + B + C + D
        }"""
    shown = [(p.wire.name, p.init, p.init_arguments, p.frozen) for p in diagram(text).learned]
    assert shown == [
        ("A", "default", (), False),
        ("B", "normal", (0.0, 0.02), False),
        ("C", "uniform", (-1.0, 0.5), True),
        ("D", "uniform", (-1.0, 0.5), True),
    ]


def test_copies_have_parameters_of_their_own() -> None:
    text = f"""{LINEAR}
        diagram layer(X: [m]) -> [m] {{ learn L: linear[m -> m]\n return X + L(X) }}
        diagram f : [n m] -> [n m] = layer^3 >> layer"""
    names = [i.name for i in diagram(text).instances]
    assert names == ["layer.0", "layer.1", "layer.2", "layer_2"]


# ---- blocks and pipelines ------------------------------------------------------------------------


def test_blocks_group_and_mean_nothing() -> None:
    text = """
        diagram f(X: [n]) -> [n] {
          block "Outer" {
            A = 2 * X
            block "Inner" { B = A + X }
          }
          return A * B
        }"""
    (outer, _) = diagram(text).steps
    assert isinstance(outer, BlockStep)
    assert outer.title == "Outer"
    assert [type(step).__name__ for step in outer.steps] == ["Define", "BlockStep"]


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        ("relu >> softmax[m]", "[n m]"),
        ("id + (relu >> exp)", "[n m]"),
        ("einsum[n m, n m -> m n] >> softmax[m]", None),
        ("relu^3", "[n m]"),
        ("relu^0", "[n m]"),
        ("route[a -> a a] >> (relu | exp) >> route[a b -> b]", "[n m]"),
        ('block "Twice" (relu >> relu) * id', "[n m]"),
    ],
)
def test_pipelines(pipeline: str, expected: str | None) -> None:
    text = f"diagram f : [n m] -> [n m] = {pipeline}"
    if expected is None:
        assert messages(text)[0].startswith("NCD4001")
    else:
        assert wires(diagram(text))["return"] == expected


def test_wires_that_a_stage_does_not_take_pass_by() -> None:
    text = """
        diagram add(A: [n], B: [n]) -> [n] { return A + B }
        diagram f : ([n], [n], [n]) -> ([n], [n]) = add >> relu
        diagram g : ([n], [n], [n]) -> [n] = add >> add"""
    checked = program(text)
    assert wires(checked.diagrams[1])["return"] == "[n], [n]"
    assert wires(checked.diagrams[2])["return"] == "[n]"


# ---- other files ---------------------------------------------------------------------------------


def checked_files(main: str, **files: str) -> CheckedProgram:
    """A program of several files, named by `a_b` for `a/b.ncd`."""
    sources = {name.replace("_", "/"): Source(name, text) for name, text in files.items()}
    project = Project()

    def find(importer: Source, dotted: tuple[str, ...]) -> Source | None:
        return sources.get("/".join(dotted)) or project.find(importer, dotted)

    checked, found = check_source(Source("main.ncd", main), find)
    assert not found, [d.message for d in found]
    return checked


def test_names_of_other_files() -> None:
    layers = """
        axis h = 3
        const depth = 2
        diagram twice(X: [n]) -> [n] { return helper(X) }
        diagram helper(X: [n]) -> [n] { return depth * X }"""
    checked = checked_files(
        """
        use models.layers as l
        use models.layers.{twice as double, h}
        diagram f(X: [n]) -> [n h] { A = l.twice(double(X))\n return Y[n h] = A[n] }
        """,
        models_layers=layers,
    )
    assert wires(checked.diagrams[0])["return"] == "[n h]"


def test_a_file_is_read_once() -> None:
    read: list[tuple[str, ...]] = []
    project = Project()
    layers = Source("layers.ncd", "diagram g(X: [n]) -> [n] { return 2 * X }")

    def find(importer: Source, dotted: tuple[str, ...]) -> Source | None:
        read.append(dotted)
        return layers if dotted == ("layers",) else project.find(importer, dotted)

    text = "use layers\nuse layers.{g}\ndiagram f(X: [n]) -> [n] { return g(layers.g(X)) }"
    checked, found = check_source(Source("main.ncd", text), find)
    assert not found
    (first, second) = [call.callee for call in calls(checked.diagrams[0])]
    assert first is second


def test_the_own_file_hides_the_prelude() -> None:
    text = """
        diagram softmax(X: [n]) -> [] { return sum[n](X) }
        diagram f(X: [b n]) -> [b] { return softmax(X) }"""
    assert wires(diagram(text))["return"] == "[b]"


def test_only_one_diagram_and_what_it_calls_is_checked() -> None:
    text = """
        diagram f(X: [n]) -> [n] { return g(X) }
        diagram g(X: [n]) -> [n] { return 2 * X }
        diagram wrong(X: [n]) -> [n] { return Z }"""
    source = Source("t.ncd", text)
    checked, found = check_source(source, Project().find, only="f")
    assert [d.name for d in checked.diagrams] == ["f"]
    assert not found
    assert len(check(text)[1]) == 1


def test_a_program_is_found_by_name() -> None:
    checked = program("diagram f(X: [n]) -> [n] { return 2 * X }")
    assert checked.diagram("f") is checked.diagrams[0]
    assert checked.diagram("g") is None
