"""The syntax layer: every construct parses, in any layout, with the right tree and places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from syntax_texts import (
    ASSIGNS,
    BINARY,
    FILES,
    KEYWORDS,
    ROOT,
    body,
    clean,
    codes,
    expression,
    nodes,
    shape,
)

from ncdlang.records import fields, replace
from ncdlang.source import Source
from ncdlang.syntax import tree
from ncdlang.syntax.language import language
from ncdlang.syntax.layout import arrange
from ncdlang.syntax.lexer import scan

# ---- whole files -------------------------------------------------------------------------------


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def text(request: pytest.FixtureRequest) -> str:
    return request.param.read_text(encoding="utf-8")


def undocumented(file: tree.File) -> tree.File:
    kept = tuple(
        replace(item, doc="") if "doc" in fields(item) else item for item in file.declarations
    )
    return replace(file, declarations=kept)


def tokens_of(text: str) -> list[str]:
    """The tokens that the parser sees, the end of a statement as a line end."""
    made = language()
    tokens = arrange(scan(Source("t", text), made.lexicon), made.kinds)
    marks = {made.lexicon.names["_NEWLINE"]: "\n", made.lexicon.names["COMMA"]: ","}
    return [marks.get(kind, tokens.text(i)) for i, kind in enumerate(tokens.kinds)]


def test_every_example_parses(text: str) -> None:
    assert clean(text).declarations


@pytest.mark.parametrize("path", sorted((ROOT / "stdlib").rglob("*.ncd")), ids=lambda p: p.stem)
def test_the_standard_library_parses(path: Path) -> None:
    clean(path.read_text(encoding="utf-8"))


def test_one_statement_on_each_line_gives_the_same_tree(text: str) -> None:
    assert clean(" ".join(tokens_of(text))) == undocumented(clean(text))


def test_a_statement_may_be_spread_over_lines(text: str) -> None:
    """A line ends wherever a bracket is open, after an operator, and before one."""
    assert clean(spread(tokens_of(text))) == undocumented(clean(text))


def spread(tokens: list[str]) -> str:
    written: list[str] = []
    open_brackets: list[str] = []
    heads: list[str] = []
    previous = "\n"
    for token in tokens:
        if not open_brackets and previous == "\n":
            heads.append(token)
        inside = bool(open_brackets) and open_brackets[-1] != "body"
        after = previous in (*BINARY, *ASSIGNS, ",", "->", ":", "not")
        before = token in (*BINARY, "=", "+=", "*=", "->")
        written.append("\n" if previous != "\n" and (inside or after or before) else " ")
        written.append(token)
        if token in ("(", "["):
            open_brackets.append(token)
        elif token == "{":
            listed = ["", *heads][-1] in ("use", "config", "op")
            open_brackets.append("{" if listed else "body")
        elif token in (")", "]", "}"):
            open_brackets.pop()
        previous = token
    return "".join(written)


def test_line_ends_may_be_windows_ones(text: str) -> None:
    assert clean(text.replace("\n", "\r\n")) == clean(text)


def test_comments_are_kept_in_order(text: str) -> None:
    comments = clean(text).comments
    assert all(comment.text.startswith("#") for comment in comments)
    starts = [comment.start for comment in comments]
    assert starts == sorted(starts)
    without = list(text)
    for comment in comments:
        without[comment.start : comment.end] = " " * (comment.end - comment.start)
    assert "#" not in "".join(without)


def everything() -> tree.File:
    path = next(path for path in FILES if path.stem == "everything")
    return clean(path.read_text(encoding="utf-8"))


def test_the_tree_has_what_the_text_says() -> None:
    file = everything()
    uses = [item for item in file.declarations if isinstance(item, tree.Use)]
    paths = [".".join(name.text for name in use.path) for use in uses]
    assert paths == ["layers", "layers", "std.nn", "models.layers"]
    assert uses[0].names is None
    assert uses[1].alias is not None
    assert uses[2].names is not None
    assert [alias and alias.text for _, alias in uses[2].names] == [None, "norm"]
    op = next(item for item in file.declarations if isinstance(item, tree.Op))
    properties = [name.text for name, _ in op.properties]
    assert properties == ["linear", "elementwise", "pictogram", "monotone"]
    assert op.doc == "Elementwise exponential."


def test_headers_of_diagrams() -> None:
    diagrams = {
        item.name.text: item for item in everything().declarations if isinstance(item, tree.Diagram)
    }
    many = diagrams["many"]
    assert many.formals is not None
    formals = [(formal.name.text, formal.is_const) for formal in many.formals.entries]
    assert formals == [("a", False), ("b", False), ("c", False), ("p", True)]
    assert [p.name and p.name.text for p in many.parameters] == ["X", "Y", "T", "Z"]
    assert many.parameters[0].type == many.parameters[1].type
    assert [p.span.text for p in many.parameters[:3]] == ["X", "Y", "T: N(c)[]"]
    stages = diagrams["stages"]
    assert stages.body is None
    assert [parameter.name for parameter in stages.parameters] == [None, None]
    assert isinstance(diagrams["nothing"].result, tree.TupleTypeExpr)
    assert diagrams["nothing"].body == ()


def test_all_kinds_of_nodes_occur() -> None:
    found = {type(node).__name__ for node in nodes(everything())}
    known = {name for name, kind in vars(tree).items() if isinstance(kind, type) and fields(kind)}
    assert known - found == set()


# ---- places ------------------------------------------------------------------------------------


def test_the_text_of_an_expression_is_the_expression(text: str) -> None:
    """A span covers exactly its node: read alone, its text gives the same node."""
    expressions = (
        *(tree.Name, tree.Number, tree.String, tree.Unary, tree.Binary, tree.SizeOf),
        *(tree.Bracketed, tree.Call, tree.Group, tree.TupleExpr, tree.Composite, tree.BlockExpr),
    )
    for node in nodes(clean(text)):
        if isinstance(node, expressions):
            assert expression(node.span.text) == node


def test_spans_of_statements(text: str) -> None:
    for node in nodes(clean(text)):
        written = node.span.text
        match node:
            case tree.File():
                assert written == text
            case tree.Diagram():
                assert written.startswith("diagram")
                assert node.header.start == node.span.start
                assert node.header.end == node.result.span.end
            case tree.Brackets() | tree.FormalBrackets():
                assert written[0] + written[-1] == "[]"
            case tree.Learn() | tree.Block() | tree.Equation() | tree.Declaration():
                assert body(written) == (node,)
            case tree.Slot():
                assert expression(f"a[{written}]")
            case tree.ArrayTypeExpr() | tree.TupleTypeExpr():
                assert clean(f"diagram f(X: {written}) -> [] {{ }}")
            case _:
                assert written == written.strip()


def test_operators_have_a_place() -> None:
    node = expression("a  >=\n b")
    assert isinstance(node, tree.Binary)
    assert node.op_span.text == node.op == ">="


def test_equality_ignores_places() -> None:
    assert expression("f[ a b,c ]( x )") == expression("f[a b, c](x)")
    assert expression("a") != expression("b")


# ---- documentation -----------------------------------------------------------------------------


def test_docs() -> None:
    file = clean(
        "## far away\n\n## One.\n##  Two.\n##\n##Three.\naxis h  ## not this\n"
        "## lost\n# plain\nconst c = 1\n  ## C.\nconfig a { }\n## Op.\nop f : [] -> []\n"
        "## D.\ndiagram f() -> [] {\n  ## Inner.\n  axis j = 3\n}"
    )
    axis, const, config, op, diagram = file.declarations
    assert isinstance(axis, tree.AxisStatement)
    assert isinstance(const, tree.Const)
    assert isinstance(config, tree.Config)
    assert isinstance(op, tree.Op)
    assert isinstance(diagram, tree.Diagram)
    assert axis.doc == "One.\n Two.\n\nThree."
    assert (const.doc, config.doc, op.doc, diagram.doc) == ("", "C.", "Op.", "D.")
    assert diagram.body is not None
    inner = diagram.body[0]
    assert isinstance(inner, tree.AxisStatement)
    assert inner.doc == "Inner."
    assert diagram.span.text.startswith("diagram")
    assert len(file.comments) == 12


# ---- words, numbers, strings -------------------------------------------------------------------


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_keywords_are_reserved_as_whole_words(keyword: str) -> None:
    for name in (f"{keyword}b", f"{keyword}_", f"{keyword}1", f"{keyword}'", f"_{keyword}"):
        (declared,) = clean(f"const {name} = {name}").declarations
        assert isinstance(declared, tree.Const)
        assert declared.name.text == name
        assert declared.value == declared.name
    assert codes(f"const {keyword} = 3") == ["NCD1016"]
    assert clean(f"const {keyword.upper()} = 3")


def test_the_grammar_reserves_what_it_uses() -> None:
    made = language()
    assert made.lexicon.words == frozenset(KEYWORDS)
    pattern = dict(made.tables.patterns)["NAME"]
    assert f"(?!(?:{'|'.join(KEYWORDS)})" in pattern
    assert not [name for name in made.tables.terminals if "ANON" in name]


@pytest.mark.parametrize("name", ["x'", "x''", "x_1'", "α", "Δt", "_", "_1", "été", "名前", "q̇"])
def test_names(name: str) -> None:
    (declared,) = clean(f"const {name} = {name}").declarations
    assert isinstance(declared, tree.Const)
    assert declared.value == declared.name


def test_names_are_compared_in_normal_form() -> None:
    composed, decomposed = "const \u00e9 = 1", "const e\u0301 = 1"
    assert clean(composed) == clean(decomposed)
    (declared,) = clean(decomposed).declarations
    assert isinstance(declared, tree.Const)
    assert declared.name.text == "\u00e9"
    assert declared.name.span.text == "e\u0301"


@pytest.mark.parametrize(
    ("written", "value"),
    [("3", 3), ("0.5", 0.5), ("1e-6", 1e-6), ("2E3", 2000.0), ("1.25e+2", 125.0), ("007", 7)],
)
def test_numbers(written: str, value: float) -> None:
    node = expression(written)
    assert isinstance(node, tree.Number)
    assert (node.text, node.value, type(node.value)) == (written, value, type(value))


def test_strings() -> None:
    for written, value in (('""', ""), ('"a b"', "a b"), (r'"a \"b\" \\ \n"', r'a "b" \ \n')):
        node = expression(written)
        assert isinstance(node, tree.String)
        assert node.value == value


def test_white_space() -> None:
    assert clean("\ufeff\taxis\th\t=\t8\r\n\r\n\f").declarations
    for nothing in ("", "# only a comment", "\n\n\n", " \r\n"):
        assert clean(nothing).declarations == ()


# ---- expressions -------------------------------------------------------------------------------

LEVELS = [[">>"], ["|"], ["or"], ["and"], ["==", "<"], ["+", "-"], ["*", "/", "//", "%"], ["^"]]


def test_precedence() -> None:
    for i, looser in enumerate(LEVELS):
        for tighter in LEVELS[i + 1 :]:
            for a in looser:
                for b in tighter:
                    assert shape(expression(f"x {a} y {b} z")) == f"(x {a} (y {b} z))"
                    assert shape(expression(f"x {b} y {a} z")) == f"((x {b} y) {a} z)"


def test_associativity() -> None:
    for operators in LEVELS:
        for a in operators:
            for b in operators:
                text = f"x {a} y {b} z"
                if a == "^":
                    assert shape(expression(text)) == "(x ^ (y ^ z))"
                elif a in ("==", "<"):
                    assert codes(f"const c = {text}") == ["NCD1023"]
                else:
                    assert shape(expression(text)) == f"((x {a} y) {b} z)"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("-x^2", "(- (x ^ 2))"),
        ("x^-y^z", "(x ^ (- (y ^ z)))"),
        ("-x*y", "((- x) * y)"),
        ("x*-y", "(x * (- y))"),
        ("x - -y", "(x - (- y))"),
        ("not x == y and not not z", "((not (x == y)) and (not (not z)))"),
        ("f[a](x)^2", "(f[]() ^ 2)"),
        ("-f(x)[i]", "(- f()[])"),
        ("f^6(x)", "(f ^ 6())"),
        ("(f >> g)(x)", "Group()"),
        ("id + (a >> b)", "(id + Group)"),
        ("l . f(x)", "l.f()"),
    ],
)
def test_operators(written: str, read: str) -> None:
    assert shape(expression(written)) == read


def slots_of(text: str) -> tuple[list[list[str]], list[list[str]] | None]:
    """The items of a bracket's slots, before and after `->`."""

    def written(item: Any) -> str:
        return f"{item.text}.." if isinstance(item, tree.Pack) else shape(item)

    def listed(slots: tuple[tree.Slot, ...]) -> list[list[str]]:
        return [[written(item) for item in slot.items] for slot in slots]

    node = expression(f"f{text}")
    assert isinstance(node, tree.Bracketed)
    found = node.brackets
    return listed(found.slots), None if found.arrow is None else listed(found.arrow)


