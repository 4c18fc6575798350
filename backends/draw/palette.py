"""The colours of drawings, one small palette for each theme.

The hues are those of Okabe and Ito: blue for calls, orange for what is learned, vermilion for the
axes that an operation consumes. Nothing is told by colour alone: learned boxes are bold, and
so are target axes.
"""

from __future__ import annotations

from dataclasses import dataclass

from .options import Theme


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by what they are for, as `#rrggbb`.

    `paper` lies behind everything; `ink` is text, `muted` secondary text, `line` a wire;
    `target` marks axes that an operation consumes. Each kind of box has a fill and a border;
    nested blocks take turns in the fills of `blocks`.
    """

    paper: str
    ink: str
    muted: str
    line: str
    target: str
    equation: str
    equation_border: str
    call: str
    call_border: str
    learned: str
    learned_border: str
    blocks: tuple[str, str]
    block_border: str


LIGHT = Palette(
    paper="#ffffff",
    ink="#1b1f24",
    muted="#59636e",
    line="#444c56",
    target="#a63a00",
    equation="#ffffff",
    equation_border="#6e7781",
    call="#d6e9f8",
    call_border="#0072b2",
    learned="#ffe3b3",
    learned_border="#1b1f24",
    blocks=("#f3f3f0", "#e6e6e1"),
    block_border="#c8c8c0",
)

DARK = Palette(
    paper="#15191f",
    ink="#eceff3",
    muted="#b3bcc6",
    line="#aab4bf",
    target="#ffa27a",
    equation="#272d36",
    equation_border="#8b96a2",
    call="#0e3f63",
    call_border="#56b4e9",
    learned="#5a3b00",
    learned_border="#ffd591",
    blocks=("#1d222a", "#252b34"),
    block_border="#434c57",
)


def palette(theme: Theme) -> Palette:
    """The palette of a theme."""
    return DARK if theme == "dark" else LIGHT
