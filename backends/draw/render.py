"""From DOT text to SVG, PDF or PNG, by Graphviz."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from html import unescape

from ncdlang.targets import TargetError

from .text import xml

_TIMEOUT_SECONDS = 120
_PIXELS_PER_INCH = 144
_ELEMENT = re.compile(r'<g id="([^"]*)" class="(node|edge|cluster)">\s*<title>[^<]*</title>')
# Without a fixed date the bytes of a PDF would differ from run to run. Old versions of Graphviz
# don't read SOURCE_DATE_EPOCH; a date of the same length leaves every offset as it is.
_PDF_DATE = re.compile(rb"/CreationDate \(D:\d{14}")
_FIXED_DATE = b"/CreationDate (D:19700101000000"
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


class GraphvizError(TargetError):
    """The drawing is made, as `gv`, but Graphviz could not render it."""

    def __init__(self, message: str, gv: str) -> None:
        super().__init__(message)
        self.gv = gv


class GraphvizMissing(GraphvizError):
    """Graphviz is not installed; `gv` is the drawing that it would render."""

    def __init__(self, gv: str) -> None:
        super().__init__(
            "Graphviz is not installed, and only its program `dot` can make SVG, PDF or PNG; "
            "install it with `apt-get install graphviz`, `brew install graphviz` or "
            "`conda install -c conda-forge graphviz`, or ask for the format `gv`",
            gv,
        )


def render(
    gv: str, form: str, titles: Mapping[str, str] | None = None, *, is_placed: bool = False
) -> bytes:
    """The drawing in the format `form`: `svg`, `pdf` or `png`.

    Where it `is_placed`, all positions are in the text, and Graphviz keeps them.
    In an SVG every element gets its title (what hovering shows) from `titles`, by its id.
    Raises GraphvizMissing without Graphviz, and GraphvizError where it fails.
    """
    name = "neato" if is_placed else "dot"
    program = shutil.which(name)
    if program is None:
        raise GraphvizMissing(gv)
    arguments = [program, *(["-n2"] if is_placed else []), f"-T{form}"]
    if form == "png":
        arguments.append(f"-Gdpi={_PIXELS_PER_INCH}")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "TZ": "UTC"}
    try:
        finished = subprocess.run(
            arguments,
            input=gv.encode(),
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise GraphvizError(
            f"Graphviz did not finish within {_TIMEOUT_SECONDS} seconds; "
            "a smaller `depth` or `detail=equations` makes the drawing smaller",
            gv,
        ) from None
    except OSError as error:
        raise GraphvizError(f"`{name}` could not be run: {error.strerror}", gv) from None
    if finished.returncode != 0:
        said = finished.stderr.decode(errors="replace").strip().splitlines()
        raise GraphvizError(f"Graphviz failed: {said[0] if said else 'without a word'}", gv)
    if form == "svg":
        return _titled(finished.stdout, titles or {})
    return _PDF_DATE.sub(_FIXED_DATE, finished.stdout) if form == "pdf" else finished.stdout


def _titled(svg: bytes, titles: Mapping[str, str]) -> bytes:
    """The SVG with the titles of its elements set and Graphviz's version left out.

    The colour `transparent`, which it writes for no colour, is unknown to many readers of SVG.
    """

    def title(match: re.Match[str]) -> str:
        told = titles.get(unescape(match[1]))
        if told is None:
            return match[0]
        lines = "\n".join(xml(line) for line in told.split("\n"))
        return f'<g id="{match[1]}" class="{match[2]}">\n<title>{lines}</title>'

    text = _COMMENT.sub("", svg.decode()).replace('"transparent"', '"none"')
    return _ELEMENT.sub(title, text).encode()