@pytest.mark.parametrize(
    ("written", "slots", "arrow"),
    [
        ("[]", [], None),
        ("[->]", [], []),
        ("[-> h]", [], [["h"]]),
        ("[m ->]", [["m"]], []),
        ("[q h k]", [["q", "h", "k"]], None),
        ("[h, k,]", [["h"], ["k"]], None),
        ("[q k, x k -> q x]", [["q", "k"], ["x", "k"]], [["q", "x"]]),
        ("[2*i + j, c]", [["((2 * i) + j)"], ["c"]], None),
        ("[ins.. -> outs..]", [["ins.."]], [["outs.."]]),
        ("[a ins.. b]", [["a", "ins..", "b"]], None),
        ("[x, (h k)]", [["x"], ["Composite"]], None),
        ("[t -1]", [["(t - 1)"]], None),
    ],
)
def test_brackets(written: str, slots: list[list[str]], arrow: list[list[str]] | None) -> None:
    assert slots_of(written) == (slots, arrow)


def test_settings() -> None:
    for text in ("pad[x, 1, 1, value = -inf]", "clip[min=0, max=1]", "f[h = h, k = (a b)]"):
        node = expression(text)
        assert isinstance(node, tree.Bracketed)
        assert node.brackets.slots[-1].name is not None
    assert shape(expression("max == x")) == "(max == x)"
    assert shape(expression("max==x")) == "(max == x)"


