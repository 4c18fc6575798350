"""What correct programs mean: the type of every wire, the size of every axis."""

from __future__ import annotations

import pytest
from checked import calls, diagram, free, messages, program, requirements, sizes, wires

# ---- types and axes of wires ---------------------------------------------------------------------

TYPES: dict[str, tuple[str, dict[str, str]]] = {
    # sections 1 and 5: contraction, targets, broadcasting
    "attention": (
        """
        diagram f(Q: [q h k], K: [x h k], V: [x h k]) -> [q h k] {
          S[h q x] = Q[q h k] * K[x h k] / sqrt(size(k))
          M[h q x] = where(x <= q, S[h q x], -inf)
          P = softmax[x](M)
          return O[q h k] = P[h q x] * V[x h k]
        }""",
        {
            "Q": "[q h k]",
            "K": "[x h k]",
            "S": "[h q x]",
            "M": "[h q x]",
            "P": "[h q x]",
            "O": "[q h k]",
            "return": "[q h k]",
        },
    ),
    "scalars": (
        "diagram f(a: [], X: [i]) -> [] { b = 2 * a\n return c[] = b * sum[i](X) }",
        {"a": "[]", "b": "[]", "c": "[]", "return": "[]"},
    ),
    "an axis of the left that the right lacks repeats": (
        "diagram f(X: [i], Y: [j]) -> [j i] { return Z[j i] = X[i] }",
        {"Z": "[j i]", "return": "[j i]"},
    ),
    "nothing but axes": (
        "diagram f(X: [i j]) -> [j i] { return Y[j i] = i + 2 * j }",
        {"Y": "integer [j i]", "return": "[j i]"},
    ),
    "a diagonal": (
        "diagram f(M: [i i']) -> [i] { return D[i] = M[i i] }",
        {"M": "[i i']", "D": "[i]", "return": "[i]"},
    ),
    "a bare wire keeps its axes": (
        "diagram f(X: [i j]) -> [i j] { Y = X\n Z = exp(X) / 2\n return Z + Y }",
        {"Y": "[i j]", "Z": "[i j]", "return": "[i j]"},
    ),
    "the first array with all axes gives the order": (
        "diagram f(A: [j], B: [i j], C: [j i]) -> [i j] { D = A * B + C\n return A + B }",
        {"D": "[i j]", "return": "[i j]"},
    ),
    "axes used as numbers give no order": (
        "diagram f(B: [i j]) -> [i j] { return j + i * B }",
        {"return": "[i j]"},
    ),
    "a reduction removes its axes": (
        "diagram f(A: [i j k]) -> [j] { B = max[k](A)\n return mean[i](B) }",
        {"B": "[i j]", "return": "[j]"},
    ),
    "axes of a left-hand side in any order": (
        "diagram f(A: [i j k]) -> [k i] { B[k j i] = A[i j k]\n return C[k i] = sum[j](B) }",
        {"B": "[k j i]", "C": "[k i]", "return": "[k i]"},
    ),
    "reindexing": (
        """
        diagram f(X: [x c]) -> [c x] {
          T[c x] = X[x c]
          R[c x] = T[c, size(x) - 1 - x]
          return R
        }""",
        {"T": "[c x]", "R": "[c x]", "return": "[c x]"},
    ),
    "gather": (
        "diagram f(E: [v m], T: N(v)[b n]) -> [b n m] { return Y[b n m] = E[T[b n], m] }",
        {"T": "N(v)[b n]", "Y": "[b n m]", "return": "[b n m]"},
    ),
    "results of argmax are naturals": (
        "diagram f(X: [i j]) -> N(j)[i] { return argmax[j](X) }",
        {"return": "N(j)[i]"},
    ),
    # section 3: composite axes
    "merging and splitting": (
        """
        diagram f(X: [x h k]) -> [x h k] {
          M[x, (h k)] = X[x h k]
          S[x h k] = M[x, (h k)]
          return S
        }""",
        {"M": "[x, (h k)]", "S": "[x h k]", "return": "[x h k]"},
    ),
    "a composite axis counts as one": (
        "diagram f(X: [x, (h k)]) -> [x, (h k)] { return 2 * X }",
        {"X": "[x, (h k)]", "return": "[x, (h k)]"},
    ),
    "parts of a composite axis in another order": (
        "diagram f(X: [(h k)]) -> [(k h)] { return Y[(k h)] = X[(h k)] }",
        {"Y": "[(k h)]", "return": "[(k h)]"},
    ),
    # section 4: kinds
    "comparisons are booleans": (
        "diagram f(X: [i]) -> B[i] { M[i] = X[i] > 0 and i < 3\n return not M }",
        {"M": "B[i]", "return": "B[i]"},
    ),
    "naturals stay naturals": (
        "diagram f(T: N(v)[i]) -> [i] { A[i] = T[i] + 1\n B[i] = A[i] // 2\n return real(B) }",
        {"A": "N[i]", "B": "N[i]", "return": "[i]"},
    ),
    "formats are kept": (
        "diagram f(X: bf16[i], Y: [i]) -> [i] { Z = 2 * X\n return Z + Y }",
        {"X": "bf16[i]", "Z": "bf16[i]", "return": "[i]"},
    ),
    "complex numbers": (
        "diagram f(Z: C[i], X: [i]) -> [i] { W = Z * X\n return abs(W) }",
        {"W": "C[i]", "return": "[i]"},
    ),
    "integers become real": (
        "diagram f(X: [i]) -> [i] { A[i] = i * 2\n B[i] = i / 2\n return X + A + B }",
        {"A": "integer [i]", "B": "[i]", "return": "[i]"},
    ),
    "reductions of booleans": (
        "diagram f(M: B[i j]) -> B[i] { A = any[j](M)\n return all[j](M) or A }",
        {"A": "B[i]", "return": "B[i]"},
    ),
    # section 6: axes of results of calls
    "lifted axes come first": (
        """
        diagram f(X: [a b x]) -> [a b] { return g(X) }
        diagram g(X: [x]) -> [] { return sum[x](X) }""",
        {"return": "[a b]"},
    ),
    "lifted axes of several arguments match by name": (
        """
        diagram f(X: [a x], Y: [b a x]) -> [a b] { return g(X, Y) }
        diagram g(X: [x], Y: [y]) -> [] { return sum[x](X) + sum[y](Y) }""",
        {"return": "[a b]"},
    ),
    "an argument without a lifted axis is shared": (
        """
        diagram f(X: [n m], W: [m]) -> [n m] { return g(X, W) }
        diagram g(X: [x], Y: [x]) -> [x] { return X * Y }""",
        {"return": "[n m]"},
    ),
    "a result with the axes of the first formal leaves every axis where it stood": (
        "diagram f(X: [a x b]) -> [a x b] { A = softmax[x](X)\n return softmax[a](A) }",
        {"A": "[a x b]", "return": "[a x b]"},
    ),
    "any other result has its lifted axes first": (
        """
        diagram f(X: [a x b]) -> [a b y] {
          Y[a b y] = g[x = x](X)
          return Y
        }
        diagram g(X: [x]) -> [y] { axis y = size(x) // 2\n return Y[y] = X[2 * y] }""",
        {"Y": "[a b y]", "return": "[a b y]"},
    ),
    "linear puts its outs where its ins stood": (
        """
        use std.nn.{linear}
        diagram f[h, k](X: [a m b]) -> [a h k b] { return linear[m -> h k](X) }""",
        {"return": "[a h k b]"},
    ),
    "linear replaces several ins": (
        """
        use std.nn.{linear}
        diagram f(X: [x h k]) -> [x m] { return linear[h k -> 8](X) }""",
        {"return": "[x m]"},
    ),
    "a pack of targets": (
        """
        use std.nn.{rms_norm}
        diagram f(X: [a h k]) -> [a h k] { return rms_norm[h k](X) }""",
        {"return": "[a h k]"},
    ),
    "formal axes stay distinct": (
        """
        diagram f(X: [n]) -> [n n'] { return g(X, X) }
        diagram g(Q: [q], K: [x]) -> [q x] { return S[q x] = Q[q] * K[x] }""",
        {"return": "[n n']"},
    ),
    "self-attention binds both axes to one": (
        """
        diagram f(X: [n h k]) -> [n h k] { return attention(X, X, X) }
        diagram g(X: [n h k]) -> [n h k] { return attention[q = n, x = n](X, X, X) }
        diagram attention(Q: [q h k], K: [x h k], V: [x h k]) -> [q h k] {
          S[h q x] = Q[q h k] * K[x h k]
          P = softmax[x](S)
          return O[q h k] = P[h q x] * V[x h k]
        }""",
        {"return": "[n h k]"},
    ),
    "names on the left name derived axes in order": (
        """
        diagram f(X: [a]) -> [u v] {
          Y[b c] = g(X)
          return Z[u v] = g(X)
        }
        diagram g[y = 2, z = 3](X: [x]) -> [y z] { return Y[y z] = sum[x](X) }""",
        {"Y": "[b c]", "Z": "[u v]", "return": "[u v]"},
    ),
    "names on the left may stand in another order": (
        """
        diagram f(X: [a b]) -> [y a] { Y[y a] = g(X)\n return Y }
        diagram g[y = 2](X: [x]) -> [y] { return Y[y] = sum[x](X) }""",
        {"Y": "[y a]", "return": "[y a]"},
    ),
    "several results": (
        """
        diagram f(X: [a x]) -> ([a x], [a]) {
          A, B = g(X)
          _, C[a] = g(X)
          return A, B + C
        }
        diagram g(X: [x]) -> ([x], []) { return exp(X), sum[x](X) }""",
        {"A": "[a x]", "B": "[a]", "C": "[a]", "return": "[a x], [a]"},
    ),
    "calls inside expressions": (
        "diagram f(X: [a x]) -> [x a] { return Y[x a] = X[a x] + softmax[x](X)[a x] / 2 }",
        {"Y": "[x a]", "return": "[x a]"},
    ),
    "elementwise diagrams": (
        "diagram f(X: [a x], Y: [x]) -> [a x] { A = relu(X)\n return Z[a x] = gelu(A * Y) }",
        {"A": "[a x]", "Z": "[a x]", "return": "[a x]"},
    ),
    "one's own elementwise diagram": (
        """
        diagram leaky(x: [], y: []) -> [] { return where(x > 0, x, 0.1 * y) }
        diagram f(X: [a b], Y: [b]) -> [a b] { return leaky(X, Y) }""",
        {"return": "[a b]"},
    ),
    "pad and concat": (
        """
        diagram f(X: [a x], Y: [a y]) -> [a s] {
          P[a z] = pad[x, 1, 2](X)
          return S[a s] = concat[z, y](P, Y)
        }""",
        {"P": "[a z]", "S": "[a s]", "return": "[a s]"},
    ),
    # section 7
    "parameters": (
        """
        diagram f[h](X: [m]) -> [h] {
          learn W: [h m] ~ normal(0, 0.02)
          learn b: f32[h] ~ zeros
          return Y[h] = W * X[m] + b
        }""",
        {"W": "[h m]", "b": "f32[h]", "Y": "[h]", "return": "[h]"},
    ),
}


