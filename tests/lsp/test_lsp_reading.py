"""What the language server tells of a text, and where it leads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lsp_client import File, edits_of

# ---- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "after", "told"),
    [
        ("S[q x] =", 0, "S: [q x]"),
        ("Lq(X)", 1, "learn Lq: linear ([m] -> [k])"),
        ("P[q x] *", 0, "P: [x x]"),
        ("v = 100", 0, "axis v = 100"),
        ("attend^depth", 8, "const depth = 2"),
        ("rms_norm}", 2, "Zhang and Sennrich"),
        ("scores(Lq", 2, "Scores: every query with every key."),
        ("halved(A)", 2, "Half of it."),
        ("l.halved", 3, "Half of it."),
        ("softmax[x]", 2, "Softmax along its target axes."),
        ("sqrt(", 1, "acts on each entry"),
        ("O[x' c']", 2, "axis x' = size(x) - size(j) + 1"),
        ("j = 3", 0, "axis j = 3"),
        ("W: [c'", 0, "learn W: [c' j c]"),
    ],
)
def test_hover(main: File, words: str, after: int, told: str) -> None:
    found = main.client.request("textDocument/hover", main.at(words, after))
    assert told in found["contents"]["value"]


def test_hover_tells_sizes_that_are_known(draft: File) -> None:
    draft.type("axis m = 8\ndiagram f(X: [x m]) -> [x m] {\n  Y = X + 1\n  return Y\n}\n")
    found = draft.client.request("textDocument/hover", draft.at("Y ="))
    assert "Y: [x m]  # m = 8" in found["contents"]["value"]
    assert draft.read(found["range"]) == "Y"


def test_nothing_is_told_of_blanks_and_comments(draft: File) -> None:
    draft.type("# sqrt\n\naxis m = 8\n")
    assert draft.client.request("textDocument/hover", draft.at("sqrt", 1)) is None
    assert draft.client.request("textDocument/hover", draft.at("= 8", 1)) is None


def test_a_broken_diagram_is_told_of_as_far_as_it_goes(draft: File) -> None:
    draft.type("diagram f(X: [x m]) -> [x] {\n  Y[m x] = X[x m]\n  Z = Y +\n  return W\n}\n")
    found = draft.client.request("textDocument/hover", draft.at("Y["))
    assert "Y: [m x]" in found["contents"]["value"]


def test_inlay_hints(main: File) -> None:
    found = main.client.request("textDocument/inlayHint", main.whole)
    lines = main.text.splitlines()
    told = {(lines[each["position"]["line"]].strip(), each["label"]) for each in found}
    assert ("V = Lv(X)", ": [x m]") in told
    assert ("V = Lv(X)", "over x") in told
    assert ("return O[x' c'] = W[c' j c] * X[x' + j, c]", "x' = size(x) - size(j) + 1") in told
    assert not any(line.startswith("S[q x]") for line, _ in told)


def completions(file: File, words: str, after: int, number: int = 0) -> dict[str, dict[str, Any]]:
    found = file.client.request("textDocument/completion", file.at(words, after, number))
    return {each["label"]: each for each in found["items"]}


def test_completion_of_wires_diagrams_and_operators(main: File) -> None:
    found = completions(main, "P = scores", 4)
    assert found["Lq"]["detail"] == "learned linear"
    assert found["Y"]["detail"] == "[q m]"
    assert found["scores"]["detail"] == "diagram scores(Q: [q k], K: [x k]) -> [q x]"
    assert {"softmax", "where", "sum", "halved", "l", "pi"} <= found.keys()
    assert "Q" not in found  # it belongs to another diagram
    edit = found["scores"]["textEdit"]
    assert edit["newText"] == "scores"


def test_completion_of_axes_and_bracket_entries(draft: File) -> None:
    draft.type(
        "use std.nn.{rms_norm}\ndiagram g[k = 2](A: [a b]) -> [a k] { return Y[a k] = sum[b](A) }\n"
        "diagram f(X: [x m]) -> [x m] {\n  return rms_norm[m](X)\n}\n"
        "diagram h(X: [x m]) -> [x m] {\n  Z = g[k = 2](X)\n  return X\n}\n"
    )
    found = completions(draft, "rms_norm[m]", 9)
    assert {"x", "m", "eps = "} <= found.keys()
    assert "setting eps = 1e-6" in found["eps = "]["detail"]
    found = completions(draft, "Z = g[", 6)
    assert {"k = ", "a = ", "b = ", "x", "m"} <= found.keys()
    assert "linear" not in found


def test_completion_of_modules(main: File, draft: File) -> None:
    assert {"halved", "total"} <= completions(main, "l.halved", 2).keys()
    draft.type("use std.nn.{linear}\nuse \n")
    assert {"linear", "rms_norm", "embedding"} <= completions(draft, "{linear", 1).keys()
    assert {"nn", "attention", "conv"} <= completions(draft, "std.nn", 4).keys()
    assert {"std", "layers", "main"} <= completions(draft, "use ", 4, 1).keys()


def test_completion_of_statements_types_and_settings(main: File, draft: File) -> None:
    draft.type("\ndiagram f(X: f32[x]) -> [x] {\n  \n}\n")
    assert completions(draft, "\ndiagram", 0).keys() >= {"use", "diagram", "axis", "op"}
    assert {"learn", "return", "block", "X"} <= completions(draft, "{\n  ", 4).keys()
    assert {"bf16", "N", "B"} <= completions(draft, "X: f", 4).keys()
    assert {"v", "k", "depth"} <= completions(main, "{ v = 10", 2).keys()


def test_completion_in_a_comment_is_silent_and_its_documentation_comes_later(main: File) -> None:
    assert completions(main, "every query", 3) == {}
    item = completions(main, "P = scores", 4)["scores"]
    resolved = main.client.request("completionItem/resolve", item)
    assert "every query with every key" in resolved["documentation"]["value"]


def test_completion_of_the_library_adds_its_use(draft: File) -> None:
    draft.type("use std.nn.{linear}\ndiagram f(X: [x m]) -> [x m] { return emb }\n")
    item = completions(draft, "return emb", 10)["embedding"]
    assert item["detail"] == "use std.nn"
    resolved = draft.client.request("completionItem/resolve", item)
    edits = [resolved["textEdit"], *resolved["additionalTextEdits"]]
    changed = draft.edited(edits)
    assert changed.startswith("use std.nn.{linear, embedding}\n")
    assert "return embedding }" in changed


def test_signature_help(main: File) -> None:
    found = main.client.request("textDocument/signatureHelp", main.at("scores(Lq(X), L", 15))
    (signature,) = found["signatures"]
    assert signature["label"] == "diagram scores(Q: [q k], K: [x k]) -> [q x]"
    assert [each["label"] for each in signature["parameters"]] == ["Q: [q k]", "K: [x k]"]
    assert found["activeParameter"] == 1
    learned = main.client.request("textDocument/signatureHelp", main.at("Lv(X)", 3))
    assert "linear[ins.. -> outs..]" in learned["signatures"][0]["label"]


# ---- going places ------------------------------------------------------------------------------


def test_definitions_in_other_files_and_in_the_library(main: File, root: Path) -> None:
    ask = main.client.request
    found = ask("textDocument/definition", main.at("halved(A)", 1))
    assert found["uri"] == (root / "layers.ncd").as_uri()
    assert found["range"]["start"] == {"line": 1, "character": 8}
    found = ask("textDocument/definition", main.at("linear[m -> k]", 1))
    assert found["uri"].endswith("std/nn.ncd")
    assert "diagram linear" in Path(found["uri"].removeprefix("file://")).read_text()
    assert ask("textDocument/definition", main.at("softmax[x]", 1))["uri"].endswith("prelude.ncd")
    assert ask("textDocument/definition", main.at("layers.{", 1))["uri"].endswith("layers.ncd")
    found = ask("textDocument/definition", main.at("Lq(X)", 1))
    assert main.read(found["range"]) == "Lq"
    assert found["range"]["start"] == main.place("Lq, Lk")


def test_references_across_files(main: File, root: Path) -> None:
    params = {**main.at("halved(A)", 1), "context": {"includeDeclaration": True}}
    found = main.client.request("textDocument/references", params)
    by_file: dict[str, int] = {}
    for each in found:
        by_file[Path(each["uri"]).name] = by_file.get(Path(each["uri"]).name, 0) + 1
    assert by_file == {"main.ncd": 3, "layers.ncd": 1}
    params["context"]["includeDeclaration"] = False
    assert len(main.client.request("textDocument/references", params)) == 3


def test_highlights_tell_definitions_from_uses(main: File) -> None:
    found = main.client.request("textDocument/documentHighlight", main.at("V[x m]"))
    assert [each["kind"] for each in found] == [3, 2]


def test_rename_across_files(main: File, root: Path) -> None:
    assert main.client.request("textDocument/prepareRename", main.at("halved(A)", 1)) is not None
    params = {**main.at("halved(A)", 1), "newName": "half"}
    changes = edits_of(main.client.request("textDocument/rename", params))
    assert {Path(uri).name: len(edits) for uri, edits in changes.items()} == {
        "main.ncd": 3,
        "layers.ncd": 1,
    }
    changed = main.edited(changes[main.uri])
    assert "l.half(half(A))" in changed
    assert "use layers.{half}" in changed


def test_rename_of_an_axis_keeps_to_its_diagram(main: File) -> None:
    params = {**main.at("[q k], K", 1), "newName": "ψ"}
    changed = main.edited(edits_of(main.client.request("textDocument/rename", params))[main.uri])
    assert "S[ψ x] = Q[ψ k] * K[x k]" in changed
    assert "Y[q m] = P[q x]" in changed


@pytest.mark.parametrize(
    ("words", "name", "told"),
    [
        ("halved(A)", "return", "keyword"),
        ("halved(A)", "2x", "is no name"),
        ("halved(A)", "scores", "means something else"),
        ("V[x m]", "P", "means something else"),
        ("halved(A)", "softmax", "means something else"),
        ("linear[m -> k]", "lin", "standard library"),
        ("softmax[x]", "soft", "standard library"),
        ("k](X", "kk", "leaves `k` open"),
    ],
)
def test_renames_that_are_refused(main: File, words: str, name: str, told: str) -> None:
    params = {**main.at(words), "newName": name}
    assert told in main.client.refusal("textDocument/rename", params)


def test_symbols_of_a_document(main: File) -> None:
    params = {"textDocument": {"uri": main.uri}}
    found = main.client.request("textDocument/documentSymbol", params)
    by_name = {each["name"]: each for each in found}
    assert list(by_name) == [
        *("v", "depth", "scores", "attend", "conv", "stack", "twice", "small"),
    ]
    children = [each["name"] for each in by_name["attend"]["children"]]
    assert children == ["Lq", "Lk", "Lv", "P", "V", "Mix", "R"]
    for each in found:
        assert main.read(each["selectionRange"]) == each["name"]


def test_symbols_of_the_workspace(main: File) -> None:
    found = main.client.request("workspace/symbol", {"query": "hlv"})
    assert [(each["name"], Path(each["location"]["uri"]).name) for each in found] == [
        ("halved", "layers.ncd")
    ]


def test_folding(main: File) -> None:
    params = {"textDocument": {"uri": main.uri}}
    found = main.client.request("textDocument/foldingRange", params)
    lines = main.text.splitlines()
    told = {(lines[each["startLine"]], lines[each["endLine"]], each["kind"]) for each in found}
    assert (lines[0], lines[2], "imports") in told
    assert (
        "diagram scores(Q: [q k], K: [x k]) -> [q x] {",
        "  return softmax[x](S)",
        "region",
    ) in told
    assert ('  block "Mix" {', "    Y[q m] = P[q x] * V[x m]", "region") in told