def test_calls_and_tuples() -> None:
    assert isinstance(expression("()"), tree.TupleExpr)
    assert isinstance(expression("(a,)"), tree.TupleExpr)
    assert isinstance(expression("(a, b)"), tree.TupleExpr)
    assert isinstance(expression("(a)"), tree.Group)
    assert isinstance(expression("(a b c)"), tree.Composite)
    call = expression("f(a, (b c), d,)")
    assert isinstance(call, tree.Call)
    assert len(call.arguments) == 3


# ---- statements --------------------------------------------------------------------------------


def test_equations() -> None:
    (equation,) = body("A[i], B, _ = f(X)")
    assert isinstance(equation, tree.Equation)
    assert [target.name.text for target in equation.targets] == ["A", "B", "_"]
    assert equation.targets[0].brackets is not None
    for op in ASSIGNS:
        for text in (f"Y[i]{op}X", f"Y[i] {op} X", f"Y {op} X"):
            (equation,) = body(text)
            assert isinstance(equation, tree.Equation)
            assert equation.op == op


def test_a_wire_may_be_called_max() -> None:
    assert len(body("Y = X\nmax=3\nZ max= Y")) == 3
    (equation,) = body("max=3")
    assert isinstance(equation, tree.Equation)
    assert (equation.targets[0].name.text, equation.op) == ("max", "=")


