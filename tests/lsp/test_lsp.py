"""The language server, over the protocol: a client process, real files."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lsp_client import Client, File, edits_of
from tests.test_suite import CASES

FULL = bool(os.environ.get("NCDLANG_FULL"))


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
