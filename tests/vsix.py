"""What a packed extension for Visual Studio Code must hold: the last step of `make vscode`."""

from __future__ import annotations

import json
import re
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXTENSION = ROOT / "editors" / "vscode"
ADDED = {"[Content_Types].xml", "extension.vsixmanifest"}
LIMIT = 1_000_000


def wrong(path: Path) -> list[str]:
    """What is wrong with a .vsix file, in words."""
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(texts["extension/package.json"])
    held = {name.removeprefix("extension/") for name in texts if name not in ADDED}
    found = [f"{name} is missing" for name in sorted(needed(manifest) - held)]
    lower = [each.lower() for each in [*manifest["files"], "package.json", "LICENSE.txt"]]
    found += [
        f"{name} should not be there"
        for name in sorted(held)
        if not any(fnmatch(name.lower(), pattern) for pattern in lower)
    ]
    script = texts.get(f"extension/{manifest['main'][2:]}", b"").decode()
    modules = set(re.findall(r'require\("([^"./][^"]*)"\)', script)) - {"vscode"}
    found += [f"{name} is not bundled" for name in sorted(modules) if not is_of_node(name)]
    grammar = texts.get("extension/syntaxes/ncd.tmLanguage.json")
    if grammar != (ROOT / "grammar" / "ncd.tmLanguage.json").read_bytes():
        found.append("the grammar is an old one")
    size = sum(map(len, texts.values()))
    if size > LIMIT:
        found.append(f"it has {size} bytes")
    return found


def needed(manifest: dict[str, object]) -> set[str]:
    """The files that a manifest names."""
    text = json.dumps(manifest)
    named = set(re.findall(r'"\./([^"*]+)"', text))
    drawing = {"media/drawing.js", "media/drawing.css"}
    return {*named, *drawing, "icon.png", "dist/NOTICES.txt", "LICENSE.txt", "readme.md"}


def is_of_node(module: str) -> bool:
    """Whether a module comes with the editor's own Node."""
    return f" {module.removeprefix('node:').split('/')[0]} " in NODE


NODE = (
    " assert buffer child_process constants crypto events fs http https net os path process"
    " readline stream string_decoder tls tty url util worker_threads zlib "
)


if __name__ == "__main__":
    problems = [f"{path}: {each}\n" for path in sys.argv[1:] for each in wrong(Path(path))]
    sys.stderr.writelines(problems)
    sys.exit(bool(problems))