@pytest.mark.parametrize("name", TYPES)
def test_types(name: str) -> None:
    text, expected = TYPES[name]
    assert expected.items() <= wires(diagram(text)).items()


# ---- sizes ---------------------------------------------------------------------------------------

SIZES: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "of a valid convolution": (
        """
        diagram f[j = 3, c'](X: [x c]) -> [x' c'] {
          learn W: [c' j c]
          return Y[x' c'] = W[c' j c] * X[x' + j, c]
        }""",
        {"x'": "size(x) - size(j) + 1"},
        ["size(x) - size(j) + 1 >= 0"],
    ),
    "of a convolution with a stride": (
        "diagram f(X: [x], W: [j]) -> [n] { return Y[n] = W[j] * X[3 * n + j] }",
        {"n": "(size(x) - size(j)) // 3 + 1"},
        ["(size(x) - size(j)) // 3 + 1 >= 0"],
    ),
    "of a dilated convolution": (
        "diagram f(X: [x], W: [j]) -> [n] { return Y[n] = W[j] * X[n + 2 * j] }",
        {"n": "size(x) - 2*size(j) + 2"},
        ["size(x) - 2*size(j) + 2 >= 0"],
    ),
    "of an index that counts down": (
        "diagram f(X: [x]) -> [n] { return Y[n] = X[size(x) - 1 - n] }",
        {"n": "size(x)"},
        [],
    ),
    "of an axis that alone indexes": (
        "diagram f(X: [x c]) -> [i c] { return Y[i c] = X[i c] * X[i c] }",
        {"i": "size(x)"},
        [],
    ),
    "declared in the body": (
        """
        const stride = 4
        diagram f(X: [x]) -> [n w] {
          axis n = size(x) // stride
          axis w = stride
          return Y[n w] = X[stride * n + w]
        }""",
        {"n": "size(x) // 4", "w": "4"},
        [],
    ),
    "declared in the file": (
        """
        axis h = 2
        axis k = 3
        axis m = size(h) * size(k) + 1
        axis n
        diagram f(X: [h k m n]) -> [h k m n] { return 2 * X }""",
        {"h": "2", "k": "3", "m": "7"},
        [],
    ),
    "of a composite axis": (
        "diagram f(X: [x h k]) -> [x, (h k)] { axis n = size((h k)) + 1\n return Y[x, (h k)] = X }",
        {},
        [],
    ),
    "solved from a composite axis": (
        """
        diagram split[r = 2](X: [(n r)]) -> [n r] { return Y[n r] = X[(n r)] }
        axis x = 12
        diagram f(X: [x]) -> [a b] { return split(X) }""",
        {"a": "6", "b": "2", "x": "12"},
        [],
    ),
    "solved up to a check of divisibility": (
        """
        diagram split[r = 2](X: [(n r)]) -> [n r] { return Y[n r] = X[(n r)] }
        diagram f(X: [x]) -> [a b] { return split(X) }""",
        {"a": "size(x) // 2", "b": "2"},
        ["2*(size(x) // 2) == size(x)"],
    ),
    "of derived axes": (
        """
        diagram f(X: [x], Y: [y]) -> [s] {
          P[z] = pad[x, 1, 2](X)
          return S[s] = concat[z, y](P, Y)
        }""",
        {"z": "size(x) + 3", "s": "size(x) + size(y) + 3"},
        [],
    ),
    "equal where one axis indexes two arrays": (
        "diagram f(X: [i], Y: [j]) -> [i] { return Z[i] = X[i] + Y[i] }",
        {},
        ["size(i) == size(j)"],
    ),
    "equal by an equation that was there before": (
        """
        diagram f(X: [i], Y: [j]) -> [i] {
          A[i] = X[i] + Y[i]
          B[j] = X[j] + Y[j]
          return A
        }""",
        {},
        ["size(i) == size(j)"],
    ),
    "equal by an assertion": (
        """
        diagram f(X: [i], Y: [j]) -> [i] {
          assert size(i) == size(j)
          return Z[i] = X[i] + Y[i]
        }""",
        {},
        ["size(i) == size(j)"],
    ),
    "big enough for a reduction": (
        "diagram f(X: [i j]) -> [i] { return max[j](X) }",
        {},
        ["size(j) >= 1"],
    ),
    "free for a reduction with an initial value": (
        "diagram f(X: [i j]) -> [i] { return max[j, initial = 0](X) }",
        {},
        [],
    ),
    "big enough for a constant index": (
        "diagram f(X: [i]) -> [] { assert size(i) > 2\n return y[] = X[2] }",
        {},
        ["size(i) > 2"],
    ),
    "proved, so not required": (
        """
        axis i = 6
        diagram f[h = 2](X: [i]) -> [i] {
          assert size(i) % 3 == 0 and size(i) > 5
          return 2 * X
        }""",
        {"i": "6"},
        [],
    ),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name: str) -> None:
    text, expected, required = SIZES[name]
    checked = diagram(text)
    assert expected.items() <= sizes(checked).items()
    assert requirements(checked) == required


