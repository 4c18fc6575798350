"""The extension for Visual Studio Code: its manifest says what its sources do.

Snippets are programs. With NCDLANG_FULL it is packed, and what was packed is looked at and loaded.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vsix import EXTENSION, ROOT, needed, wrong

from ncdlang import api
from ncdlang.project import Project
from ncdlang.source import Source
from ncdlang.vocabulary import vocabulary

MANIFEST: dict[str, Any] = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
SOURCES = {
    path.name: path.read_text(encoding="utf-8") for path in sorted((EXTENSION / "src").glob("*.ts"))
}
SNIPPETS: dict[str, Any] = json.loads(
    (EXTENSION / "snippets" / "ncd.json").read_text(encoding="utf-8")
)
COPIED = {"LICENSE", "LICENSE.txt", "readme.md", "syntaxes/ncd.tmLanguage.json"}


def every(pattern: str) -> set[str]:
    return {match for text in SOURCES.values() for match in re.findall(pattern, text)}


# ---- the manifest ----------------------------------------------------------------------------


def test_commands_are_those_of_the_sources() -> None:
    declared = {each["command"] for each in MANIFEST["contributes"]["commands"]}
    assert declared == every(r'registerCommand\(\s*"([\w.]+)"')
    for menu in MANIFEST["contributes"]["menus"].values():
        assert {each["command"] for each in menu} <= declared


def test_settings_are_those_of_the_sources() -> None:
    declared = set(MANIFEST["contributes"]["configuration"]["properties"])
    read = every(
        r'(?:settings|getConfiguration\("ncd"(?:, \w+)?\))\s*\.get(?:<[^>]*>)?\("([\w.]+)"'
    )
    assert declared == {f"ncd.{name}" for name in read}
    listed = re.findall(r"^\| `([\w.]+)` \|", (EXTENSION / "README.md").read_text(), re.MULTILINE)
    assert declared == set(listed)


def test_nothing_of_a_workspace_is_run_without_trust() -> None:
    trust = MANIFEST["capabilities"]["untrustedWorkspaces"]
    assert trust["supported"] == "limited"
    assert set(trust["restrictedConfigurations"]) == {"ncd.path", "ncd.python"}
    properties = MANIFEST["contributes"]["configuration"]["properties"]
    for name in trust["restrictedConfigurations"]:
        assert properties[name]["scope"] == "machine-overridable"
    # Programs are started without a shell in between.
    assert not every(r"(\bexecSync\b|\bshell: true\b|\bexec\()")


def test_files_of_the_manifest_are_there() -> None:
    for path in needed(MANIFEST) - COPIED:
        if not path.startswith("dist/"):
            assert (EXTENSION / path).is_file(), path
    assert MANIFEST["main"] == "./dist/extension.js"
    assert 'outfile: "dist/extension.js"' in (EXTENSION / "build.mjs").read_text()
    assert "dist/extension.js" in MANIFEST["files"]


def test_versions_are_exact_and_locked() -> None:
    lock = json.loads((EXTENSION / "package-lock.json").read_text(encoding="utf-8"))
    assert lock["version"] == MANIFEST["version"]
    for name, version in MANIFEST["devDependencies"].items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    types = MANIFEST["devDependencies"]["@types/vscode"]
    assert MANIFEST["engines"]["vscode"] == f"^{types}"


def test_the_panel_runs_nothing_but_its_own_script() -> None:
    page = SOURCES["drawing.ts"]
    assert "default-src 'none'" in page
    assert "script-src 'nonce-${nonce}'" in page
    assert "unsafe-eval" not in page
    assert "connect-src" not in page
    script = (EXTENSION / "media" / "drawing.js").read_text(encoding="utf-8")
    assert "innerHTML" not in script
    assert '"script, foreignObject, iframe' in script


# ---- snippets --------------------------------------------------------------------------------

WITHIN = "diagram around(X: [x m], S: [h q x], A, U: [t d], index: N(v)[n]) -> [] {{\n  {}\n}}\n"


def filled(snippet: dict[str, Any]) -> str:
    """The text of a snippet when nothing is typed over its fields."""
    text = "\n".join(snippet["body"])
    fields: dict[str, str] = {}

    def field(match: re.Match[str]) -> str:
        number, default, choices = match.groups()
        if choices is not None:
            default = re.split(r"(?<!\\),", choices)[0].replace("\\,", ",")
        fields.setdefault(number, fields_in(default))
        return fields[number]

    def fields_in(inner: str) -> str:
        return re.sub(r"\$(\d)", lambda match: fields[match[1]], inner)

    text = re.sub(r"\$\{(\d)(?::([^}]*)|\|([^}]*)\|)\}", field, text)
    return fields_in(text)


@pytest.mark.parametrize("name", SNIPPETS)
def test_snippets_are_programs(name: str) -> None:
    text = filled(SNIPPETS[name])
    assert "$" not in text
    first = text.split()[0]
    if first == "use":
        text += "\n"
    elif first not in ("##", "diagram", "config"):
        text = WITHIN.format(text)
    library = "use std.nn.{linear, affine}\n" if first != "use" else ""
    found = api.check(Source("snippet.ncd", library + text), Project().find).diagnostics
    syntax = [each.message for each in found if each.code.startswith("NCD1")]
    assert syntax == []
    if first in ("##", "diagram", "use"):
        assert [each.message for each in found] == []


def test_snippets_name_what_there_is() -> None:
    known = {*vocabulary().library, *vocabulary().constants}
    chosen = {
        word
        for each in SNIPPETS.values()
        for choices in re.findall(r"\$\{\d\|([^}]*)\|\}", "\n".join(each["body"]))
        for word in re.findall(r"[a-z_]+(?=[(,]|$)", choices.replace("\\,", ""))
    }
    assert chosen
    assert chosen <= known
    prefixes = [each["prefix"] for each in SNIPPETS.values()]
    assert len(set(prefixes)) == len(prefixes)


# ---- what is packed --------------------------------------------------------------------------


def test_a_wrong_package_is_found_wrong(tmp_path: Path) -> None:
    """The judge of packages itself."""
    path = tmp_path / "a.vsix"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("extension/package.json", json.dumps(MANIFEST))
        archive.writestr("extension/dist/extension.js", 'require("left-pad");require("node:fs")')
        archive.writestr("extension/src/extension.ts", "")
    found = wrong(path)
    assert "media/drawing.js is missing" in found
    assert "src/extension.ts should not be there" in found
    assert "left-pad is not bundled" in found
    assert "the grammar is an old one" in found
    assert not any("fs" in each.split() for each in found)


def packed(folder: Path) -> Iterator[Path]:
    """The extension, packed in a copy of its folder with the packages of its lock."""
    copy = folder / "editors" / "vscode"
    shutil.copytree(EXTENSION, copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (copy / "syntaxes").mkdir(exist_ok=True)
    (folder / "dist").mkdir()
    shutil.copy(ROOT / "grammar" / "ncd.tmLanguage.json", copy / "syntaxes")
    shutil.copy(ROOT / "LICENSE", copy)
    npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    for command in (npm, ["npm", "run", "package"]):
        subprocess.run(command, cwd=copy, check=True, capture_output=True)
    commands = json.dumps([each["command"] for each in MANIFEST["contributes"]["commands"]])
    smoke = ["node", "test/smoke.mjs", "dist/extension.js", commands]
    subprocess.run(smoke, cwd=copy, check=True, capture_output=True)
    yield from (folder / "dist").glob("*.vsix")


if os.environ.get("NCDLANG_FULL") and shutil.which("npm"):

    def test_the_extension_packs(tmp_path: Path) -> None:
        (path,) = packed(tmp_path)
        assert path.name == f"ncd-{MANIFEST['version']}.vsix"
        assert wrong(path) == []
