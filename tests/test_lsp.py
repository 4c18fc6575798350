"""The language server, over the protocol: a client process, real files."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lsp_client import Client, File
from tests.test_suite import CASES

FULL = bool(os.environ.get("NCDLANG_FULL"))

LAYERS = """## Half of it.
diagram halved(X: [n]) -> [n] { return 0.5 * X }

## Sums over the last axis.
diagram total[scale = 2](X: [x h]) -> [x] {
  return Y[x] = sum[h](X)
}
"""

MAIN = """use std.nn.{linear, rms_norm}
use layers.{halved}
use layers as l

axis v = 100
const depth = 2

## Scores: every query with every key.
diagram scores(Q: [q k], K: [x k]) -> [q x] {
  S[q x] = Q[q k] * K[x k] / sqrt(size(k))
  return softmax[x](S)
}

diagram attend[k](X: [x m]) -> [x m] {
  learn Lq, Lk: linear[m -> k]
  learn Lv: linear[m -> m]
  P = scores(Lq(X), Lk(X))
  V = Lv(X)
  block "Mix" {
    Y[q m] = P[q x] * V[x m]
  }
  return R[x m] = X[x m] + Y[x, m]
}

diagram conv[j = 3, c'](X: [x c]) -> [x' c'] {
  learn W: [c' j c]
  return O[x' c'] = W[c' j c] * X[x' + j, c]
}

diagram stack[k] : [x m] -> [x m] = attend^depth

diagram twice(A: [a b]) -> [a b] { return l.halved(halved(A)) }

config small { v = 10, k = 4 }
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[Client]:
    made = Client(root)
    yield made
    made.settle()
    assert made.log == []
    assert made.windows == []
    assert made.stop() == 0
    assert b"Traceback" not in made.errors


@pytest.fixture(scope="module")
def main(client: Client, root: Path) -> File:
    (root / "layers.ncd").write_text(LAYERS, encoding="utf-8")
    made = File(client, root / "main.ncd", MAIN)
    assert made.open() == []
    return made


@pytest.fixture
def draft(client: Client, root: Path) -> Iterator[File]:
    """A document of the test's own, empty at first."""
    made = File(client, root / "draft.ncd", "")
    assert made.open() == []
    yield made
    client.close(made.uri)
    made.path.unlink()


def edits_of(change: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {each["textDocument"]["uri"]: each["edits"] for each in change["documentChanges"]}


# ---- findings ----------------------------------------------------------------------------------


def test_findings_come_with_the_version_of_the_text(draft: File) -> None:
    found = draft.type("diagram f(Wide: [x]) -> [x] { return Wied }\n")
    assert [each["code"] for each in found] == ["NCD2001"]
    (only,) = found
    assert draft.read(only["range"]) == "Wied"
    assert only["severity"] == 1
    assert only["source"] == "ncdc"
    assert "did you mean `Wide`?" in only["message"]
    (related,) = only["relatedInformation"]
    assert related["message"] == "`Wide` is defined here"
    assert draft.read(related["location"]["range"]) == "Wide"
    assert draft.type("diagram f(X: [x]) -> [x] { return X }\n") == []


def test_an_edit_of_a_range_is_applied_in_utf_16(draft: File, client: Client) -> None:
    draft.type("# 🙂 ναι\ndiagram f(X: [α]) -> [α] { return X } # 🙂🙂\n")
    place = draft.place("🙂🙂", 1)
    draft.version += 1
    end = {"line": place["line"], "character": place["character"] + 2}
    client.change(
        draft.uri, draft.version, {"range": {"start": place, "end": end}, "text": "\naxis α = β"}
    )
    found = client.wait(draft.uri, draft.version)
    draft.text = draft.text.replace("🙂🙂", "🙂\naxis α = β")
    assert [draft.read(each["range"]) for each in found] == ["β"]


def test_columns_are_counted_in_utf_16(draft: File) -> None:
    found = draft.type('diagram f(Ω: [α]) -> [α] { block "🙂🙂" { Y = ΩΩ }\n return Y }\n')
    assert [draft.read(each["range"]) for each in found] == ["ΩΩ"]
    assert found[0]["range"]["start"]["character"] == len('diagram f(Ω: [α]) -> [α] { block "') + 12


@pytest.mark.parametrize(("encoding", "column"), [("utf-8", 17), ("utf-32", 14)])
def test_the_encoding_of_positions_is_agreed_on(tmp_path: Path, encoding: str, column: int) -> None:
    made = Client(tmp_path, encodings=[encoding])
    assert made.server["capabilities"]["positionEncoding"] == encoding
    (found,) = made.open((tmp_path / "a.ncd").as_uri(), "axis αβγ = 1, 🙂\n")[:1]
    assert found["range"]["start"]["character"] == column
    assert made.stop() == 0


def test_findings_of_a_file_that_is_used_are_told_at_its_address(
    draft: File, client: Client, root: Path
) -> None:
    used = root / "used.ncd"
    used.write_text("diagram g(X: [x]) -> [x] { return Z }\n", encoding="utf-8")
    draft.type("use used.{g}\ndiagram f(X: [x]) -> [x] { return g(X) }\n")
    (found,) = client.until(used.as_uri(), ["NCD2001"])
    assert found["range"]["start"] == {"line": 0, "character": 34}
    draft.type("diagram f(X: [x]) -> [x] { return X }\n")
    client.until(used.as_uri(), [])


def test_an_open_buffer_stands_for_its_file(draft: File, client: Client, root: Path) -> None:
    other = File(client, root / "other.ncd", "diagram g(X: [x]) -> [x] { return X }\n")
    other.open()
    assert draft.type("use other.{g}\ndiagram f(X: [x]) -> [x] { return g(X) }\n") == []
    other.type("diagram gg(X: [x]) -> [x] { return X }\n")  # and not saved
    client.until(draft.uri, ["NCD4007"])
    client.close(other.uri)
    client.until(draft.uri, [])


def test_a_file_that_is_not_saved_yet_can_be_used(draft: File, client: Client, root: Path) -> None:
    uri = (root / "fresh.ncd").as_uri()
    client.open(uri, "diagram g(X: [x]) -> [x] { return X }\n")
    assert draft.type("use fresh.{g}\ndiagram f(X: [x]) -> [x] { return g(X) }\n") == []
    client.close(uri)
    client.until(draft.uri, ["NCD4006"])


def test_changes_on_the_disk_are_seen(draft: File, client: Client, root: Path) -> None:
    path = root / "disk.ncd"
    path.write_text("diagram g(X: [x]) -> [x] { return X }\n", encoding="utf-8")
    assert draft.type("use disk.{g}\ndiagram f(X: [x]) -> [x] { return g(X) }\n") == []
    path.unlink()
    change = {"changes": [{"uri": path.as_uri(), "type": 3}]}
    client.notify("workspace/didChangeWatchedFiles", change)
    client.until(draft.uri, ["NCD4006"])
    assert "client/registerCapability" in client.asked


def test_modules_outside_of_the_folders_are_not_read(
    draft: File, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.ncd"
    outside.write_text("diagram secret(X: [x]) -> [x] { return X }\n", encoding="utf-8")
    (root / "link.ncd").symlink_to(outside)
    found = draft.type("use link.{secret}\ndiagram f(X: [x]) -> [x] { return X }\n")
    assert [each["code"] for each in found] == ["NCD4006"]
    assert "link that leaves its folder" in found[0]["message"]
    (root / "link.ncd").unlink()


def test_folders_of_the_settings_are_searched(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "far.ncd").write_text("diagram g(X: [x]) -> [x] { return X }\n")
    text = "use far.{g}\ndiagram f(X: [x]) -> [x] { return g(X) }\n"
    made = Client(tmp_path, initializationOptions={"include": ["more", 3]})
    uri = (tmp_path / "a.ncd").as_uri()
    assert made.open(uri, text) == []
    made.notify("workspace/didChangeConfiguration", {"settings": {"ncd": {"include": []}}})
    made.until(uri, ["NCD4006"])
    assert made.stop() == 0


def test_a_buffer_without_a_file_is_checked(client: Client) -> None:
    found = client.open("untitled:Untitled-1", "use std.nn.{linear}\naxis a = b\n")
    assert [each["code"] for each in found] == ["NCD2001"]
    client.close("untitled:Untitled-1")
    client.until("untitled:Untitled-1", [])


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


# ---- changing ----------------------------------------------------------------------------------

LOOSE = "axis   a=1\n\ndiagram f( X:[x] )->[x]{\nreturn X\n}\naxis   b=2\n"
NEAT = "axis a = 1\n\ndiagram f(X: [x]) -> [x] {\n  return X\n}\naxis b = 2\n"


def test_formatting(draft: File) -> None:
    draft.type(LOOSE)
    options = {"tabSize": 2, "insertSpaces": True}
    params = {"textDocument": {"uri": draft.uri}, "options": options}
    assert draft.edited(draft.client.request("textDocument/formatting", params)) == NEAT
    range = {"start": {"line": 5, "character": 0}, "end": {"line": 5, "character": 4}}
    edits = draft.client.request("textDocument/rangeFormatting", {**params, "range": range})
    assert draft.edited(edits) == LOOSE.replace("axis   b=2", "axis b = 2")
    draft.type("diagram f(\n")
    assert draft.client.request("textDocument/formatting", params) == []


def test_quick_fixes(draft: File) -> None:
    found = draft.type("diagram f(X: [x]) -> [x] {\n  Wide = exp(X)\n  return Wied + lgo(X)\n}\n")
    assert [each["code"] for each in found] == ["NCD2001", "NCD2001"]
    params = {
        "textDocument": {"uri": draft.uri},
        "range": found[0]["range"],
        "context": {"diagnostics": found},
    }
    (action,) = draft.client.request("textDocument/codeAction", params)
    assert action["kind"] == "quickfix"
    assert action["isPreferred"]
    assert "return Wide + lgo(X)" in draft.edited(edits_of(action["edit"])[draft.uri])
    params["context"] = {"diagnostics": [], "only": ["source.fixAll"]}
    (action,) = draft.client.request("textDocument/codeAction", params)
    assert "return Wide + log(X)" in draft.edited(edits_of(action["edit"])[draft.uri])


def test_a_fix_adds_what_is_used(draft: File) -> None:
    found = draft.type("diagram f(X: [x m]) -> [x m] { return rms_norm[m](X) }\n")
    params = {
        "textDocument": {"uri": draft.uri},
        "range": found[0]["range"],
        "context": {"diagnostics": found},
    }
    (action,) = draft.client.request("textDocument/codeAction", params)
    changed = draft.edited(edits_of(action["edit"])[draft.uri])
    assert changed.startswith("use std.nn.{rms_norm}\n")
    assert draft.type(changed) == []


def test_semantic_tokens(main: File) -> None:
    legend = main.client.server["capabilities"]["semanticTokensProvider"]["legend"]
    params = {"textDocument": {"uri": main.uri}}
    data = main.client.request("textDocument/semanticTokens/full", params)["data"]
    lines = main.text.splitlines()
    line, column = 0, 0
    told: list[tuple[str, str]] = []
    for i in range(0, len(data), 5):
        down, right, length, kind, _ = data[i : i + 5]
        line, column = line + down, right if down else column + right
        told.append((lines[line][column : column + length], legend["tokenTypes"][kind]))
    assert ("diagram", "keyword") in told
    assert ("scores", "function") in told
    assert ("q", "typeParameter") in told
    assert ("Q", "parameter") in told
    assert ("depth", "enumMember") in told
    assert ("100", "number") in told
    assert ('"Mix"', "string") in told
    assert ("## Scores: every query with every key.", "comment") in told
    assert all(word.strip() == word and word for word, _ in told)


def test_code_lenses(main: File) -> None:
    params = {"textDocument": {"uri": main.uri}}
    found = main.client.request("textDocument/codeLens", params)
    first = [each["command"] for each in found[:3]]
    assert [each["command"] for each in first] == ["ncd.showDrawing", "ncd.explain", "ncd.cost"]
    assert first[0]["arguments"] == [{"uri": main.uri, "diagram": "scores"}]


def test_the_drawing_of_the_diagram_under_the_cursor(main: File, draft: File) -> None:
    found = main.client.request("ncd/drawing", {**main.at("S[q x]"), "theme": "dark"})
    assert found["title"] == "scores"
    assert "<svg" in found["svg"]
    draft.type("# nothing yet\n")
    assert draft.client.request("ncd/drawing", draft.at("nothing")) is None
    draft.type("diagram f(X: [x]) -> [x] { return Y }\n")
    assert draft.client.request("ncd/drawing", draft.at("return")) is None


# ---- what goes wrong ---------------------------------------------------------------------------


def test_wrong_programs_do_not_stop_the_server(draft: File) -> None:
    """Cases of the suite, whole and cut short."""
    texts = [text for _, case in CASES[:: 1 if FULL else 25] for text in case.files.values()]
    source = random.Random(1)
    methods = ("hover", "completion", "signatureHelp", "definition")
    for text in texts:
        draft.type(text)
        draft.type(text[: source.randrange(len(text) + 1)])
        lines = draft.text.count("\n")
        place = {"line": source.randrange(lines + 3), "character": source.randrange(60)}
        params = {"textDocument": {"uri": draft.uri}, "position": place}
        for method in methods:
            draft.client.request(f"textDocument/{method}", params)
        document = {"textDocument": {"uri": draft.uri}}
        for method in ("documentSymbol", "foldingRange", "semanticTokens/full", "codeLens"):
            draft.client.request(f"textDocument/{method}", document)
        draft.client.request("textDocument/inlayHint", draft.whole)


def test_deep_nesting_is_a_finding(draft: File) -> None:
    found = draft.type(f"const c = {'(' * 5000}1{')' * 5000}\n")
    assert [each["code"] for each in found] == ["NCD1014"]
    found = draft.type("diagram f(X: [x]) -> [x] { return " + "-" * 5000 + "X }\n")
    assert found
    long = " + ".join(["X"] * 3000)
    draft.type(f"diagram f(X: [x]) -> [x] {{ return {long} }}\n")
    params = {"textDocument": {"uri": draft.uri}}
    assert draft.client.request("textDocument/documentSymbol", params) is not None


def test_requests_for_what_is_not_there_have_empty_answers(main: File, tmp_path: Path) -> None:
    missing = {"textDocument": {"uri": (tmp_path / "none.ncd").as_uri()}}
    place = {"position": {"line": 0, "character": 0}}
    assert main.client.request("textDocument/hover", {**missing, **place}) is None
    assert main.client.request("textDocument/documentSymbol", missing) == []
    secret = tmp_path / "secret.ncd"  # in no folder of the editor: it is not read
    secret.write_text("axis a = 1\n")
    params = {"textDocument": {"uri": secret.as_uri()}}
    assert main.client.request("textDocument/documentSymbol", params) == []
    far = {"line": 10**6, "character": 10**6}
    params = {"textDocument": {"uri": main.uri}, "position": far}
    assert main.client.request("textDocument/hover", params) is None
    message = main.client.refusal("textDocument/prepareRename", params)
    assert "no name here" in message


def test_a_cancelled_request_and_one_of_an_unknown_kind(main: File) -> None:
    number = main.client.ask("textDocument/hover", main.at("Lq(X)", 1))
    main.client.notify("$/cancelRequest", {"id": number})
    answered = main.client.answer(number)
    assert "result" in answered or answered["error"]["code"] == -32800
    assert "error" in main.client.answer(main.client.ask("ncd/unknown", {}))
    assert main.client.request("textDocument/hover", main.at("Lq(X)", 1)) is not None


def test_a_message_that_is_no_message_is_survived(tmp_path: Path) -> None:
    made = Client(tmp_path)
    made.send_raw(b"{ this is no JSON")
    made.send_raw(json.dumps({"jsonrpc": "2.0", "method": "textDocument/didOpen"}).encode())
    found = made.open((tmp_path / "a.ncd").as_uri(), "axis a = b\n")
    assert [each["code"] for each in found] == ["NCD2001"]
    assert made.windows == []
    assert made.stop() == 0
    assert b"Traceback" not in made.errors


def test_quick_edits_are_all_taken_and_the_last_is_told(draft: File, client: Client) -> None:
    text = "diagram f(X: [x]) -> [x] { return  }\n"
    draft.type(text)
    place = draft.place("return ", 7)
    for letter in "exp(X)":
        draft.version += 1
        range = {"start": dict(place), "end": dict(place)}
        client.change(draft.uri, draft.version, {"range": range, "text": letter})
        place["character"] += 1
    assert client.wait(draft.uri, draft.version) == []


def test_an_editor_that_is_gone_ends_the_server(tmp_path: Path) -> None:
    made = Client(tmp_path)
    assert made.process.stdin is not None
    made.process.stdin.close()
    made.process.wait(20)
    assert b"Traceback" not in made.errors


def test_without_pygls_the_command_says_what_it_needs() -> None:
    """A server that is started where its library is missing."""
    program = (
        "import sys; sys.modules['pygls'] = None; sys.modules['lsprotocol'] = None; "
        "from ncdlang.cli.main import main; sys.exit(main(['lsp']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert "ncdc lsp needs pygls" in done.stderr
    assert "ncdlang[lsp]" in done.stderr