def test_requirements_reach_the_callers() -> None:
    """What a diagram could not decide holds in its caller, or is required there, in its names."""
    text = """
        diagram add(A: [i], B: [j]) -> [i] { return C[i] = A[i] + B[i] }
        diagram same(X: [n m]) -> [n m] { return add(X, X) }
        diagram other(X: [n], Y: [m]) -> [n] { return add(X, Y) }
        diagram outer(X: [a], Y: [b]) -> [a] { return other(X, Y) }"""
    checked = program(text)
    assert [requirements(d) for d in checked.diagrams] == [
        ["size(i) == size(j)"],
        [],
        ["size(n) == size(m)"],
        ["size(a) == size(b)"],
    ]


def test_requirements_name_their_reason() -> None:
    checked = diagram("diagram f(X: [i], Y: [j]) -> [i] { return Z[i] = X[i] + Y[i] }")
    (required,) = checked.requirements
    assert required.reason == "axis `i` indexes axis `j` of `Y`"
    assert required.span.text == "i"


# ---- free axes and settings ----------------------------------------------------------------------

REPEAT = "diagram repeat[h](X: [x]) -> [x h] { return Y[x h] = X[x] }\n"


def test_a_free_axis_is_adopted_by_the_caller() -> None:
    checked = program(
        f"{REPEAT}"
        "diagram f(X: [x]) -> [x h] { return repeat(X) }\n"
        "diagram g(X: [x]) -> [x h] { return f(X) }\n"
    )
    assert [free(d) for d in checked.diagrams] == [["h"], ["h"], ["h"]]


