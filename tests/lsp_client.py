"""A client of `ncdc lsp`: a process, and messages over its standard input and output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from time import perf_counter
from typing import Any

PATIENCE = 60.0


class Client:
    """Talks to a server that runs in a process of its own.

    Requests of the server are answered with null. What it tells is kept: the findings of each file,
    its log.
    """

    def __init__(self, root: Path | None = None, *arguments: str, **more: Any) -> None:
        command = [sys.executable, "-m", "ncdlang.cli", "lsp", *arguments]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._messages: Queue[dict[str, Any] | None] = Queue()
        self._answers: dict[int, dict[str, Any]] = {}
        self._number = 0
        self.findings: dict[str, dict[str, Any]] = {}
        self.published: deque[dict[str, Any]] = deque()
        self.log: list[str] = []
        self.windows: list[str] = []
        self.asked: list[str] = []
        self.errors = bytearray()
        Thread(target=self._read, daemon=True).start()
        Thread(target=self._read_errors, daemon=True).start()
        uri = root.as_uri() if root is not None else None
        capabilities: dict[str, Any] = {
            "general": {"positionEncodings": more.pop("encodings", ["utf-16"])},
            "workspace": {
                "workspaceEdit": {"documentChanges": True},
                "didChangeWatchedFiles": {"dynamicRegistration": True},
            },
        }
        self.server = self.request(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": uri,
                "workspaceFolders": [{"uri": uri, "name": "root"}] if uri else None,
                "capabilities": capabilities,
                **more,
            },
        )
        self.notify("initialized", {})

    # ---- messages ------------------------------------------------------------------------------

    def send(self, message: dict[str, Any]) -> None:
        self.send_raw(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def send_raw(self, body: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def notify(self, method: str, params: Any) -> None:
        self.send({"method": method, "params": params})

    def ask(self, method: str, params: Any) -> int:
        self._number += 1
        self.send({"id": self._number, "method": method, "params": params})
        return self._number

    def answer(self, number: int) -> dict[str, Any]:
        while number not in self._answers:
            self.receive()
        return self._answers.pop(number)

    def request(self, method: str, params: Any) -> Any:
        answered = self.answer(self.ask(method, params))
        assert "error" not in answered, answered["error"]
        return answered["result"]

    def refusal(self, method: str, params: Any) -> str:
        """The message of a request that is refused."""
        message: str = self.answer(self.ask(method, params))["error"]["message"]
        return message

    def receive(self, patience: float = PATIENCE) -> dict[str, Any]:
        """Take one message; raises `Empty` if none comes."""
        message = self._messages.get(timeout=patience)
        assert message is not None, f"the server stopped: {self.errors.decode()}"
        method = message.get("method")
        if method is None:
            self._answers[message["id"]] = message
        elif "id" in message:
            self.asked.append(method)
            self.send({"id": message["id"], "result": None})
        elif method == "textDocument/publishDiagnostics":
            told = {**message["params"], "received": message["received"]}
            self.findings[told["uri"]] = told
            self.published.append(message["params"])
        elif method == "window/logMessage":
            self.log.append(message["params"]["message"])
        elif method == "window/showMessage":
            self.windows.append(message["params"]["message"])
        return message

    def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        while True:
            length = 0
            while line := stream.readline().strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if not length:
                self._messages.put(None)
                return
            message = json.loads(stream.read(length))
            message["received"] = perf_counter()
            self._messages.put(message)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        while data := self.process.stderr.read1(65536):
            self.errors += data

    # ---- documents -----------------------------------------------------------------------------

    def open(self, uri: str, text: str, version: int = 1) -> list[dict[str, Any]]:
        """Open a document and wait for what is found in it."""
        item = {"uri": uri, "languageId": "ncd", "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})
        return self.wait(uri, version)

    def change(self, uri: str, version: int, *changes: dict[str, Any]) -> None:
        document = {"uri": uri, "version": version}
        self.notify(
            "textDocument/didChange", {"textDocument": document, "contentChanges": list(changes)}
        )

    def replace(self, uri: str, version: int, text: str) -> list[dict[str, Any]]:
        """Change all of a document and wait for what is found in it."""
        self.change(uri, version, {"text": text})
        return self.wait(uri, version)

    def close(self, uri: str) -> None:
        self.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    def wait(self, uri: str, version: int | None) -> list[dict[str, Any]]:
        """What is found in a version of a document, told now or already.

        Where a check takes long some of it is told before the rest. A request waits for the check,
        and the answer to another one comes after all that was told of it.
        """
        while self.findings.get(uri, {"version": -1}).get("version") != version:
            self.receive()
        place = {"line": 0, "character": 0}
        for _ in range(2):
            self.request("textDocument/hover", {"textDocument": {"uri": uri}, "position": place})
        found: list[dict[str, Any]] = self.findings[uri]["diagnostics"]
        return found

    def until(self, uri: str, codes: list[str]) -> list[dict[str, Any]]:
        """Wait until these are the findings of a file, in the order of their places."""
        while True:
            found = self.findings.get(uri, {"diagnostics": None})["diagnostics"]
            if found is not None and [each["code"] for each in found] == codes:
                return found
            self.receive()

    def settle(self) -> None:
        """Take what has come in already."""
        try:
            while True:
                self.receive(0.3)
        except Empty:
            return

    def stop(self) -> int:
        """Say goodbye; the exit code."""
        self.request("shutdown", None)
        self.notify("exit", None)
        code = self.process.wait(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return code


class File:
    """A document of the server's folder, and places in it by the text that stands there."""

    def __init__(self, client: Client, path: Path, text: str) -> None:
        self.client = client
        self.path = path
        self.uri = path.as_uri()
        self.text = text
        self.version = 1
        path.write_text(text, encoding="utf-8")

    def open(self) -> list[dict[str, Any]]:
        return self.client.open(self.uri, self.text, self.version)

    def type(self, text: str) -> list[dict[str, Any]]:
        """The document has another text now; what is found in it."""
        self.version += 1
        self.text = text
        return self.client.replace(self.uri, self.version, text)

    def place(self, words: str, after: int = 0, number: int = 0) -> dict[str, int]:
        start = -1
        for _ in range(number + 1):
            start = self.text.index(words, start + 1)
        before = self.text[: start + after]
        line = before[before.rfind("\n") + 1 :]
        return {"line": before.count("\n"), "character": len(line.encode("utf-16-le")) // 2}

    def at(self, words: str, after: int = 0, number: int = 0) -> dict[str, Any]:
        return {
            "textDocument": {"uri": self.uri},
            "position": self.place(words, after, number),
        }

    @property
    def whole(self) -> dict[str, Any]:
        end = {"line": self.text.count("\n") + 1, "character": 0}
        return {
            "textDocument": {"uri": self.uri},
            "range": {"start": {"line": 0, "character": 0}, "end": end},
        }

    def read(self, range: dict[str, Any]) -> str:
        """The text of a range."""
        return self.text[self._offset(range["start"]) : self._offset(range["end"])]

    def _offset(self, place: dict[str, int]) -> int:
        lines = self.text.splitlines(keepends=True)
        before = "".join(lines[: place["line"]])
        line = lines[place["line"]] if place["line"] < len(lines) else ""
        units = line.encode("utf-16-le")[: 2 * place["character"]]
        return len(before) + len(units.decode("utf-16-le"))

    def edited(self, edits: list[dict[str, Any]]) -> str:
        text = self.text
        for edit in sorted(edits, key=lambda e: self._offset(e["range"]["start"]), reverse=True):
            start, end = (self._offset(edit["range"][side]) for side in ("start", "end"))
            text = text[:start] + edit["newText"] + text[end:]
        return text


def edits_of(change: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The edits of a change of a workspace, by document."""
    return {each["textDocument"]["uri"]: each["edits"] for each in change["documentChanges"]}
