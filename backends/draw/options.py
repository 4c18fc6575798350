"""What a drawing can be asked for, read from the text options of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from ncdlang.targets import TargetError

Style = Literal["circuit", "graph"]
Format = Literal["gv", "svg", "pdf", "png"]
Theme = Literal["light", "dark"]
LabelMode = Literal["names", "sizes", "both"]
Detail = Literal["equations", "ops"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "style": ("circuit", "graph"),
    "format": ("svg", "gv", "pdf", "png"),
    "theme": ("light", "dark"),
    "labels": ("names", "sizes", "both"),
    "detail": ("equations", "ops"),
    "library": ("closed", "open"),
    "streams": ("off", "on"),
}
_FREE = ("depth", "font", "width", "rewrite")
DEEPEST = 64
"""More levels than any drawing opens."""


@dataclass(frozen=True)
class Options:
    """Options of a drawing.

    `labels` says whether an axis shows its name, its size where that is known, or both. `detail`
    draws one box for each equation and call, or one for each broadcasted operation. `depth` is
    the number of levels of calls that are drawn opened, None in a circuit for as many as read
    well; boxes of the standard library stay
    closed unless `opens_library`. `rewrite` is the name of one whose stages are drawn.
    `streams` colours wires by the memory that holds them, and tells the tiles of kernels.
    """

    style: Style = "circuit"
    format: Format = "svg"
    theme: Theme = "light"
    labels: LabelMode = "names"
    detail: Detail = "equations"
    depth: int | None = 0
    opens_library: bool = False
    font: str = "Times"
    width: float = 0.0
    rewrite: str = ""
    streams: bool = False


def parse_options(options: Mapping[str, str]) -> Options:
    """Read the options. Raises TargetError for an unknown name or value."""
    chosen = {name: choices[0] for name, choices in _CHOICES.items()}
    for name, value in options.items():
        if name in _FREE:
            continue
        if name not in _CHOICES:
            known = ", ".join([*_CHOICES, *_FREE])
            raise TargetError(f"a drawing has no option `{name}`; the options are {known}")
        if value not in _CHOICES[name]:
            raise TargetError(f"`{name}` is one of {', '.join(_CHOICES[name])}, not `{value}`")
        chosen[name] = value
    depth = _depth(options["depth"]) if "depth" in options else None
    rewrite = options.get("rewrite", "")
    if rewrite and chosen["streams"] == "on":
        raise TargetError("`rewrite` draws graphs that have no kernels yet: leave out `streams`")
    for name in ("rewrite", "streams"):
        if name in options and chosen["style"] != "circuit":
            raise TargetError(f"`{name}` is drawn in the style circuit, not `{chosen['style']}`")
    return Options(
        style=cast("Style", chosen["style"]),
        format=cast("Format", chosen["format"]),
        theme=cast("Theme", chosen["theme"]),
        labels=cast("LabelMode", chosen["labels"]),
        detail=cast("Detail", chosen["detail"]),
        depth=0 if depth is None and chosen["style"] == "graph" else depth,
        opens_library=chosen["library"] == "open",
        font=_font(options.get("font", Options.font)),
        width=_width(options["width"]) if "width" in options else 0.0,
        rewrite=rewrite,
        streams=chosen["streams"] == "on",
    )


def _depth(value: str) -> int:
    if value == "all":
        return DEEPEST
    if value.isascii() and value.isdigit() and len(value) < 4:
        return min(int(value), DEEPEST)
    raise TargetError(f"`depth` is a number of levels of calls, or `all`, not `{value}`")


def _font(value: str) -> str:
    if value and len(value) < 100 and all(c.isalnum() or c in " -_" for c in value):
        return value
    raise TargetError(f"`font` is the name of a family of fonts, not `{value}`")


def _width(value: str) -> float:
    if value.isascii() and value.isdigit() and 100 <= int(value) < 10**6:
        return float(value)
    raise TargetError(f"`width` is a whole number of points, 100 at least, not `{value}`")