def test_one_free_axis_serves_all_calls_that_leave_it_open() -> None:
    text = f"{REPEAT}diagram f(X: [x], Y: [x]) -> [x h] {{ return Z[x h] = repeat(X) + repeat(Y) }}"
    checked = diagram(text)
    assert free(checked) == ["h"]
    assert requirements(checked) == []


def test_a_free_axis_is_bound_to_an_axis_a_size_or_in_order() -> None:
    text = (
        f"{REPEAT}"
        "diagram f(X: [x], Y: [y]) -> ([x y], [x n], [x n']) {\n"
        "  C[x n'] = repeat[2 * size(y)](X)\n"
        "  return repeat[y](X), repeat[h = 3](X), C\n"
        "}\n"
    )
    checked = diagram(text)
    assert free(checked) == []
    assert wires(checked)["return"] == "[x y], [x n], [x n']"
    assert sizes(checked)["n'"] == "2*size(y)"


def test_a_default_is_used_where_nothing_is_bound() -> None:
    text = """
        diagram g[h = 3, k = 2 * size(h)](X: [x]) -> [x h k] { return Y[x h k] = X[x] }
        diagram f(X: [x]) -> ([x a b], [x c d]) {
          A[x a b] = g(X)
          B[x c d] = g[5](X)
          return A, B
        }"""
    checked = program(text)
    assert free(checked.diagrams[0]) == ["h = 3", "k = 2*size(h)"]
    assert free(checked.diagrams[1]) == []
    expected = {"a": "3", "b": "6", "c": "5", "d": "10"}
    assert sizes(checked.diagrams[1]) == expected