def test_returns() -> None:
    (plain,) = body("return A, f(X)")
    assert isinstance(plain, tree.Return)
    assert (plain.targets, len(plain.values)) == ((), 2)
    (named,) = body("return O[q h], P = f(X)")
    assert isinstance(named, tree.Return)
    assert (len(named.targets), len(named.values)) == (2, 1)


def test_learn() -> None:
    raw, instance, stack, held = body(
        "learn W: [f m] ~ normal(0, 0.02)\nlearn A, B: linear[m -> h k]\n"
        "learn S: layer[h]^6\nlearn V: f32[m]"
    )
    assert isinstance(raw, tree.Learn)
    assert isinstance(raw.spec, tree.ArrayTypeExpr)
    assert isinstance(raw.init, tree.Call)
    assert isinstance(instance, tree.Learn)
    assert [name.text for name in instance.names] == ["A", "B"]
    assert isinstance(instance.spec, tree.Bracketed)
    assert isinstance(stack, tree.Learn)
    assert isinstance(stack.spec, tree.Binary)
    assert isinstance(held, tree.Learn)
    assert isinstance(held.spec, tree.Bracketed)


def test_types() -> None:
    def read(text: str) -> tree.TypeExpr:
        (declared,) = body(f"Y: {text}")
        assert isinstance(declared, tree.Declaration)
        return declared.type

    naturals = read("N(v)[n]")
    assert isinstance(naturals, tree.ArrayTypeExpr)
    assert isinstance(naturals.bound, tree.Name)
    composite = read("N((h k))[]")
    assert isinstance(composite, tree.ArrayTypeExpr)
    assert isinstance(composite.bound, tree.Composite)
    held = read("f8e4m3[m]")
    assert isinstance(held, tree.ArrayTypeExpr)
    assert held.format is not None
    assert isinstance(read("([a], (B[b], []))"), tree.TupleTypeExpr)
    assert read("([a])") == read("[a]")


