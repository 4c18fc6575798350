"""The language server among odd editors, odd files and odd messages: it answers, and goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lsp_client import Client, File

PLAIN = "diagram f(X: [x m]) -> [x m] {\n  Y = relu(X)\n  return Y\n}\n"
WATCHED = sys.platform != "win32"


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[Client]:
    made = Client(root)
    yield made
    assert made.stop() == 0
    assert b"Traceback" not in made.errors


@pytest.fixture
def plain(client: Client, root: Path) -> Iterator[File]:
    made = File(client, root / "plain.ncd", PLAIN)
    assert made.open() == []
    yield made
    made.version += 10
    assert made.type(PLAIN + "# still checked\n") == []
    client.close(made.uri)


def codes(found: list[dict[str, Any]]) -> list[str]:
    return [each["code"] for each in found]


# ---- messages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        None,
        [],
        {},
        {"textDocument": {"uri": 5}, "position": None},
        {"position": {"line": -1, "character": 0}},
        {"position": {"line": 2**40, "character": 0}},
        {"position": {"line": "a", "character": {}}},
    ],
)
def test_a_request_that_can_not_be_read_is_refused(plain: File, params: Any) -> None:
    given = {"textDocument": {"uri": plain.uri}, **params} if isinstance(params, dict) else params
    if params == {}:
        given = {}
    answered = plain.client.answer(plain.client.ask("textDocument/hover", given))
    assert answered["error"]["code"] == -32602


@pytest.mark.parametrize("params", [{}, {"textDocument": {}, "position": {"line": 0}}])
def test_a_drawing_without_a_place_is_refused(plain: File, params: dict[str, Any]) -> None:
    assert "position" in plain.client.refusal("ncd/drawing", params)


def test_places_far_away_are_the_end_of_the_text(plain: File) -> None:
    far = {"line": 10**9, "character": 10**9}
    params = {"textDocument": {"uri": plain.uri}, "position": far}
    assert plain.client.request("textDocument/hover", params) is None


def test_requests_after_the_end_are_refused(tmp_path: Path) -> None:
    client = Client(tmp_path)
    client.request("shutdown", None)
    assert "shut down" in client.refusal("workspace/symbol", {"query": ""})
    client.notify("exit", None)
    assert client.process.wait(30) == 0


def test_an_editor_that_can_nothing_is_served(tmp_path: Path) -> None:
    client = Client(tmp_path, capabilities={})
    file = File(client, tmp_path / "a.ncd", PLAIN)
    assert file.open() == []
    edits = client.request("textDocument/rename", {**file.at("Y ="), "newName": "Z"})
    assert "return Z" in file.edited(edits["changes"][file.uri])
    assert client.asked == []
    assert client.stop() == 0


# ---- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("uri", ["", "file://[", "file:///a%00.ncd", "untitled:1", "http://a/b"])
def test_a_document_with_an_odd_address_disturbs_no_other(plain: File, uri: str) -> None:
    item = {"uri": uri, "languageId": "ncd", "version": 1, "text": "use plain.{f}\n" + PLAIN}
    plain.client.notify("textDocument/didOpen", {"textDocument": item})
    plain.version += 1
    assert codes(plain.type(PLAIN.replace("relu", "rel"))) == ["NCD2001"]
    plain.client.answer(plain.client.ask("textDocument/codeLens", {"textDocument": {"uri": uri}}))
    plain.client.close(uri)


def test_settings_that_name_no_folder_are_ignored(plain: File) -> None:
    odd = {"settings": {"ncd": {"include": [1, None, "a\0b", "~nobody/x"]}}}
    plain.client.notify("workspace/didChangeConfiguration", odd)
    assert codes(plain.type(PLAIN.replace("relu", "rel"))) == ["NCD2001"]


# ---- files -------------------------------------------------------------------------------------


def test_both_ends_of_a_circle_of_open_files_are_told(client: Client, root: Path) -> None:
    one = File(client, root / "one.ncd", "use two.{g}\ndiagram f(X: [x]) -> [x] { return g(X) }\n")
    two = File(client, root / "two.ncd", "use one.{f}\ndiagram g(X: [x]) -> [x] { return f(X) }\n")
    one.open()
    two.open()
    for each in (one, two):
        client.until(each.uri, ["NCD4005"])
    two.type("diagram g(X: [x]) -> [x] { return X }\n")
    for each in (one, two):
        client.until(each.uri, [])
        client.close(each.uri)


def test_a_file_that_is_gone_and_back(plain: File, client: Client, root: Path) -> None:
    plain.type("use gone.{h}\n" + PLAIN.replace("relu", "h"))
    client.until(plain.uri, ["NCD4006"])
    told = {"changes": [{"uri": (root / "gone.ncd").as_uri(), "type": 1}]}
    for content, found in [
        (b"diagram h(X: [n]) -> [n] { return X }", []),
        (b"diagram h(X: [n]) -> [n] { return X }\n\xff", ["NCD4006"]),
        (b"diagram h(X: [n]) -> [n] {\r  return X\r}\r", []),
    ]:
        (root / "gone.ncd").write_bytes(content)
        client.notify("workspace/didChangeWatchedFiles", told)
        client.until(plain.uri, found)
    (root / "gone.ncd").unlink()
    client.notify("workspace/didChangeWatchedFiles", told)
    client.until(plain.uri, ["NCD4006"])


def test_a_huge_file_keeps_nobody_waiting(plain: File, client: Client, root: Path) -> None:
    huge = File(client, root / "huge.ncd", "")
    text = PLAIN * 20_000
    item = {"uri": huge.uri, "languageId": "ncd", "version": 1, "text": text}
    client.notify("textDocument/didOpen", {"textDocument": item})
    (found,) = client.wait(huge.uri, 1)
    assert "not checked here" in found["message"]
    assert client.request("textDocument/documentSymbol", {"textDocument": {"uri": huge.uri}}) == []
    assert len(client.request("workspace/symbol", {"query": "f"})) < 5
    client.change(huge.uri, 2, {"text": PLAIN.replace("relu", "rel")})
    assert codes(client.wait(huge.uri, 2)) == ["NCD2001"]
    client.close(huge.uri)
    huge.path.unlink()


# ---- names -------------------------------------------------------------------------------------

SETTINGS = """diagram a[h](X: [x m]) -> [x h] {
  learn W: [h m]
  return Y[x h] = X[x m] * W[h m]
}
diagram b[h, k](X: [x m]) -> [x h] { return a[h](X) }
diagram c(X: [x k]) -> [x k] { return X }
config small { h = 8, k = 4 }
"""


def test_a_setting_is_the_axis_of_the_diagram_that_has_it_free(plain: File) -> None:
    assert plain.type(SETTINGS) == []
    params = {**plain.at("k](X"), "newName": "heads"}
    made = plain.client.request("textDocument/rename", params)
    changed = plain.edited(made["documentChanges"][0]["edits"])
    assert "diagram b[h, heads]" in changed
    assert "config small { h = 8, heads = 4 }" in changed
    assert "diagram c(X: [x k])" in changed


def test_an_axis_that_a_config_sets_for_several_keeps_its_name(plain: File) -> None:
    plain.type(SETTINGS.replace("a[h](X)", "a[h = h](X)"))
    refusal = plain.client.refusal("textDocument/rename", {**plain.at("h](X"), "newName": "g"})
    assert "config `small` sets the `h` of several diagrams" in refusal


def test_hints_do_not_repeat_what_is_written(plain: File) -> None:
    plain.type(
        "diagram f(X: [x]) -> [n w] {\n  axis w = 4\n  axis n = size(x)//4\n"
        "  axis k = size(w) * 2\n  return Y[n w] = X[4*n + w]\n}\n"
    )
    found = plain.client.request("textDocument/inlayHint", plain.whole)
    assert [each["label"] for each in found] == ["k = 8"]


# ---- the end -----------------------------------------------------------------------------------

if WATCHED:

    def test_the_server_ends_with_its_editor_though_its_input_stays_open(tmp_path: Path) -> None:
        editor = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        client = Client(tmp_path, processId=editor.pid)
        client.request("workspace/symbol", {"query": ""})
        editor.communicate(b"\n")
        assert client.process.wait(30) == 1

    def test_an_editor_that_can_not_be_seen_is_not_waited_for(tmp_path: Path) -> None:
        gone = subprocess.Popen([sys.executable, "-c", "pass"])
        gone.wait()
        client = Client(tmp_path, processId=gone.pid)
        assert client.request("workspace/symbol", {"query": ""}) == []
        assert client.stop() == 0


def test_a_killed_editor_leaves_no_server(tmp_path: Path) -> None:
    """Its end closes the pipe, and that is enough."""
    code = (
        "import subprocess, sys, time\n"
        f"made = subprocess.Popen([{sys.executable!r}, '-m', 'ncdlang.cli', 'lsp'],\n"
        "    stdin=subprocess.PIPE, stdout=sys.stdout)\n"
        "print(made.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    editor = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert editor.stdout is not None
    server = int(editor.stdout.readline())
    editor.kill()
    editor.wait()
    assert editor.stdout.read() == b""  # both ends of it are closed
    try:
        os.kill(server, 0)
    except ProcessLookupError:
        return