def test_a_default_is_checked_where_it_is_declared_and_where_it_is_changed() -> None:
    wide = "axis x = 8\ndiagram g[w = 4](X: [x]) -> [w] { return Y[w] = X[w + 0] }\n"
    use = "diagram f(X: [x]) -> [w] { return g[w = WIDTH](X) }\n"
    assert messages(wide + use.replace("WIDTH", "8")) == []
    assert messages(wide.replace("w = 4", "w = 9"))[0].startswith("NCD3002")
    (message,) = messages(wide + use.replace("WIDTH", "9"))
    assert message.startswith("NCD3002 `g` can't be used with w = 9")
    (message,) = messages(wide, w=9)
    assert message.startswith("NCD3002 index `w + 0` reaches 8")


def test_settings_are_numbers_in_the_body() -> None:
    text = """
        diagram g[h, const p = 2, const q](X: [x]) -> [x h] {
          axis n = p + 1
          return Y[x h] = q * X[x] ^ p + size(n)
        }
        diagram f(X: [x]) -> [x n] {
          A[x n] = g[3, 5, q = 0.5](X)
          return B[x n] = g[n, q = 1](X)
        }"""
    checked = diagram(text)
    forms = {call.callee.settings for call in calls(checked)}
    assert forms == {(("p", 5), ("q", 0.5)), (("p", 2), ("q", 1))}


def test_sizes_of_one_file_are_the_same_in_all_its_diagrams() -> None:
    text = """
        axis h
        diagram g(X: [x]) -> [x h] { return Y[x h] = X[x] }
        diagram f(X: [x], Z: [h]) -> [x h] { return Y[x h] = g(X) * Z[h] }"""
    checked = diagram(text)
    assert wires(checked)["return"] == "[x h]"
    assert requirements(checked) == []


def test_overrides_set_sizes_and_consts() -> None:
    text = """
        axis h = 2
        const depth = 3
        diagram f[k = 4](X: [h]) -> [h k n] { axis n = depth\n return Y[h k n] = X[h] }"""
    assert sizes(diagram(text)) == {"h": "2", "n": "3"}
    changed = diagram(text, h=5, depth=7, k=9)
    assert sizes(changed) == {"h": "5", "n": "7"}
    assert free(changed) == ["k = 9"]


def test_configs_are_evaluated() -> None:
    text = "axis h\nconst p = 3\nconfig small { h = 2 * p, p = p + 1 }\nconfig large { h = 2^6 }\n"
    assert program(text).configs == (("small", (("h", 6), ("p", 4))), ("large", (("h", 64),)))