def test_line_ends_separate_settings_and_properties() -> None:
    assert clean("config a { h = 8, k = 64 }") == clean("config a {\n h = 8\n\n k = 64\n}")
    assert clean("config a { h = 8 + 1, k = 2 }") == clean("config a { h = 8 +\n1\nk\n=\n2\n }")
    assert clean("config a { max = 8, min = 1 }") == clean("config a {\nmax=8\nmin=1 }")
    one, two = "linear, elementwise, p = f(x)", "linear\nelementwise\np = f(\nx\n)\n"
    assert clean(f"op f: [] -> [] {{ {one} }}") == clean(f"op f: [] -> [] {{\n{two}}}")
    assert codes("config a { h = 8 k = 64 }") == ["NCD1024"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "diagram f(X: [m]) -> [m] { return X }",
            "diagram f(\n  X: [m],\n)\n  -> [m] {\n\n  return X\n\n}\n\n",
        ),
        ("diagram f(X: [m]) -> [m] { return X }", "diagram f(X: [m]) -> [m] {\nreturn X }"),
        (
            "diagram f : [m] -> [m] = a | b >> c",
            "diagram f : [m]\n -> [m]\n = a\n | b\n >> c",
        ),
        (
            "diagram f : f32[m] -> f32[m] = a",
            "diagram f :\nf32[m] ->\nf32[m] = a",
        ),
        ("axis x : set = 8", "axis x :\nset = 8"),
        ("axis x = size(y) + m, n = 4", "axis x = size(y) +\nm, n = 4"),
        ("const c = f[h k, n = 3]", "const c = f[h\nk, n = 3]"),
        ("op f[h, const p = 3] : [] -> []", "op f[h,\nconst p = 3] : [] -> []"),
    ],
)
def test_layouts_of_one_text(one: str, other: str) -> None:
    assert clean(one) == clean(other)
